//! What an agency says to the central, as a state machine without a connection.
//!
//! [`Driver`](crate::connection::driver::Driver) drives one over real connections; a test drives it with buffers.

use std::borrow::Cow;
use std::time::Duration;

use wire::Response;

use crate::log_budget::LogBudget;
use crate::progress::Progress;
use crate::session::failure::Failure;

/// One side of a conversation. Whatever is to be sent is appended to `out`.
///
/// Order of calls: [`prepare`](Self::prepare) until it is ready; [`on_connect`](Self::on_connect), then [`on_response`](Self::on_response) for each
/// response and [`resume`](Self::resume) whenever [`Action`] asks for it; again from the beginning when
/// the connection was lost, until one returns [`Action::Done`] or an error.
pub trait AgencySession {
    /// What is to be done before the first connection, a slice at a time.
    ///
    /// # Errors
    /// [`Failure`]: there will be none.
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        Ok(Prepared::Ready)
    }

    /// A connection stands, the first or another: introduce yourself.
    fn on_connect(&mut self, out: &mut Vec<u8>);

    /// The central has answered.
    ///
    /// # Errors
    /// [`Failure`].
    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure>;

    /// What [`Action`] asked to wait for is over.
    ///
    /// # Errors
    /// [`Failure`].
    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure>;

    /// Whether the next answer may take for ever: that of the draw. From its first byte on it may not.
    fn waits_for_draw(&self) -> bool {
        false
    }

    /// What the central owes, if anything, for a person: "the answer to HELLO".
    fn expected_response(&self) -> Option<Cow<'static, str>>;

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
pub enum Action {
    /// An answer.
    AwaitResponse,
    /// Nothing: [`AgencySession::resume`] in the next turn.
    Yield,
    /// Some time: then [`AgencySession::resume`].
    Pause(Duration),
    /// The central's storage: some time, longer each time in a row, then [`AgencySession::resume`].
    BackOff,
    /// Nothing any more.
    Done,
}
