//! Drives an [`AgencySession`] over real connections: connects, decodes, waits, connects again.
//!
//! | phase | is over when | then |
//! |---|---|---|
//! | preparing | the session is [`Prepared::Ready`] | dialing |
//! | dialing, see [`Dialer`] | the connection is established | in session |
//! | | the attempts ran out, or the central isn't trusted | ending, [`End::Failed`] |
//! | in session | the session is [`Action::Done`] | ending, [`End::Complete`] if nothing was rejected |
//! | | the connection is lost, or its [`Failure`] may pass | dialing, at the next central if there are several |
//! | | another [`Failure`], or no frame of this protocol | ending, [`End::Failed`] |
//! | ending | the [`ExitSchedule`] is over | the loop stops |
//! | any | a signal | the loop stops, [`End::Interrupted`] unless it was ending |

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, Signal, TimerId};
use runtime::logging::{Escaped, Fail, InProgress, Level, Line, Success};
use runtime::service_manager::ServiceManager;
use runtime::{log_line, log_within};
use wire::{Frame, FrameDecoder, FrameError, Response};

use crate::config::Config;
use crate::connection::certificates::{Certificates, EXPIRY, Identity};
use crate::connection::dialer::{DIAL, Dialer, Secured};
use crate::connection::foreign_service;
use crate::connection::lost::{Lost, Reached};
use crate::connection::remedy::{self, Setup};
use crate::exit_schedule::{EXIT, End, ExitSchedule};
use crate::log_budget::{Kind, LogBudget};
use crate::progress::Progress;
use crate::progress_bar::Bar;
use crate::service_status::{ServiceStatus, Where};
use crate::session::agency_session::{Action, AgencySession, Prepared};
use crate::session::failure::Failure;

/// Fires when the session is to be resumed.
const RESUME: TimerId = TimerId(1);

/// Fires when the session is to be prepared further.
const PREPARE: TimerId = TimerId(5);

/// The handler.
#[derive(Debug)]
pub struct Driver<S> {
    session: S,
    dialer: Dialer,
    exit_schedule: ExitSchedule,
    config: Config,
    /// [`AgencySession::acknowledged`] of the last turn.
    acknowledged: u64,
    /// Whether the response that is expected, or has begun to arrive, has a deadline.
    is_timed: bool,
    /// Why the connection is about to be closed, if that is known before.
    lost: Option<String>,
    decoder: FrameDecoder,
    /// Whether a frame arrived on this connection: a central is at the other end.
    has_received_frame: bool,
    /// Requests of the session; kept for its memory.
    out: Vec<u8>,
    bar: Option<Bar>,
    service: ServiceStatus,
    end: Option<End>,
}

impl<S: AgencySession> Driver<S> {
    /// A driver of `session`. `seed` is for the pauses between attempts.
    pub fn new(mut session: S, config: &Config, seed: u64, bar: Option<Bar>) -> Self {
        let (addresses, timeout) = (config.addresses.clone(), config.response_timeout);
        *session.log_budget() = LogBudget::new(config.log_limits);
        Self {
            session,
            dialer: Dialer::new(addresses, config.retry, timeout, seed),
            exit_schedule: ExitSchedule::new(config.exit_delays),
            config: config.clone(),
            acknowledged: 0,
            is_timed: false,
            lost: None,
            decoder: FrameDecoder::default(),
            has_received_frame: false,
            out: Vec::new(),
            bar,
            service: ServiceStatus::default(),
            end: None,
        }
    }

    /// The same, of whose progress a service manager hears.
    #[must_use]
    pub fn managed_by(self, service: ServiceManager) -> Self {
        Self { service: ServiceStatus::new(service), ..self }
    }

    /// The same, over TLS.
    #[must_use]
    pub fn secured(self, certificates: Option<Certificates>) -> Self {
        Self { dialer: self.dialer.secured(certificates), ..self }
    }

