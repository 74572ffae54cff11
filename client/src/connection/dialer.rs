//! Reaching the central: names into addresses, one attempt after the other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{Level, error};
use reactor::{CloseReason, ConnectionId, Context, TimerId};
use runtime::log_within;
use runtime::logging::{Escaped, EscapedOnce};

use crate::config::Retry;
use crate::connection::backoff::Backoff;
#[cfg(test)]
use crate::connection::resolver::Resolve;
use crate::connection::resolver::Resolver;
use crate::log_budget::{Line, LogBudget};

/// Fires when it is time for another attempt.
pub(crate) const DIAL: TimerId = TimerId(0);

/// What has become of an attempt: a connection was begun, or nothing yet, or it has failed.
pub(crate) type Attempt = io::Result<Option<ConnectionId>>;

/// Attempts at one name. An attempt looks the name up anew and tries all that it stands for, one
/// after the other, until a connection is established; only then there is a pause.
///
/// Only [`on_progress`](Self::on_progress) makes pauses short again and counts failures anew, whatever
/// a central that makes no progress answers. Behind one that was connected to in vain the next
/// attempt begins at the following address, so of several centrals one that is broken is left.
#[derive(Debug)]
pub(crate) struct Dialer {
    address: String,
    resolver: Resolver,
    /// What the name stands for and this attempt hasn't tried.
    untried: VecDeque<SocketAddr>,
    /// The address that was called last.
    current: Option<SocketAddr>,
    /// The connection that was begun last is, or was, established.
    is_connected: bool,
    /// It has made progress.
    is_useful: bool,
    backoff: Backoff,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(address: String, retry: Retry, timeout: Duration, seed: u64) -> Self {
        Self {
            address,
            resolver: Resolver::new(),
            untried: VecDeque::new(),
            current: None,
            is_connected: false,
            is_useful: false,
            backoff: Backoff::new(retry, seed),
            timeout,
        }
    }

    /// One whose name stands for what the test says.
    #[cfg(test)]
    pub(crate) fn resolving(self, resolve: Resolve) -> Self {
        Self { resolver: Resolver::with(resolve), ..self }
    }

    /// How the way to the central is, for who asks. `connection` is what an attempt came to.
    pub(crate) fn describe(&self, connection: Option<ConnectionId>) -> &'static str {
        match connection {
            _ if self.resolver.is_wanted() => "looking_up",
            None => "none",
            Some(_) if self.is_connected => "open",
            Some(_) => "connecting",
        }
    }

    /// Whether the connection that was begun last was established.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Begins an attempt: with looking the name up, unless it is an address itself.
    pub(crate) fn dial(&mut self, cx: &mut impl Context) -> Attempt {
        if let Ok(address) = self.address.parse() {
            return self.dial_all(cx, [address].into());
        }
        self.resolver.begin(cx, &self.address, self.timeout)?;
        Ok(None)
    }

    fn dial_all(&mut self, cx: &mut impl Context, mut addresses: VecDeque<SocketAddr>) -> Attempt {
        let first = addresses.iter().position(|address| Some(*address) == self.current);
        if let Some(first) = first.filter(|_| self.is_connected) {
            // One that was worth it is called again, one that wasn't comes last.
            addresses.rotate_left(if self.is_useful { first } else { first + 1 });
        }
        self.untried = addresses;
        self.dial_next(cx).map(Some).ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Whether this is no connection to the central, but where the answer to a look-up arrives. The
    /// handler leaves its input alone, and says when it has ended, is late or is lost.
    pub(crate) fn is_resolver(&self, connection: ConnectionId) -> bool {
        self.resolver.owns(connection)
    }

    /// The answer to the look-up has ended: goes on with the attempt, if it still waits for it.
    pub(crate) fn on_resolved(&mut self, cx: &mut impl Context, answer: &[u8]) -> Attempt {
        match self.resolver.finish(cx, answer) {
            Some(addresses) => self.dial_all(cx, addresses?.into()),
            None => Ok(None),
        }
    }

    /// The answer to the look-up is late: the attempt has failed.
    pub(crate) fn on_resolve_timeout(&mut self, cx: &mut impl Context) -> Attempt {
        self.resolver.cancel(cx);
        let timeout = humantime::format_duration(self.timeout);
        Err(io::Error::other(format!("the name wasn't looked up within {timeout}")))
    }

    /// There will be no answer to the look-up.
    pub(crate) fn on_resolver_closed(
        &mut self,
        cx: &mut impl Context,
        reason: &CloseReason,
    ) -> Attempt {
        match self.resolver.finish(cx, &[]) {
            Some(_) => Err(io::Error::other(format!("looking the name up: {reason}"))),
            None => Ok(None),
        }
    }

    /// There will be no further attempt.
    pub(crate) fn cancel(&mut self, cx: &mut impl Context) {
        self.resolver.cancel(cx);
    }

    fn dial_next(&mut self, cx: &mut impl Context) -> Option<ConnectionId> {
        let address = self.untried.pop_front()?;
        (self.current, self.is_connected, self.is_useful) = (Some(address), false, false);
        let connection = cx.connect(address);
        cx.set_deadline(connection, Some(self.timeout));
        Some(connection)
    }

    /// A connection is established: when it is lost, the attempt has failed.
    pub(crate) fn on_connect(&mut self) {
        self.untried.clear();
        self.is_connected = true;
    }

    /// A connection was lost, or never established: goes on at the next address of the attempt, if
    /// there is one.
    pub(crate) fn on_failure(
        &mut self,
        cx: &mut impl Context,
        reason: &str,
        log_budget: &mut LogBudget,
    ) -> Option<ConnectionId> {
        let connection = self.dial_next(cx)?;
        log_within!(
            log_budget,
            Line::Retried,
            Level::Debug,
            "action: connect | result: in_progress | error: {}",
            EscapedOnce(reason)
        );
        Some(connection)
    }

    /// The attempt has failed: sets the timer for another. Says whether there will be one.
    pub(crate) fn retry(
        &mut self,
        cx: &mut impl Context,
        reason: &str,
        log_budget: &mut LogBudget,
    ) -> bool {
        let (address, reason) = (Escaped(self.address.as_bytes()), EscapedOnce(reason));
        let Some(pause) = self.backoff.pause() else {
            error!(
                "action: connect | result: fail | server_address: {address} | attempts: {} | \
                 error: {reason}",
                self.backoff.failures()
            );
            return false;
        };
        log_within!(
            log_budget,
            Line::Retried,
            Level::Warn,
            "action: connect | result: in_progress | server_address: {address} | retry_in: {}ms | \
             error: {reason}",
            pause.as_millis()
        );
        cx.set_timer(DIAL, Some(pause));
        true
    }

    /// The central is reached and can't serve now: how long to wait before asking again, unless it
    /// was asked in vain too often. Counts like a failed attempt.
    pub(crate) fn back_off(&mut self) -> Option<Duration> {
        self.backoff.pause()
    }

    /// The central has brought the work further: the next failure is the first again.
    pub(crate) fn on_progress(&mut self) {
        self.is_useful = true;
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests;
