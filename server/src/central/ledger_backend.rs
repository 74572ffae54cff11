//! Keeps the lottery in a [`Store`] of this machine: all agencies share one [`Lottery`], one queue of
//! replies and one commit a turn.

use std::os::unix::net::UnixStream;

use admin::view::NotReady;
use reactor::{CloseReason, ConnectionId, Context, TimerId};
use wire::{Agency, Request};

use super::backend::Backend;
use super::group_commit::{Commit, CommitDurations, GroupCommit};
use super::log_budget::LogBudget;
use super::protocol_config::ProtocolConfig;
use super::reply::Reply;
use super::reply_queue::{PendingReply, ReplyQueue};
use super::requests;
use super::timers;
use super::winners_delivery::WinnersDelivery;
use crate::lottery::standing::Standing;
use crate::lottery::{Account, AgencyStanding, Lottery, Refusal, State};
use crate::store::{Store, StoreError, Terms};

/// See the [module](self).
#[derive(Debug)]
pub struct LedgerBackend<S> {
    lottery: Lottery,
    commits: GroupCommit<S>,
    replies: ReplyQueue,
    winners: WinnersDelivery,
    /// Connections whose requests had no effect.
    unavailable: Vec<ConnectionId>,
}

impl<S: Store> LedgerBackend<S> {
    pub(crate) fn new(lottery: Lottery, store: S, config: &ProtocolConfig) -> Self {
        Self {
            lottery,
            commits: GroupCommit::new(store, config.group_commit_bytes, config.commit_retry_delay),
            replies: ReplyQueue::default(),
            winners: WinnersDelivery::default(),
            unavailable: Vec::new(),
        }
    }

    /// Leaves waiting for the disk to the thread at the other end.
    pub(crate) fn use_disk_thread(&mut self, stream: UnixStream) {
        self.commits.use_disk_thread(stream);
    }

    pub(crate) fn lottery(&self) -> &Lottery {
        &self.lottery
    }

    pub(crate) fn store(&self) -> &S {
        self.commits.store()
    }

    /// The store, and the state that all commits led to.
    pub(crate) fn into_store(self) -> (S, State) {
        (self.commits.into_store(), self.lottery.into_appended())
    }

    fn commit(&mut self, log: &mut LogBudget) {
        match self.commits.commit(&mut self.lottery, log) {
            Commit::Pending => {}
            Commit::Appended(lsn) => self.replies.appended(lsn),
            Commit::Unavailable(lsn, reason) => {
                let standing = |agency| self.lottery.agency_standing(agency);
                self.unavailable.extend(self.replies.unavailable(lsn, &reason, standing));
            }
        }
    }

    /// Starts the sync of what was committed; waits for it when no thread does.
    fn sync(
        &mut self,
        cx: &mut impl Context,
        log: &mut LogBudget,
        shutting_down: bool,
    ) -> Result<(), StoreError> {
        if shutting_down && self.lottery.staged().is_empty() {
            self.commits.begin_close();
        }
        if self.commits.begin_sync(cx, &mut self.lottery)? {
            return Ok(());
        }
        self.commits.sync_here(&mut self.lottery)?;
        if !self.lottery.staged().is_empty() {
            // The wal had to be switched to its other segment first.
            self.commit(log);
            self.commits.sync_here(&mut self.lottery)?;
        }
        Ok(())
    }
}

impl<S: Store> Backend for LedgerBackend<S> {
    type Fatal = StoreError;

    fn terms(&self) -> Terms {
        Terms { agencies: self.lottery.agencies(), draw: self.lottery.draw() }
    }

    fn is_drawn(&self) -> bool {
        self.lottery.is_drawn()
    }

    fn awaits_draw(&self) -> bool {
        self.lottery.awaits_draw()
    }

    fn has_begun(&self) -> bool {
        self.lottery.has_begun()
    }

    fn finished(&self) -> Agency {
        self.lottery.finished()
    }

    fn has_finished(&self, agency: Agency) -> bool {
        self.lottery.has_finished(agency)
    }

    fn standing(&self) -> Standing {
        self.lottery.standing()
    }

    fn pending_standing(&self) -> Standing {
        self.lottery.pending_standing()
    }

    fn account(&self, agency: Agency) -> Account {
        self.lottery.committed().account(agency)
    }

    fn winners(&self, agency: Agency) -> Option<u64> {
        self.is_drawn().then(|| self.lottery.winning_rows(agency).count)
    }

