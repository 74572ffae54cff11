//! Group commit: when what requests have staged is handed to the store, and what waits for the disk.
//!
//! A commit takes what a whole turn has staged. The [disk's thread](crate::disk_thread) waits for the
//! sync of it, or the loop itself where there is no such thread. A commit that had no effect is
//! followed by another when [`CommitBackoff`] says so.

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ledger::{Lsn, SyncTarget, Work};
use reactor::{ConnectionId, Context, Histogram, exponential_bounds};
use runtime::log_line;
use runtime::logging::{InProgress, Level, Line, Success};

use super::commit_backoff::{CommitBackoff, Suspended};
use super::log_budget::{Cause, LogBudget};
use crate::disk_thread;
use crate::lottery::Lottery;
use crate::store::{AppendError, Store, StoreError};

/// What waits for the disk.
#[derive(Debug)]
enum Disk {
    /// The loop.
    Loop,
    /// The thread at the other end, once it is attached to the loop.
    Unattached(UnixStream),
    /// The thread at the other end of this connection.
    Thread(ConnectionId),
}

/// What a commit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Everything staged, maybe nothing, was handed over as this commit.
    Appended(Lsn),
    /// Nothing was done: what is staged stays staged.
    Pending,
    /// Nothing of what was staged holds any more, for this reason. Even that waits for this commit.
    Unavailable(Lsn, Rc<str>),
}

/// From handing commits to the disk's thread until they are durable: 50 µs and twice as much, 18 times,
/// up to 6.6 s.
pub(crate) type CommitDurations = Histogram<18>;

/// The bounds of [`CommitDurations`].
pub(crate) const DURATION_BOUNDS: &[Duration; 18] =
    &exponential_bounds(Duration::from_micros(50), 2);

#[derive(Debug)]
pub(crate) struct GroupCommit<S> {
    store: S,
    /// Bytes staged at which a commit doesn't wait for the end of the turn.
    max_bytes: usize,
    backoff: CommitBackoff,
    /// The last commit with rows would have made the ledger larger than it may be.
    at_limit: bool,
    /// Commits that had no effect, for any other reason.
    failures: u64,
    /// The log says that a commit has failed, and not yet that one has succeeded since.
    failure_logged: bool,
    disk: Disk,
    /// When the sync that is under way was handed to the disk's thread.
    sync_began: Option<Instant>,
    durations: CommitDurations,
    /// Why the process must end.
    fatal: Option<StoreError>,
}

impl<S: Store> GroupCommit<S> {
    pub(crate) fn new(store: S, max_bytes: usize, retry_delay: Duration) -> Self {
        Self {
            store,
            max_bytes,
            backoff: CommitBackoff::new(retry_delay),
            at_limit: false,
            failures: 0,
            failure_logged: false,
            disk: Disk::Loop,
            sync_began: None,
            durations: CommitDurations::new(DURATION_BOUNDS),
            fatal: None,
        }
    }

    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn into_store(self) -> S {
        self.store
    }

    /// Leaves waiting for the disk to the thread at the other end.
    pub(crate) fn use_disk_thread(&mut self, stream: UnixStream) {
        self.disk = Disk::Unattached(stream);
    }

    /// Attaches the disk's thread to the loop, if there is one.
    pub(crate) fn attach_disk(&mut self, cx: &mut impl Context) {
        let Disk::Unattached(stream) = std::mem::replace(&mut self.disk, Disk::Loop) else {
            return;
        };
        match cx.attach(stream) {
            Ok(disk) => self.disk = Disk::Thread(disk),
            Err(error) => {
                let line = Line::new("attach_disk", InProgress).with("error", error);
                log_line!(Level::Warn, line.with("warning", "the loop waits for the disk itself"));
            }
        }
    }

    /// Whether this is the connection of the disk's thread.
    pub(crate) fn is_disk(&self, connection: ConnectionId) -> bool {
        matches!(self.disk, Disk::Thread(disk) if disk == connection)
    }

    /// Whether the last commit had no effect, a short while ago, and none has had one since.
    pub(crate) fn is_failing(&self) -> bool {
        self.backoff.is_failing()
    }

    /// Whether the ledger is as large as it may be: a commit was too much for it, or any would be.
    pub(crate) fn is_at_limit(&self) -> bool {
        self.at_limit || self.store.is_full()
    }

    /// Commits that the disk didn't take.
    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// How long the disk's thread took for syncs: none are counted when the loop itself waits.
    pub(crate) fn durations(&self) -> &CommitDurations {
        &self.durations
    }

    /// No commit has failed for a while: agencies may have given up, and a smaller one may fit.
    pub(crate) fn on_quiet(&mut self) {
        self.at_limit = false;
        self.backoff.on_quiet();
    }

    /// When requests are replied to without a try at the storage.
    pub(crate) fn backoff(&mut self) -> &mut CommitBackoff {
        &mut self.backoff
    }

    /// Whether so much is staged that it is committed at once.
    pub(crate) fn is_large(&self, lottery: &Lottery) -> bool {
        self.store.commit_len(lottery.staged().encoded_len()) >= self.max_bytes
    }

    /// Whether the end of a turn commits what is staged. While a sync is under way little is left to
    /// gather: it would wait for the next sync all the same, and one record costs less than many.
    pub(crate) fn is_due(&self, lottery: &Lottery) -> bool {
        !self.store.is_syncing() || lottery.staged().is_empty() || self.is_large(lottery)
    }

