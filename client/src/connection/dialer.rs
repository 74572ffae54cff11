//! Reaching a central: resolves its name, tries the addresses, secures the connection, pauses before the
//! next attempt, which is at the next central if there are several.
//!
//! | state | is over when | then |
//! |---|---|---|
//! | `Idle` | [`DIAL`] fires, or its owner wants a connection | `Resolving`; `Connecting` when the name is an address |
//! | `Resolving` | the addresses arrived | `Connecting` to the first |
//! | | there are none, or not in time | `Idle` |
//! | `Connecting` | the connection is open | `Connected`; with TLS `Securing` |
//! | | it failed | `Connecting` to the next address; `Idle` after the last |
//! | `Securing` | the handshake is complete | `Connected` |
//! | | it failed | as of `Connecting`; `Idle` if another attempt is no use |
//! | `Connected` | the connection is gone | `Idle` |

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, LayerError, TimerId};
use runtime::logging::{Fail, InProgress, Level, Line};
use runtime::{log_line, log_within};
use tls::TlsError;

use crate::config::Retry;
use crate::connection::backoff::Backoff;
use crate::connection::centrals::Centrals;
use crate::connection::certificates::{Certificates, EXPIRY, Identity};
use crate::connection::foreign_service;
use crate::connection::lost::{self, Lost, Reached};
#[cfg(test)]
use crate::connection::resolver::Resolve;
use crate::connection::resolver::Resolver;
use crate::log_budget::{Kind, LogBudget};

/// Fires when it is time for another attempt.
pub(crate) const DIAL: TimerId = TimerId(0);

/// Attempts at one central after the other. An attempt resolves its name anew and tries all of the name's
/// addresses, one after the other, until a connection is established; a pause comes only after the last
/// one. It is brief before a central that hasn't failed yet.
///
/// Only [`on_progress`](Self::on_progress) makes pauses short again and counts failures anew,
/// whatever a central that makes no progress sends. After one that was connected to in vain the next
/// attempt at its name begins at the following address, so behind one name too a broken central is left.
#[derive(Debug)]
pub(crate) struct Dialer {
    centrals: Centrals,
    resolver: Resolver,
    state: State,
    /// Addresses that this attempt hasn't tried.
    untried: VecDeque<SocketAddr>,
    backoff: Backoff,
    timeout: Duration,
    /// None: the central is spoken to in plaintext.
    certificates: Option<Certificates>,
    /// Why the connection was given up here, until it is gone.
    given_up: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Resolving,
    Connecting(ConnectionId),
    Securing(ConnectionId, SocketAddr),
    Connected(ConnectionId),
}

/// A connection that is secured.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) peer: SocketAddr,
    /// The central, unless its certificate can't be read.
    pub(crate) identity: Option<Identity>,
}

impl Dialer {
    /// A dialer of the centrals at these addresses, in this order. `seed` is for the pauses.
    ///
    /// # Panics
    /// Without any address.
    pub(crate) fn new(addresses: Vec<String>, retry: Retry, timeout: Duration, seed: u64) -> Self {
        Self {
            centrals: Centrals::new(addresses),
            resolver: Resolver::new(),
            state: State::Idle,
            untried: VecDeque::new(),
            backoff: Backoff::new(retry, seed),
            timeout,
            certificates: None,
            given_up: None,
        }
    }

    /// The same, over TLS.
    pub(crate) fn secured(self, certificates: Option<Certificates>) -> Self {
        Self { certificates, ..self }
    }

    /// What connections are secured with; `None` without TLS.
    pub(crate) fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The same, with a test's resolver.
    #[cfg(test)]
    pub(crate) fn resolving(self, resolve: Resolve) -> Self {
        Self { resolver: Resolver::with(resolve), ..self }
    }

    /// The central in use: host and port, not resolved.
    pub(crate) fn address(&self) -> &str {
        self.centrals.address()
    }

