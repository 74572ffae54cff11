//! Bytes to messages and back, for both protocols that share the central's port.
//!
//! | file | what it is for |
//! |---|---|
//! | [`mod@line`] | newline framing: the echo protocol |
//! | [`frame`] | length framing: one lottery message per frame |
//! | [`message`] | what agencies ask ([`Request`]) and what the central answers ([`Response`]) |
//! | [`batch`] | bets inside a request, borrowed from the frame; [`BatchBuilder`] writes them |
//! | [`bet`] | what a valid bet is: one set of rules for both ends |
//! | [`winners`] | documents inside a response; [`WinnersBuilder`] writes them |
//! | [`checksum`] | the running checksum of the bets that both ends compare |
//!
//! Sans-IO: nothing here knows a socket, a file, a clock or a log. Input is always "the bytes not
//! consumed so far, in one slice"; a decoder answers with a message and how many bytes it used,
//! with "need more", or with an error after which the stream can't be trusted any more.
//!
//! The byte tables are in docs/protocol.md; the tests hold both to the same bytes.

pub mod batch;
pub mod bet;
pub mod checksum;
pub mod frame;
pub mod line;
pub mod message;
mod reader;
pub mod winners;

pub use batch::{Batch, BatchBuilder, Bet, Push};
pub use checksum::Checksum;
pub use frame::{FRAME_MAX, Frame, FrameDecoder, FrameError, HEADER_LEN, MAGIC};
pub use line::{Line, LineDecoder, LineTooLong};
pub use message::{ErrorCode, Field, MessageError, Phase, Request, Response, VERSION};
pub use winners::{Winners, WinnersBuilder};

/// Number of an agency, counted from 1. Zero is never an agency.
pub type Agency = u32;

/// Index of a row in an agency's input, counted from 0: the sequence number of a bet.
pub type Position = u64;
