//! The state machine: what agencies ask of one central, and what becomes of it in etcd.
//!
//! The driver of a [`ClusterStore`]
//!
//! 1. brings input: [`start`](ClusterStore::start) once; [`hello`](ClusterStore::hello),
//!    [`commit`](ClusterStore::commit), [`end`](ClusterStore::end),
//!    [`winners`](ClusterStore::winners), [`leave`](ClusterStore::leave) of its agencies;
//!    [`on_connected`](ClusterStore::on_connected), [`on_data`](ClusterStore::on_data),
//!    [`on_closed`](ClusterStore::on_closed); [`on_time`](ClusterStore::on_time), no later than
//!    shortly after [`next_deadline`](ClusterStore::next_deadline);
//! 2. and after each of them takes what came of it, all of it: [`poll_action`](ClusterStore::poll_action),
//!    [`poll_event`](ClusterStore::poll_event). Then both queues hold only what one input can cause.
//!
//! One thing at a time is under way for an agency: its hello, a commit, its end, or a page of winners. Each is
//! answered once, unless the agency leaves or says hello before.

pub(crate) mod completions;
pub(crate) mod drawing;
pub(crate) mod paging;
pub(crate) mod starting;
pub(crate) mod submitting;
pub(crate) mod writes;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use etcd::{Action, Client, ConnectionNumber, Counters};

use crate::account::Account;
use crate::agencies::{Agencies, Stage, Write};
use crate::config::{ACCOUNTS_PAGE, Config, ConfigError};
use crate::error::Error;
use crate::event::Event;
use crate::keys::Keys;
use crate::tickets::Tickets;

/// One central's part of a lottery in etcd.
pub struct ClusterStore {
    client: Client,
    config: Config,
    keys: Keys,
    /// Draws sessions, and the draw's id. No two numbers of any central may be the same.
    random: Box<dyn FnMut() -> u64>,
    beginning: Beginning,
    agencies: Agencies,
    tickets: Tickets,
    poll: Poll,
    /// When the draw is to be held, once all have finished.
    close_at: Option<Instant>,
    /// Who has held the draw.
    drawn: Option<String>,
    /// How many keys of winners are read at once.
    winners_page: u32,
    events: VecDeque<Event>,
}

/// How far the central is.
#[derive(Debug)]
enum Beginning {
    /// It wasn't started.
    New,
    /// `meta` is read, or will be then.
    Reading(Instant),
    /// `meta` is created with these bytes.
    Creating(Vec<u8>),
    /// `meta` has these bytes.
    Begun(Vec<u8>),
    /// It has stopped.
    Stopped,
}

/// What is read next of how far the lottery is.
#[derive(Debug)]
struct Poll {
    /// When.
    at: Option<Instant>,
    /// The last account that was read; `None` to begin with the first.
    last: Option<Vec<u8>>,
    /// How many accounts are read at once.
    page: u32,
}

/// Consecutive bets of an agency, from the first one that isn't consumed on; at least one.
#[derive(Clone, Copy)]
pub struct Commit<'a> {
    /// How many of them are stored.
    pub count_stored: u64,
    /// How many were in rejected batches.
    pub count_rejected: u64,
    /// Checksum of all bets of the agency up to the last of these.
    pub checksum: u32,
    /// The rows that are stored; empty if and only if there are none.
    pub rows: &'a [u8],
    /// Documents of the winning ones among them, each with a line feed behind it.
    pub winning: &'a [u8],
    /// How many those are.
    pub winners: u64,
}

impl Commit<'_> {
    fn applied_to(&self, account: &Account) -> Account {
        Account {
            consumed: account.consumed + self.count_stored + self.count_rejected,
            checksum: self.checksum,
            stored: account.stored + self.count_stored,
            rejected: account.rejected + self.count_rejected,
            winners: account.winners + self.winners,
            ..*account
        }
    }
}

impl fmt::Debug for Commit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("count_stored", &self.count_stored)
            .field("count_rejected", &self.count_rejected)
            .field("rows_len", &self.rows.len())
            .field("winners", &self.winners)
            .finish_non_exhaustive()
    }
}

