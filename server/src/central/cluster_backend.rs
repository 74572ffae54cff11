//! Keeps the lottery in etcd, beside other centrals that do the same: each agency that is connected here
//! has a [`Lane`], and what it decides is written by a [`ClusterStore`].
//!
//! One transaction is under way for an agency; what comes meanwhile gathers, and leaves as the next one.
//! Accounts are read when an agency says HELLO, so a start has nothing to recover.
//!
//! | file | what it is for |
//! |---|---|
//! | `events` | what the store reports, and what it means to agencies |
//! | `lists` | lists of winners on their way |
//! | `outcomes` | what commits came to, in numbers |
//! | `reachability` | what the log says of whether etcd can be reached |
//! | `picture` | the whole lottery, as far as this central has seen it |

mod events;
mod lists;
mod outcomes;
mod picture;
mod reachability;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use admin::exposition::Exposition;
use admin::view::NotReady;
use cluster::config::POLL_INTERVAL;
use cluster::{ClusterStore, NotTaken};
use reactor::{CloseReason, ConnectionId, Context, TimerId};
use runtime::log_line;
use runtime::logging::{InProgress, Level, Line};
use wire::{Agency, ErrorCode, Request};

use self::lists::Lists;
use self::outcomes::Outcomes;
use self::picture::Picture;
use self::reachability::Reachability;
use super::backend::Backend;
use super::commit_backoff::CommitBackoff;
use super::group_commit::CommitDurations;
use super::lane::{Gathered, Lane, Next};
use super::log_budget::{Cause, LogBudget};
use super::protocol_error::ProtocolError;
use super::reply::Reply;
use super::reply_queue::PendingReply;
use super::requests::{self, Judge as _};
use super::timers;
use crate::etcd_links::{EtcdLinks, Member};
use crate::lottery::staged::REQUEST_MAX;
use crate::lottery::standing::Standing;
use crate::lottery::{Account, AgencyStanding, Refusal};
use crate::store::Terms;

/// How the lottery is kept in etcd.
#[derive(Debug)]
pub struct ClusterConfig {
    /// The lottery.
    pub terms: Terms,
    /// etcd's members, in the order of the endpoints that the store has.
    pub members: Vec<Member>,
    /// Bytes of rows and documents in one transaction, at most: at least [`VALUE_MIN`].
    pub value_max: usize,
    /// Bytes of rows and documents of all agencies that may wait to be written, above which none is read.
    pub gathered_max: usize,
    /// How long an agency's request may wait for etcd, before the agency is sent to another central.
    pub patience: Duration,
    /// How long nothing more is tried after a commit that had no effect, as with a ledger.
    pub retry_delay: Duration,
}

/// How often within its patience a central looks who has waited too long.
const LOOKS: u32 = 4;

/// The least value that takes any batch.
pub const VALUE_MIN: usize = 2 * REQUEST_MAX;

/// What waits for etcd, of all agencies: as counted at the end of a turn, and what the turn has added.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    /// Of rows and documents that have gathered.
    bytes: usize,
    replies: usize,
}