    /// Closes the session; returns how the run ended.
    pub fn close(mut self) -> End {
        self.session.log_budget().report();
        self.session.close();
        self.end.unwrap_or(End::Interrupted)
    }

    /// Prepares the session further, and dials once it is ready.
    fn prepare(&mut self, cx: &mut impl Context) {
        if self.end.is_some() {
            return;
        }
        match self.session.prepare() {
            Ok(Prepared::Ready) => self.dial(cx),
            Ok(Prepared::Pending(after)) => cx.set_timer(PREPARE, Some(after)),
            Err(failure) => self.fail(cx, &failure.to_string()),
        }
    }

    fn dial(&mut self, cx: &mut impl Context) {
        let dialed = self.dialer.dial(cx);
        self.on_dialed(cx, dialed);
    }

    fn on_dialed(&mut self, cx: &mut impl Context, dialed: io::Result<()>) {
        if let Err(error) = dialed {
            self.retry(cx, &error.to_string());
        }
    }

    fn retry(&mut self, cx: &mut impl Context, reason: &str) {
        if !self.dialer.retry(cx, reason, self.session.log_budget()) {
            self.finish(cx, End::Failed);
        }
    }

    fn finish(&mut self, cx: &mut impl Context, end: End) {
        self.end.get_or_insert(end);
        cx.set_timer(DIAL, None);
        cx.set_timer(RESUME, None);
        cx.set_timer(PREPARE, None);
        self.dialer.cancel(cx);
        if let Some(connection) = self.dialer.connection() {
            cx.close(connection);
        }
        self.exit(cx);
    }

    fn exit(&mut self, cx: &mut impl Context) {
        self.exit_schedule.advance(cx, || self.session.announce());
    }

    /// The connection is established: the session begins.
    fn begin(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        peer: SocketAddr,
        identity: Option<&Identity>,
    ) {
        log_within!(
            self.session.log_budget(),
            Kind::Connected,
            Level::Debug,
            connected(peer, identity)
        );
        self.has_received_frame = false;
        self.session.on_connect(&mut self.out);
        self.perform(cx, connection, Ok(Action::AwaitResponse));
    }

    /// Sends the session's requests, and does what it asks for next.
    fn perform(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        action: Result<Action, Failure>,
    ) {
        cx.send(connection, &self.out);
        self.out.clear();
        self.note_progress();
        let mut is_timed = false;
        match action {
            Ok(Action::AwaitResponse) => is_timed = !self.session.waits_for_draw(),
            Ok(Action::Yield) => cx.set_timer(RESUME, Some(Duration::ZERO)),
            Ok(Action::Pause(pause)) => cx.set_timer(RESUME, Some(pause)),
            Ok(Action::BackOff) => self.back_off(cx),
            Ok(Action::Done) => {
                let complete = self.session.is_complete();
                self.finish(cx, if complete { End::Complete } else { End::Failed });
            }
            Err(failure) if self.may_pass(&failure) => {
                self.lost = Some(failure.to_string());
                cx.abort(connection);
            }
            Err(failure) => self.fail(cx, &self.explain(&failure)),
        }
        self.set_response_deadline(cx, connection, is_timed);
    }

    fn set_response_deadline(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        is_timed: bool,
    ) {
        self.is_timed = is_timed;
        // A central that is frozen says nothing, and its connections live on: another one may have held
        // the draw meanwhile.
        let waits = self.session.waits_for_draw() && self.dialer.has_several();
        let draw_wait = waits.then_some(self.config.draw_wait);
        let after = if is_timed { Some(self.config.response_timeout) } else { draw_wait };
        cx.set_deadline(connection, after);
    }

    /// Whether another attempt may come further, at this central or at another one.
    fn may_pass(&self, failure: &Failure) -> bool {
        failure.is_transient() || self.dialer.has_several() && failure.is_transient_elsewhere()
    }

