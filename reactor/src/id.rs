//! Names of connections, timers and listeners, as a handler sees them.

use std::fmt;
use std::num::NonZeroU8;

/// Name of one connection, for as long as it lives.
///
/// A slab gives the slot of a closed connection to the next one. The generation distinguishes them:
/// the id of a closed connection names nothing, and whatever is done with it has no effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    slot: u32,
    generation: u32,
}

const _: () = assert!(usize::BITS >= 64, "an id's two halves travel in one mio::Token");

impl ConnectionId {
    /// The connection in `slot`, the `generation`-th of the process (it wraps).
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// Its slot: small numbers, so that a vector may hold what belongs to connections.
    pub fn slot(self) -> usize {
        self.slot as usize
    }

    /// The slot as it is packed.
    pub(crate) fn raw_slot(self) -> u32 {
        self.slot
    }

    /// Which of the connections that have had this slot.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl From<ConnectionId> for mio::Token {
    fn from(id: ConnectionId) -> Self {
        Self((id.generation as usize) << u32::BITS | id.slot as usize)
    }
}

impl From<mio::Token> for ConnectionId {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    fn from(mio::Token(number): mio::Token) -> Self {
        Self { slot: number as u32, generation: (number >> u32::BITS) as u32 }
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}g{}", self.slot, self.generation)
    }
}

/// Name of a timer of the handler, chosen by the handler. Setting one again moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u32);

/// Name of a listener of a loop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(NonZeroU8);

impl ListenerId {
    /// The one that [`EventLoop::listen`](crate::EventLoop::listen) makes. The others are apart, see
    /// [`EventLoop::listen_apart`](crate::EventLoop::listen_apart).
    pub const MAIN: Self = Self(NonZeroU8::MIN);

    /// The main listener is the first, with index 0; `None` when there are too many.
    pub(crate) fn from_index(index: usize) -> Option<Self> {
        let number = u8::try_from(index).ok()?.checked_add(1)?;
        NonZeroU8::new(number).map(Self)
    }

    /// The others have small numbers above it, in the order in which they were made.
    pub(crate) fn index(self) -> u8 {
        self.0.get() - 1
    }
}

impl fmt::Debug for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {}", self.index())
    }
}
