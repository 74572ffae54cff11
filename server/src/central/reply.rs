//! What a request came to, and the response that says so.
//!
//! Knows no connection and no commit: [`reply_queue`](super::reply_queue) keeps replies back until
//! what they say is durable.

use std::rc::Rc;

use wire::{Field, Position, Response};

use super::protocol_error::ProtocolError;
use crate::lottery::AgencyStanding;

/// What a peer is sent once it is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The introduction was accepted. The agency is this far.
    Welcome(AgencyStanding),
    /// A batch was stored.
    Stored {
        /// Position after it.
        consumed: Position,
        log: BatchLog,
    },
    /// A batch had been consumed before.
    Duplicate {
        /// Position after it.
        consumed: Position,
    },
    /// A batch was consumed and rejected.
    Rejected {
        /// Position after it.
        consumed: Position,
        /// The bad bet in it, counted as the agency counts its input.
        position: Position,
        /// The same, counted from the first of the batch.
        index: u16,
        /// The bad field of that bet.
        field: Field,
        /// What was expected and found.
        reason: String,
        log: BatchLog,
    },
    /// The request had no effect; the storage can't take it now.
    Unavailable {
        /// Position to go on from.
        consumed: Position,
        /// One text for all connections that a failed commit concerns.
        reason: Rc<str>,
        /// Whether it was a batch, and no end or request for winners.
        is_batch: bool,
    },
    /// The end was noted.
    Finished {
        /// Bets of the agency in the ledger.
        stored: u64,
        /// Bets of the agency in rejected batches.
        rejected: u64,
    },
    /// The winners, as soon as the draw has run.
    Winners,
    /// The connection is refused, and closes.
    Error {
        error: ProtocolError,
        /// The serial number of its certificate, if it has shown one: for the log.
        serial: Option<String>,
    },
    /// The peer sends nothing more: the connection closes when everything else has been sent.
    CloseAfterReplies,
}

/// What the log says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchLog {
    /// A batch of so many bets.
    Batch { count: u16 },
    /// A single bet.
    Single { document: Vec<u8>, number: Vec<u8> },
}

impl Reply {
    /// Whether it says something that is only true when the commit succeeds.
    pub(crate) fn depends_on_commit(&self) -> bool {
        match self {
            Self::Stored { .. }
            | Self::Duplicate { .. }
            | Self::Rejected { .. }
            | Self::Finished { .. }
            | Self::Winners => true,
            Self::Welcome(_)
            | Self::Unavailable { .. }
            | Self::Error { .. }
            | Self::CloseAfterReplies => false,
        }
    }

    /// Whether it is the reply to a batch.
    pub(crate) fn is_of_batch(&self) -> bool {
        match self {
            Self::Stored { .. } | Self::Duplicate { .. } | Self::Rejected { .. } => true,
            Self::Unavailable { is_batch, .. } => *is_batch,
            Self::Welcome(_)
            | Self::Finished { .. }
            | Self::Winners
            | Self::Error { .. }
            | Self::CloseAfterReplies => false,
        }
    }

    /// The message on the wire, unless it is a list, which comes from the ledger, or none.
    pub(crate) fn response(&self) -> Option<Response<'_>> {
        Some(match self {
            Self::Welcome(AgencyStanding { consumed, checksum, rejected, phase, .. }) => {
                Response::Welcome {
                    consumed: *consumed,
                    checksum: *checksum,
                    rejected: *rejected,
                    phase: *phase,
                }
            }
            Self::Stored { consumed, .. } | Self::Duplicate { consumed } => {
                Response::Stored { consumed: *consumed }
            }
            Self::Rejected { consumed, index, field, reason, .. } => {
                Response::Rejected { consumed: *consumed, index: *index, field: *field, reason }
            }
            Self::Unavailable { consumed, reason, .. } => {
                Response::Unavailable { consumed: *consumed, reason }
            }
            Self::Finished { stored, rejected } => {
                Response::Finished { stored: *stored, rejected: *rejected }
            }
            Self::Error { error: ProtocolError { code, reason }, .. } => {
                Response::Error { code: *code, reason }
            }
            Self::Winners | Self::CloseAfterReplies => return None,
        })
    }
}
