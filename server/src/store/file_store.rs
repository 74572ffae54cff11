//! The lottery in a [`ledger`]: bets are rows of `bets.csv`, entries are the meta of commits, and the
//! state of all agencies is the snapshot of a checkpoint.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::error::StoreError;
use super::interface::{AppendError, ReadRows, Store};
use super::loading::{Loader, Recovery};
use super::snapshot;
use super::terms::Terms;
use crate::lottery::staged::REQUEST_MAX;
use crate::lottery::{Staged, State};
use crate::row::StoredBet;
use ledger::{Durability, Ledger, Lsn, Options, Paths, Progress, Storage, SyncTarget, Work};

/// Bytes of the smallest commit there is.
const COMMIT_MIN: usize = ledger::commit_record_len(1);

/// The store.
#[derive(Debug)]
pub struct FileStore<S> {
    ledger: Ledger<S>,
    durability: Durability,
    /// Bytes of rows that there may be at most.
    max_size: u64,
    /// The lottery that it is open for.
    terms: Terms,
    /// The one that the ledger is for, as it says itself.
    recorded: Option<Terms>,
    /// The snapshot being written; kept for its memory.
    snapshot: Vec<u8>,
}

/// A ledger that was opened.
#[derive(Debug)]
pub struct Opened<S> {
    /// The ledger.
    pub store: FileStore<S>,
    /// The lottery's state in it.
    pub state: State,
    /// What was found and done.
    pub recovery: Recovery,
}

