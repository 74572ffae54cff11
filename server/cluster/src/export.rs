//! Reads all rows of a draw at one revision of etcd, agency by agency: what `bets.csv` of a ledger would
//! have, each agency's rows in order.
//!
//! A state machine like [`ClusterStore`](crate::ClusterStore), and driven like it. Only reads. Knows no file.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use etcd::{
    Action, Client, Completion, ConnectionNumber, KeyValue, Range, RangeResponse, Request,
    Response, Ticket,
};

use crate::account::Account;
use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::found;
use crate::keys::{KeyRange, Keys};
use crate::meta;
use crate::transactions;

/// Keys that are read at once at first: each is of one commit. Fewer, if they are too large together.
const PAGE: u32 = 16;

/// What an export reports.
#[derive(Clone, PartialEq, Eq)]
pub enum ExportEvent {
    /// The next rows.
    Rows(Vec<u8>),
    /// There are no more. The last event.
    Done {
        /// The revision that they are of.
        revision: i64,
        /// How many rows there were.
        bets: u64,
        /// Agencies that have finished.
        finished: u32,
    },
    /// It can't be had. The last event.
    Failed(Error),
}

impl fmt::Debug for ExportEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What people have bet isn't shown.
            Self::Rows(rows) => f.debug_tuple("Rows").field(&rows.len()).finish(),
            Self::Done { revision, bets, finished } => f
                .debug_struct("Done")
                .field("revision", revision)
                .field("bets", bets)
                .field("finished", finished)
                .finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Meta,
    Account(u32),
    Rows { agency: u32, account: Account, rest: KeyRange, found: u64 },
    Ended,
}

/// An export under way.
pub struct Export {
    client: Client,
    keys: Keys,
    agencies: u32,
    max_response_bytes: usize,
    step: Step,
    /// The revision of the first response.
    revision: i64,
    page: u32,
    bets: u64,
    finished: u32,
    /// Counts the requests.
    ticket: u64,
    events: VecDeque<ExportEvent>,
}

impl Export {
    /// An export of the draw of this configuration that has asked nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            keys: Keys::new(&config.draw),
            agencies: config.agencies,
            max_response_bytes: config.etcd.max_response_bytes,
            client: Client::new(config.etcd)?,
            step: Step::Meta,
            revision: 0,
            page: PAGE,
            bets: 0,
            finished: 0,
            ticket: 0,
            events: VecDeque::new(),
        })
    }

    /// Begins.
    pub fn start(&mut self, now: Instant) {
        self.ask(now);
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
        self.client.next_deadline()
    }

    /// The next thing to be done with a connection to etcd.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        self.client.poll_action()
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<ExportEvent> {
        self.events.pop_front()
    }

    fn advance(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            let outcome = match event {
                etcd::Event::Completed { completion, .. } => self.on_completed(completion),
                etcd::Event::OtherCluster { expected, found, endpoint } => {
                    Err(Error::OtherCluster { expected, found, endpoint })
                }
                etcd::Event::WatchStarted(_) | etcd::Event::Changed(..) => Ok(()),
            };
            if let Err(error) = outcome {
                self.step = Step::Ended;
                self.events.push_back(ExportEvent::Failed(error));
            }
            self.ask(now);
        }
    }

    /// Asks for what is next.
    fn ask(&mut self, now: Instant) {
        self.ticket += 1;
        let (ticket, revision) = (Ticket(self.ticket), self.revision);
        let submitted = match &self.step {
            Step::Meta => transactions::read_meta(&self.keys, |request| {
                self.client.submit(request, ticket, now)
            }),
            Step::Account(agency) => {
                let key = self.keys.account(*agency);
                let range = Range { revision, ..Range::of_key(&key) };
                self.client.submit(&Request::Range(range), ticket, now)
            }
            Step::Rows { rest, .. } => {
                let range =
                    Range { revision, limit: self.page, ..Range::between(&rest.first, &rest.end) };
                self.client.submit(&Request::Range(range), ticket, now)
            }
            Step::Ended => Ok(()),
        };
        debug_assert!(submitted.is_ok(), "one request at a time");
    }

    fn on_completed(&mut self, completion: Completion) -> Result<(), Error> {
        match (completion, self.step.clone()) {
            (Completion::Done(response), step) => self.on_response(response, step),
            (Completion::TooLarge, Step::Rows { .. }) if self.page > 1 => {
                self.page /= 2;
                Ok(())
            }
            (Completion::TooLarge, _) => {
                Err(Error::ResponseTooLarge { max: self.max_response_bytes })
            }
            (Completion::Unauthorized(refusal), _) => Err(Error::Unauthorized(refusal)),
            (Completion::Misused(refusal), _) => Err(Error::Misused(refusal)),
            (Completion::NoSpace, _) => Err(Error::Response { expected: "an answer to a read" }),
        }
    }

    fn on_response(&mut self, response: Response, step: Step) -> Result<(), Error> {
        match step {
            Step::Meta => {
                let txn = found::txn(response)?;
                let key = self.keys.meta();
                let bytes = found::value(found::range(&txn, 0)?).ok_or(Error::Deleted)?;
                meta::check(&key, bytes, self.agencies)?;
                self.revision = txn.header.revision;
                self.step = Step::Account(1);
                Ok(())
            }
            Step::Account(agency) => {
                let range = range(response)?;
                self.step = match found::account(&self.keys, agency, &range)? {
                    None => self.behind(agency),
                    Some(account) => {
                        let rest = self.keys.bets_of(agency);
                        Step::Rows { agency, account, rest, found: 0 }
                    }
                };
                Ok(())
            }
            Step::Rows { agency, account, rest, found } => {
                self.on_rows(range(response)?, agency, account, rest, found)
            }
            Step::Ended => Ok(()),
        }
    }

    fn on_rows(
        &mut self,
        page: RangeResponse,
        agency: u32,
        account: Account,
        rest: KeyRange,
        found: u64,
    ) -> Result<(), Error> {
        let last = page.kvs.last().map(|kv| kv.key.clone());
        let mut count = found;
        for KeyValue { key, value, .. } in page.kvs {
            if value.last() != Some(&b'\n') {
                return Err(Error::corrupt(&key, "rows, each with its line end", b"(not shown)"));
            }
            count += value.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            self.events.push_back(ExportEvent::Rows(value));
        }
        if page.more {
            let last = last.ok_or(Error::Response { expected: "a page with keys" })?;
            self.step = Step::Rows { agency, account, rest: rest.behind(&last), found: count };
            return Ok(());
        }
        if count != account.stored {
            return Err(Error::Rows { agency, expected: account.stored, found: count });
        }
        self.bets += count;
        self.finished += u32::from(account.is_finished);
        self.step = self.behind(agency);
        Ok(())
    }

    /// What comes when nothing more is to be read of an agency.
    fn behind(&mut self, agency: u32) -> Step {
        if agency < self.agencies {
            return Step::Account(agency + 1);
        }
        let Self { revision, bets, finished, .. } = *self;
        self.events.push_back(ExportEvent::Done { revision, bets, finished });
        Step::Ended
    }
}

fn range(response: Response) -> Result<RangeResponse, Error> {
    match response {
        Response::Range(range) => Ok(range),
        Response::Txn(_) => Err(Error::Response { expected: "the response to a read" }),
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("step", &self.step).finish_non_exhaustive()
    }
}
