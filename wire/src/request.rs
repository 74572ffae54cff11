//! What an agency asks.
//!
//! Numbers are big endian. Knows the order of bytes in a message; which message may follow which, the
//! state machines of both ends decide (the central's lottery session, the agency's session).
//!
//! HELLO alone tells the versions of the protocol apart, and each HELLO can be written in one way only:
//! version 1 names no draw, version 2 names one.

use crate::agency::{Agency, Position};
use crate::batch::Batch;
use crate::draw_name::DrawName;
use crate::error::MessageError;
use crate::frame::{Frame, FrameWriter};
use crate::kind;
use crate::reader::Reader;
use crate::version::{NAMED, UNNAMED};

/// Agency to central.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// First message of a connection. Response: [`Response::Welcome`](crate::Response::Welcome).
    Hello {
        /// Who speaks.
        agency: Agency,
        /// Of which draw; `None` for the unnamed one. It decides the protocol's version.
        draw: Option<DrawName>,
    },
    /// A single bet by hand: a batch of exactly one. Same responses as [`Request::Batch`].
    Bet(Batch<'a>),
    /// Bets from the agency's input. Response: [`Stored`], [`Rejected`] or [`Unavailable`], in the
    /// order of the requests.
    ///
    /// [`Stored`]: crate::Response::Stored
    /// [`Rejected`]: crate::Response::Rejected
    /// [`Unavailable`]: crate::Response::Unavailable
    Batch(Batch<'a>),
    /// Nothing follows. Response: [`Response::Finished`](crate::Response::Finished).
    End {
        /// How many bets the agency's input has.
        total: Position,
    },
    /// Who won? Response, after the draw: one or more
    /// [`Response::Winners`](crate::Response::Winners).
    Winners,
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
            kind::BATCH => return Batch::decode(frame.body).map(Self::Batch),
            kind::BET => return Self::decode_bet(frame.body),
            kind::HELLO => Self::decode_hello(&mut body)?,
            kind::END => Self::End { total: body.u64()? },
            kind::ASK_WINNERS => Self::Winners,
            found => return Err(MessageError::UnknownKind { found }),
        };
        body.finish()?;
        Ok(request)
    }

    /// An unknown version's fields aren't looked at: that version may have others.
    fn decode_hello(body: &mut Reader<'a>) -> Result<Self, MessageError> {
        match body.u8()? {
            UNNAMED => Ok(Self::Hello { agency: body.u32()?, draw: None }),
            NAMED => {
                let (agency, draw) = (body.u32()?, body.short()?);
                Ok(Self::Hello { agency, draw: Some(draw.try_into()?) })
            }
            found => Err(MessageError::Version { found }),
        }
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
    /// When a batch is over [`FRAME_MAX`](crate::FRAME_MAX); none from a [`BatchBuilder`](crate::BatchBuilder) is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, self.kind());
        match self {
            Self::Hello { agency, draw: None } => {
                frame.put(&[UNNAMED]).put(&agency.to_be_bytes());
            }
            Self::Hello { agency, draw: Some(draw) } => {
                frame.put(&[NAMED]).put(&agency.to_be_bytes()).put(draw.as_short());
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
            Self::Hello { .. } => kind::HELLO,
            Self::Bet(_) => kind::BET,
            Self::Batch(_) => kind::BATCH,
            Self::End { .. } => kind::END,
            Self::Winners => kind::ASK_WINNERS,
        }
    }
}