impl FileStore<File> {
    /// Opens the ledger at `path` for this lottery, or makes a new one, and locks it. Every bet in it is
    /// shown to `visit`, in order. `watch` learns at least every MiB how far it has come, and may stop it.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be had, or isn't what was committed; nothing is changed then.
    pub fn open(
        path: &Path,
        options: Options,
        terms: impl Into<Terms>,
        visit: impl FnMut(&StoredBet<'_>),
        watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Opened<File>, StoreError> {
        let terms = terms.into();
        let (mut loader, mut initial) = (Loader::new(terms, visit), Vec::new());
        let initial = snapshot::encode(Some(terms), &State::default(), &mut initial);
        let opened = Ledger::open(path, options, initial, &mut loader, watch)?;
        Ok(Self::opened(opened, options, terms, loader))
    }

    /// Descriptors of `bets.csv` and the wal, for the thread that syncs them.
    ///
    /// # Errors
    /// When there are none left.
    pub fn descriptors(&self) -> io::Result<(File, File)> {
        self.ledger.descriptors()
    }
}

impl<S: Storage> FileStore<S> {
    /// The ledger in these two files, which no other process has open: the seam for a storage that a
    /// test controls. `path` is the first one's name, for messages.
    ///
    /// # Errors
    /// Like [`open`](FileStore::open).
    pub fn with_storage(
        (rows, wal): (S, S),
        path: &Path,
        options: Options,
        terms: impl Into<Terms>,
        visit: impl FnMut(&StoredBet<'_>),
        watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Opened<S>, StoreError> {
        let terms = terms.into();
        let (mut loader, mut initial) = (Loader::new(terms, visit), Vec::new());
        let initial = snapshot::encode(Some(terms), &State::default(), &mut initial);
        let opened = Ledger::with_storage(rows, wal, path, options, initial, &mut loader, watch)?;
        Ok(Self::opened(opened, options, terms, loader))
    }

    fn opened<V>(
        (ledger, files): (Ledger<S>, ledger::Recovery),
        options: Options,
        terms: Terms,
        loader: Loader<V>,
    ) -> Opened<S> {
        let recovery = loader.recovery(files);
        let recorded = loader.recorded;
        let Options { durability, max_size, .. } = options;
        let store = Self { ledger, durability, max_size, terms, recorded, snapshot: Vec::new() };
        Opened { store, state: loader.state, recovery }
    }

    /// Bytes that may be staged before they are committed, at most: a commit of that and one request
    /// more always fits into a segment of the wal, behind a checkpoint of all agencies.
    ///
    /// # Errors
    /// The segments are too small for any commit: [`StoreError::SegmentTooSmall`].
    pub fn commit_room(&self) -> Result<usize, StoreError> {
        let segment = usize::try_from(self.ledger.segment_size()).unwrap_or(usize::MAX);
        // Those it will be for: the first commit records them, and a start lets it be for no fewer.
        let checkpoint = ledger::checkpoint_record_len(snapshot::encoded_len(self.terms));
        let taken = checkpoint + REQUEST_MAX;
        let room = segment.checked_sub(taken).filter(|room| *room >= COMMIT_MIN);
        room.ok_or_else(|| StoreError::SegmentTooSmall {
            paths: self.paths().clone(),
            segment,
            agencies: self.terms.agencies as usize,
            needed: taken + COMMIT_MIN,
        })
    }

    /// Names of `bets.csv` and the wal.
    pub fn paths(&self) -> &Paths {
        self.ledger.paths()
    }

    /// Brings the graceful end about, unless a sync is under way elsewhere: that can't be waited for.
    /// Returns whether it is durable; if not, the next start replays the wal, and nothing is lost.
    /// `appended` is the state that all commits led to.
    ///
    /// # Errors
    /// [`StoreError`]; what was committed is safe nevertheless.
    pub fn close(mut self, appended: &State) -> Result<bool, StoreError> {
        let snapshot = snapshot::encode(self.recorded, appended, &mut self.snapshot);
        Ok(self.ledger.close(snapshot)?)
    }
}

impl<S: Storage> ReadRows for FileStore<S> {
    fn rows_len(&self) -> u64 {
        self.ledger.rows_len()
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        Ok(self.ledger.read_rows(offset, buffer)?)
    }

    fn rows_changed(&self, offset: u64) -> StoreError {
        self.ledger.rows_changed(offset).into()
    }
}

impl<S: Storage> Store for FileStore<S> {
    fn append(&mut self, staged: &Staged) -> Result<Lsn, AppendError> {
        // The ledger records for how many agencies it is before one of them has a bet in it, and
        // not after a start that came to nothing.
        if self.recorded != Some(self.terms) {
            self.ledger.check_append(staged.rows().len())?;
            self.recorded = Some(self.terms);
            self.ledger.request_checkpoint();
        }
        Ok(self.ledger.append(staged.meta(), staged.rows())?)
    }

    fn max_len(&self) -> Option<u64> {
        (self.max_size < u64::MAX).then_some(self.max_size)
    }

    fn commit_len(&self, staged_len: usize) -> usize {
        ledger::commit_record_len(staged_len)
    }

    fn begin_sync(&mut self) -> Result<Option<Work>, StoreError> {
        Ok(self.ledger.begin_sync()?)
    }

    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), StoreError> {
        Ok(self.ledger.end_sync(result)?)
    }

    fn sync_here(&mut self, target: SyncTarget) -> io::Result<()> {
        self.ledger.sync_file(target)
    }

    fn checkpoint(&mut self, committed: &State) -> Result<(), StoreError> {
        let snapshot = snapshot::encode(self.recorded, committed, &mut self.snapshot);
        Ok(self.ledger.checkpoint(snapshot)?)
    }

    fn waits_for_disk(&self) -> bool {
        self.durability == Durability::Synced
    }

    fn is_syncing(&self) -> bool {
        self.ledger.is_syncing()
    }

    fn begin_close(&mut self) {
        self.ledger.begin_close();
    }

    fn is_closed(&self) -> bool {
        self.ledger.is_closed()
    }

    fn appended_lsn(&self) -> Lsn {
        self.ledger.appended_lsn()
    }

    fn durable_lsn(&self) -> Lsn {
        self.ledger.durable_lsn()
    }

    fn verify(&self) -> Result<(), AppendError> {
        Ok(self.ledger.verify()?)
    }
}

impl From<ledger::AppendError> for AppendError {
    fn from(error: ledger::AppendError) -> Self {
        match error {
            ledger::AppendError::Busy => Self::Busy,
            ledger::AppendError::Unavailable(error) => Self::Unavailable(error.into()),
            ledger::AppendError::Fatal(error) => Self::Fatal(error.into()),
        }
    }
}
