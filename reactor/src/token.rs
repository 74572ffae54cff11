//! Names of connections and timers, as a service sees them.

use std::fmt;

/// Name of one connection, for as long as it lives.
///
/// A slab gives the place of a closed connection to the next one. The generation tells them apart:
/// a token of a closed connection names nothing, and whatever is done with it has no effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    index: u32,
    generation: u32,
}

const _: () = assert!(usize::BITS >= 64, "a token's two halves travel in one mio::Token");

impl Token {
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

impl From<Token> for mio::Token {
    fn from(token: Token) -> Self {
        Self((token.generation as usize) << u32::BITS | token.index as usize)
    }
}

impl From<mio::Token> for Token {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
    fn from(mio::Token(number): mio::Token) -> Self {
        Self { index: number as u32, generation: (number >> u32::BITS) as u32 }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}g{}", self.index, self.generation)
    }
}

/// Name of a timer of the service, chosen by the service. Setting one again moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(pub u32);
