//! What the central responds. Numbers are big endian.

use crate::agency::Position;
use crate::checksum::Checksum;
use crate::code::{ErrorCode, Phase};
use crate::error::MessageError;
use crate::field::Field;
use crate::frame::{FRAME_MAX, Frame, FrameWriter};
use crate::kind;
use crate::reader::Reader;
use crate::winners::Winners;

/// Most bytes of a reason in a response; a longer one is cut at the end of a character.
///
/// Far below what a frame holds, so that no reason can push a frame over its limit.
pub const REASON_MAX: usize = 1024;
const _: () = assert!(REASON_MAX + 64 < FRAME_MAX, "a reason and its fields fit into a frame");

/// Central to agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response<'a> {
    /// The agency is known; this is its state.
    Welcome {
        /// How many bets of its input have been consumed: the position to go on from.
        consumed: Position,
        /// Checksum of the bets consumed.
        checksum: Checksum,
        /// How many of them were in batches that were rejected.
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
        reason: &'a str,
    },
    /// The request had no effect because the ledger can't be written now: send it again later.
    Unavailable {
        /// Position from which to go on: that of the request.
        consumed: Position,
        /// Why.
        reason: &'a str,
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
        reason: &'a str,
    },
    /// An error with a code that this version doesn't know: most likely the central is of a later
    /// one. The connection ends.
    UnknownError {
        /// The code, none of [`ErrorCode`]'s.
        code: u8,
        /// Why, for a person.
        reason: &'a str,
    },
}

impl<'a> Response<'a> {
    /// The response in a frame.
    ///
    /// # Errors
    /// [`MessageError`] when it isn't one.
    pub fn decode(frame: Frame<'a>) -> Result<Self, MessageError> {
        let mut body = Reader::new(frame.body);
        let response = match frame.kind {
            kind::WELCOME => Self::Welcome {
                consumed: body.u64()?,
                checksum: Checksum(body.u32()?),
                rejected: body.u64()?,
                phase: body.u8()?.try_into()?,
            },
            kind::STORED => Self::Stored { consumed: body.u64()? },
            kind::REJECTED => Self::Rejected {
                consumed: body.u64()?,
                index: body.u16()?,
                field: body.u8()?.try_into()?,
                reason: reason(&mut body)?,
            },
            kind::UNAVAILABLE => {
                Self::Unavailable { consumed: body.u64()?, reason: reason(&mut body)? }
            }
            kind::FINISHED => Self::Finished { stored: body.u64()?, rejected: body.u64()? },
            kind::WINNERS => return Winners::decode(frame.body).map(Self::Winners),
            kind::ERROR => Self::decode_error(&mut body)?,
            found => return Err(MessageError::UnknownKind { found }),
        };
        body.finish()?;
        Ok(response)
    }

    fn decode_error(body: &mut Reader<'a>) -> Result<Self, MessageError> {
        let (code, reason) = (body.u8()?, reason(body)?);
        Ok(match ErrorCode::try_from(code) {
            Ok(code) => Self::Error { code, reason },
            Err(_) => Self::UnknownError { code, reason },
        })
    }

    /// Appends the response to `out` as one frame. Reasons are cut to [`REASON_MAX`].
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
            Self::Rejected { consumed, index, field, reason } => {
                frame.put(&consumed.to_be_bytes()).put(&index.to_be_bytes()).put(&[*field as u8]);
                put_reason(&mut frame, reason);
            }
            Self::Unavailable { consumed, reason } => {
                frame.put(&consumed.to_be_bytes());
                put_reason(&mut frame, reason);
            }
            Self::Finished { stored, rejected } => {
                frame.put(&stored.to_be_bytes()).put(&rejected.to_be_bytes());
            }
            Self::Winners(winners) => winners.write(&mut frame),
            Self::Error { code, reason } => {
                frame.put(&[*code as u8]);
                put_reason(&mut frame, reason);
            }
            Self::UnknownError { code, reason } => {
                frame.put(&[*code]);
                put_reason(&mut frame, reason);
            }
        }
        frame.finish();
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Welcome { .. } => kind::WELCOME,
            Self::Stored { .. } => kind::STORED,
            Self::Rejected { .. } => kind::REJECTED,
            Self::Unavailable { .. } => kind::UNAVAILABLE,
            Self::Finished { .. } => kind::FINISHED,
            Self::Winners(_) => kind::WINNERS,
            Self::Error { .. } | Self::UnknownError { .. } => kind::ERROR,
        }
    }
}

/// A reason fills the rest of its frame.
fn reason<'a>(body: &mut Reader<'a>) -> Result<&'a str, MessageError> {
    let bytes = body.take(body.rest().len())?;
    std::str::from_utf8(bytes)
        .map_err(|error| MessageError::NotUtf8 { valid_up_to: error.valid_up_to() })
}

fn put_reason(frame: &mut FrameWriter<'_>, reason: &str) {
    frame.put(&reason.as_bytes()[..reason.floor_char_boundary(REASON_MAX)]);
}
