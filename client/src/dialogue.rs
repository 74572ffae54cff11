//! What an agency says to the central, as a state machine without a connection.
//!
//! [`Caller`](crate::caller::Caller) drives one over real connections; a test drives it with buffers.

use std::time::Duration;

use wire::{ErrorCode, Position, Response};

use crate::source::InputError;

/// One side of a conversation. Whatever is to be sent is appended to `out`.
///
/// Order of calls: [`connected`](Self::connected), then [`answered`](Self::answered) for each
/// response and [`go_on`](Self::go_on) whenever [`Next`] asks for it; again from the beginning when
/// the connection was lost, until one returns [`Next::Done`] or an error.
pub trait Dialogue {
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

    /// Whether the next answer may take for ever: that of the draw.
    fn waits_for_draw(&self) -> bool {
        false
    }

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
    /// Bytes of the input confirmed.
    pub bytes: u64,
    /// Bytes of the input.
    pub size: u64,
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

/// Why a conversation can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The central refuses.
    #[error("the central refuses, code {}: {text}", *code as u8)]
    Refused {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        text: String,
    },
    /// The input can't be read or sent.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The input is shorter than what was sent of it before.
    #[error(
        "the central has consumed {consumed} bets of this agency, the input has only {found}: it \
         isn't the one that was sent before"
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
         consumed {expected}: it isn't the one that was sent before"
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
         has more"
    )]
    LongInput {
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
    /// An answer that doesn't belong there.
    #[error("an answer that doesn't belong here: {found}")]
    OutOfOrder {
        /// The answer.
        found: String,
    },
}

impl Failure {
    /// Whether another connection may do better.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_transient())
    }

    /// The answer that nobody waited for, or the central's refusal.
    pub(crate) fn unexpected(response: &Response<'_>) -> Self {
        match response {
            Response::Error { code, text } => {
                Self::Refused { code: *code, text: (*text).to_owned() }
            }
            other => Self::OutOfOrder { found: format!("{other:?}") },
        }
    }
}
