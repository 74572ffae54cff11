//! Serves agencies: takes their requests, hands them to the [`Backend`], and sends the replies when they
//! are durable.
//!
//! ```text
//!  input ─> frame ─> request ─> backend ─> durable reply ─> response
//!                       └─ close_with_error, behind the replies that are owed
//! ```

use std::fmt::Display;
use std::net::IpAddr;

use reactor::{ConnectionId, Context, TimerId};
use wire::{Agency, DrawName, ErrorCode, Frame, Request};

use super::agency_connections::AgencyConnections;
use super::agency_log;
use super::backend::Backend;
use super::backpressure::Backpressure;
use super::draw_progress::{self, DrawProgress};
use super::lottery_session::LotterySession;
use super::outbox::Outbox;
use super::peer::Peer;
use super::protocol_config::ProtocolConfig;
use super::protocol_error::ProtocolError;
use super::reply::Reply;
use super::reply_queue::PendingReply;
use super::requests;
use super::shared::Shared;
use super::tally::Tally;
use super::timers;

/// The lottery, and everything that its agencies wait for.
#[derive(Debug)]
pub(crate) struct LotteryService<B> {
    backend: B,
    outbox: Outbox,
    agencies: AgencyConnections,
    backpressure: Backpressure,
    draw: DrawProgress,
}

impl<B: Backend> LotteryService<B> {
    pub(crate) fn new(backend: B, config: &ProtocolConfig) -> Self {
        Self {
            outbox: Outbox::default(),
            agencies: AgencyConnections::default(),
            backpressure: Backpressure::default(),
            draw: DrawProgress::new(config.waiting_log_interval, backend.is_drawn()),
            backend,
        }
    }

    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    pub(crate) fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    pub(crate) fn into_backend(self) -> B {
        self.backend
    }

    /// What has happened since the start.
    pub(crate) fn tally(&self) -> &Tally {
        self.outbox.tally()
    }

    /// Agencies that are connected.
    pub(crate) fn connected(&self) -> impl Iterator<Item = Agency> {
        self.agencies.agencies()
    }

    /// Whether so much waits for the storage that no further request of this connection is taken.
    fn is_full(&self, shared: &mut Shared, connection: ConnectionId) -> bool {
        let agency = shared.sessions.lottery(connection).and_then(|session| session.agency());
        self.backend.is_full(agency, shared.config.max_pending_replies)
    }

    /// What can't be taken isn't read.
    pub(crate) fn before_read(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
    ) {
        if self.is_full(shared, connection) {
            self.backpressure.pause(cx, shared, connection);
        }
    }

    /// Takes as many frames out of `input` as are whole; returns how many bytes they were.
    pub(crate) fn on_data(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        input: &[u8],
    ) -> usize {
        let mut used = 0;
        // An error ends the lottery session: what follows it isn't decoded.
        loop {
            let full = self.is_full(shared, connection);
            let Some(session) = shared.sessions.lottery(connection) else { return input.len() };
            if session.is_paused() {
                return used;
            }
            let outcome = match session.decode(&input[used..]) {
                Ok(Some(_)) if full => {
                    self.backpressure.pause(cx, shared, connection);
                    return used;
                }
                Ok(Some(frame)) => {
                    used += frame.used();
                    self.on_frame(cx, shared, connection, frame)
                }
                Ok(None) => return used,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                self.close_with_error(cx, shared, connection, error);
            }
        }
    }

    /// The peer sends nothing more.
    pub(crate) fn on_eof(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        rest: &[u8],
    ) {
        let Some(session) = shared.sessions.lottery(connection) else { return };
        match session.finish(rest) {
            Ok(()) if !session.is_owed_replies() => cx.close(connection),
            Ok(()) => {
                let (agency, reply) =
                    (session.agency().unwrap_or_default(), Reply::CloseAfterReplies);
                session.reply_queued();
                self.backend.queue(PendingReply { to: connection, agency, reply });
            }
            Err(error) => self.close_with_error(cx, shared, connection, error.into()),
        }
    }

    /// A connection is gone.
    pub(crate) fn on_close(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        peer: &Peer,
        reason: &impl Display,
    ) {
        self.forget(connection);
        if let Some(agency) = peer.agency {
            self.backend.leave(cx, connection, agency);
        }
        self.remove_connection(shared, connection, peer, reason);
    }

    /// The agency was silent for too long, or for the rest of a frame.
    pub(crate) fn on_deadline(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
    ) {
        let Some(session) = shared.sessions.get(connection) else { return };
        let error = ProtocolError::new(ErrorCode::Timeout, session.timeout_reason());
        self.close_with_error(cx, shared, connection, error);
    }

