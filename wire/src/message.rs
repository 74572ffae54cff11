//! The lottery's messages: what an agency asks and what the central answers.
//!
//! Numbers are big endian. Knows the order of bytes in a message; which message may follow which is
//! for the two state machines to say (`server`'s session, `client`'s agency).

use std::fmt;

use crate::batch::Batch;
use crate::checksum::Checksum;
use crate::frame::{FRAME_MAX, Frame, FrameWriter};
use crate::reader::Reader;
use crate::winners::Winners;
use crate::{Agency, Position};

/// Version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

// Requests have the high bit clear, responses have it set.
const HELLO: u8 = 0x01;
const BET: u8 = 0x02;
const BATCH: u8 = 0x03;
const END: u8 = 0x04;
const ASK_WINNERS: u8 = 0x05;
const WELCOME: u8 = 0x81;
const STORED: u8 = 0x82;
const REJECTED: u8 = 0x83;
const UNAVAILABLE: u8 = 0x84;
const FINISHED: u8 = 0x85;
pub(crate) const WINNERS_ARE: u8 = 0x86;
const ERROR: u8 = 0xFF;

/// Most bytes of a text in a response; a longer one is cut at a character's end.
///
/// Far below what a frame holds, so that no text can push a frame over its limit.
pub const TEXT_MAX: usize = 1024;
const _: () = assert!(TEXT_MAX + 64 < FRAME_MAX, "a text and its fields fit into a frame");

/// Agency to central.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// First message of a connection. Answer: [`Response::Welcome`].
    Hello {
        /// Protocol version, [`VERSION`].
        version: u8,
        /// Who speaks.
        agency: Agency,
    },
    /// A single bet by hand: a batch of exactly one. Same answers as [`Request::Batch`].
    Bet(Batch<'a>),
    /// Bets from the agency's input. Answer: [`Response::Stored`], [`Response::Rejected`] or
    /// [`Response::Unavailable`], in the order of the requests.
    Batch(Batch<'a>),
    /// Nothing follows. Answer: [`Response::Finished`].
    End {
        /// How many bets the agency's input has.
        total: Position,
    },
    /// Who won? Answered after the draw with one or more [`Response::Winners`].
    Winners,
}

/// Central to agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response<'a> {
    /// The agency is known, and this is where it stands.
    Welcome {
        /// How many bets of its input have been consumed: the position to go on from.
        consumed: Position,
        /// Checksum of the bets consumed.
        checksum: Checksum,
        /// How many of them stood in batches that were rejected.
        rejected: u64,
        /// How far the lottery is.
        phase: Phase,
    },
    /// The batch is in the ledger, and will stay there.
    Stored {
        /// Position after the batch.
        consumed: Position,
    },
    /// The batch was consumed, but none of its bets is in the ledger.
    Rejected {
        /// Position after the batch.
        consumed: Position,
        /// Which of its bets is bad, counted from 0.
        index: u16,
        /// Which field of that bet.
        field: Field,
        /// What was expected and what was found.
        text: &'a str,
    },
    /// The request had no effect because the ledger can't be written now: send it again later.
    Unavailable {
        /// Position from which to go on: that of the request.
        consumed: Position,
        /// Why.
        text: &'a str,
    },
    /// The end was noted.
    Finished {
        /// Bets of this agency in the ledger.
        stored: u64,
        /// Bets of this agency in rejected batches.
        rejected: u64,
    },
    /// The winners, or some of them.
    Winners(Winners<'a>),
    /// The agency broke the protocol, or the central can't serve it. The connection ends.
    Error {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        text: &'a str,
    },
    /// An error with a code that this version doesn't know: most likely the central is of a later
    /// one. The connection ends.
    UnknownError {
        /// The code, none of [`ErrorCode`]'s.
        code: u8,
        /// Why, for a person.
        text: &'a str,
    },
}

/// How far the lottery is for one agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Bets are taken.
    Open = 0,
    /// The agency has ended its input; the draw hasn't run.
    Finished = 1,
    /// The draw has run.
    Drawn = 2,
}

/// A field of a bet, in the order in which fields travel. Its number is the code of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// First name.
    FirstName = 1,
    /// Last name.
    LastName = 2,
    /// Document (DNI).
    Document = 3,
    /// Birthdate.
    Birthdate = 4,
    /// Number.
    Number = 5,
}