impl Waiting {
    fn of(lanes: &BTreeMap<Agency, Lane>, others: &VecDeque<PendingReply>) -> Self {
        let none = Self { bytes: 0, replies: others.len() };
        lanes.values().fold(none, |Self { bytes, replies }, lane| Self {
            bytes: bytes + lane.gathered().len(),
            replies: replies + lane.waiting_replies(),
        })
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct ClusterBackend {
    store: ClusterStore,
    links: EtcdLinks,
    terms: Terms,
    value_max: usize,
    gathered_max: usize,
    patience: Duration,
    waiting: Waiting,
    lanes: BTreeMap<Agency, Lane>,
    /// Agencies that have something to write, the one first that has waited longest.
    dirty: VecDeque<Agency>,
    /// Agencies some of whose replies may leave.
    leaving: BTreeSet<Agency>,
    picture: Picture,
    lists: Lists,
    outcomes: Outcomes,
    backoff: CommitBackoff,
    /// Why a commit had no effect in this turn.
    failure: Option<Rc<str>>,
    /// The log says that a commit has failed, and not yet that one has succeeded since.
    failure_logged: bool,
    /// Replies of connections whose lane is gone.
    replies: VecDeque<PendingReply>,
    unavailable: Vec<ConnectionId>,
    refused: Vec<(ConnectionId, ProtocolError)>,
    /// When etcd was last heard of.
    heard: Option<Instant>,
    reachability: Reachability,
    /// Why the process must end.
    fatal: Option<cluster::Error>,
}

impl ClusterBackend {
    /// The lottery that `store` keeps: nothing is known of it yet.
    pub fn new(store: ClusterStore, config: ClusterConfig) -> Self {
        Self {
            store,
            links: EtcdLinks::new(config.members),
            picture: Picture::new(config.terms.agencies),
            terms: config.terms,
            value_max: config.value_max.max(VALUE_MIN),
            gathered_max: config.gathered_max,
            patience: config.patience,
            waiting: Waiting::default(),
            lanes: BTreeMap::new(),
            dirty: VecDeque::new(),
            leaving: BTreeSet::new(),
            lists: Lists::default(),
            outcomes: Outcomes::default(),
            backoff: CommitBackoff::new(config.retry_delay),
            failure: None,
            failure_logged: false,
            replies: VecDeque::new(),
            unavailable: Vec::new(),
            refused: Vec::new(),
            heard: None,
            reachability: Reachability::default(),
            fatal: None,
        }
    }

    /// An agency's requests have changed, or what they came to.
    fn note_change(&mut self, agency: Agency) {
        let Some(lane) = self.lanes.get_mut(&agency) else { return };
        self.leaving.insert(agency);
        if lane.next().is_some() && !std::mem::replace(&mut lane.is_queued, true) {
            self.dirty.push_back(agency);
        }
    }

    /// Hands to the store what has gathered, as far as it has room; nothing once that has stopped, of which
    /// the event may still be queued.
    fn write(&mut self, now: Instant) {
        while self.store.is_ready()
            && let Some(agency) = self.dirty.pop_front()
        {
            if !self.write_next(agency, now) {
                return self.dirty.push_front(agency);
            }
        }
    }

    /// Hands over what is next for an agency. Returns `false` if there is no room.
    fn write_next(&mut self, agency: Agency, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(&agency) else { return true };
        lane.is_queued = false;
        let Some(next) = lane.next() else { return true };
        let taken = match next {
            Next::Commit => self.store.commit(agency, &commit(lane.gathered()), now),
            Next::End => self.store.end(agency, now),
        };
        match taken {
            Ok(()) => lane.begin(next, now),
            Err(NotTaken::Full) => {
                lane.is_queued = true;
                return false;
            }
            Err(error) => {
                debug_assert!(false, "{error}");
                // The agency comes back, and its account is read again.
                let reason = error.to_string();
                self.refuse(agency, ProtocolError::new(ErrorCode::StoreUnreachable, reason));
            }
        }
        true
    }

    /// A refusal in the words of a lottery whose draw has a name.
    fn named(&self, refusal: Refusal) -> Refusal {
        match (refusal, self.terms.draw) {
            (Refusal::Drawn, Some(draw)) => Refusal::DrawnOf { draw },
            (refusal, _) => refusal,
        }
    }

    /// The agency can't go on here.
    fn refuse(&mut self, agency: Agency, error: ProtocolError) {
        if let Some(to) = self.end_lane(agency) {
            self.refused.push((to, error));
        }
    }

    /// Ends an agency's lane, and whatever waits for its turn: of its replies those that close the
    /// connection are left. Returns which connection that is.
    fn end_lane(&mut self, agency: Agency) -> Option<ConnectionId> {
        let lane = self.lanes.remove(&agency)?;
        let to = lane.to;
        if lane.is_queued {
            self.dirty.retain(|queued| *queued != agency);
        }
        self.lists.forget(to);
        self.replies.extend(lane.into_last_replies());
        Some(to)
    }

    /// Sends agencies elsewhere whose requests etcd hasn't answered for too long, and all, if nothing is
    /// heard of it.
    fn lose_patience(&mut self, now: Instant) {
        let is_long = |since: Instant| now.saturating_duration_since(since) >= self.patience;
        // Where nothing else happens, etcd is heard of at each poll.
        let silent = self.heard.is_some_and(|since| is_long(since + POLL_INTERVAL));
        let is_late = |agency| self.store.unknown_since(agency).is_some_and(is_long);
        let late = self.lanes.keys().copied().filter(|agency| silent || is_late(*agency));
        for agency in late.collect::<Vec<_>>() {
            self.store.leave(agency, now);
            let reason =
                "this central has no answer from etcd (SERVER_ETCD_ENDPOINTS): another one may";
            self.refuse(agency, ProtocolError::new(ErrorCode::StoreUnreachable, reason));
        }
    }

    /// Does what the store asks for, and takes what it reports, until there is nothing left of both.
    fn pump(&mut self, cx: &mut impl Context) {
        let now = cx.now();
        loop {
            while let Some(action) = self.store.poll_action() {
                self.links.act(cx, &action);
            }
            let Some(event) = self.store.poll_event() else { return };
            self.on_event(cx, event, now);
        }
    }

    fn set_timers(&mut self, cx: &mut impl Context) {
        let at = self.store.next_deadline();
        cx.set_timer(timers::STORE, at.map(|at| at.saturating_duration_since(cx.now())));
        timers::set_commit_timers(cx, &mut self.backoff);
    }

    fn log_failure(&mut self, log: &mut LogBudget) {
        if let Some(reason) = self.failure.take()
            && log.allows(Cause::CommitFailed)
        {
            let line = Line::new("commit", InProgress).with_bytes("error", &*reason);
            log_line!(Level::Warn, line);
            self.failure_logged = true;
        }
    }
}

fn commit(gathered: &Gathered) -> cluster::Commit<'_> {
    cluster::Commit {
        count_stored: gathered.stored,
        count_rejected: gathered.rejected,
        checksum: gathered.checksum.0,
        rows: &gathered.rows,
        winning: &gathered.winning,
        winners: gathered.winners,
    }
}

impl Backend for ClusterBackend {
    type Fatal = cluster::Error;

