//! Serves agencies: takes their requests, commits what these stage, and sends the replies when they
//! are durable.
//!
//! ```text
//!  input ─> frame ─> request ─> lottery ─> reply queue ─> commit, sync ─> response
//!                       └─ close_with_error, behind the replies that are owed
//! ```

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;

use log::{Level, info};
use reactor::{ConnectionId, Context, TimerId};
use runtime::log_within;
use wire::{Agency, ErrorCode, Frame, FrameError, MessageError, Request, VERSION};

use super::agency_connections::AgencyConnections;
use super::draw_progress::{self, DrawProgress};
use super::group_commit::GroupCommit;
use super::log_budget::Event;
use super::lottery_session::LotterySession;
use super::protocol_config::ProtocolConfig;
use super::reply::Reply;
use super::reply_log;
use super::reply_queue::{PendingReply, ReplyQueue};
use super::requests;
use super::shared::Shared;
use super::timers;
use super::winners_delivery::WinnersDelivery;
use crate::ledger::{Ledger, LedgerError};
use crate::lottery::{Lottery, Refusal};

/// The lottery, and everything that its agencies wait for.
#[derive(Debug)]
pub(crate) struct LotteryService<L> {
    lottery: Lottery<L>,
    replies: ReplyQueue,
    commits: GroupCommit,
    agencies: AgencyConnections,
    /// Connections that aren't read until the storage has caught up.
    awaiting_storage: BTreeSet<ConnectionId>,
    winners: WinnersDelivery,
    draw: DrawProgress,
}