    /// Hands what is staged to the store.
    pub(crate) fn commit(&mut self, lottery: &mut Lottery, log: &mut LogBudget) -> Commit {
        // A turn may commit more than once, but nothing after a failure that only a restart repairs:
        // a second record would overwrite a first that may be half written.
        if self.fatal.is_some() {
            return Commit::Pending;
        }
        // Nothing is staged then; only a draw may be due.
        if self.backoff.suspends(Suspended::All).is_some() {
            return Commit::Appended(self.store.appended_lsn());
        }
        lottery.draw_when_all_finished();
        if lottery.staged().is_empty() {
            return Commit::Appended(self.store.appended_lsn());
        }
        let with_rows = !lottery.staged().rows().is_empty();
        match self.append(lottery) {
            Ok(lsn) => {
                lottery.appended(lsn);
                self.at_limit &= !with_rows;
                self.backoff.on_success(with_rows);
                if with_rows && std::mem::take(&mut self.failure_logged) {
                    log_line!(Level::Info, Line::new("commit", Success));
                }
                Commit::Appended(lsn)
            }
            Err(AppendError::Busy) => Commit::Pending,
            Err(AppendError::Unavailable(error)) => {
                lottery.roll_back();
                self.on_unavailable(&error, with_rows, log)
            }
            Err(AppendError::Fatal(error)) => {
                self.fatal = Some(error);
                Commit::Pending
            }
        }
    }

    fn append(&mut self, lottery: &mut Lottery) -> Result<Lsn, AppendError> {
        match self.store.append(lottery.staged()) {
            // What it is busy with is done at once where the disk isn't waited for.
            Err(AppendError::Busy) if !self.store.waits_for_disk() => {
                self.next_sync(lottery).map_err(AppendError::Fatal)?;
                self.store.append(lottery.staged())
            }
            result => result,
        }
    }

    fn on_unavailable(
        &mut self,
        error: &StoreError,
        with_rows: bool,
        log: &mut LogBudget,
    ) -> Commit {
        let reason = Rc::<str>::from(error.to_string());
        let rows_alone = with_rows && error.is_full();
        if error.is_at_limit() {
            self.at_limit = true;
        } else {
            self.failures += 1;
        }
        let what = if rows_alone { Suspended::Rows } else { Suspended::All };
        self.backoff.on_failure(what, &reason);
        if log.allows(Cause::CommitFailed) {
            let line = Line::new("commit", InProgress).with_bytes("error", &*reason);
            log_line!(Level::Warn, line);
            self.failure_logged = true;
        }
        Commit::Unavailable(self.store.appended_lsn(), reason)
    }

    /// The sync to be begun next. What became durable by then is committed, and a snapshot of that is
    /// given when one is due.
    fn next_sync(&mut self, lottery: &mut Lottery) -> Result<Option<SyncTarget>, StoreError> {
        loop {
            let work = self.store.begin_sync()?;
            lottery.commit(self.store.durable_lsn());
            match work {
                None => return Ok(None),
                Some(Work::Sync(target)) => return Ok(Some(target)),
                Some(Work::Snapshot) => self.store.checkpoint(lottery.committed())?,
            }
        }
    }

    /// Starts the sync of what was committed. Returns whether the disk's thread waits for it; the loop
    /// has to otherwise.
    ///
    /// # Errors
    /// As of [`Store::begin_sync`].
    pub(crate) fn begin_sync(
        &mut self,
        cx: &mut impl Context,
        lottery: &mut Lottery,
    ) -> Result<bool, StoreError> {
        let Disk::Thread(disk) = self.disk else { return Ok(false) };
        if let Some(target) = self.next_sync(lottery)? {
            cx.send(disk, &disk_thread::request(target));
            self.sync_began = Some(cx.now());
        }
        Ok(true)
    }

    /// Makes everything durable that was handed over, here and now.
    ///
    /// # Errors
    /// As of [`Store::begin_sync`].
    pub(crate) fn sync_here(&mut self, lottery: &mut Lottery) -> Result<(), StoreError> {
        while let Some(target) = self.next_sync(lottery)? {
            let result = self.store.sync_here(target);
            self.store.end_sync(result)?;
        }
        Ok(())
    }

    /// Takes what the disk's thread sends; returns how many bytes that was.
    pub(crate) fn on_disk_data(
        &mut self,
        now: Instant,
        lottery: &mut Lottery,
        input: &[u8],
    ) -> usize {
        let (results, rest) = input.as_chunks();
        for result in results {
            if let Some(began) = self.sync_began.take() {
                self.durations.observe(now.saturating_duration_since(began));
            }
            self.end_sync(lottery, disk_thread::outcome(*result));
        }
        input.len() - rest.len()
    }

    /// The disk's thread has ended.
    pub(crate) fn on_disk_lost(&mut self, lottery: &mut Lottery) {
        let lost = io::Error::other("the thread that waits for the disk has ended");
        self.end_sync(lottery, Err(lost));
    }

    fn end_sync(&mut self, lottery: &mut Lottery, result: io::Result<()>) {
        match self.store.end_sync(result) {
            Ok(()) => lottery.commit(self.store.durable_lsn()),
            Err(error) => {
                self.fatal.get_or_insert(error);
            }
        }
    }

    /// Begins the store's graceful end: nothing is staged any more.
    pub(crate) fn begin_close(&mut self) {
        self.store.begin_close();
    }

    /// Looks whether the ledger's files are still there: a central without them isn't healthy, though
    /// it may still echo.
    pub(crate) fn verify(&mut self) {
        if let Err(AppendError::Fatal(error)) = self.store.verify() {
            self.fatal.get_or_insert(error);
        }
    }

    /// Returns the error that ends the process, if there is one.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.fatal.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
