//! The machine around loops in memory, in the test's hands: time, and what becomes of bytes.
//!
//! Everything here happens because a loop or the test has asked for it, in that order: the same
//! calls give the same run.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::testing::link::{Link, Side};
use crate::testing::peer::Peer;
use crate::testing::state::{LinkId, Shared};

/// A network in memory, and the clock of everyone in it. Clones are the same network.
///
/// Bytes arrive as soon as they are sent, unless the test [moves them](Self::deliver_by_hand)
/// itself. A call is taken at once by a loop that listens at its address, and refused where none does,
/// unless the test [decides](Self::hold_connects).
#[derive(Debug, Clone, Default)]
pub struct MemoryNetwork(pub(super) Shared);

impl MemoryNetwork {
    /// One without loops.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time. It stands still until [`advance`](Self::advance).
    pub fn now(&self) -> Instant {
        self.0.get().now
    }

    /// Time passes. Loops notice in their next turn.
    pub fn advance(&self, time: Duration) {
        self.0.get().now += time;
    }

    /// Bytes that each direction of a link holds, for links that are made from now on.
    pub fn set_capacity(&self, bytes: usize) {
        self.0.get().capacity = bytes;
    }

    /// The test listens at an address: calls are taken at once, and wait for
    /// [`accept`](Self::accept).
    ///
    /// # Errors
    /// When something listens there already.
    pub fn listen(&self, address: SocketAddr) -> io::Result<()> {
        self.0.get().listen(None, address)
    }

    /// The first of the connections that wait where the test listens.
    pub fn accept(&self, address: SocketAddr) -> Option<Peer> {
        let (link, _) = self.0.get().accept(address).ok()?;
        Some(Peer::new(self.0.clone(), link, Side::Callee))
    }

    /// A connection from the test, from some port of this machine.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Peer> {
        self.connect_from((Ipv4Addr::LOCALHOST, 40_000).into(), address)
    }

    /// The same from a given address.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect_from(&self, from: SocketAddr, address: SocketAddr) -> io::Result<Peer> {
        let mut state = self.0.get();
        if !state.is_listening(address) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let link = state.connect(from, address);
        drop(state);
        Ok(Peer::new(self.0.clone(), link, Side::Caller))
    }
}

/// Calls at addresses where no loop listens.
impl MemoryNetwork {
    /// From now on they wait for [`establish`](Self::establish) or [`refuse`](Self::refuse).
    pub fn hold_connects(&self) {
        self.0.get().holds_connects = true;
    }

    /// Those that wait, in the order in which they were made, and the addresses that are called.
    pub fn pending(&self) -> Vec<(LinkId, SocketAddr)> {
        let state = self.0.get();
        let pending = state.links.iter().filter(|(_, placed)| placed.link.is_pending());
        pending.map(|(&id, placed)| (id, placed.addresses[Side::Callee as usize])).collect()
    }

    /// The test takes a call that waits.
    ///
    /// # Panics
    /// When it doesn't wait.
    pub fn establish(&self, link: LinkId) -> Peer {
        self.0.get().change(link, |link| {
            assert!(link.is_pending(), "it was decided before");
            link.establish();
        });
        Peer::new(self.0.clone(), link, Side::Callee)
    }

    /// The test refuses a call that waits.
    pub fn refuse(&self, link: LinkId) {
        self.break_off(link);
    }

    /// What the next `accept` of the loop that listens there returns.
    pub fn fail_accept(&self, address: SocketAddr, error: io::Error) {
        self.0.get().fail_accept(address, error);
    }
}

/// What becomes of bytes.
impl MemoryNetwork {
    /// From now on bytes arrive when [`deliver`](Self::deliver) says so.
    pub fn deliver_by_hand(&self) {
        self.0.get().delivers_at_once = false;
    }

    /// Directions, by link and sender, in which something can be [delivered](Self::deliver).
    pub fn in_flight(&self) -> Vec<(LinkId, Side)> {
        let state = self.0.get();
        let both = [Side::Caller, Side::Callee];
        let ends = state.links.iter().flat_map(|(id, placed)| both.map(|side| (id, side, placed)));
        let moving = ends.filter(|(_, side, placed)| placed.link.can_deliver(*side));
        moving.map(|(&id, side, _)| (id, side)).collect()
    }

    /// Bytes that `sender` has sent and that haven't arrived.
    pub fn in_flight_len(&self, link: LinkId, sender: Side) -> usize {
        self.0.get().links.get(&link).map_or(0, |placed| placed.link.in_flight(sender))
    }

    /// Lets up to `count` of the bytes arrive that `sender` has sent, and its end behind the last.
    pub fn deliver(&self, link: LinkId, sender: Side, count: usize) {
        self.0.get().change(link, |link| link.deliver(sender, count));
    }

    /// Of the bytes that haven't arrived the first so many are kept, and the others are lost.
    pub fn truncate_in_flight(&self, link: LinkId, sender: Side, kept: usize) {
        self.0.get().change(link, |link| link.truncate_in_flight(sender, kept));
    }

    /// Connections of which no end is closed or has failed; pairs aren't any.
    pub fn intact(&self) -> Vec<LinkId> {
        let state = self.0.get();
        let intact = state
            .links
            .iter()
            .filter(|(_, placed)| placed.link.is_intact() && !placed.link.is_pair());
        intact.map(|(&id, _)| id).collect()
    }

    /// Breaks a link: what is in flight is lost, and both ends learn of it.
    pub fn break_off(&self, link: LinkId) {
        self.0.get().change(link, |link| link.break_off(None));
    }

    /// Nothing moves on a link from now on, and neither end learns of it.
    pub fn vanish(&self, link: LinkId) {
        self.0.get().change(link, Link::vanish);
    }

    /// TCP's keepalive: an end of a link that has vanished learns of it. Returns whether
    /// there was one.
    pub fn time_out_vanished(&self) -> bool {
        let mut state = self.0.get();
        let vanished = state.links.iter().filter(|(_, placed)| placed.link.has_vanished());
        let vanished: Vec<_> = vanished.map(|(&id, _)| id).collect();
        for &id in &vanished {
            state.change(id, Link::time_out);
        }
        !vanished.is_empty()
    }
}
