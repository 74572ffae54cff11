//! A ledger read back and counted: every row, every entry of the wal, and whether they agree.
//!
//! More than a start looks at: entries that the lottery would never have staged, and rows of the last commits
//! that aren't those of their entries. Holds one row at a time, and an account for each agency.
//!
//! Must not know files; where rows go that are copied, it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use ledger::{Malformed, Paths, Replay, RowReader, Snapshot};
use wire::{Agency, bet};

use crate::lottery::{Entry, State};
use crate::row::{self, StoredBet};
use crate::store::{StoreError, Terms, decode_snapshot, encode_snapshot};

/// What was counted of an agency's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// Rows that win.
    pub winners: u64,
}

/// Takes rows on their way.
pub type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Takes a bet on its way.
pub type Visit<'s> = &'s mut dyn FnMut(&StoredBet<'_>);

/// What is counted.
#[derive(Default)]
pub struct Audit<'s> {
    /// For which lottery the ledger is, if it says so.
    pub recorded: Option<Terms>,
    /// What the wal says.
    pub state: State,
    /// What the rows are.
    pub tallies: BTreeMap<Agency, Tally>,
    /// Stored batches of the commits behind the last checkpoint: whose, and how many rows are still to come.
    batches: VecDeque<(Agency, u64)>,
    /// Gets all rows as they are.
    sink: Option<Sink<'s>>,
    /// Gets every bet.
    visit: Option<Visit<'s>>,
    paths: Option<Paths>,
}

impl std::fmt::Debug for Audit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<'s> Audit<'s> {
    /// Rows go to `sink` too, as they are.
    pub fn with_sink(sink: Sink<'s>) -> Self {
        Self { sink: Some(sink), ..Self::default() }
    }

    /// Every bet goes to `visit` too.
    pub fn with_visit(visit: Visit<'s>) -> Self {
        Self { visit: Some(visit), ..Self::default() }
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.tallies.values().map(|tally| tally.rows).sum()
    }

    /// Rows that win.
    pub fn winners(&self) -> u64 {
        self.tallies.values().map(|tally| tally.winners).sum()
    }

    /// The state as a checkpoint keeps it.
    pub fn snapshot<'b>(&self, out: &'b mut Vec<u8>) -> Snapshot<'b> {
        encode_snapshot(self.recorded, &self.state, out)
    }

    /// Whether the lottery may have staged this entry after those before it.
    fn is_possible(&self, entry: &Entry) -> bool {
        let is_open = |agency| !self.state.drawn && !self.state.account(agency).finished;
        match *entry {
            Entry::Batch { agency, count, .. } => count > 0 && is_open(agency),
            Entry::Finished { agency } => is_open(agency),
            Entry::Drawn => !self.state.drawn,
        }
    }

    /// The rows must be as many as the wal says.
    fn compare(&self) -> Result<(), StoreError> {
        let known = self.state.accounts().map(|(agency, _)| agency);
        for agency in known.chain(self.tallies.keys().copied()) {
            let expected = self.state.account(agency).stored;
            let found = self.tallies.get(&agency).map_or(0, |tally| tally.rows);
            if expected != found {
                let path = self.path();
                return Err(StoreError::Miscounted { path, agency, expected, found });
            }
        }
        Ok(())
    }

    fn path(&self) -> std::path::PathBuf {
        self.paths.as_ref().map(|paths| paths.rows.clone()).unwrap_or_default()
    }
}

impl Replay for Audit<'_> {
    type Error = StoreError;

    fn snapshot(&mut self, snapshot: Snapshot<'_>) -> Result<(), Malformed> {
        (self.recorded, self.state) = decode_snapshot(snapshot).ok_or(Malformed)?;
        let sums = |(_, account): (_, &crate::lottery::Account)| {
            account.stored.checked_add(account.rejected) == Some(account.consumed)
        };
        if self.state.accounts().all(sums) { Ok(()) } else { Err(Malformed) }
    }

    fn commit(&mut self, meta: &[u8]) -> Result<(), Malformed> {
        for entry in &Entry::decode_all(meta).ok_or(Malformed)? {
            if !self.is_possible(entry) {
                return Err(Malformed);
            }
            if let Entry::Batch { agency, count, stored: true, .. } = *entry {
                self.batches.push_back((agency, u64::from(count)));
            }
            self.state.apply(entry);
        }
        Ok(())
    }

    /// Whatever lottery it is of.
    fn check(&mut self, paths: &Paths) -> Result<(), StoreError> {
        self.paths = Some(paths.clone());
        Ok(())
    }

    fn rows(&mut self, rows: &mut RowReader<'_>) -> Result<(), StoreError> {
        let from_wal = rows.checkpoint_len();
        let mut counting = Counting {
            tallies: &mut self.tallies,
            last: (0, Tally::default()),
            batches: &mut self.batches,
            stray: None,
        };
        let (mut sink, mut visit) = (self.sink.take(), self.visit.take());
        let rows = Tee { rows, sink: &mut sink };
        let loaded = row::load_bets(rows, |bet| {
            counting.add(bet, bet.offset >= from_wal);
            if let Some(visit) = &mut visit {
                visit(bet);
            }
        });
        let stray = counting.end();
        let path = self.path();
        loaded.map_err(|source| StoreError::Row { path: path.clone(), source })?;
        if let Some(Stray { agency, offset }) = stray {
            return Err(StoreError::StrayRow { path, agency, offset });
        }
        self.compare()
    }
}

/// A row of an agency that no batch has brought at this place.
#[derive(Debug, Clone, Copy)]
struct Stray {
    agency: Agency,
    offset: u64,
}

/// Counts rows, and compares those of the last commits with their batches.
struct Counting<'a> {
    tallies: &'a mut BTreeMap<Agency, Tally>,
    /// Most rows are of the same agency as the one before them.
    last: (Agency, Tally),
    batches: &'a mut VecDeque<(Agency, u64)>,
    stray: Option<Stray>,
}

impl Counting<'_> {
    fn add(&mut self, stored: &StoredBet<'_>, is_of_commit: bool) {
        let agency = stored.agency;
        if self.last.0 != agency {
            self.put_last();
            self.last = (agency, self.tallies.get(&agency).copied().unwrap_or_default());
        }
        self.last.1.rows += 1;
        self.last.1.winners += u64::from(bet::has_won(stored.bet.number));
        if is_of_commit && !self.is_next(agency) {
            self.stray.get_or_insert(Stray { agency, offset: stored.offset });
        }
    }

    /// Whether the next row is one of this agency.
    fn is_next(&mut self, agency: Agency) -> bool {
        let Some((owner, left)) = self.batches.front_mut() else { return false };
        let is_right = *owner == agency;
        *left -= 1;
        if *left == 0 {
            self.batches.pop_front();
        }
        is_right
    }

    fn put_last(&mut self) {
        let (agency, tally) = self.last;
        if agency > 0 {
            self.tallies.insert(agency, tally);
        }
    }

    fn end(mut self) -> Option<Stray> {
        self.put_last();
        self.stray
    }
}

/// Rows that are copied on their way.
struct Tee<'t, 'r, 's> {
    rows: &'t mut RowReader<'r>,
    sink: &'t mut Option<Sink<'s>>,
}

impl Read for Tee<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.rows.read(buffer)?;
        if let Some(sink) = &mut self.sink {
            sink(&buffer[..count])?;
        }
        Ok(count)
    }
}
