//! Group commit: when what requests have staged is handed to the ledger, and what waits for the disk.
//!
//! A commit takes what a whole turn has staged. The [disk's thread](crate::disk_thread) waits for the
//! sync of it, or the loop itself where there is no such thread. A commit that had no effect is
//! followed by another when [`CommitBackoff`] says so.

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use log::warn;
use reactor::{ConnectionId, Context};
use runtime::logging::Escaped;

use super::commit_backoff::{CommitBackoff, Suspended};
use super::log_budget::{Cause, LogBudget};
use crate::disk_thread;
use crate::ledger::{CommitNumber, Ledger, LedgerError, SubmitError};
use crate::lottery::{Committed, Lottery};

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
    Submitted(CommitNumber),
    /// Nothing was done: what is staged stays staged.
    Pending,
    /// Nothing of what was staged holds any more, for this reason. Even that waits for this commit.
    Unavailable(CommitNumber, Rc<str>),
}

#[derive(Debug)]
pub(crate) struct GroupCommit {
    /// Bytes staged at which a commit doesn't wait for the end of the turn.
    max_bytes: usize,
    backoff: CommitBackoff,
    disk: Disk,
    /// Why the process must end.
    fatal: Option<LedgerError>,
}

impl GroupCommit {
    pub(crate) fn new(max_bytes: usize, retry_delay: Duration) -> Self {
        let backoff = CommitBackoff::new(retry_delay);
        Self { max_bytes, backoff, disk: Disk::Loop, fatal: None }
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
            Err(error) => warn!(
                "action: attach_disk | result: in_progress | error: {error} | \
                 warning: the loop waits for the disk itself"
            ),
        }
    }

    /// Whether this is the connection of the disk's thread.
    pub(crate) fn is_disk(&self, connection: ConnectionId) -> bool {
        matches!(self.disk, Disk::Thread(disk) if disk == connection)
    }

    /// When requests are replied to without a try at the storage.
    pub(crate) fn backoff(&mut self) -> &mut CommitBackoff {
        &mut self.backoff
    }

    /// Whether so much is staged that it is committed at once.
    pub(crate) fn is_large<L: Ledger>(&self, lottery: &Lottery<L>) -> bool {
        lottery.staged_len() >= self.max_bytes
    }

    /// Whether the end of a turn commits what is staged. While a sync is under way little is left to
    /// gather: it would wait for the next sync all the same, and one record costs less than many.
    pub(crate) fn is_due<L: Ledger>(&self, lottery: &Lottery<L>) -> bool {
        !lottery.is_syncing() || !lottery.has_staged() || self.is_large(lottery)
    }

    /// Hands what is staged to the ledger.
    pub(crate) fn commit<L: Ledger>(
        &mut self,
        lottery: &mut Lottery<L>,
        log: &mut LogBudget,
    ) -> Commit {
        // A turn may commit more than once, but nothing after a failure that only a restart mends:
        // a second record would stand where the first may be half written.
        if self.fatal.is_some() {
            return Commit::Pending;
        }
        // Nothing is staged then; only a draw may be due.
        if self.backoff.suspends(Suspended::All).is_some() {
            return Commit::Submitted(lottery.submitted());
        }
        let with_rows = lottery.stages_rows();
        match lottery.commit() {
            Ok(Committed::Submitted(number)) => {
                if with_rows {
                    self.backoff.on_success();
                }
                Commit::Submitted(number)
            }
            Ok(Committed::Busy) => Commit::Pending,
            Ok(Committed::Unavailable(number, error)) => {
                let reason = Rc::from(error.to_string());
                let rows_alone = with_rows && error.is_full();
                let what = if rows_alone { Suspended::Rows } else { Suspended::All };
                self.backoff.on_failure(what, &reason);
                if log.allows(Cause::CommitFailed) {
                    let error = Escaped(reason.as_bytes());
                    warn!("action: commit | result: in_progress | error: {error}");
                }
                Commit::Unavailable(number, reason)
            }
            Err(error) => {
                self.fatal = Some(error);
                Commit::Pending
            }
        }
    }

    /// Starts the sync of what was committed. Returns whether the disk's thread waits for it; the loop
    /// has to otherwise.
    ///
    /// # Errors
    /// As of [`Lottery::begin_sync`].
    pub(crate) fn begin_sync<L: Ledger>(
        &mut self,
        cx: &mut impl Context,
        lottery: &mut Lottery<L>,
    ) -> Result<bool, LedgerError> {
        let Disk::Thread(disk) = self.disk else { return Ok(false) };
        if let Some(target) = lottery.begin_sync()? {
            cx.send(disk, &disk_thread::request(target));
        }
        Ok(true)
    }

    /// Takes what the disk's thread sends; returns how many bytes that was.
    pub(crate) fn on_disk_data<L: Ledger>(
        &mut self,
        lottery: &mut Lottery<L>,
        input: &[u8],
    ) -> usize {
        let (results, rest) = input.as_chunks();
        for result in results {
            if let Err(error) = lottery.end_sync(disk_thread::outcome(*result)) {
                self.fatal.get_or_insert(error);
            }
        }
        input.len() - rest.len()
    }

    /// The disk's thread has ended.
    pub(crate) fn on_disk_lost<L: Ledger>(&mut self, lottery: &mut Lottery<L>) {
        let lost = io::Error::other("the thread that waits for the disk has ended");
        if let Err(error) = lottery.end_sync(Err(lost)) {
            self.fatal.get_or_insert(error);
        }
    }

    /// Looks whether the ledger's files are still there: a central without them isn't healthy, though
    /// it may still echo.
    pub(crate) fn verify<L: Ledger>(&mut self, lottery: &Lottery<L>) {
        if let Err(SubmitError::Fatal(error)) = lottery.ledger().verify() {
            self.fatal.get_or_insert(error);
        }
    }

    /// Returns the error that ends the process, if there is one.
    pub(crate) fn check(&mut self) -> Result<(), LedgerError> {
        self.fatal.take().map_or(Ok(()), Err)
    }
}