impl Field {
    /// All fields in the order in which they travel.
    pub const ALL: [Self; crate::batch::FIELDS] =
        [Self::FirstName, Self::LastName, Self::Document, Self::Birthdate, Self::Number];
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstName => "first name",
            Self::LastName => "last name",
            Self::Document => "document",
            Self::Birthdate => "birthdate",
            Self::Number => "number",
        })
    }
}

/// Why a connection of an agency is ended by the central.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorCode {
    /// The bytes aren't a frame, or the frame isn't a message.
    Malformed = 1,
    /// A frame is over [`FRAME_MAX`].
    Oversized = 2,
    /// A frame of a kind that isn't a request.
    UnknownKind = 3,
    /// Another protocol version.
    Version = 4,
    /// An agency that isn't one of the lottery's.
    UnknownAgency = 5,
    /// A request before the introduction.
    NotIntroduced = 6,
    /// A second introduction.
    AlreadyIntroduced = 7,
    /// A batch beyond the position expected.
    Gap = 8,
    /// A batch that begins before the position expected and ends after it.
    Overlap = 9,
    /// A batch after the agency's end.
    Finished = 10,
    /// A batch or an end after the draw.
    Drawn = 11,
    /// An end whose total isn't the position reached.
    WrongTotal = 12,
    /// Winners asked for by an agency that hasn't ended its input.
    NotFinished = 13,
    /// Another connection introduced itself as the same agency.
    Superseded = 14,
    /// The peer was silent, or slow, for longer than allowed. Try again.
    Timeout = 15,
    /// The central is shutting down. Try again.
    ShuttingDown = 16,
}

impl ErrorCode {
    /// Whether the same agency may try again with the same input and hope for better.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Gap | Self::Timeout | Self::ShuttingDown)
    }
}

/// A frame that isn't a message, or not one that was expected from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nobody knows this kind.
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

impl<'a> Request<'a> {
    /// The request in a frame.
    ///
    /// # Errors
    /// [`MessageError`] when it isn't one. Whether the bets of a batch fit its body shows only
    /// when they are iterated over.
    pub fn decode(frame: Frame<'a>) -> Result<Self, MessageError> {
        let mut body = Reader::new(frame.body);
        let request = match frame.kind {
            BATCH => return Batch::decode(frame.body).map(Self::Batch),
            BET => return Self::decode_bet(frame.body),
            HELLO => Self::Hello { version: body.u8()?, agency: body.u32()? },
            END => Self::End { total: body.u64()? },
            ASK_WINNERS => Self::Winners,
            found => return Err(MessageError::UnknownKind { found }),
        };
        body.finish()?;
        Ok(request)
    }

    fn decode_bet(body: &'a [u8]) -> Result<Self, MessageError> {
        match Batch::decode(body)? {
            batch @ Batch { count: 1, .. } => Ok(Self::Bet(batch)),
            Batch { count, .. } => Err(MessageError::NotSingle { count }),
        }
    }

    /// Appends the request to `out` as one frame.
    ///
    /// # Panics
    /// When a batch is over [`FRAME_MAX`]; none from a [`BatchBuilder`](crate::BatchBuilder) is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, self.kind());
        match self {
            Self::Hello { version, agency } => {
                frame.put(&[*version]).put(&agency.to_be_bytes());
            }
            Self::Bet(batch) | Self::Batch(batch) => batch.write(&mut frame),
            Self::End { total } => {
                frame.put(&total.to_be_bytes());
            }
            Self::Winners => {}
        }
        frame.finish();
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => HELLO,
            Self::Bet(_) => BET,
            Self::Batch(_) => BATCH,
            Self::End { .. } => END,
            Self::Winners => ASK_WINNERS,
        }
    }
}