    fn terms(&self) -> Terms {
        self.terms
    }

    fn is_drawn(&self) -> bool {
        self.picture.is_drawn()
    }

    fn awaits_draw(&self) -> bool {
        !self.picture.is_drawn()
    }

    fn has_begun(&self) -> bool {
        self.picture.has_begun()
    }

    fn finished(&self) -> Agency {
        self.picture.finished()
    }

    fn has_finished(&self, agency: Agency) -> bool {
        let here = self.lanes.get(&agency).is_some_and(|lane| lane.pending().finished);
        here || self.account(agency).finished
    }

    fn standing(&self) -> Standing {
        self.picture.standing()
    }

    fn pending_standing(&self) -> Standing {
        self.picture.standing()
    }

    fn account(&self, agency: Agency) -> Account {
        self.picture.account(agency)
    }

    fn winners(&self, agency: Agency) -> Option<u64> {
        self.is_drawn().then(|| self.picture.winners(agency))
    }

    fn progress_elsewhere(&self, agency: Agency) -> Option<Instant> {
        self.picture.progress_elsewhere(agency)
    }

    fn introduce(&mut self, cx: &mut impl Context, to: ConnectionId, agency: Agency) {
        self.end_lane(agency);
        self.lanes.insert(agency, Lane::new(agency, to));
        self.store.hello(agency, cx.now());
        self.pump(cx);
    }

    fn leave(&mut self, cx: &mut impl Context, connection: ConnectionId, agency: Agency) {
        if self.lanes.get(&agency).is_some_and(|lane| lane.to == connection) {
            self.end_lane(agency);
            self.store.leave(agency, cx.now());
            self.pump(cx);
        }
    }

    fn agency_standing(&self, agency: Agency) -> AgencyStanding {
        match self.lanes.get(&agency) {
            Some(lane) => lane.agency_standing(agency),
            None => self.account(agency).standing(self.is_drawn()),
        }
    }

    fn perform(&mut self, agency: Agency, request: &Request<'_>) -> Result<Reply, Refusal> {
        if let Some(lane) = self.lanes.get_mut(&agency) {
            let before = lane.gathered().len();
            let outcome = requests::perform(lane, &self.backoff, agency, request);
            self.waiting.bytes += lane.gathered().len() - before;
            return outcome.map_err(|refusal| self.named(refusal));
        }
        // It was refused, and then nothing is taken from it. What it is owed is known to nobody here.
        debug_assert!(false, "agency {agency} has no lane");
        Ok(Reply::CloseAfterReplies)
    }

    fn queue(&mut self, pending: PendingReply) {
        let agency = pending.agency;
        self.waiting.replies += 1;
        match self.lanes.get_mut(&agency).filter(|lane| lane.to == pending.to) {
            Some(lane) => lane.queue(pending),
            None => self.replies.push_back(pending),
        }
        self.note_change(agency);
    }

    fn is_full(&self, agency: Option<Agency>, max_replies: usize) -> bool {
        let lane = agency.and_then(|agency| self.lanes.get(&agency));
        lane.is_some_and(|lane| lane.is_full(self.value_max, REQUEST_MAX))
            || self.waiting.bytes >= self.gathered_max
            || self.waiting.replies >= max_replies
    }