impl<L: Ledger> LotteryService<L> {
    pub(crate) fn new(lottery: Lottery<L>, config: &ProtocolConfig) -> Self {
        Self {
            replies: ReplyQueue::default(),
            commits: GroupCommit::new(config.commit_max, config.commit_retry_delay),
            agencies: AgencyConnections::default(),
            awaiting_storage: BTreeSet::new(),
            winners: WinnersDelivery::default(),
            draw: DrawProgress::new(config.waiting_report_period, lottery.is_drawn()),
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

    pub(crate) fn ledger(&self) -> &L {
        self.lottery.ledger()
    }

    pub(crate) fn into_ledger(self) -> L {
        self.lottery.into_ledger()
    }

    /// Whether this is the connection of the disk's thread, which isn't a peer's.
    pub(crate) fn is_disk(&self, connection: ConnectionId) -> bool {
        self.commits.is_disk(connection)
    }

    /// Takes what the disk's thread sends; returns how many bytes that was.
    pub(crate) fn on_disk_data(&mut self, input: &[u8]) -> usize {
        self.commits.on_disk_data(&mut self.lottery, input)
    }

    /// The disk's thread has ended.
    pub(crate) fn on_disk_lost(&mut self) {
        self.commits.on_disk_lost(&mut self.lottery);
    }

    /// The health check calls: whether the ledger is still there shows at the end of the turn.
    pub(crate) fn verify_ledger(&mut self) {
        self.commits.verify(&self.lottery);
    }

    /// Whether so much waits for the storage that nothing more may be taken.
    pub(crate) fn is_full(&self, config: &ProtocolConfig) -> bool {
        (self.lottery.has_staged() && self.commits.is_large(&self.lottery))
            || self.replies.len() >= config.max_pending_replies
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
        // A refusal ends the session as an agency's: what follows it isn't looked at.
        loop {
            let full = self.is_full(&shared.config);
            let Some(session) = shared.sessions.lottery(connection) else { return input.len() };
            if session.is_paused() {
                return used;
            }
            match session.decode(&input[used..]) {
                Ok(Some(_)) if full => {
                    self.pause_for_storage(cx, shared, connection);
                    return used;
                }
                Ok(Some(frame)) => {
                    used += frame.used();
                    self.on_frame(cx, shared, connection, frame);
                }
                Ok(None) => return used,
                Err(error) => {
                    let code = frame_error_code(&error);
                    self.close_with_error(cx, shared, connection, code, error.to_string());
                }
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
                let agency = session.agency().unwrap_or_default();
                self.queue_reply(shared, connection, agency, Reply::CloseAfterReplies);
            }
            Err(error) => {
                let (code, reason) = (ErrorCode::Malformed, error.to_string());
                self.close_with_error(cx, shared, connection, code, reason);
            }
        }
    }

    /// A connection is gone. `agency` is who it introduced itself as.
    pub(crate) fn on_close(
        &mut self,
        shared: &mut Shared,
        connection: ConnectionId,
        agency: Option<Agency>,
        ip: IpAddr,
        reason: &impl Display,
    ) {
        self.forget(connection);
        if let Some(agency) = agency {
            self.remove_connection(shared, agency, connection, ip, reason);
        }
    }

    /// The connection's output has room again.
    pub(crate) fn on_writable(&mut self, connection: ConnectionId) {
        self.winners.resume_writing(connection);
    }

    pub(crate) fn on_timer(&mut self, timer: TimerId) {
        match timer {
            timers::COMMIT_RETRY => self.commits.backoff().on_timer(),
            timers::DRAW_PAUSE | timers::DRAW_PERIOD => self.draw.on_timer(timer),
            // The scan for winners goes on at the end of every turn.
            _ => {}
        }
    }

    /// Whether an agency last called from this address.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.agencies.knows(address)
    }

    /// How far the lottery is, as a log line.
    pub(crate) fn log_status(&self, connections: usize) {
        let standing = self.lottery.standing();
        let rejected = standing.rejected();
        info!(
            "action: status | result: success | {standing} | connections: {connections} | \
             rejected: {rejected}"
        );
    }

    /// The process is to end: agencies are refused, and come back.
    pub(crate) fn on_stop(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        for connection in self.agencies.connections() {
            let reason = "the central is shutting down".to_owned();
            self.close_with_error(cx, shared, connection, ErrorCode::ShuttingDown, reason);
        }
    }

    /// Whether nothing is under way that the end of the process has to wait for.
    pub(crate) fn may_end(&self) -> bool {
        self.replies.is_empty() && self.lottery.is_closed()
    }

    /// Commits what the turn has staged, and sends what is durable.
    ///
    /// # Errors
    /// What the process must not survive.
    pub(crate) fn before_flush(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
    ) -> Result<(), LedgerError> {
        if self.commits.is_due(&self.lottery) {
            self.commit(cx, shared);
        }
        self.commits.check()?;
        self.sync(cx, shared)?;
        self.commits.check()?;
        self.send_durable(cx, shared);
        self.send_winners(cx, shared)?;
        self.log_draw_progress(cx, shared);
        if let Some(delay) = self.commits.backoff().take_timer() {
            cx.set_timer(timers::COMMIT_RETRY, Some(delay));
        }
        Ok(())
    }

    fn on_frame(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        frame: Frame<'_>,
    ) {
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(error) => {
                let code = message_error_code(&error);
                return self.close_with_error(cx, shared, connection, code, error.to_string());
            }
        };
        if let Request::Hello { version, agency } = request {
            return self.introduce(cx, shared, connection, version, agency);
        }
        let session = shared.sessions.lottery(connection);
        let Some(agency) = session.and_then(|session| session.agency()) else {
            let reason = "an agency introduces itself before anything else".to_owned();
            let code = ErrorCode::NotIntroduced;
            return self.close_with_error(cx, shared, connection, code, reason);
        };
        if let Request::Bet(batch) | Request::Batch(batch) = &request {
            log_within!(
                shared.log,
                Event::BatchReceived,
                Level::Debug,
                "action: receive_batch | result: success | agency: {agency} | posicion: {} | \
                 cantidad: {} | bytes: {}",
                batch.position,
                batch.count,
                frame.used()
            );
        }
        self.on_request(cx, shared, connection, agency, &request);
    }

    fn on_request(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        agency: Agency,
        request: &Request<'_>,
    ) {
        let (lottery, backoff) = (&mut self.lottery, self.commits.backoff());
        let outcome = match request {
            Request::Bet(batch) => {
                requests::batch(lottery, backoff, agency, batch, reply_log::of_single)
            }
            Request::Batch(batch) => {
                requests::batch(lottery, backoff, agency, batch, reply_log::of_batch)
            }
            Request::End { total } => requests::end(lottery, backoff, agency, *total),
            Request::Winners => lottery.may_ask_winners(agency).map(|()| Reply::Winners),
            Request::Hello { .. } => unreachable!("it was taken before"),
        };
        // Nothing more is taken from an agency before it has its winners: what follows the request
        // waits with it, so responses keep the order of requests, and asking again costs nothing.
        let awaits_winners = matches!(outcome, Ok(Reply::Winners));
        self.resolve(cx, shared, connection, agency, outcome);
        if awaits_winners && let Some(session) = shared.sessions.lottery(connection) {
            session.await_winners();
            cx.pause_reading(connection);
        }
        if self.commits.is_large(&self.lottery) {
            self.commit(cx, shared);
        }
    }