impl<'a> Response<'a> {
    /// The response in a frame.
    ///
    /// # Errors
    /// [`MessageError`] when it isn't one.
    pub fn decode(frame: Frame<'a>) -> Result<Self, MessageError> {
        let mut body = Reader::new(frame.body);
        let response = match frame.kind {
            WELCOME => Self::Welcome {
                consumed: body.u64()?,
                checksum: Checksum(body.u32()?),
                rejected: body.u64()?,
                phase: body.u8()?.try_into()?,
            },
            STORED => Self::Stored { consumed: body.u64()? },
            REJECTED => Self::Rejected {
                consumed: body.u64()?,
                index: body.u16()?,
                field: body.u8()?.try_into()?,
                text: text(&mut body)?,
            },
            UNAVAILABLE => Self::Unavailable { consumed: body.u64()?, text: text(&mut body)? },
            FINISHED => Self::Finished { stored: body.u64()?, rejected: body.u64()? },
            WINNERS_ARE => return Winners::decode(frame.body).map(Self::Winners),
            ERROR => Self::decode_error(&mut body)?,
            found => return Err(MessageError::UnknownKind { found }),
        };
        body.finish()?;
        Ok(response)
    }

    fn decode_error(body: &mut Reader<'a>) -> Result<Self, MessageError> {
        let (code, text) = (body.u8()?, text(body)?);
        Ok(match ErrorCode::try_from(code) {
            Ok(code) => Self::Error { code, text },
            Err(_) => Self::UnknownError { code, text },
        })
    }

    /// Appends the response to `out` as one frame. Texts are cut to [`TEXT_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, self.kind());
        match self {
            Self::Welcome { consumed, checksum, rejected, phase } => {
                frame.put(&consumed.to_be_bytes()).put(&checksum.0.to_be_bytes());
                frame.put(&rejected.to_be_bytes()).put(&[*phase as u8]);
            }
            Self::Stored { consumed } => {
                frame.put(&consumed.to_be_bytes());
            }
            Self::Rejected { consumed, index, field, text } => {
                frame.put(&consumed.to_be_bytes()).put(&index.to_be_bytes()).put(&[*field as u8]);
                put_text(&mut frame, text);
            }
            Self::Unavailable { consumed, text } => {
                frame.put(&consumed.to_be_bytes());
                put_text(&mut frame, text);
            }
            Self::Finished { stored, rejected } => {
                frame.put(&stored.to_be_bytes()).put(&rejected.to_be_bytes());
            }
            Self::Winners(winners) => winners.write(&mut frame),
            Self::Error { code, text } => {
                frame.put(&[*code as u8]);
                put_text(&mut frame, text);
            }
            Self::UnknownError { code, text } => {
                frame.put(&[*code]);
                put_text(&mut frame, text);
            }
        }
        frame.finish();
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Welcome { .. } => WELCOME,
            Self::Stored { .. } => STORED,
            Self::Rejected { .. } => REJECTED,
            Self::Unavailable { .. } => UNAVAILABLE,
            Self::Finished { .. } => FINISHED,
            Self::Winners(_) => WINNERS_ARE,
            Self::Error { .. } | Self::UnknownError { .. } => ERROR,
        }
    }
}

/// A text fills the rest of its frame.
fn text<'a>(body: &mut Reader<'a>) -> Result<&'a str, MessageError> {
    let bytes = body.take(body.rest().len())?;
    std::str::from_utf8(bytes)
        .map_err(|error| MessageError::NotUtf8 { valid_up_to: error.valid_up_to() })
}

fn put_text(frame: &mut FrameWriter<'_>, text: &str) {
    frame.put(&text.as_bytes()[..text.floor_char_boundary(TEXT_MAX)]);
}

/// Gives an enumeration the way back from its number.
macro_rules! from_number {
    ($name:ident, $what:literal, [$($variant:ident),+ $(,)?]) => {
        impl TryFrom<u8> for $name {
            type Error = MessageError;

            fn try_from(found: u8) -> Result<Self, MessageError> {
                $(if found == Self::$variant as u8 { return Ok(Self::$variant); })+
                Err(MessageError::UnknownCode { what: $what, found })
            }
        }
    };
}

from_number!(Phase, "phase", [Open, Finished, Drawn]);
from_number!(Field, "field", [FirstName, LastName, Document, Birthdate, Number]);
from_number!(
    ErrorCode,
    "error code",
    [
        Malformed,
        Oversized,
        UnknownKind,
        Version,
        UnknownAgency,
        NotIntroduced,
        AlreadyIntroduced,
        Gap,
        Overlap,
        Finished,
        Drawn,
        WrongTotal,
        NotFinished,
        Superseded,
        Timeout,
        ShuttingDown,
    ]
);