    /// The connection's output has room again.
    pub(crate) fn on_writable(&mut self, connection: ConnectionId) {
        self.backend.resume_writing(connection);
    }

    pub(crate) fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            timers::DRAW_PAUSE | timers::DRAW_PERIOD => self.draw.on_timer(timer),
            _ => self.backend.on_timer(cx, timer),
        }
    }

    /// Whether an agency last called from this address.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.agencies.knows(address)
    }

    /// The process ends: agencies are refused, and come back later.
    pub(crate) fn on_shutdown(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        for connection in self.agencies.connections() {
            let error = ProtocolError::new(ErrorCode::ShuttingDown, "the central is shutting down");
            self.close_with_error(cx, shared, connection, error);
        }
    }

    /// Whether nothing is under way that a shutdown waits for.
    pub(crate) fn is_idle(&self) -> bool {
        self.backend.is_idle()
    }

    /// Hands over what the turn has taken, and sends what is durable.
    ///
    /// # Errors
    /// What the process must not survive.
    pub(crate) fn before_flush(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
    ) -> Result<(), B::Fatal> {
        let shutting_down = shared.shutting_down;
        self.backend.advance(cx, &mut shared.log, shutting_down)?;
        self.note_unavailable(cx, shared);
        // Before what may leave does: a refusal behind it would wait for another turn.
        self.close_refused(cx, shared);
        self.send_durable(cx, shared)?;
        self.log_draw_progress(cx, shared);
        Ok(())
    }

    fn on_frame(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        frame: Frame<'_>,
    ) -> Result<(), ProtocolError> {
        let request = Request::decode(frame)?;
        if let Request::Hello { agency, draw } = request {
            return self.introduce(cx, shared, connection, agency, draw);
        }
        let session = shared.sessions.lottery(connection);
        let Some(agency) = session.and_then(|session| session.agency()) else {
            let reason = "an agency introduces itself before anything else";
            return Err(ProtocolError::new(ErrorCode::NotIntroduced, reason));
        };
        requests::log_received(&mut shared.log, agency, &request, frame.used());
        self.on_request(cx, shared, connection, agency, &request)
    }

    fn introduce(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        agency: Agency,
        draw: Option<DrawName>,
    ) -> Result<(), ProtocolError> {
        let Some(session) = shared.sessions.get(connection) else { return Ok(()) };
        let ip = session.ip();
        let Some(lottery_session) = session.lottery() else { return Ok(()) };
        self.check_hello(&shared.config, lottery_session, ip, agency, draw)?;
        if let Err(known) = lottery_session.introduce(agency) {
            let reason = format!("this connection has introduced itself as agency {known} before");
            return Err(ProtocolError::new(ErrorCode::AlreadyIntroduced, reason));
        }
        if lottery_session.is_identified() {
            self.agencies.note_certificate(agency);
        }
        let peer = session.peer();
        cx.protect(connection);
        agency_log::log_hello(&mut shared.log, &peer);
        if let Some(old) = self.agencies.introduce(agency, connection, ip) {
            if let Some(session) = shared.sessions.get(old) {
                agency_log::log_superseded(&mut shared.log, &peer, &session.peer());
            }
            self.close_with_error(cx, shared, old, superseded_by(agency));
        }
        let Some(session) = shared.sessions.lottery(connection) else { return Ok(()) };
        session.reply_queued();
        self.backend.introduce(cx, connection, agency);
        Ok(())
    }

    /// Whether a peer at `ip` may introduce itself as this agency, of this draw.
    fn check_hello(
        &self,
        config: &ProtocolConfig,
        session: &LotterySession,
        ip: IpAddr,
        agency: Agency,
        draw: Option<DrawName>,
    ) -> Result<(), ProtocolError> {
        self.backend.terms().admit(agency, draw)?;
        session.check_identity(agency, self.agencies.has_shown_certificate(agency))?;
        if !config.agency_addresses.allow(agency, ip) {
            let reason = format!("agency {agency} may not connect from {ip}");
            return Err(ProtocolError::new(ErrorCode::WrongAddress, reason));
        }
        Ok(())
    }

    fn on_request(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        agency: Agency,
        request: &Request<'_>,
    ) -> Result<(), ProtocolError> {
        // Also what etcd has answered in this very turn: a connection that is refused has no account any
        // more that a response to it could be of.
        self.note_unavailable(cx, shared);
        self.close_refused(cx, shared);
        if shared.sessions.lottery(connection).is_none() {
            return Ok(());
        }
        let outcome = self.backend.perform(agency, request);
        let Some(session) = shared.sessions.lottery(connection) else { return Ok(()) };
        let reply = session.resolve(outcome, || self.backend.agency_standing(agency).consumed)?;
        // Nothing more is taken from an agency before it has its winners: what follows the request
        // waits with it, so responses keep the order of requests, and asking again costs nothing.
        if matches!(reply, Reply::Winners) {
            session.await_winners();
            cx.pause_reading(connection);
        }
        let has_ended = matches!(reply, Reply::Finished { .. });
        session.reply_queued();
        self.backend.queue(PendingReply { to: connection, agency, reply });
        if has_ended && let Some(session) = shared.sessions.get(connection) {
            agency_log::log_end(&mut shared.log, &session.peer());
        }
        self.backend.commit_if_large(&mut shared.log);
        Ok(())
    }

    /// Closes a connection with an ERROR, behind the replies that it is still owed.
    pub(crate) fn close_with_error(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        error: ProtocolError,
    ) {
        let Some(session) = shared.sessions.get(connection) else { return };
        let peer = session.peer();
        let is_owed_replies = session.refuse();
        self.forget(connection);
        self.remove_connection(shared, connection, &peer, &error.reason);
        let agency = peer.agency.unwrap_or_default();
        let reply = Reply::Error { error, serial: peer.serial };
        let last = PendingReply { to: connection, agency, reply };
        if is_owed_replies {
            self.backend.queue(last);
        } else {
            self.outbox.write_response(cx, shared, &mut self.backend, last);
        }
    }

    /// A connection is no longer its agency's, for this reason.
    fn remove_connection(
        &mut self,
        shared: &mut Shared,
        connection: ConnectionId,
        peer: &Peer,
        reason: &impl Display,
    ) {
        let Some(agency) = peer.agency else { return };
        let was_its = self.agencies.remove(agency, connection);
        let awaited = self.backend.awaits_draw() && !self.backend.has_finished(agency);
        if was_its && awaited && !shared.shutting_down {
            let consumed = self.backend.agency_standing(agency).consumed;
            draw_progress::log_lost(&mut shared.log, peer, consumed, reason);
        }
    }

    /// The connection is resumed no more, and sent no winners.
    fn forget(&mut self, connection: ConnectionId) {
        self.backpressure.forget(connection);
        self.backend.forget_winners(connection);
    }

    /// Requests of these connections had no effect. At once: what comes behind them in this very turn
    /// has none either.
    fn note_unavailable(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        for connection in self.backend.take_unavailable() {
            let session = shared.sessions.lottery(connection);
            if session.is_some_and(LotterySession::note_unavailable) {
                shared.resume_reading(cx, connection);
            }
        }
    }

    /// Closes the connections that the backend serves no more.
    fn close_refused(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        for (connection, error) in self.backend.take_refused() {
            self.close_with_error(cx, shared, connection, error);
        }
    }

    /// Sends what is durable: replies, and winners behind the draw.
    fn send_durable(&mut self, cx: &mut impl Context, shared: &mut Shared) -> Result<(), B::Fatal> {
        self.outbox.send_durable(cx, shared, &mut self.backend);
        let max_replies = shared.config.max_pending_replies;
        let is_full = |agency| self.backend.is_full(agency, max_replies);
        self.backpressure.resume(cx, shared, is_full);
        if self.backend.is_drawn() && self.draw.log_drawn(self.backend.terms().draw) {
            self.outbox.note_draw(cx.now());
        }
        let (budget, max_unsent) = (shared.config.winners_budget, shared.config.write_buffer_high);
        for connection in self.backend.send_winners(cx, budget, max_unsent)? {
            shared.resume_reading(cx, connection);
        }
        Ok(())
    }

    /// Logs what the draw waits for, when that is due.
    fn log_draw_progress(&mut self, cx: &mut impl Context, shared: &Shared) {
        if shared.shutting_down || !self.backend.awaits_draw() {
            return;
        }
        self.draw.log_if_due(&self.backend, &self.agencies);
        for (timer, after) in self.draw.take_timers() {
            cx.set_timer(timer, Some(after));
        }
    }
}

/// For the connection that an agency had before.
pub(crate) fn superseded_by(agency: Agency) -> ProtocolError {
    let reason = format!(
        "another connection has introduced itself as agency {agency}: if two programs run as this \
         agency (CLI_ID), end one"
    );
    ProtocolError::new(ErrorCode::Superseded, reason)
}