    fn introduce(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        version: u8,
        agency: Agency,
    ) {
        if version != VERSION {
            let reason = format!("this central speaks version {VERSION}, found {version}");
            return self.close_with_error(cx, shared, connection, ErrorCode::Version, reason);
        }
        if let Err(refusal) = self.lottery.admit(agency) {
            let (code, reason) = (refusal.code(), refusal.to_string());
            return self.close_with_error(cx, shared, connection, code, reason);
        }
        let Some(session) = shared.sessions.get(connection) else { return };
        let ip = session.ip();
        let Some(session) = session.lottery() else { return };
        if let Err(known) = session.introduce(agency) {
            let reason = format!("this connection has introduced itself as agency {known} before");
            let code = ErrorCode::AlreadyIntroduced;
            return self.close_with_error(cx, shared, connection, code, reason);
        }
        cx.protect(connection);
        if let Some(old) = self.agencies.introduce(agency, connection, ip) {
            let reason = format!(
                "another connection has introduced itself as agency {agency}: if two programs run as \
                 this agency (CLI_ID), end one"
            );
            self.close_with_error(cx, shared, old, ErrorCode::Superseded, reason);
        }
        let welcome = Reply::Welcome(self.lottery.agency_standing(agency));
        self.queue_reply(shared, connection, agency, welcome);
    }

    /// Queues what a request came to, or closes the connection behind what was queued before.
    fn resolve(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        agency: Agency,
        outcome: Result<Reply, Refusal>,
    ) {
        let Some(session) = shared.sessions.lottery(connection) else { return };
        let consumed = || self.lottery.agency_standing(agency).consumed;
        match session.judge(outcome, consumed) {
            Ok(reply) => self.queue_reply(shared, connection, agency, reply),
            Err(refusal) => {
                let (code, reason) = (refusal.code(), refusal.to_string());
                self.close_with_error(cx, shared, connection, code, reason);
            }
        }
    }

    fn queue_reply(
        &mut self,
        shared: &mut Shared,
        connection: ConnectionId,
        agency: Agency,
        reply: Reply,
    ) {
        if let Some(session) = shared.sessions.lottery(connection) {
            session.reply_queued();
        }
        self.replies.push(connection, agency, reply);
    }

    /// Closes a connection with an ERROR, behind the replies that it is still owed.
    pub(crate) fn close_with_error(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
        code: ErrorCode,
        reason: String,
    ) {
        let Some(session) = shared.sessions.get(connection) else { return };
        let (agency, ip) = (session.agency(), session.ip());
        let is_owed_replies = session.refuse();
        self.forget(connection);
        if let Some(agency) = agency {
            self.remove_connection(shared, agency, connection, ip, &reason);
        }
        let (agency, reply) = (agency.unwrap_or_default(), Reply::Error { code, reason });
        if is_owed_replies {
            self.replies.push(connection, agency, reply);
        } else {
            self.send(cx, shared, PendingReply { to: connection, agency, reply });
        }
    }

    /// A connection is the agency's no more, for this reason.
    fn remove_connection(
        &mut self,
        shared: &mut Shared,
        agency: Agency,
        connection: ConnectionId,
        ip: IpAddr,
        reason: &impl Display,
    ) {
        let was_its = self.agencies.remove(agency, connection);
        let awaited = self.lottery.awaits_draw() && !self.lottery.has_finished(agency);
        if was_its && awaited && !shared.stopping {
            let consumed = self.lottery.agency_standing(agency).consumed;
            draw_progress::log_lost(&mut shared.log, agency, ip, consumed, reason);
        }
    }

    /// Nothing waits for this connection any more.
    fn forget(&mut self, connection: ConnectionId) {
        self.awaiting_storage.remove(&connection);
        self.winners.forget(connection);
    }

    /// Takes no further request of this connection until the storage has caught up.
    pub(crate) fn pause_for_storage(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
    ) {
        let Some(session) = shared.sessions.get(connection) else { return };
        if !session.lottery().is_some_and(LotterySession::pause_for_storage) {
            return;
        }
        // The rest of its frame may have come.
        session.forget_partial();
        self.awaiting_storage.insert(connection);
        cx.pause_reading(connection);
        cx.set_deadline(connection, None);
    }

    fn resume_reading(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        if self.awaiting_storage.is_empty() || self.is_full(&shared.config) {
            return;
        }
        for connection in std::mem::take(&mut self.awaiting_storage) {
            resume(cx, shared, connection);
        }
    }

