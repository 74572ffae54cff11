//! Names of connections and timers, as a handler sees them.

use std::fmt;

/// Name of one connection, for as long as it lives.
///
/// A slab gives the place of a closed connection to the next one. The generation tells them apart:
/// the id of a closed connection names nothing, and whatever is done with it has no effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

const _: () = assert!(usize::BITS >= 64, "an id's two halves travel in one mio::Token");

impl ConnectionId {
    /// The connection in place `index`, the `generation`-th of the process (both wrap).
    pub const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// Its place, free to be used as a dense key beside the generation.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Which of the connections that have had this place.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl From<ConnectionId> for mio::Token {
    fn from(id: ConnectionId) -> Self {
        Self((id.generation as usize) << u32::BITS | id.index as usize)
    }
}

impl From<mio::Token> for ConnectionId {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    fn from(mio::Token(number): mio::Token) -> Self {
        Self { index: number as u32, generation: (number >> u32::BITS) as u32 }
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}g{}", self.index, self.generation)
    }
}

/// Name of a timer of the handler, chosen by the handler. Setting one again moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u32);
