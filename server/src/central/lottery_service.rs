//! Serves agencies: takes their requests, commits what these stage, and sends the replies when they
//! are durable.
//!
//! ```text
//!  input ─> frame ─> request ─> lottery ─> reply queue ─> commit, sync ─> response
//!                       └─ close_with_error, behind the replies that are owed
//! ```

use std::fmt::Display;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use reactor::{ConnectionId, Context, TimerId};
use wire::{Agency, DrawName, ErrorCode, Frame, Request};

use super::agency_connections::AgencyConnections;
use super::agency_log;
use super::backpressure::Backpressure;
use super::draw_progress::{self, DrawProgress};
use super::group_commit::{Commit, CommitDurations, GroupCommit};
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
use crate::lottery::{Lottery, State};
use crate::store::{Store, StoreError};

/// The lottery, and everything that its agencies wait for.
#[derive(Debug)]
pub(crate) struct LotteryService<S> {
    lottery: Lottery,
    outbox: Outbox,
    commits: GroupCommit<S>,
    agencies: AgencyConnections,
    backpressure: Backpressure,
    draw: DrawProgress,
}

impl<S: Store> LotteryService<S> {
    pub(crate) fn new(lottery: Lottery, store: S, config: &ProtocolConfig) -> Self {
        Self {
            outbox: Outbox::default(),
            commits: GroupCommit::new(store, config.group_commit_bytes, config.commit_retry_delay),
            agencies: AgencyConnections::default(),
            backpressure: Backpressure::default(),
            draw: DrawProgress::new(config.waiting_log_interval, lottery.is_drawn()),
            lottery,
        }
    }

    /// Leaves waiting for the disk to the thread at the other end.
    pub(crate) fn use_disk_thread(&mut self, stream: UnixStream) {
        self.commits.use_disk_thread(stream);
    }

    pub(crate) fn on_start(&mut self, cx: &mut impl Context) {
        self.commits.attach_disk(cx);
    }

    pub(crate) fn lottery(&self) -> &Lottery {
        &self.lottery
    }

    pub(crate) fn store(&self) -> &S {
        self.commits.store()
    }

    /// What has happened since the start.
    pub(crate) fn tally(&self) -> &Tally {
        self.outbox.tally()
    }

    /// Whether the last commit had no effect, a short while ago, and none has had one since.
    pub(crate) fn is_failing(&self) -> bool {
        self.commits.is_failing()
    }

    /// Whether the ledger takes no more bets, because it is as large as it may be.
    pub(crate) fn is_at_limit(&self) -> bool {
        self.commits.is_at_limit()
    }

    /// Commits that the disk didn't take.
    pub(crate) fn commit_failures(&self) -> u64 {
        self.commits.failures()
    }

    /// How long commits waited for the disk.
    pub(crate) fn commit_durations(&self) -> &CommitDurations {
        self.commits.durations()
    }

    /// Agencies that are connected.
    pub(crate) fn connected(&self) -> impl Iterator<Item = Agency> {
        self.agencies.agencies()
    }

    /// The store, and the state that all commits led to.
    pub(crate) fn into_store(self) -> (S, State) {
        (self.commits.into_store(), self.lottery.into_appended())
    }

    /// Whether this is the connection of the disk's thread, which isn't a peer's.
    pub(crate) fn is_disk(&self, connection: ConnectionId) -> bool {
        self.commits.is_disk(connection)
    }

    /// Takes what the disk's thread sends; returns how many bytes that was.
    pub(crate) fn on_disk_data(&mut self, now: Instant, input: &[u8]) -> usize {
        self.commits.on_disk_data(now, &mut self.lottery, input)
    }

    /// The disk's thread has ended.
    pub(crate) fn on_disk_lost(&mut self) {
        self.commits.on_disk_lost(&mut self.lottery);
    }

    /// Looks whether the ledger's files are still there: the end of the turn fails otherwise.
    pub(crate) fn verify_ledger(&mut self) {
        self.commits.verify();
    }

    /// Whether so much waits for the storage that no further request is taken.
    fn is_full(&self, config: &ProtocolConfig) -> bool {
        (!self.lottery.staged().is_empty() && self.commits.is_large(&self.lottery))
            || self.outbox.len() >= config.max_pending_replies
    }

