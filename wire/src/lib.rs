//! Bytes to messages and back, for both protocols that share the central's port.
//!
//! | file | what it is for |
//! |---|---|
//! | [`mod@line`] | newline framing: the echo protocol |
//! | [`frame`] | length framing: one lottery message per frame |
//! | [`request`] | what an agency asks: [`Request`] |
//! | [`response`] | what the central responds: [`Response`] |
//! | [`batch`] | bets inside a request, borrowed from the frame; [`BatchBuilder`] writes them |
//! | [`winners`] | documents inside a response; [`WinnersBuilder`] writes them |
//! | `agency` | numbers: of an agency, and of a row in its input |
//! | `draw_name` | what a draw is called |
//! | [`bet`] | what a valid bet is: one set of rules for both ends |
//! | [`mod@field`] | the fields of a bet |
//! | [`checksum`] | the running checksum of the bets that both ends compare |
//! | `version`, `kind`, `code` | numbers of versions, messages, phases and errors |
//! | `error` | what is wrong with a frame that isn't a message |
//! | `reader` | the body of a message, read from front to back |
//!
//! Sans-IO: nothing here knows a socket, a file, a clock or a log. Input is always "the bytes not
//! consumed so far, in one slice"; a decoder returns a message and how many bytes it used, "need
//! more", or an error after which the stream can't be trusted any more.
//!
//! The byte tables are in docs/protocol.md; the tests hold both to the same bytes.

mod agency;
pub mod batch;
pub mod bet;
pub mod checksum;
mod code;
mod draw_name;
mod error;
pub mod field;
pub mod frame;
mod kind;
pub mod line;
mod reader;
pub mod request;
pub mod response;
mod version;
pub mod winners;

pub use agency::{Agency, Position};
pub use batch::{Batch, BatchBuilder, Bet, Push};
pub use checksum::Checksum;
pub use code::{ErrorCode, Phase};
pub use draw_name::{DRAW_NAME_FORM, DRAW_NAME_MAX, DrawName, DrawNameError, DrawPhrase};
pub use error::MessageError;
pub use field::Field;
pub use frame::{FRAME_MAX, Frame, FrameDecoder, FrameError, HEADER_LEN, MAGIC};
pub use line::{Line, LineDecoder, LineTooLong};
pub use request::Request;
pub use response::Response;
pub use version::VERSIONS;
pub use winners::{Winners, WinnersBuilder};
