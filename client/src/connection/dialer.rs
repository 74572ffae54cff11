//! Reaching the central: resolves its name, tries the addresses, pauses between attempts.
//!
//! | state | is over when | then |
//! |---|---|---|
//! | `Idle` | [`DIAL`] fires, or its owner wants a connection | `Resolving`; `Connecting` when the name is an address |
//! | `Resolving` | the addresses arrived | `Connecting` to the first |
//! | | there are none, or not in time | `Idle` |
//! | `Connecting` | the connection is established | `Connected` |
//! | | it failed | `Connecting` to the next address; `Idle` after the last |
//! | `Connected` | the connection is gone | `Idle` |

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, TimerId};
use runtime::logging::{Fail, InProgress, Level, Line};
use runtime::{log_line, log_within};

use crate::config::Retry;
use crate::connection::backoff::Backoff;
#[cfg(test)]
use crate::connection::resolver::Resolve;
use crate::connection::resolver::Resolver;
use crate::log_budget::{Kind, LogBudget};

/// Fires when it is time for another attempt.
pub(crate) const DIAL: TimerId = TimerId(0);

/// Attempts at one name. An attempt resolves it anew and tries all of its addresses, one after the
/// other, until a connection is established; a pause comes only after the last one.
///
/// Only [`on_progress`](Self::on_progress) makes pauses short again and counts failures anew,
/// whatever a central that makes no progress sends. After one that was connected to in vain the next
/// attempt begins at the following address, so of several centrals a broken one is left.
#[derive(Debug)]
pub(crate) struct Dialer {
    address: String,
    resolver: Resolver,
    state: State,
    /// Addresses that this attempt hasn't tried.
    untried: VecDeque<SocketAddr>,
    last: Option<Tried>,
    backoff: Backoff,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Resolving,
    Connecting(ConnectionId),
    Connected(ConnectionId),
}

/// The address that was tried last.
#[derive(Debug, Clone, Copy)]
struct Tried {
    address: SocketAddr,
    was_connected: bool,
    made_progress: bool,
}

impl Dialer {
    pub(crate) fn new(address: String, retry: Retry, timeout: Duration, seed: u64) -> Self {
        Self {
            address,
            resolver: Resolver::new(),
            state: State::Idle,
            untried: VecDeque::new(),
            last: None,
            backoff: Backoff::new(retry, seed),
            timeout,
        }
    }

    /// The same, with a test's resolver.
    #[cfg(test)]
    pub(crate) fn resolving(self, resolve: Resolve) -> Self {
        Self { resolver: Resolver::with(resolve), ..self }
    }

