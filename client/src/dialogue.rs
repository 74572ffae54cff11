//! What an agency says to the central, as a state machine without a connection.
//!
//! [`Caller`](crate::caller::Caller) drives one over real connections; a test drives it with buffers.

use std::borrow::Cow;
use std::time::Duration;

use wire::{ErrorCode, Position, Response};

use crate::log_budget::LogBudget;
use crate::source::InputError;

/// One side of a conversation. Whatever is to be sent is appended to `out`.
///
/// Order of calls: [`prepare`](Self::prepare) until it is ready; [`connected`](Self::connected), then [`answered`](Self::answered) for each
/// response and [`go_on`](Self::go_on) whenever [`Next`] asks for it; again from the beginning when
/// the connection was lost, until one returns [`Next::Done`] or an error.
pub trait Dialogue {
    /// What is to be done before the first connection, a slice at a time.
    ///
    /// # Errors
    /// [`Failure`]: there will be none.
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        Ok(Prepared::Ready)
    }

    /// A connection stands, the first or another: introduce yourself.
    fn connected(&mut self, out: &mut Vec<u8>);

    /// The central has answered.
    ///
    /// # Errors
    /// [`Failure`].
    fn answered(&mut self, response: &Response<'_>, out: &mut Vec<u8>) -> Result<Next, Failure>;

    /// What [`Next`] asked to wait for is over.
    ///
    /// # Errors
    /// [`Failure`].
    fn go_on(&mut self, out: &mut Vec<u8>) -> Result<Next, Failure>;

    /// Whether the next answer may take for ever: that of the draw. From its first byte on it may not.
    fn waits_for_draw(&self) -> bool {
        false
    }

    /// What the central owes, if anything, for a person: "the answer to HELLO".
    fn owed(&self) -> Option<Cow<'static, str>>;

    /// How far the central has brought it. It grows with what is acknowledged for the first time, and
    /// with nothing else: a central that is reached, and does nothing, makes no progress.
    fn acknowledged(&self) -> u64;

    /// The budgets of what it logs, which are its driver's too.
    fn log_budget(&mut self) -> &mut LogBudget;

    /// Whether the conversation did everything, or part of it was finally refused.
    fn is_complete(&self) -> bool;

    /// Logs the result, if there is one. Called once, when the conversation is over.
    fn announce(&self);

    /// How far it is, for who watches.
    fn progress(&self) -> Progress {
        Progress::default()
    }

    /// What it is doing, for who asks.
    fn stage(&self) -> &'static str {
        "talking"
    }

    /// Gives back what it holds open.
    fn close(self)
    where
        Self: Sized,
    {
    }
}

/// How far a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bets confirmed.
    pub bets: Position,
    /// Of these, bets in rejected batches.
    pub rejected: u64,
    /// Bytes of the input confirmed.
    pub bytes: u64,
    /// Bytes of the input.
    pub size: u64,
}

/// How far a conversation is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Prepared {
    /// Not at all: again after this time, which may be none.
    Again(Duration),
    /// It can begin.
    Ready,
}

/// What a conversation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// An answer.
    Answer,
    /// Nothing: [`Dialogue::go_on`] in the next turn.
    Turn,
    /// Some time: then [`Dialogue::go_on`].
    Pause(Duration),
    /// The central's storage: some time, longer each time in a row, then [`Dialogue::go_on`].
    Backoff,
    /// Nothing any more.
    Done,
}

/// What to do about an input that the central has consumed in part, or whole, in another form.
const SEND_THE_SAME: &str = "Send the input that was sent before; or before the draw these bets as another agency, with a larger \
     SERVER_AGENCIES; or for another lottery stop the central, remove its bets.csv and bets.csv.wal, and \
     start it again";

