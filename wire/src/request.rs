//! What an agency asks.
//!
//! Numbers are big endian. Knows the order of bytes in a message; which message may follow which, the
//! state machines of both ends decide (the central's lottery session, the agency's session).

use crate::agency::{Agency, Position};
use crate::batch::Batch;
use crate::error::MessageError;
use crate::frame::{Frame, FrameWriter};
use crate::kind;
use crate::reader::Reader;

/// Version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

/// Agency to central.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// First message of a connection. Response: [`Response::Welcome`](crate::Response::Welcome).
    Hello {
        /// Protocol version, [`VERSION`].
        version: u8,
        /// Who speaks.
        agency: Agency,
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
            kind::HELLO => Self::Hello { version: body.u8()?, agency: body.u32()? },
            kind::END => Self::End { total: body.u64()? },
            kind::ASK_WINNERS => Self::Winners,
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
    /// When a batch is over [`FRAME_MAX`](crate::FRAME_MAX); none from a [`BatchBuilder`](crate::BatchBuilder) is.
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
            Self::Hello { .. } => kind::HELLO,
            Self::Bet(_) => kind::BET,
            Self::Batch(_) => kind::BATCH,
            Self::End { .. } => kind::END,
            Self::Winners => kind::ASK_WINNERS,
        }
    }
}
