//! A session with the central: a state machine without a connection.
//!
//! A [`Driver`](crate::connection::driver::Driver) drives it over real connections, tests with
//! buffers.

use std::borrow::Cow;
use std::time::Duration;

use wire::Response;

use crate::log_budget::LogBudget;
use crate::progress::Progress;
use crate::session::failure::Failure;

/// The agency's side of a session. Methods append requests to `out`.
///
/// Order of calls: [`prepare`](Self::prepare) until [`Prepared::Ready`]; then, for each connection,
/// [`on_connect`](Self::on_connect), [`on_response`](Self::on_response) for each response and
/// [`resume`](Self::resume) when the last [`Action`] asks for it; until one of them returns
/// [`Action::Done`] or a [`Failure`].
pub trait AgencySession {
    /// Does the next part of what is needed before the first connection.
    ///
    /// # Errors
    /// [`Failure`] when there is to be no connection.
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        Ok(Prepared::Ready)
    }

    /// A connection was established, the first or another: writes HELLO.
    fn on_connect(&mut self, out: &mut Vec<u8>);

    /// A response arrived.
    ///
    /// # Errors
    /// [`Failure`].
    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure>;

    /// What the last [`Action`] waited for is over.
    ///
    /// # Errors
    /// [`Failure`].
    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure>;

    /// Whether the next response comes after the draw: its first byte may take any time.
    fn waits_for_draw(&self) -> bool {
        false
    }

    /// The response that the central owes, if any, for a log line: "the answer to HELLO".
    fn expected_response(&self) -> Option<Cow<'static, str>>;

    /// Grows with what the central acknowledges for the first time, and with nothing else: a central
    /// that responds without acknowledging makes no progress.
    fn acknowledged(&self) -> u64;

    /// The budgets of its log lines, shared with its driver.
    fn log_budget(&mut self) -> &mut LogBudget;

    /// Whether everything was done, and nothing rejected.
    fn is_complete(&self) -> bool;

    /// Logs the result, if there is one. Called once, at the end.
    fn announce(&self);

    /// What a progress bar shows.
    fn progress(&self) -> Progress {
        Progress::default()
    }

    /// The stage, for a log line.
    fn stage(&self) -> &'static str {
        "talking"
    }

    /// Closes what it holds open.
    fn close(self)
    where
        Self: Sized,
    {
    }
}

/// Whether a session may be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Prepared {
    /// Not yet: call [`AgencySession::prepare`] again after this time, which may be zero.
    Pending(Duration),
    /// Yes.
    Ready,
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Wait for a response.
    AwaitResponse,
    /// Call [`AgencySession::resume`] in the next turn.
    Yield,
    /// Call [`AgencySession::resume`] after this time.
    Pause(Duration),
    /// The central's storage is unavailable: call [`AgencySession::resume`] after a pause that is
    /// longer each time in a row.
    BackOff,
    /// Close the connection: the session is over.
    Done,
}