    fn commit(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        let failed = self.commits.commit(&mut self.lottery, &mut self.replies, &mut shared.log);
        // At once: what comes behind it in this very turn has no effect either.
        for connection in failed {
            let session = shared.sessions.lottery(connection);
            if session.is_some_and(LotterySession::note_unavailable) {
                resume(cx, shared, connection);
            }
        }
    }

    /// Lets the disk begin with what was committed; waits for it only when nobody else does.
    fn sync(&mut self, cx: &mut impl Context, shared: &mut Shared) -> Result<(), LedgerError> {
        if shared.stopping && !self.lottery.has_staged() {
            self.lottery.begin_close();
        }
        if self.commits.begin_sync(cx, &mut self.lottery)? {
            return Ok(());
        }
        self.lottery.sync()?;
        if self.lottery.has_staged() {
            // The wal had to go on in its other half first.
            self.commit(cx, shared);
            self.lottery.sync()?;
        }
        Ok(())
    }

    /// Sends every reply whose commit is durable, and begins the lists of winners behind the draw.
    fn send_durable(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        while let Some(pending) = self.replies.pop_durable(self.lottery.committed()) {
            if let Some(session) = shared.sessions.lottery(pending.to) {
                session.reply_sent();
            }
            self.send(cx, shared, pending);
        }
        self.resume_reading(cx, shared);
        let is_durable = self.lottery.committed() >= self.lottery.submitted();
        if !(is_durable && self.lottery.is_drawn()) {
            return;
        }
        self.draw.log_drawn();
        for connection in self.winners.take_due() {
            let session = shared.sessions.lottery(connection);
            let Some(agency) = session.and_then(|session| session.agency()) else { continue };
            let rows = self.lottery.winning_rows(agency);
            if self.winners.begin(cx, connection, agency, rows) {
                resume(cx, shared, connection);
            }
        }
    }

    fn send(&mut self, cx: &mut impl Context, shared: &mut Shared, pending: PendingReply) {
        let PendingReply { to, agency, reply } = pending;
        reply_log::log_reply(&mut shared.log, agency, &reply);
        if let Some(response) = reply.response() {
            cx.send_with(to, |out| response.encode(out));
        }
        match reply {
            Reply::Winners if shared.sessions.lottery(to).is_some() => self.winners.request(to),
            Reply::Error { code, reason } => {
                if let Some(session) = shared.sessions.get(to) {
                    reply_log::log_error(&mut shared.log, session.ip(), agency, code, &reason);
                }
                cx.close(to);
            }
            Reply::CloseAfterReplies => cx.close(to),
            _ => {}
        }
    }

    /// Sends one piece of the winners that are owed.
    fn send_winners(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
    ) -> Result<(), LedgerError> {
        let (budget, max_backlog) = (shared.config.winners_budget, shared.config.high_water);
        for connection in self.winners.advance(cx, &self.lottery, budget, max_backlog)? {
            resume(cx, shared, connection);
        }
        Ok(())
    }

    /// Logs what the draw waits for, when that is due.
    fn log_draw_progress(&mut self, cx: &mut impl Context, shared: &Shared) {
        if shared.stopping || !self.lottery.awaits_draw() {
            return;
        }
        let somebody_waits = self.lottery.has_begun() || !self.agencies.is_empty();
        if self.draw.take_due(self.lottery.finished(), somebody_waits) {
            let connected = self.agencies.agencies();
            let connected = connected.filter(|agency| !self.lottery.has_finished(*agency));
            draw_progress::log_missing(&self.lottery.standing_ahead(), &connected.collect());
        }
        for (timer, after) in self.draw.take_timers() {
            cx.set_timer(timer, Some(after));
        }
    }
}

/// Takes requests of this connection again.
fn resume(cx: &mut impl Context, shared: &mut Shared, connection: ConnectionId) {
    let Some(session) = shared.sessions.lottery(connection) else { return };
    session.resume();
    cx.resume_reading(connection);
}

fn frame_error_code(error: &FrameError) -> ErrorCode {
    match error {
        FrameError::Oversized { .. } => ErrorCode::Oversized,
        FrameError::Magic { .. } | FrameError::Undersized { .. } | FrameError::Truncated { .. } => {
            ErrorCode::Malformed
        }
    }
}

fn message_error_code(error: &MessageError) -> ErrorCode {
    match error {
        MessageError::UnknownKind { .. } => ErrorCode::UnknownKind,
        _ => ErrorCode::Malformed,
    }
}
