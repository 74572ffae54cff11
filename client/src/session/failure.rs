//! Why a session can't go on.

use std::borrow::Cow;

use wire::{ErrorCode, Position, Response};

use crate::source::error::InputError;

/// What to do about an input whose beginning isn't what the central has consumed.
const SEND_THE_SAME: &str = "Send the input that was sent before; or before the draw these bets as another agency, with a larger \
     SERVER_AGENCIES; or for another lottery stop the central, remove its bets.csv and bets.csv.wal, and \
     start it again";

/// Why a session can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// ERROR with a known code.
    #[error("the central refuses, code {}: {reason}", *code as u8)]
    Refused {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        reason: String,
    },
    /// ERROR with another code.
    #[error("the central refuses, with code {code}, which this version doesn't know: {reason}")]
    RefusedUnknown {
        /// Why, for a program of a later version.
        code: u8,
        /// Why, for a person.
        reason: String,
    },
    /// The input can't be read or sent.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The input can't be read or sent further, or has changed.
    #[error("{error}; {}", advice(*stored, *rejected))]
    InputFailed {
        /// Why.
        error: InputError,
        /// Bets of it that the central has stored.
        stored: u64,
        /// Bets of it that the central has rejected.
        rejected: u64,
    },
    /// The single bet isn't valid. The reasons were logged.
    #[error("the bet isn't valid: nothing was sent")]
    InvalidBet,
    /// The input is shorter than what the central has consumed.
    #[error(
        "the central has consumed {consumed} bets of this agency, the input has only {found}: it \
         isn't the one that was sent before. {SEND_THE_SAME}"
    )]
    ShortInput {
        /// Bets that the central has consumed.
        consumed: Position,
        /// Bets of the input.
        found: Position,
    },
    /// The input doesn't begin with what the central has consumed.
    #[error(
        "the first {consumed} bets of the input have checksum {found}, those that the central has \
         consumed {expected}: it isn't the one that was sent before. {SEND_THE_SAME}"
    )]
    OtherInput {
        /// Bets that the central has consumed.
        consumed: Position,
        /// Their checksum.
        expected: wire::Checksum,
        /// Checksum of as many bets of the input.
        found: wire::Checksum,
    },
    /// The input goes on, but the agency has finished.
    #[error(
        "the central takes no more bets of this agency after the first {consumed}, but the input \
         has more. {SEND_THE_SAME}"
    )]
    LongInput {
        /// Bets that the central has consumed.
        consumed: Position,
    },
    /// The input goes on, but the draw has run.
    #[error(
        "the lottery has been drawn, and takes no more bets: the central has {consumed} of this \
         agency, but the input has more. For another lottery stop the central, remove its bets.csv and \
         bets.csv.wal, and start it again"
    )]
    Drawn {
        /// Bets that the central has consumed.
        consumed: Position,
    },
    /// The response to a bet was lost, and other bets of the agency followed: whether it is stored is
    /// in doubt.
    #[error(
        "the bet was sent to position {position} and the answer was lost; the central has consumed \
         {consumed} bets by now, and whether this one is among them is unknown: it isn't sent \
         again, so that it isn't stored twice"
    )]
    InDoubt {
        /// The position that it was sent to.
        position: Position,
        /// Bets that the central has consumed.
        consumed: Position,
    },
    /// The central has consumed fewer bets than it acknowledged.
    #[error(
        "the central has acknowledged {acknowledged} bets of this agency and says now that it has \
         consumed {consumed}: it has lost bets, or has another ledger than before. Nothing is sent to \
         it; look at its ledger first. If a new lottery is intended, start the agency again"
    )]
    LostBets {
        /// Bets that it has acknowledged.
        acknowledged: Position,
        /// Bets that it reports now.
        consumed: Position,
    },
    /// A response with an impossible value.
    #[error("the central breaks the protocol: {message}: expected {expected}, found {found}")]
    Violation {
        /// Its name in the protocol.
        message: &'static str,
        /// The value expected.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A response out of order.
    #[error("the central breaks the protocol: expected {expected}, found {found}")]
    OutOfOrder {
        /// The response expected.
        expected: String,
        /// The response found.
        found: String,
    },
}

impl Failure {
    /// Whether another connection to the same central may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_transient())
    }

    /// Whether one to another central of the same lottery may.
    pub fn is_transient_elsewhere(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_transient_elsewhere())
    }

    /// The code that the central refuses with, if it does.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// For a response other than the one `expected`.
    pub(crate) fn unexpected(response: &Response<'_>, expected: Option<Cow<'_, str>>) -> Self {
        let found = match response {
            Response::Error { code, reason } => {
                return Self::Refused { code: *code, reason: (*reason).to_owned() };
            }
            Response::UnknownError { code, reason } => {
                return Self::RefusedUnknown { code: *code, reason: (*reason).to_owned() };
            }
            Response::Welcome { consumed, .. } => format!("WELCOME with {consumed} bets consumed"),
            Response::Stored { consumed } => format!("STORED with {consumed} bets consumed"),
            Response::Rejected { consumed, .. } => {
                format!("REJECTED with {consumed} bets consumed")
            }
            Response::Unavailable { consumed, reason } => {
                format!("UNAVAILABLE with {consumed} bets consumed: {reason}")
            }
            Response::Finished { stored, .. } => format!("FINISHED with {stored} bets stored"),
            Response::Winners(winners) => format!("WINNERS with {} documents", winners.count()),
        };
        Self::OutOfOrder { expected: expected.unwrap_or("nothing".into()).into_owned(), found }
    }
}

/// How much of the input was stored, and how to send the rest.
fn advice(stored: u64, rejected: u64) -> String {
    let others = if rejected > 0 { format!(" and {rejected} rejected") } else { String::new() };
    let how = match stored + rejected {
        0 => "run the agency again with the right file".to_owned(),
        consumed => format!(
            "run the agency again with a file that begins with the same {consumed} bets, it goes on \
             behind them"
        ),
    };
    format!(
        "{stored} bets of this agency are stored{others}, nothing else was sent, and the central has \
         taken no END: {how}"
    )
}

/// Compares a response's position with the one that follows from its request.
pub(crate) fn expect_position(
    message: &'static str,
    expected: Position,
    found: Position,
) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (format!("{expected} bets consumed"), found.to_string());
    Err(Failure::Violation { message, expected, found })
}
