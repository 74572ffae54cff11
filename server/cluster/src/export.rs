//! Reads all rows of a draw at one revision of etcd, agency by agency: what `bets.csv` of a ledger would
//! have, each agency's rows in order. Everything else that is kept of the draw is read and compared with
//! the accounts where that is asked for.
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
    /// The next documents of winners, each with a line feed behind it. Only where everything is read.
    Documents(Vec<u8>),
    /// That was all of this agency. Only where everything is read.
    Agency {
        /// Which.
        agency: u32,
        /// Its account; `None` if it has none.
        account: Option<Account>,
    },
    /// There are no more. The last event.
    Done {
        /// The revision that they are of.
        revision: i64,
        /// How many rows there were.
        bets: u64,
        /// Agencies that have finished.
        finished: u32,
        /// The draw was held; false where not everything is read.
        is_drawn: bool,
    },
    /// It can't be had. The last event.
    Failed(Error),
}

impl fmt::Debug for ExportEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What people have bet isn't shown.
            Self::Rows(rows) => f.debug_tuple("Rows").field(&rows.len()).finish(),
            Self::Documents(documents) => {
                f.debug_tuple("Documents").field(&documents.len()).finish()
            }
            Self::Agency { agency, account } => {
                f.debug_struct("Agency").field("agency", agency).field("account", account).finish()
            }
            Self::Done { revision, bets, finished, is_drawn } => f
                .debug_struct("Done")
                .field("revision", revision)
                .field("bets", bets)
                .field("finished", finished)
                .field("is_drawn", is_drawn)
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
    Rows { of: Of, rest: KeyRange, found: u64 },
    Winners { of: Of, rest: KeyRange, found: u64 },
    End(Of),
    Closed,
    Ended,
}

/// An agency whose values are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Of {
    agency: u32,
    /// `None` if it has none: then it has no values either.
    account: Option<Account>,
    /// Where the next rows may begin in its input.
    position: u64,
}

impl Of {
    fn account(&self) -> Account {
        self.account.unwrap_or_default()
    }
}

