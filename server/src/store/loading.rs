//! Reads the lottery back from a ledger: its state, and every bet.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ledger::{Malformed, OpenError, Paths, Replay, RowReader, Snapshot};
use wire::Agency;

use super::error::StoreError;
use super::snapshot;
use super::terms::Terms;
use crate::lottery::{DrawMismatch, Entry, State};
use crate::row::{self, StoredBet};

/// What the opening of a ledger found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// To the two files.
    pub files: ledger::Recovery,
    /// Rows in the ledger.
    pub rows: u64,
    /// Rows of commits that were read from the wal.
    pub commit_rows: u64,
    /// Agencies that the ledger was for until now, if not the same.
    pub agencies_before: Option<Agency>,
}

/// Takes in what a ledger holds; every bet is handed to `visit`.
pub(super) struct Loader<V> {
    visit: V,
    /// The lottery that the ledger is opened for.
    terms: Terms,
    /// The one that the ledger is for, as it says itself.
    pub(super) recorded: Option<Terms>,
    pub(super) state: State,
    counts: Counts,
    commit_rows: u64,
    paths: Option<Paths>,
}

impl<V> Loader<V> {
    pub(super) fn new(terms: Terms, visit: V) -> Self {
        Self {
            visit,
            terms,
            // What a new one will say.
            recorded: Some(terms),
            state: State::default(),
            counts: Counts::default(),
            commit_rows: 0,
            paths: None,
        }
    }

    pub(super) fn recovery(&self, files: ledger::Recovery) -> Recovery {
        Recovery {
            files,
            rows: self.counts.total(),
            commit_rows: self.commit_rows,
            agencies_before: self
                .recorded
                .map(|recorded| recorded.agencies)
                .filter(|agencies| *agencies != self.terms.agencies),
        }
    }
}

impl<V: FnMut(&StoredBet<'_>)> Replay for Loader<V> {
    type Error = StoreError;

    fn snapshot(&mut self, snapshot: Snapshot<'_>) -> Result<(), Malformed> {
        (self.recorded, self.state) = snapshot::decode(snapshot).ok_or(Malformed)?;
        Ok(())
    }

    fn commit(&mut self, meta: &[u8]) -> Result<(), Malformed> {
        for entry in &Entry::decode_all(meta).ok_or(Malformed)? {
            self.state.apply(entry);
        }
        Ok(())
    }

    /// A ledger is of one draw, for ever; one from before draws had names, of the unnamed one. A lottery
    /// never gets smaller: the draw would run without agencies that have bets. It may grow until the draw,
    /// which is of those who took part.
    fn check(&mut self, paths: &Paths) -> Result<(), StoreError> {
        self.paths = Some(paths.clone());
        let Terms { agencies, draw } = self.recorded.unwrap_or(Terms::from(0));
        let paths = paths.clone();
        if draw != self.terms.draw {
            let draws = Box::new(DrawMismatch { expected: self.terms.draw, found: draw });
            return Err(StoreError::OtherDraw { paths, draws });
        }
        let recorded = agencies.max(self.state.highest_agency());
        let configured = self.terms.agencies;
        match configured.cmp(&recorded) {
            Ordering::Less => Err(StoreError::FewerAgencies { paths, recorded, configured }),
            Ordering::Greater if self.state.drawn => {
                Err(StoreError::MoreAgencies { paths, recorded, configured })
            }
            _ => Ok(()),
        }
    }

    fn rows(&mut self, rows: &mut RowReader<'_>) -> Result<(), StoreError> {
        let from_wal = rows.checkpoint_len();
        let path = self.paths.as_ref().map(|paths| paths.rows.clone()).unwrap_or_default();
        let loaded = row::load_bets(rows, |bet| {
            self.counts.add(bet.agency);
            self.commit_rows += u64::from(bet.offset >= from_wal);
            (self.visit)(bet);
        });
        loaded.map_err(|source| StoreError::Row { path: path.clone(), source })?;
        match self.counts.difference(&self.state) {
            None => Ok(()),
            Some((agency, expected, found)) => {
                Err(StoreError::Miscounted { path, agency, expected, found })
            }
        }
    }
}

impl From<OpenError<StoreError>> for StoreError {
    fn from(error: OpenError<StoreError>) -> Self {
        match error {
            OpenError::Ledger(error) => Self::Ledger(error),
            OpenError::Refused(error) => error,
        }
    }
}

/// Rows of each agency.
#[derive(Debug, Default)]
struct Counts(BTreeMap<Agency, u64>);

impl Counts {
    fn add(&mut self, agency: Agency) {
        *self.0.entry(agency).or_default() += 1;
    }

    fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The rows must be as many as the state says: an agency of which they aren't, how many were
    /// expected, and found.
    fn difference(&self, state: &State) -> Option<(Agency, u64, u64)> {
        let known = state.accounts().map(|(agency, account)| (agency, account.stored));
        let unknown = self.0.keys().map(|agency| (*agency, state.account(*agency).stored));
        let expected = known.chain(unknown);
        let found = |agency| self.0.get(&agency).copied().unwrap_or_default();
        let mut counted = expected.map(|(agency, expected)| (agency, expected, found(agency)));
        counted.find(|(_, expected, found)| expected != found)
    }
}
