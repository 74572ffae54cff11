//! What the connections of one listener have to themselves: their number, that of each address, their
//! list, what they may cost in a turn, and their memory. Those of another listener never take any of it.
//!
//! The first share is the main listener's. Connections that the handler has asked for and attached
//! ones have a part in it. Knows no socket and no handler.

use std::collections::VecDeque;
use std::io;
use std::ops::{Index, IndexMut};

use crate::addresses::PeerAddresses;
use crate::buffer::Pool;
use crate::id::{ConnectionId, ListenerId};
use crate::limits::ListenerLimits;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) limits: ListenerLimits,
    /// Connections to peers: attached ones don't count.
    pub(crate) peers: usize,
    /// Of these, how many each address has.
    pub(crate) addresses: PeerAddresses,
    /// To be served, from the front: there may be something to read, or a call due.
    pub(crate) ready: VecDeque<ConnectionId>,
    /// Bytes that may still be read and queued in this turn.
    turn_budget: usize,
    pub(crate) pool: Pool,
}

impl Share {
    fn new(limits: ListenerLimits, addresses: PeerAddresses) -> Self {
        let (ready, pool) = (VecDeque::new(), Pool::default());
        Self { limits, peers: 0, addresses, ready, turn_budget: 0, pool }
    }

    /// Bytes that may be read now: what is left of the turn's budget, and of the memory for buffers.
    pub(crate) fn read_room(&self) -> usize {
        let memory = self.limits.max_buffered_bytes.saturating_sub(self.pool.held());
        self.turn_budget.min(memory)
    }

    /// Takes bytes that were read or queued off the turn's budget.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.turn_budget = self.turn_budget.saturating_sub(bytes);
    }
}

/// The shares of all listeners.
#[derive(Debug)]
pub(crate) struct Shares(Vec<Share>);

impl Shares {
    /// The main listener's alone.
    pub(crate) fn new(main: ListenerLimits, addresses: PeerAddresses) -> Self {
        Self(vec![Share::new(main, addresses)])
    }

    /// The name of the next listener that gets one.
    pub(crate) fn next_id(&self) -> io::Result<ListenerId> {
        let id = ListenerId::from_index(self.0.len());
        id.ok_or_else(|| io::Error::other("the loop has 255 listeners, which is the most"))
    }

    /// Adds the share of the listener with the [next name](Self::next_id).
    pub(crate) fn add(&mut self, limits: ListenerLimits, addresses: PeerAddresses) {
        self.0.push(Share::new(limits, addresses));
    }

    pub(crate) fn get(&self, listener: ListenerId) -> Option<&Share> {
        self.0.get(usize::from(listener.index()))
    }

    /// Those of all listeners but the main one.
    pub(crate) fn apart(&self) -> impl Iterator<Item = ListenerId> + use<> {
        (1..self.0.len()).filter_map(ListenerId::from_index)
    }

    /// All of them, the main listener's first.
    pub(crate) fn all(&self) -> impl Iterator<Item = ListenerId> + use<> {
        (0..self.0.len()).filter_map(ListenerId::from_index)
    }

    /// Each may cost as much in this turn as in any other.
    pub(crate) fn begin_turn(&mut self) {
        for share in &mut self.0 {
            share.turn_budget = share.limits.turn_budget;
        }
    }

    /// Whether a connection is to be served.
    pub(crate) fn has_ready(&self) -> bool {
        self.0.iter().any(|share| !share.ready.is_empty())
    }

    /// Connections to peers: those that limits count and that a shutdown closes.
    pub(crate) fn peers(&self) -> usize {
        self.0.iter().map(|share| share.peers).sum()
    }

    /// Bytes of memory in the buffers of all connections.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn held(&self) -> usize {
        self.0.iter().map(|share| share.pool.held()).sum()
    }
}

impl Index<ListenerId> for Shares {
    type Output = Share;

    fn index(&self, listener: ListenerId) -> &Share {
        &self.0[usize::from(listener.index())]
    }
}

impl IndexMut<ListenerId> for Shares {
    fn index_mut(&mut self, listener: ListenerId) -> &mut Share {
        &mut self.0[usize::from(listener.index())]
    }
}