/// An export under way.
pub struct Export {
    client: Client,
    keys: Keys,
    agencies: u32,
    max_response_bytes: usize,
    /// Whatever is kept of the draw is read, not rows alone.
    everything: bool,
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
            everything: false,
            step: Step::Meta,
            revision: 0,
            page: PAGE,
            bets: 0,
            finished: 0,
            ticket: 0,
            events: VecDeque::new(),
        })
    }

    /// The same, of everything that is kept of the draw: every value is compared with its agency's account.
    #[must_use]
    pub fn of_everything(self) -> Self {
        Self { everything: true, ..self }
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
            Step::End(Of { agency, .. }) => {
                let key = self.keys.finished(*agency);
                let range = Range { revision, ..Range::of_key(&key) };
                self.client.submit(&Request::Range(range), ticket, now)
            }
            Step::Closed => {
                let key = self.keys.closed();
                let range = Range { revision, ..Range::of_key(&key) };
                self.client.submit(&Request::Range(range), ticket, now)
            }
            Step::Rows { rest, .. } | Step::Winners { rest, .. } => {
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
            (Completion::TooLarge, Step::Rows { .. } | Step::Winners { .. }) if self.page > 1 => {
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
                let account = found::account(&self.keys, agency, &range(response)?)?;
                let of = Of { agency, account, position: 0 };
                self.step = match account {
                    None if !self.everything => self.behind(agency),
                    _ => Step::Rows { of, rest: self.keys.bets_of(agency), found: 0 },
                };
                Ok(())
            }
            Step::Rows { of, rest, found } => self.on_rows(range(response)?, of, rest, found),
            Step::Winners { of, rest, found } => self.on_winners(range(response)?, of, rest, found),
            Step::End(of) => self.on_end(&range(response)?, of),
            Step::Closed => self.on_closed_key(&range(response)?),
            Step::Ended => Ok(()),
        }
    }

    fn on_rows(
        &mut self,
        page: RangeResponse,
        mut of: Of,
        rest: KeyRange,
        found: u64,
    ) -> Result<(), Error> {
        let next = behind_page(&page, rest)?;
        let mut total = found;
        for KeyValue { key, value, .. } in page.kvs {
            let count = lines(&key, &value, "rows, each with its line end")?;
            if self.everything {
                of.position = behind_rows(&key, of, count)?;
            }
            total += count;
            self.events.push_back(ExportEvent::Rows(value));
        }
        if let Some(rest) = next {
            self.step = Step::Rows { of, rest, found: total };
            return Ok(());
        }
        let (agency, account) = (of.agency, of.account());
        if total != account.stored {
            return Err(Error::Rows { agency, expected: account.stored, found: total });
        }
        self.bets += total;
        self.finished += u32::from(account.is_finished);
        self.step = if self.everything {
            Step::Winners { of, rest: self.keys.winners_of(agency), found: 0 }
        } else {
            self.behind(agency)
        };
        Ok(())
    }

    fn on_winners(
        &mut self,
        page: RangeResponse,
        of: Of,
        rest: KeyRange,
        found: u64,
    ) -> Result<(), Error> {
        let next = behind_page(&page, rest)?;
        let mut total = found;
        for KeyValue { key, value, .. } in page.kvs {
            total += lines(&key, &value, "documents, each with a line feed")?;
            self.events.push_back(ExportEvent::Documents(value));
        }
        if let Some(rest) = next {
            self.step = Step::Winners { of, rest, found: total };
            return Ok(());
        }
        let (agency, expected) = (of.agency, of.account().winners);
        if total != expected {
            return Err(Error::Winners { agency, expected, found: total });
        }
        self.step = Step::End(of);
        Ok(())
    }

    /// `fin/` of an agency, which is there when its account says so, and only then.
    fn on_end(&mut self, range: &RangeResponse, of: Of) -> Result<(), Error> {
        let key = self.keys.finished(of.agency);
        match (found::value(range), of.account().is_finished) {
            (Some(value), false) => {
                return Err(Error::corrupt(&key, "no such key: its account isn't finished", value));
            }
            (None, true) => {
                return Err(Error::corrupt(&key, "the key: its account is finished", b""));
            }
            _ => {}
        }
        let Of { agency, account, .. } = of;
        self.events.push_back(ExportEvent::Agency { agency, account });
        self.step = self.behind(agency);
        Ok(())
    }

    fn on_closed_key(&mut self, range: &RangeResponse) -> Result<(), Error> {
        let closed = found::closed(&self.keys, range)?;
        if let Some(by) = &closed
            && self.finished < self.agencies
        {
            let expected = "no such key while agencies haven't finished";
            return Err(Error::corrupt(&self.keys.closed(), expected, by.as_bytes()));
        }
        self.step = self.done(closed.is_some());
        Ok(())
    }

    /// What comes when nothing more is to be read of an agency.
    fn behind(&mut self, agency: u32) -> Step {
        match (agency < self.agencies, self.everything) {
            (true, _) => Step::Account(agency + 1),
            (false, true) => Step::Closed,
            (false, false) => self.done(false),
        }
    }

    fn done(&mut self, is_drawn: bool) -> Step {
        let Self { revision, bets, finished, .. } = *self;
        self.events.push_back(ExportEvent::Done { revision, bets, finished, is_drawn });
        Step::Ended
    }
}

/// What is left of a range behind a page of it, if anything is.
fn behind_page(page: &RangeResponse, range: KeyRange) -> Result<Option<KeyRange>, Error> {
    if !page.more {
        return Ok(None);
    }
    let last = page.kvs.last().ok_or(Error::Response { expected: "a page with keys" })?;
    Ok(Some(range.behind(&last.key)))
}

/// How many lines a value has, each of which ends with a line feed.
fn lines(key: &[u8], value: &[u8], expected: &'static str) -> Result<u64, Error> {
    if value.last() != Some(&b'\n') {
        return Err(Error::corrupt(key, expected, b"(not shown)"));
    }
    Ok(value.iter().map(|byte| u64::from(*byte == b'\n')).sum())
}

/// Where rows may begin behind those of this key: they are in the order of the agency's input, and all of
/// them are consumed.
fn behind_rows(key: &[u8], of: Of, count: u64) -> Result<u64, Error> {
    let digits = key.rsplit(|byte| *byte == b'/').next().and_then(|end| str::from_utf8(end).ok());
    let first: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let end =
        first.filter(|first| *first >= of.position).and_then(|first| first.checked_add(count));
    let expected = "a position behind the rows before it, of rows that were consumed";
    let end = end.filter(|end| *end <= of.account().consumed);
    end.ok_or_else(|| Error::corrupt(key, expected, b"(not shown)"))
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