    /// The same if there are several and it was called: which one it is, for a log line.
    pub(crate) fn address_of_several(&self) -> Option<&str> {
        let is_one_of_several = self.has_several() && self.centrals.was_called();
        is_one_of_several.then(|| self.address())
    }

    /// Whether there are several centrals.
    pub(crate) fn has_several(&self) -> bool {
        self.centrals.are_several()
    }

    /// The connection to the central, established or on its way.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self.state {
            State::Connecting(connection)
            | State::Securing(connection, _)
            | State::Connected(connection) => Some(connection),
            State::Idle | State::Resolving => None,
        }
    }

    /// Whether that connection is established.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Whether its TLS handshake isn't complete.
    pub(crate) fn is_securing(&self) -> bool {
        matches!(self.state, State::Securing(..))
    }

    /// The state, for a log line.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Idle => "none",
            State::Resolving => "looking_up",
            State::Connecting(_) => "connecting",
            State::Securing(..) => "securing",
            State::Connected(_) => "open",
        }
    }

    /// Begins an attempt. An error is a failed attempt, as in the methods below.
    pub(crate) fn dial(&mut self, cx: &mut impl Context) -> io::Result<()> {
        if let Ok(address) = self.address().parse() {
            return self.connect_to(cx, [address].into());
        }
        self.resolver.begin(cx, self.centrals.address(), self.timeout)?;
        self.state = State::Resolving;
        Ok(())
    }

    fn connect_to(
        &mut self,
        cx: &mut impl Context,
        addresses: VecDeque<SocketAddr>,
    ) -> io::Result<()> {
        self.untried = self.centrals.order(addresses);
        if self.connect_to_next(cx) { Ok(()) } else { Err(io::ErrorKind::AddrNotAvailable.into()) }
    }

    fn connect_to_next(&mut self, cx: &mut impl Context) -> bool {
        let Some(address) = self.untried.pop_front() else {
            self.state = State::Idle;
            return false;
        };
        self.centrals.on_try(address);
        let connection = cx.connect(address);
        cx.set_deadline(connection, Some(self.timeout));
        self.state = State::Connecting(connection);
        true
    }

    /// Whether this is a connection of the resolver. Its handler consumes nothing of its input, and
    /// reports its end, deadline and close to the methods below.
    pub(crate) fn is_resolver(&self, connection: ConnectionId) -> bool {
        self.resolver.owns(connection)
    }

    /// The resolver's answer is complete.
    pub(crate) fn on_resolved(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        answer: &[u8],
    ) -> io::Result<()> {
        let Some(addresses) = self.resolver.finish(cx, connection, answer) else { return Ok(()) };
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
        connection: ConnectionId,
        reason: &CloseReason,
    ) -> io::Result<()> {
        if self.resolver.finish(cx, connection, &[]).is_none() {
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

    /// The connection is open. Returns whether it is established; with TLS only
    /// [`on_handshake`](Self::on_handshake) means that. Until then its deadline stays.
    ///
    /// # Errors
    /// There is no TLS to be had, and won't be.
    pub(crate) fn on_open(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        peer: SocketAddr,
    ) -> Result<bool, LayerError> {
        let Some(certificates) = &self.certificates else {
            self.on_connect();
            return Ok(true);
        };
        cx.start_layer(connection, certificates.layer(self.centrals.index())?);
        self.state = State::Securing(connection, peer);
        Ok(false)
    }

    /// The TLS handshake is complete, and with it the connection established.
    pub(crate) fn on_handshake(
        &mut self,
        cx: &impl Context,
        connection: ConnectionId,
    ) -> Option<Secured> {
        let State::Securing(_, peer) = self.state else { return None };
        self.on_connect();
        let identity = Certificates::identify(&cx.peer_certificates(connection));
        Some(Secured { peer, identity })
    }

    /// The connection is established.
    fn on_connect(&mut self) {
        if let Some(connection) = self.connection() {
            self.state = State::Connected(connection);
        }
        self.untried.clear();
        self.centrals.on_connect();
    }

    /// A connection is gone; returns how, if it was the one to the central.
    pub(crate) fn on_close(
        &mut self,
        connection: ConnectionId,
        reason: &CloseReason,
    ) -> Option<Lost> {
        let reached = match self.state {
            State::Connecting(ours) if ours == connection => Reached::Nothing,
            State::Securing(ours, _) if ours == connection => Reached::Peer,
            State::Connected(ours) if ours == connection => Reached::Central,
            _ => return None,
        };
        self.state = State::Idle;
        let given_up = self.given_up.take();
        let refusal = self.refusal(reason);
        let is_final = refusal.is_some();
        let reason = refusal.or(given_up).unwrap_or_else(|| lost::describe(reached, reason));
        Some(Lost { reached, reason, is_final })
    }

    /// Why another connection would fail as this one, if TLS says so.
    fn refusal(&self, reason: &CloseReason) -> Option<String> {
        let error = lost::tls_error(reason)?;
        if let TlsError::NotTls { said } = error {
            return Some(foreign_service::describe_plaintext(self.address(), said));
        }
        let certificates = self.certificates.as_ref().filter(|_| error.is_about_certificates())?;
        Some(format!("{}{}", lost::about(error), certificates.remedy(error)))
    }

    /// The deadline of a connection that isn't established has passed.
    pub(crate) fn on_connect_timeout(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let timeout = humantime::format_duration(self.timeout);
        let what = if self.is_securing() { "TLS handshake" } else { "connection" };
        self.give_up(cx, connection, format!("no {what} within {timeout}"));
    }

    fn give_up(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: String) {
        self.given_up = Some(reason);
        cx.abort(connection);
    }

    /// Reads the files of TLS again. A connection that they don't allow any more is given up.
    pub(crate) fn reload(&mut self, cx: &mut impl Context) {
        let Some(certificates) = &mut self.certificates else { return };
        if !certificates.reload() {
            return;
        }
        let is_revoked = |connection| certificates.is_revoked(&cx.peer_certificates(connection));
        let reason = match self.state {
            State::Securing(..) => Some("its TLS handshake had begun with what was read before"),
            State::Connected(connection) if is_revoked(connection) => {
                Some("the central's certificate is revoked")
            }
            _ => None,
        };
        self.warn_of_expiry(cx);
        if let Some((connection, reason)) = self.connection().zip(reason) {
            self.give_up(cx, connection, reason.to_owned());
        }
    }

    /// Warns of what ends soon, now and whenever [`EXPIRY`] fires.
    pub(crate) fn warn_of_expiry(&self, cx: &mut impl Context) {
        if let Some(certificates) = &self.certificates {
            cx.set_timer(EXPIRY, Some(certificates.warn_of_expiry()));
        }
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

    /// The attempt has failed: sets [`DIAL`] for one at the next central; returns whether there will be one.
    pub(crate) fn retry(
        &mut self,
        cx: &mut impl Context,
        reason: &str,
        log_budget: &mut LogBudget,
    ) -> bool {
        let failed = self.address().to_owned();
        let line = |result| Line::new("connect", result).with_bytes("server_address", &failed);
        let pause =
            if self.centrals.advance() { self.backoff.brief_pause() } else { self.backoff.pause() };
        let Some(pause) = pause else {
            let all = self.has_several().then(|| self.centrals.list());
            let line = line(Fail).with_some("all_addresses", all);
            let line = line.with("attempts", self.backoff.failures());
            log_line!(Level::Error, line.with("error", reason));
            return false;
        };
        let next = self.has_several().then(|| self.address());
        log_within!(
            log_budget,
            Kind::Retried,
            Level::Warn,
            line(InProgress)
                .with_some("next_address", next)
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
        self.centrals.on_progress();
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests;