    fn introduce(&mut self, _: &mut impl Context, to: ConnectionId, agency: Agency) {
        let reply = Reply::Welcome(self.lottery.agency_standing(agency));
        self.queue(PendingReply { to, agency, reply });
    }

    fn agency_standing(&self, agency: Agency) -> AgencyStanding {
        self.lottery.agency_standing(agency)
    }

    fn perform(&mut self, agency: Agency, request: &Request<'_>) -> Result<Reply, Refusal> {
        requests::perform(&mut self.lottery, self.commits.backoff(), agency, request)
    }

    fn queue(&mut self, pending: PendingReply) {
        self.replies.push(pending);
    }

    fn is_full(&self, _: Option<Agency>, max_replies: usize) -> bool {
        (!self.lottery.staged().is_empty() && self.commits.is_large(&self.lottery))
            || self.replies.len() >= max_replies
    }

    /// At most one request more than `is_large` asks for is staged at any time, so a commit always
    /// fits into the wal.
    fn commit_if_large(&mut self, log: &mut LogBudget) {
        if self.commits.is_large(&self.lottery) {
            self.commit(log);
        }
    }

    fn advance(
        &mut self,
        cx: &mut impl Context,
        log: &mut LogBudget,
        shutting_down: bool,
    ) -> Result<(), StoreError> {
        if self.commits.is_due(&self.lottery) {
            self.commit(log);
        }
        self.commits.check()?;
        self.sync(cx, log, shutting_down)?;
        self.commits.check()?;
        timers::set_commit_timers(cx, self.commits.backoff());
        Ok(())
    }

    fn take_unavailable(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.unavailable)
    }

    fn pop_reply(&mut self) -> Option<PendingReply> {
        self.replies.pop_durable(self.commits.store().durable_lsn())
    }

    fn request_winners(&mut self, to: ConnectionId, agency: Agency) {
        self.winners.request(to, agency);
    }

    fn send_winners(
        &mut self,
        cx: &mut impl Context,
        budget: usize,
        max_unsent: usize,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        if !self.lottery.is_drawn() {
            return Ok(Vec::new());
        }
        let mut complete = self.winners.begin_due(cx, |agency| self.lottery.winning_rows(agency));
        let (store, stripes) = (self.commits.store(), self.lottery.winner_stripes());
        complete.extend(self.winners.advance(cx, store, stripes, budget, max_unsent)?);
        Ok(complete)
    }

    fn forget_winners(&mut self, connection: ConnectionId) {
        self.winners.forget(connection);
    }

    fn resume_writing(&mut self, connection: ConnectionId) {
        self.winners.resume_writing(connection);
    }

    fn on_start(&mut self, cx: &mut impl Context) {
        self.commits.attach_disk(cx);
    }

    fn owns(&self, connection: ConnectionId) -> bool {
        self.commits.is_disk(connection)
    }

    fn on_data(&mut self, cx: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        self.commits.on_disk_data(cx.now(), &mut self.lottery, input)
    }

    fn on_lost(&mut self, _: &mut impl Context, _: ConnectionId, _: Option<&CloseReason>) {
        self.commits.on_disk_lost(&mut self.lottery);
    }

    fn on_timer(&mut self, _: &mut impl Context, timer: TimerId) {
        match timer {
            timers::COMMIT_RETRY => self.commits.backoff().on_timer(),
            timers::COMMIT_QUIET => self.commits.on_quiet(),
            // The scan for winners goes on at the end of every turn.
            _ => {}
        }
    }

    fn verify(&mut self) {
        self.commits.verify();
    }

    fn is_idle(&self) -> bool {
        self.replies.is_empty() && self.commits.store().is_closed()
    }

    fn not_ready(&self) -> Option<NotReady> {
        match () {
            () if self.commits.is_at_limit() => Some(NotReady::LedgerFull),
            () if self.commits.is_failing() => Some(NotReady::StorageFailing),
            () => None,
        }
    }

    fn usage(&self) -> (u64, Option<u64>) {
        let store = self.commits.store();
        (store.rows_len(), store.max_len())
    }

    fn commit_durations(&self) -> &CommitDurations {
        self.commits.durations()
    }

    fn commit_failures(&self) -> u64 {
        self.commits.failures()
    }

    fn wal_position(&self) -> Option<u64> {
        Some(self.commits.store().durable_lsn().0)
    }
}