    /// A failure, and what to change if the agency was refused for what is set.
    fn explain(&self, failure: &Failure) -> String {
        let certificates = self.dialer.certificates();
        let setup = Setup {
            id: self.config.id,
            draw: self.config.draw,
            tls: certificates.is_some(),
            uris: certificates.and_then(Certificates::own_uris),
        };
        let remedy = failure.code().map(|code| remedy::of(code, &setup)).unwrap_or_default();
        format!("{failure}{remedy}")
    }

    /// Responses that acknowledge nothing new aren't progress.
    fn note_progress(&mut self) {
        let acknowledged = self.session.acknowledged();
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.dialer.on_progress();
        }
    }

    fn back_off(&mut self, cx: &mut impl Context) {
        if let Some(pause) = self.dialer.back_off() {
            return cx.set_timer(RESUME, Some(pause));
        }
        let error = "unavailable for too long";
        log_line!(Level::Error, Line::new("storage", Fail).with("error", error));
        self.finish(cx, End::Failed);
    }

    fn fail(&mut self, cx: &mut impl Context, reason: &str) {
        let line = Line::new("run", Fail);
        let line = line.with_some("server_address", self.dialer.address_of_several());
        log_line!(Level::Error, line.with("error", reason));
        // Without reading what the central still sends.
        if let Some(connection) = self.dialer.connection() {
            cx.abort(connection);
        }
        self.finish(cx, End::Failed);
    }

    fn on_frame(&mut self, cx: &mut impl Context, connection: ConnectionId, frame: Frame<'_>) {
        match Response::decode(frame) {
            Ok(response) => {
                let action = self.session.on_response(&response, &mut self.out);
                self.perform(cx, connection, action);
            }
            Err(error) => {
                let (kind, body) = (frame.kind, Escaped(frame.body));
                let reason = format!("no response, kind 0x{kind:02x}: {error}; it holds: {body}");
                self.fail(cx, &reason);
            }
        }
    }

    /// The response that was expected, as a remark after what went wrong.
    fn expectation(&self, relation: &str) -> String {
        let expected = self.session.expected_response();
        expected.map_or(String::new(), |response| format!(" ({relation} {response})"))
    }

    /// Why the connection was closed, for a log line.
    fn close_reason(&mut self, Lost { reached, reason, .. }: Lost) -> String {
        match (self.lost.take(), reached) {
            (Some(lost), _) => lost,
            (None, Reached::Nothing | Reached::Peer) => reason,
            (None, Reached::Central) => format!("{reason}{}", self.expectation("before")),
        }
    }
}

