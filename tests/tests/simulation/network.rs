//! The network: bytes that are in flight, arrive late, in pieces or not at all. Knows no handler and no frame.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;

/// Name of a link, in the order in which they were made.
pub(crate) type LinkId = u64;

/// Which end of a link: the agency's, which connected, or the central's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Agency = 0,
    Central = 1,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Agency => Self::Central,
            Self::Central => Self::Agency,
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    in_flight: VecDeque<u8>,
    arrived: VecDeque<u8>,
    /// The sender has ended it.
    ended: bool,
    end_arrived: bool,
}

/// The state of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Here,
    /// It has closed its socket in order, and reads on without looking.
    Lingering,
    /// Its process is gone: what is sent to it is answered by a reset.
    Gone,
}

/// What can be read at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    Nothing,
    Bytes,
    End,
    Reset,
}

/// A connection between two processes.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) agency: wire::Agency,
    pub(crate) accepted: bool,
    /// By the side that sends.
    pipes: [Pipe; 2],
    /// This side will find that the connection is broken.
    reset: [bool; 2],
    presence: [Presence; 2],
    /// Nothing moves any more, and neither end notices: one of the machines has vanished.
    half_open: bool,
    /// Bytes that a direction holds until its reader takes some.
    capacity: usize,
}

impl Link {
    fn pipe(&mut self, sender: Side) -> &mut Pipe {
        &mut self.pipes[sender as usize]
    }

    /// How many bytes `sender` may send now.
    fn room(&self, sender: Side) -> usize {
        let pipe = &self.pipes[sender as usize];
        self.capacity.saturating_sub(pipe.in_flight.len() + pipe.arrived.len())
    }

    /// Takes as many bytes as there is room for.
    pub(crate) fn send(&mut self, sender: Side, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room(sender));
        self.pipe(sender).in_flight.extend(&bytes[..count]);
        count
    }

    pub(crate) fn end(&mut self, sender: Side) {
        self.pipe(sender).ended = true;
        self.presence[sender as usize] = Presence::Lingering;
    }

    /// Resets it: bytes in flight are lost, and both ends will notice.
    pub(crate) fn reset(&mut self) {
        for pipe in &mut self.pipes {
            pipe.in_flight.clear();
        }
        self.reset = [true, true];
    }

    pub(crate) fn abort(&mut self, by: Side) {
        self.presence[by as usize] = Presence::Gone;
        self.reset();
    }

    pub(crate) fn readable(&self, reader: Side) -> Readable {
        let pipe = &self.pipes[reader.other() as usize];
        match () {
            () if self.reset[reader as usize] => Readable::Reset,
            () if !pipe.arrived.is_empty() => Readable::Bytes,
            () if pipe.end_arrived => Readable::End,
            () => Readable::Nothing,
        }
    }

    /// Takes some of what has arrived, at most `most` bytes.
    pub(crate) fn take(&mut self, reader: Side, most: usize) -> Vec<u8> {
        let arrived = &mut self.pipe(reader.other()).arrived;
        let count = most.min(arrived.len());
        arrived.drain(..count).collect()
    }

    fn is_over(&self) -> bool {
        !self.presence.contains(&Presence::Here)
    }
}

/// What becomes of the connections of a process that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// Some of what it had sent arrives, and then the end: maybe in the middle of a frame.
    Fin,
    /// A reset.
    Reset,
    /// Nothing: its machine has vanished.
    Silent,
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) links: BTreeMap<LinkId, Link>,
    made: LinkId,
}

impl Network {
    pub(crate) fn connect(&mut self, agency: wire::Agency, capacity: usize) -> LinkId {
        self.made += 1;
        let link = Link {
            agency,
            accepted: false,
            pipes: Default::default(),
            reset: [false; 2],
            presence: [Presence::Here; 2],
            half_open: false,
            capacity,
        };
        self.links.insert(self.made, link);
        self.made
    }

    /// Moves some bytes of one direction to where they can be read. Returns whether anything moved.
    pub(crate) fn deliver(&mut self, random: &mut Rng) -> bool {
        let moving: Vec<_> = (self.links.iter())
            .flat_map(|(&id, link)| [Side::Agency, Side::Central].map(|side| (id, side, link)))
            .filter(|(_, side, link)| !link.half_open && link.pipes[*side as usize].can_move())
            .map(|(id, side, _)| (id, side))
            .collect();
        let Some(&(id, sender)) = random.choice(&moving) else { return false };
        let link = self.links.get_mut(&id).expect("it was just found");
        let reader = link.presence[sender.other() as usize];
        if reader == Presence::Gone && !link.pipe(sender).in_flight.is_empty() {
            link.reset();
            return true;
        }
        let pipe = link.pipe(sender);
        // Mostly everything, at times a byte or a few: frames are split and put together anywhere.
        let count = match random.u8(..4) {
            0 => random.usize(..=pipe.in_flight.len()),
            1 => 1,
            _ => pipe.in_flight.len(),
        };
        let count = count.min(pipe.in_flight.len());
        pipe.arrived.extend(pipe.in_flight.drain(..count));
        pipe.end_arrived |= pipe.ended && pipe.in_flight.is_empty();
        if reader == Presence::Lingering {
            pipe.arrived.clear();
        }
        true
    }

    /// Any link that is neither reset nor half open.
    pub(crate) fn any(&mut self, random: &mut Rng) -> Option<&mut Link> {
        let alive: Vec<_> = (self.links.iter())
            .filter(|(_, link)| !link.half_open && link.reset == [false; 2])
            .map(|(&id, _)| id)
            .collect();
        let id = random.choice(&alive)?;
        self.links.get_mut(id)
    }

    pub(crate) fn make_half_open(&mut self, random: &mut Rng) -> bool {
        self.any(random).map(|link| link.half_open = true).is_some()
    }

    /// TCP's keepalive: ends of half open links notice.
    pub(crate) fn keepalive(&mut self) -> bool {
        let mut noticed = false;
        for link in self.links.values_mut().filter(|link| link.half_open) {
            link.half_open = false;
            link.reset();
            noticed = true;
        }
        noticed
    }

    /// The process at this end of a link is killed.
    pub(crate) fn leave(
        &mut self,
        id: LinkId,
        side: Side,
        disconnect: Disconnect,
        random: &mut Rng,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.presence[side as usize] = Presence::Gone;
        // A socket that is closed with unread input resets its connection.
        let unread = !link.pipe(side.other()).arrived.is_empty();
        match disconnect {
            Disconnect::Fin if unread => link.reset(),
            Disconnect::Fin => {
                let pipe = link.pipe(side);
                let kept = random.usize(..=pipe.in_flight.len());
                pipe.in_flight.truncate(kept);
                pipe.ended = true;
            }
            Disconnect::Reset => link.reset(),
            Disconnect::Silent => link.half_open = true,
        }
    }

    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| !link.is_over());
    }
}

impl Pipe {
    fn can_move(&self) -> bool {
        !self.in_flight.is_empty() || self.ended && !self.end_arrived
    }
}