/// Why a conversation can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The central refuses.
    #[error("the central refuses, code {}: {reason}", *code as u8)]
    Refused {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        reason: String,
    },
    /// The central refuses, and only it knows why.
    #[error("the central refuses, with code {code}, which this version doesn't know: {reason}")]
    RefusedUnknown {
        /// Why, for a program of another version.
        code: u8,
        /// Why, for a person.
        reason: String,
    },
    /// The input can't be read or sent.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The input can't be read or sent further, or isn't what it was.
    #[error("{error}; {}", advice(*stored, *rejected))]
    Stopped {
        /// Why.
        error: InputError,
        /// Bets of it that the central has stored.
        stored: u64,
        /// Bets of it that the central has rejected.
        rejected: u64,
    },
    /// The one bet isn't valid. What is wrong with it was logged.
    #[error("the bet isn't valid: nothing was sent")]
    InvalidBet,
    /// The input is shorter than what was sent of it before.
    #[error(
        "the central has consumed {consumed} bets of this agency, the input has only {found}: it \
         isn't the one that was sent before. {SEND_THE_SAME}"
    )]
    ShortInput {
        /// What the central has consumed.
        consumed: Position,
        /// What there is.
        found: Position,
    },
    /// The input isn't the one that was sent before.
    #[error(
        "the first {consumed} bets of the input have checksum {found}, those that the central has \
         consumed {expected}: it isn't the one that was sent before. {SEND_THE_SAME}"
    )]
    OtherInput {
        /// What the central has consumed.
        consumed: Position,
        /// Checksum of that.
        expected: wire::Checksum,
        /// Checksum of the input up to there.
        found: wire::Checksum,
    },
    /// The input goes on, but the central takes no more of it.
    #[error(
        "the central takes no more bets of this agency after the first {consumed}, but the input \
         has more. {SEND_THE_SAME}"
    )]
    LongInput {
        /// What the central has consumed.
        consumed: Position,
    },
    /// The input goes on, or hasn't been begun, and the draw has run.
    #[error(
        "the lottery has been drawn, and takes no more bets: the central has {consumed} of this \
         agency, but the input has more. For another lottery stop the central, remove its bets.csv and \
         bets.csv.wal, and start it again"
    )]
    Drawn {
        /// What the central has consumed.
        consumed: Position,
    },
    /// The answer to a bet was lost, and other bets of the agency came behind it.
    #[error(
        "the bet was sent to position {position} and the answer was lost; the central has consumed \
         {consumed} bets by now, and whether this one is among them can't be told: it isn't sent \
         again, so that it isn't stored twice"
    )]
    Unsettled {
        /// Where it was sent to.
        position: Position,
        /// What the central has consumed.
        consumed: Position,
    },
    /// What was acknowledged isn't there any more.
    #[error(
        "the central has acknowledged {acknowledged} bets of this agency and says now that it has \
         consumed {consumed}: it has lost bets, or has another ledger than before. Nothing is sent to \
         it; look at its ledger first. If a new lottery is intended, start the agency again"
    )]
    LostBets {
        /// Bets that it has acknowledged.
        acknowledged: Position,
        /// What it says now.
        consumed: Position,
    },
    /// An answer that says what can't be.
    #[error("the central breaks the protocol: {message}: expected {expected}, found {found}")]
    Violation {
        /// Which answer, by its name in the protocol.
        message: &'static str,
        /// What it should say.
        expected: String,
        /// What it says.
        found: String,
    },
    /// An answer that doesn't belong there.
    #[error("the central breaks the protocol: expected {expected}, found {found}")]
    OutOfOrder {
        /// What it owed.
        expected: String,
        /// The answer.
        found: String,
    },
}

impl Failure {
    /// Whether another connection may do better.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_transient())
    }

    /// The answer that was not `owed`, or the central's refusal.
    pub(crate) fn unexpected(response: &Response<'_>, owed: Option<Cow<'_, str>>) -> Self {
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
        Self::OutOfOrder { expected: owed.unwrap_or("nothing".into()).into_owned(), found }
    }
}

/// How far an input came that goes no further, and how it can be sent after all.
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

/// What an answer says is consumed must be what its request makes it.
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