    /// What an agency gathers is bounded by itself.
    fn commit_if_large(&mut self, _: &mut LogBudget) {}

    fn advance(
        &mut self,
        cx: &mut impl Context,
        log: &mut LogBudget,
        _: bool,
    ) -> Result<(), cluster::Error> {
        self.write(cx.now());
        self.pump(cx);
        self.reachability.log(&self.store);
        self.log_failure(log);
        self.set_timers(cx);
        self.waiting = Waiting::of(&self.lanes, &self.replies);
        self.fatal.take().map_or(Ok(()), Err)
    }

    fn take_unavailable(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.unavailable)
    }

    fn take_refused(&mut self) -> Vec<(ConnectionId, ProtocolError)> {
        std::mem::take(&mut self.refused)
    }

    fn pop_reply(&mut self) -> Option<PendingReply> {
        if let Some(pending) = self.replies.pop_front() {
            return Some(pending);
        }
        while let Some(agency) = self.leaving.first() {
            if let Some(pending) = self.lanes.get_mut(agency).and_then(Lane::pop_reply) {
                return Some(pending);
            }
            self.leaving.pop_first();
        }
        None
    }

    fn request_winners(&mut self, to: ConnectionId, agency: Agency) {
        self.lists.request(to, agency);
    }

    fn send_winners(
        &mut self,
        cx: &mut impl Context,
        _: usize,
        max_unsent: usize,
    ) -> Result<Vec<ConnectionId>, cluster::Error> {
        if self.is_drawn() {
            for agency in self.lists.take_next(max_unsent, |to| cx.unsent(to)) {
                self.store.winners(agency, cx.now());
            }
            self.pump(cx);
        }
        Ok(self.lists.take_complete())
    }

    fn forget_winners(&mut self, connection: ConnectionId) {
        self.lists.forget(connection);
    }

    /// The next turn's end looks who takes more.
    fn resume_writing(&mut self, _: ConnectionId) {}

    fn on_start(&mut self, cx: &mut impl Context) {
        self.store.start(cx.now());
        self.pump(cx);
        self.set_timers(cx);
        cx.set_timer(timers::STORE_PATIENCE, Some(self.patience / LOOKS));
    }

    fn owns(&self, connection: ConnectionId) -> bool {
        self.links.owns(connection)
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if let Some(number) = self.links.on_open(cx, connection) {
            self.store.on_connected(number, cx.now());
            self.pump(cx);
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if let Some(number) = self.links.number(connection) {
            self.store.on_connected(number, cx.now());
            self.pump(cx);
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let Some(number) = self.links.number(connection) else { return input.len() };
        let consumed = self.store.on_data(number, input, cx.now());
        self.pump(cx);
        consumed
    }

    fn on_lost(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        reason: Option<&CloseReason>,
    ) {
        self.reachability.on_lost(reason);
        if let Some(number) = self.links.remove(cx, connection) {
            self.store.on_closed(number, cx.now());
            self.pump(cx);
        }
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            timers::STORE => {
                self.store.on_time(cx.now());
                self.pump(cx);
            }
            timers::STORE_PATIENCE => {
                self.lose_patience(cx.now());
                self.pump(cx);
                cx.set_timer(timers::STORE_PATIENCE, Some(self.patience / LOOKS));
            }
            timers::COMMIT_RETRY => self.backoff.on_timer(),
            timers::COMMIT_QUIET => self.backoff.on_quiet(),
            _ => {}
        }
    }

    fn is_idle(&self) -> bool {
        self.replies.is_empty() && self.lanes.values().all(|lane| lane.waiting_replies() == 0)
    }

    fn not_ready(&self) -> Option<NotReady> {
        match () {
            () if !self.store.is_ready() => Some(NotReady::Recovering),
            () if self.backoff.is_failing() => Some(NotReady::LedgerFull),
            () if self.heard.is_none() || !self.store.is_reachable() => {
                Some(NotReady::StorageFailing)
            }
            () => None,
        }
    }

    /// etcd knows, and its own metrics say so.
    fn usage(&self) -> (u64, Option<u64>) {
        (0, None)
    }

    fn commit_durations(&self) -> &CommitDurations {
        self.outcomes.durations()
    }

    fn commit_failures(&self) -> u64 {
        self.outcomes.failures()
    }

    fn write_metrics(&self, out: &mut Exposition) {
        self.outcomes.write(&self.store, out);
    }
}
