//! What is wrong with a frame that isn't a message.

use crate::draw_name::DrawNameError;
use crate::version::VERSIONS;

/// A frame that isn't a message, or not one that was expected from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No message of this direction has this kind.
    #[error("no message of this direction has the kind 0x{found:02x}")]
    UnknownKind {
        /// The kind found.
        found: u8,
    },
    /// The body ends before its fields do.
    #[error("the message needs at least {needed} bytes after its header, found {found}")]
    TooShort {
        /// Bytes needed, as far as it was read.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The body goes on after its fields.
    #[error("the message has {expected} bytes after its header, found {found}")]
    TooLong {
        /// Bytes of its fields.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// HELLO of a version that isn't spoken here.
    #[error("versions {} and {} are spoken, found {found}", VERSIONS[0], VERSIONS[1])]
    Version {
        /// The version found.
        found: u8,
    },
    /// HELLO of a version that names a draw, with a name that is none.
    #[error(transparent)]
    DrawName(#[from] DrawNameError),
    /// A batch of nothing.
    #[error("a batch holds at least one bet, found 0")]
    EmptyBatch,
    /// The single-bet message with another count.
    #[error("the message for a single bet holds exactly one, found {count}")]
    NotSingle {
        /// The count found.
        count: u16,
    },
    /// A batch that ends before its bets do.
    #[error("the batch's count is {count}, but it ends inside the bet with index {index}")]
    BetCutOff {
        /// Which bet isn't whole.
        index: u16,
        /// How many there should be.
        count: u16,
    },
    /// A batch that goes on after its bets.
    #[error("the batch's count is {count}, but {surplus} bytes follow so many bets")]
    SurplusInBatch {
        /// How many bets there should be.
        count: u16,
        /// Bytes after the last one.
        surplus: usize,
    },
    /// A yes-or-no byte with another value.
    #[error("a flag is 0 or 1, found {found}")]
    Flag {
        /// The byte found.
        found: u8,
    },
    /// A number that isn't one of an enumeration's.
    #[error("{found} is no {what} that this version knows")]
    UnknownCode {
        /// What it should be.
        what: &'static str,
        /// The number found.
        found: u8,
    },
    /// A text that isn't UTF-8.
    #[error("a text must be UTF-8, it isn't from byte {valid_up_to} on")]
    NotUtf8 {
        /// Length of the valid part.
        valid_up_to: usize,
    },
}