    /// What can't be taken isn't read.
    pub(crate) fn before_read(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
    ) {
        if self.is_full(&shared.config) {
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
            let full = self.is_full(&shared.config);
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
                self.outbox.queue_reply(session, PendingReply { to: connection, agency, reply });
            }
            Err(error) => self.close_with_error(cx, shared, connection, error.into()),
        }
    }

    /// A connection is gone.
    pub(crate) fn on_close(
        &mut self,
        shared: &mut Shared,
        connection: ConnectionId,
        peer: &Peer,
        reason: &impl Display,
    ) {
        self.forget(connection);
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
        self.outbox.resume_writing(connection);
    }

    pub(crate) fn on_timer(&mut self, timer: TimerId) {
        match timer {
            timers::COMMIT_RETRY => self.commits.backoff().on_timer(),
            timers::COMMIT_QUIET => self.commits.on_quiet(),
            timers::DRAW_PAUSE | timers::DRAW_PERIOD => self.draw.on_timer(timer),
            // The scan for winners goes on at the end of every turn.
            _ => {}
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
        self.outbox.is_empty() && self.commits.store().is_closed()
    }

    /// Commits what the turn has staged, and sends what is durable.
    ///
    /// # Errors
    /// What the process must not survive.
    pub(crate) fn before_flush(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
    ) -> Result<(), StoreError> {
        if self.commits.is_due(&self.lottery) {
            self.commit(cx, shared);
        }
        self.commits.check()?;
        self.sync(cx, shared)?;
        self.commits.check()?;
        self.send_durable(cx, shared)?;
        self.log_draw_progress(cx, shared);
        if let Some(delay) = self.commits.backoff().take_timer() {
            cx.set_timer(timers::COMMIT_RETRY, Some(delay));
        }
        if let Some(after) = self.commits.backoff().take_quiet_timer() {
            cx.set_timer(timers::COMMIT_QUIET, Some(after));
        }
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
        let reply = Reply::Welcome(self.lottery.agency_standing(agency));
        self.outbox.queue_reply(session, PendingReply { to: connection, agency, reply });
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
        self.lottery.admit(agency, draw)?;
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
        let (lottery, backoff) = (&mut self.lottery, self.commits.backoff());
        let outcome = requests::perform(lottery, backoff, agency, request);
        let Some(session) = shared.sessions.lottery(connection) else { return Ok(()) };
        let reply = session.resolve(outcome, || lottery.agency_standing(agency).consumed)?;
        // Nothing more is taken from an agency before it has its winners: what follows the request
        // waits with it, so responses keep the order of requests, and asking again costs nothing.
        if matches!(reply, Reply::Winners) {
            session.await_winners();
            cx.pause_reading(connection);
        }
        let has_ended = matches!(reply, Reply::Finished { .. });
        self.outbox.queue_reply(session, PendingReply { to: connection, agency, reply });
        if has_ended && let Some(session) = shared.sessions.get(connection) {
            agency_log::log_end(&mut shared.log, &session.peer());
        }
        // At most one request more than `is_large` asks for is staged at any time, so a commit always
        // fits into the wal.
        if self.commits.is_large(&self.lottery) {
            self.commit(cx, shared);
        }
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
            self.outbox.queue_last_reply(last);
        } else {
            self.outbox.write_response(cx, shared, last);
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
        let awaited = self.lottery.awaits_draw() && !self.lottery.has_finished(agency);
        if was_its && awaited && !shared.shutting_down {
            let consumed = self.lottery.agency_standing(agency).consumed;
            draw_progress::log_lost(&mut shared.log, peer, consumed, reason);
        }
    }

    /// The connection is resumed no more, and sent no winners.
    fn forget(&mut self, connection: ConnectionId) {
        self.backpressure.forget(connection);
        self.outbox.forget_winners(connection);
    }

    fn commit(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        let failed = match self.commits.commit(&mut self.lottery, &mut shared.log) {
            Commit::Pending => return,
            Commit::Appended(lsn) => return self.outbox.appended(lsn),
            Commit::Unavailable(lsn, reason) => {
                let standing = |agency| self.lottery.agency_standing(agency);
                self.outbox.unavailable(lsn, &reason, standing)
            }
        };
        // At once: what comes behind it in this very turn has no effect either.
        for connection in failed {
            let session = shared.sessions.lottery(connection);
            if session.is_some_and(LotterySession::note_unavailable) {
                shared.resume_reading(cx, connection);
            }
        }
    }

    /// Starts the sync of what was committed; waits for it when no thread does.
    fn sync(&mut self, cx: &mut impl Context, shared: &mut Shared) -> Result<(), StoreError> {
        if shared.shutting_down && self.lottery.staged().is_empty() {
            self.commits.begin_close();
        }
        if self.commits.begin_sync(cx, &mut self.lottery)? {
            return Ok(());
        }
        self.commits.sync_here(&mut self.lottery)?;
        if !self.lottery.staged().is_empty() {
            // The wal had to be switched to its other segment first.
            self.commit(cx, shared);
            self.commits.sync_here(&mut self.lottery)?;
        }
        Ok(())
    }

    /// Sends what is durable: replies, and winners behind the draw.
    fn send_durable(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
    ) -> Result<(), StoreError> {
        let durable = self.commits.store().durable_lsn();
        self.outbox.send_durable(cx, shared, durable);
        if !self.is_full(&shared.config) {
            self.backpressure.resume(cx, shared);
        }
        if self.lottery.is_drawn() {
            if self.draw.log_drawn(self.lottery.draw()) {
                self.outbox.note_draw(cx.now());
            }
            self.outbox.begin_winners(cx, shared, &self.lottery);
        }
        self.outbox.send_winners(cx, shared, &self.lottery, self.commits.store())
    }

    /// Logs what the draw waits for, when that is due.
    fn log_draw_progress(&mut self, cx: &mut impl Context, shared: &Shared) {
        if shared.shutting_down || !self.lottery.awaits_draw() {
            return;
        }
        self.draw.log_if_due(&self.lottery, &self.agencies);
        for (timer, after) in self.draw.take_timers() {
            cx.set_timer(timer, Some(after));
        }
    }
}

/// For the connection that an agency had before.
fn superseded_by(agency: Agency) -> ProtocolError {
    let reason = format!(
        "another connection has introduced itself as agency {agency}: if two programs run as this \
         agency (CLI_ID), end one"
    );
    ProtocolError::new(ErrorCode::Superseded, reason)
}