impl<S: AgencySession> Handler for Driver<S> {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.exit_schedule.on_start(cx);
        self.dialer.warn_of_expiry(cx);
        self.prepare(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        match self.dialer.on_open(cx, connection, peer) {
            Ok(true) => self.begin(cx, connection, peer, None),
            Ok(false) => {}
            Err(error) => self.fail(cx, &error.to_string()),
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if let Some(Secured { peer, identity }) = self.dialer.on_handshake(cx, connection) {
            self.begin(cx, connection, peer, identity.as_ref());
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.dialer.is_resolver(connection) {
            return 0;
        }
        let mut used = 0;
        // What follows an error is ignored.
        while self.end.is_none() && self.lost.is_none() {
            match self.decoder.decode(&input[used..]) {
                Ok(None) => {
                    // A response that may take any time must be complete in time once it began.
                    if used < input.len() && !self.is_timed {
                        self.set_response_deadline(cx, connection, true);
                    }
                    return used;
                }
                Ok(Some(frame)) => {
                    used += frame.used();
                    self.has_received_frame = true;
                    self.on_frame(cx, connection, frame);
                }
                Err(FrameError::Magic { .. }) if !self.has_received_frame => {
                    let address = self.dialer.address();
                    let reason = foreign_service::describe(address, &input[used..]);
                    self.fail(cx, &reason);
                }
                Err(error) => self.fail(cx, &error.to_string()),
            }
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.dialer.is_resolver(connection) {
            let dialed = self.dialer.on_resolved(cx, connection, rest);
            return self.on_dialed(cx, dialed);
        }
        let relation = if rest.is_empty() { "before" } else { "in the middle of" };
        let lost = format!("the central closed the connection{}", self.expectation(relation));
        self.lost.get_or_insert(lost);
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.dialer.is_resolver(connection) {
            let dialed = self.dialer.on_resolve_timeout(cx);
            return self.on_dialed(cx, dialed);
        }
        if !self.dialer.is_connected() {
            return self.dialer.on_connect_timeout(cx, connection);
        }
        self.lost = Some(if self.is_timed {
            let timeout = humantime::format_duration(self.config.response_timeout);
            format!("no whole answer within {timeout}{}", self.expectation("expected:"))
        } else {
            // It is no failure of the central's, and counts towards no budget.
            self.dialer.on_progress();
            let wait = humantime::format_duration(self.config.draw_wait);
            format!("no draw within {wait}, another central may know of it")
        });
        cx.abort(connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            DIAL => return self.dial(cx),
            PREPARE => return self.prepare(cx),
            EXIT => return self.exit(cx),
            EXPIRY => return self.dialer.warn_of_expiry(cx),
            other if self.session.log_budget().on_timer(other) => return,
            _ => {}
        }
        let Some(connection) = self.dialer.connection() else { return };
        let action = self.session.resume(&mut self.out);
        self.perform(cx, connection, action);
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.dialer.is_resolver(connection) {
            let dialed = self.dialer.on_resolver_closed(cx, connection, reason);
            return self.on_dialed(cx, dialed);
        }
        let Some(lost) = self.dialer.on_close(connection, reason) else { return };
        if self.end.is_some() {
            log_line!(Level::Info, Line::new("close_connection", Success).with("reason", reason));
            return;
        }
        cx.set_timer(RESUME, None);
        if lost.is_final {
            return self.fail(cx, &lost.reason);
        }
        let reason = self.close_reason(lost);
        if !self.dialer.try_next(cx, &reason, self.session.log_budget()) {
            self.retry(cx, &reason);
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::User1 => {
                let Progress { bets, rejected, bytes, size } = self.session.progress();
                let line = Line::new("status", Success)
                    .with("client_id", self.config.id)
                    .with_some("server_address", self.dialer.address_of_several())
                    .with("connection", self.dialer.state_name())
                    .with("stage", self.session.stage())
                    .with("posicion", bets)
                    .with("bytes", bytes)
                    .with("of", size)
                    .with("rejected", rejected);
                log_line!(Level::Info, line);
            }
            Signal::User2 => {
                log_line!(Level::Info, Line::new("count", Success).with_all(&cx.counters()));
            }
            Signal::Hangup => self.service.reload(|| self.dialer.reload(cx)),
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        if let ShutdownCause::Signal(name) = cause {
            log_line!(Level::Info, Line::new("shutdown", InProgress).with("cause", name));
            self.exit_schedule.announce_now(|| self.session.announce());
        }
        self.end.get_or_insert(End::Interrupted);
        self.dialer.cancel(cx);
        let Some(connection) = self.dialer.connection() else { return };
        match cause {
            ShutdownCause::Requested => cx.close(connection),
            // Without waiting: what the central has stored stays stored.
            ShutdownCause::Signal(_) => cx.abort(connection),
        }
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        self.session.log_budget().set_timers(cx);
        if let Some(bar) = &self.bar {
            bar.show(self.session.progress(), self.end.is_some());
        }
        self.service.follow(cx.now(), || Where {
            agency: self.config.id,
            stage: self.session.stage(),
            connection: self.dialer.state_name(),
            progress: self.session.progress(),
        });
        Ok(())
    }
}

fn connected(peer: SocketAddr, identity: Option<&Identity>) -> Line {
    let line = Line::new("connect", Success).with("server_address", peer);
    match identity {
        Some(identity) => line.with_all(identity),
        None => line,
    }
}

#[cfg(test)]
mod tests;