    /// The connection to the central, established or on its way.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            State::Connecting(connection) | State::Connected(connection) => Some(connection),
            State::Idle | State::Resolving => None,
        }
    }

    /// Whether that connection is established.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// The state, for a log line.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Idle => "none",
            State::Resolving => "looking_up",
            State::Connecting(_) => "connecting",
            State::Connected(_) => "open",
        }
    }

    /// Begins an attempt. An error is a failed attempt, as in the methods below.
    pub(crate) fn dial(&mut self, cx: &mut impl Context) -> io::Result<()> {
        if let Ok(address) = self.address.parse() {
            return self.connect_to(cx, [address].into());
        }
        self.resolver.begin(cx, &self.address, self.timeout)?;
        self.state = State::Resolving;
        Ok(())
    }

    fn connect_to(
        &mut self,
        cx: &mut impl Context,
        mut addresses: VecDeque<SocketAddr>,
    ) -> io::Result<()> {
        let last = self.last.filter(|last| last.was_connected);
        let index_of = |last: Tried| addresses.iter().position(|address| *address == last.address);
        if let Some((last, index)) = last.and_then(|last| Some((last, index_of(last)?))) {
            // One that made progress is tried again, one that didn't comes last.
            addresses.rotate_left(if last.made_progress { index } else { index + 1 });
        }
        self.untried = addresses;
        if self.connect_to_next(cx) { Ok(()) } else { Err(io::ErrorKind::AddrNotAvailable.into()) }
    }

    fn connect_to_next(&mut self, cx: &mut impl Context) -> bool {
        let Some(address) = self.untried.pop_front() else {
            self.state = State::Idle;
            return false;
        };
        self.last = Some(Tried { address, was_connected: false, made_progress: false });
        let connection = cx.connect(address);
        cx.set_deadline(connection, Some(self.timeout));
        self.state = State::Connecting(connection);
        true
    }

    /// Whether this is the resolver's connection. Its handler consumes nothing of its input, and
    /// reports its end, deadline and close to the methods below.
    pub(crate) fn is_resolver(&self, connection: ConnectionId) -> bool {
        self.resolver.owns(connection)
    }

    /// The resolver's answer is complete.
    pub(crate) fn on_resolved(&mut self, cx: &mut impl Context, answer: &[u8]) -> io::Result<()> {
        let Some(addresses) = self.resolver.finish(cx, answer) else { return Ok(()) };
        self.state = State::Idle;
        self.connect_to(cx, addresses?.into())
    }

    /// The resolver's answer is late.
    pub(crate) fn on_resolve_timeout(&mut self, cx: &mut impl Context) -> io::Result<()> {
        self.cancel(cx);
        let timeout = humantime::format_duration(self.timeout);
        Err(io::Error::other(format!("the name wasn't looked up within {timeout}")))
    }

    /// The resolver's answer was lost.
    pub(crate) fn on_resolver_closed(
        &mut self,
        cx: &mut impl Context,
        reason: &CloseReason,
    ) -> io::Result<()> {
        if self.resolver.finish(cx, &[]).is_none() {
            return Ok(());
        }
        self.state = State::Idle;
        Err(io::Error::other(format!("looking the name up: {reason}")))
    }

    /// Stops waiting for the resolver. A connection is left as it is.
    pub(crate) fn cancel(&mut self, cx: &mut impl Context) {
        self.resolver.cancel(cx);
        if self.state == State::Resolving {
            self.state = State::Idle;
        }
    }

    /// The connection is established.
    pub(crate) fn on_connect(&mut self) {
        if let State::Connecting(connection) = self.state {
            self.state = State::Connected(connection);
        }
        self.untried.clear();
        if let Some(last) = &mut self.last {
            last.was_connected = true;
        }
    }

    /// A connection is gone; returns whether it was the one to the central.
    pub(crate) fn on_close(&mut self, connection: ConnectionId) -> bool {
        let is_ours = self.connection() == Some(connection);
        if is_ours {
            self.state = State::Idle;
        }
        is_ours
    }

    /// Goes on with the attempt at its next address; returns whether there is one.
    pub(crate) fn try_next(
        &mut self,
        cx: &mut impl Context,
        reason: &str,
        log_budget: &mut LogBudget,
    ) -> bool {
        if !self.connect_to_next(cx) {
            return false;
        }
        log_within!(
            log_budget,
            Kind::Retried,
            Level::Debug,
            Line::new("connect", InProgress).with("error", reason)
        );
        true
    }

    /// The attempt has failed: sets [`DIAL`] for another; returns whether there will be one.
    pub(crate) fn retry(
        &mut self,
        cx: &mut impl Context,
        reason: &str,
        log_budget: &mut LogBudget,
    ) -> bool {
        let line =
            |result| Line::new("connect", result).with_bytes("server_address", &self.address);
        let Some(pause) = self.backoff.pause() else {
            let line = line(Fail).with("attempts", self.backoff.failures());
            log_line!(Level::Error, line.with("error", reason));
            return false;
        };
        log_within!(
            log_budget,
            Kind::Retried,
            Level::Warn,
            line(InProgress)
                .with("retry_in", format_args!("{}ms", pause.as_millis()))
                .with("error", reason)
        );
        cx.set_timer(DIAL, Some(pause));
        true
    }

    /// The central can't serve now, which counts as a failed attempt: returns the pause before the
    /// next one, if there is to be one.
    pub(crate) fn back_off(&mut self) -> Option<Duration> {
        self.backoff.pause()
    }

    /// The central made progress: the next failure counts as the first.
    pub(crate) fn on_progress(&mut self) {
        if let Some(last) = &mut self.last {
            last.made_progress = true;
        }
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests;