/// Why a commit or an end isn't taken. Nothing follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// There is no room now: again, when something is completed.
    #[error("expected room for a request to etcd, found none now")]
    Full,
    /// It will never have room.
    #[error("expected at most {max} bytes of rows and documents in a commit, found {found}")]
    TooLarge {
        /// The most, by the limits of etcd's client.
        max: usize,
        /// The commit's.
        found: usize,
    },
    /// The agency has no open session here, or something is under way for it: the driver's mistake.
    #[error("expected agency {agency} with an open session and nothing under way, found otherwise")]
    NotOpen {
        /// Which agency.
        agency: u32,
    },
}

impl ClusterStore {
    /// A central's part that has asked nothing yet. `random` draws numbers of which none comes twice, at
    /// whichever central: from a generator that the system has seeded.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: Config, random: Box<dyn FnMut() -> u64>) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            client: Client::new(config.etcd.clone())?,
            keys: Keys::new(&config.draw),
            random,
            beginning: Beginning::New,
            agencies: Agencies::default(),
            tickets: Tickets::default(),
            poll: Poll { at: None, last: None, page: ACCOUNTS_PAGE },
            close_at: None,
            drawn: None,
            winners_page: config.winners_page,
            events: VecDeque::new(),
            config,
        })
    }

    /// Begins: reads what the draw is, or begins it. [`Event::Ready`] or [`Event::Stopped`] follows.
    pub fn start(&mut self, now: Instant) {
        if let Beginning::New = self.beginning {
            self.beginning = Beginning::Reading(now);
            self.advance(now);
        }
    }

    /// Begins a session for an agency, from 1 to their number; it waits for room, and until the
    /// central is ready. A session that it had here is dropped with what was under way, and nothing
    /// answers that any more. Hellos of an agency that come soon one behind the other are answered once.
    ///
    /// [`Event::Opened`], [`Event::Superseded`] or [`Event::Unavailable`] follows.
    pub fn hello(&mut self, agency: u32, now: Instant) {
        // Any other one would count among those that have finished.
        let is_one = (1..=self.config.agencies).contains(&agency);
        debug_assert!(is_one, "agency {agency} of {}", self.config.agencies);
        if !is_one || matches!(self.beginning, Beginning::Stopped) {
            return;
        }
        self.forget_events(agency);
        let ticket = self.agencies.hello(agency, now);
        self.cancel(ticket, now);
        self.advance(now);
    }

    /// Stores bets of an agency, in one transaction. [`Event::Committed`], [`Event::Superseded`],
    /// [`Event::Closed`] or [`Event::Unavailable`] follows.
    ///
    /// etcd itself takes 1.5 MiB in a transaction, if it isn't configured otherwise.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn commit(
        &mut self,
        agency: u32,
        commit: &Commit<'_>,
        now: Instant,
    ) -> Result<(), NotTaken> {
        let known = self.open_account(agency).ok_or(NotTaken::NotOpen { agency })?;
        let write = Write { known, wanted: commit.applied_to(&known) };
        self.submit_commit(agency, write, commit, now)
    }

    /// Takes an agency's END. [`Event::Ended`], [`Event::Superseded`], [`Event::Closed`] or
    /// [`Event::Unavailable`] follows; the first without asking etcd, if the agency has finished before.
    ///
    /// # Errors
    /// [`NotTaken`], but for [`NotTaken::TooLarge`].
    pub fn end(&mut self, agency: u32, now: Instant) -> Result<(), NotTaken> {
        if let Some(Stage::Finished { account, .. }) = self.stage(agency) {
            let account = *account;
            self.events.push_back(Event::Ended { agency, account });
            return Ok(());
        }
        let known = self.open_account(agency).ok_or(NotTaken::NotOpen { agency })?;
        let write = Write { known, wanted: Account { is_finished: true, ..known } };
        self.submit_end(agency, write, now)
    }

    /// Asks for an agency's winners: for the first page, or the one behind that which was answered last.
    /// Behind the last page, the first one follows again. [`Event::Winners`] follows, after the draw.
    /// Ignored while a page is asked for, and before the agency has finished.
    pub fn winners(&mut self, agency: u32, now: Instant) {
        self.agencies.ask_page(agency);
        self.advance(now);
    }

    /// The agency isn't there any more: what is under way for it is cancelled, and may be done
    /// nevertheless. Nothing answers it.
    pub fn leave(&mut self, agency: u32, now: Instant) {
        self.forget_events(agency);
        let ticket = self.agencies.remove(agency);
        self.cancel(ticket, now);
        self.advance(now);
    }

    /// A connection is established.
    pub fn on_connected(&mut self, connection: ConnectionNumber, now: Instant) {
        self.client.on_connected(connection, now);
        self.advance(now);
    }

    /// Bytes have arrived, as [`Client::on_data`] takes them. Returns how many are consumed.
    pub fn on_data(&mut self, connection: ConnectionNumber, input: &[u8], now: Instant) -> usize {
        let consumed = self.client.on_data(connection, input, now);
        self.advance(now);
        consumed
    }

    /// A connection was ended or lost, or couldn't be established.
    pub fn on_closed(&mut self, connection: ConnectionNumber, now: Instant) {
        self.client.on_closed(connection, now);
        self.advance(now);
    }

    /// It is `now`.
    pub fn on_time(&mut self, now: Instant) {
        self.client.on_time(now);
        self.advance(now);
    }

    /// When [`on_time`](Self::on_time) has something to do, if nothing else comes before.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.client.next_deadline(), self.next_submission()].into_iter().flatten().min()
    }

    /// The next thing to be done with a connection to etcd.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        self.client.poll_action()
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the draw is known, and nothing has stopped the central.
    pub fn is_ready(&self) -> bool {
        matches!(self.beginning, Beginning::Begun(_))
    }

    /// Whether etcd has responded, and the member that is asked hasn't failed since.
    pub fn is_reachable(&self) -> bool {
        self.client.cluster_id().is_some() && !self.client.is_current_suspect()
    }

    /// Whether a commit of so many bytes of rows and documents would be taken now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.has_room_for(bytes)
    }

    /// What etcd's client has done so far.
    pub fn counters(&self) -> &Counters {
        self.client.counters()
    }

    /// How many requests to etcd are waiting or under way.
    pub fn requests(&self) -> usize {
        self.client.requests()
    }

    /// Index of the endpoint that is asked.
    pub fn current_endpoint(&self) -> usize {
        self.client.current_endpoint()
    }

    /// Since when an agency waits for etcd: what it asked for may be done, or not.
    pub fn unknown_since(&self, agency: u32) -> Option<Instant> {
        self.agencies.get(agency)?.since
    }

    fn stage(&self, agency: u32) -> Option<&Stage> {
        self.agencies.get(agency).map(|found| &found.stage)
    }

    /// The account of an agency that may commit.
    fn open_account(&self, agency: u32) -> Option<Account> {
        match self.stage(agency) {
            Some(Stage::Open(account)) => Some(*account),
            _ => None,
        }
    }

    /// Events that answer the agency are answers to what it has given up.
    fn forget_events(&mut self, agency: u32) {
        self.events.retain(|event| event.agency() != Some(agency));
    }

    /// Nothing is done any more.
    fn stop(&mut self, error: Error, now: Instant) {
        self.beginning = Beginning::Stopped;
        self.agencies.clear();
        for ticket in self.tickets.take_all() {
            self.client.cancel(ticket, now);
        }
        self.client.unwatch();
        (self.poll.at, self.close_at) = (None, None);
        self.events.push_back(Event::Stopped(error));
    }
}

impl fmt::Debug for ClusterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterStore")
            .field("draw", &self.config.draw)
            .field("central", &self.config.central)
            .field("client", &self.client)
            .field("drawn", &self.drawn)
            .finish_non_exhaustive()
    }
}
