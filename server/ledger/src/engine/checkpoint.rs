//! Making durable what was appended, checkpoints, and the graceful end.

use std::io;

use super::{AppendError, Closing, Ledger};
use crate::record::{self, BLOCK, Checkpoint, Kind, RowsSum, Snapshot};
use crate::state::WalPosition;
use crate::syncing::{Next, SyncTarget, Work};
use crate::wal_file::segment_start;
use crate::{Durability, Error, Storage};

impl<S: Storage> Ledger<S> {
    /// What has to be done now: `None` when everything is durable, or a sync is under way already.
    /// A sync may take long: the caller makes it where it can wait, and ends it with
    /// [`end_sync`](Self::end_sync). A snapshot goes to [`checkpoint`](Self::checkpoint) at once.
    ///
    /// # Errors
    /// It is unknown what is on disk; only a restart that reads it back finds out.
    pub fn begin_sync(&mut self) -> Result<Option<Work>, Error> {
        loop {
            let work = self.syncing.begin(self.written());
            let not_waited_for = self.options.durability == Durability::NotSynced;
            if !(not_waited_for && matches!(work, Some(Work::Sync(_)))) {
                return Ok(work);
            }
            self.end_sync(Ok(()))?;
        }
    }

    /// The sync that was begun last has ended so.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    pub fn end_sync(&mut self, result: io::Result<()>) -> Result<(), Error> {
        result.map_err(|source| match self.syncing.target() {
            Some(SyncTarget::Rows) => self.paths.rows_error("sync it")(source),
            Some(SyncTarget::Wal) | None => self.paths.wal_error("sync it")(source),
        })?;
        if self.syncing.end() == Next::Switch {
            self.switch();
        }
        Ok(())
    }

    /// Syncs a file here and now.
    ///
    /// # Errors
    /// What the operating system says, for [`end_sync`](Self::end_sync).
    pub fn sync_file(&mut self, target: SyncTarget) -> io::Result<()> {
        match target {
            SyncTarget::Rows => self.rows.sync(),
            SyncTarget::Wal => self.wal.sync(),
        }
    }

    /// Begins the other segment with a checkpoint, now that all rows are durable. Until that is
    /// durable too, this segment with its own checkpoint stays valid. Does nothing unless
    /// [`Work::Snapshot`] is due.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    pub fn checkpoint(&mut self, snapshot: Snapshot<'_>) -> Result<(), Error> {
        if !self.syncing.awaits_snapshot() {
            return Ok(());
        }
        // Before it vouches for everything.
        if let Err(AppendError::Unavailable(error) | AppendError::Fatal(error)) = self.verify() {
            return Err(error);
        }
        let clean = self.closing == Closing::Asked;
        if clean {
            self.closing = Closing::Written;
        }
        let epoch = self.state.position.epoch + 1;
        let segment = 1 - self.state.position.segment;
        let header = self.header(Kind::Checkpoint, epoch);
        let checkpoint = Checkpoint { rows_crc: self.state.rows_crc, clean, snapshot };
        checkpoint.encode(header, &mut self.record);
        if self.record.len() as u64 > self.state.segment_size {
            return Err(self.too_large(self.record.len()));
        }
        let start = segment_start(segment, self.state.segment_size);
        let written = self.wal.write_at(&self.record, start);
        written.map_err(self.paths.wal_error("write a checkpoint"))?;
        let cursor = start + (self.record.len() - BLOCK) as u64;
        self.next_position = WalPosition { segment, cursor, epoch, lsn: header.lsn };
        self.syncing.checkpoint_written();
        Ok(())
    }

    /// A checkpoint is written before anything else is appended: what its snapshot says has changed
    /// otherwise than by commits.
    pub fn request_checkpoint(&mut self) {
        self.syncing.begin_checkpoint();
    }

    /// Appending goes on behind the checkpoint, which is durable.
    fn switch(&mut self) {
        self.state.position = self.next_position;
        match self.closing {
            Closing::Written => self.closing = Closing::Done,
            // It was asked for when this checkpoint was on its way already.
            Closing::Asked => self.syncing.begin_checkpoint(),
            Closing::No | Closing::Done => {}
        }
    }

    /// Makes everything durable that was appended, here and now, a sync under way excepted. The
    /// snapshot is of the state that all of it led to.
    ///
    /// # Errors
    /// As of [`begin_sync`](Self::begin_sync).
    pub fn sync(&mut self, snapshot: Snapshot<'_>) -> Result<(), Error> {
        while let Some(work) = self.begin_sync()? {
            match work {
                Work::Snapshot => self.checkpoint(snapshot)?,
                Work::Sync(target) => {
                    let result = self.sync_file(target);
                    self.end_sync(result)?;
                }
            }
        }
        Ok(())
    }

    /// The same of records alone, while no checkpoint can be due.
    pub(crate) fn sync_records(&mut self) -> Result<(), Error> {
        while let Some(Work::Sync(target)) = self.begin_sync()? {
            let result = self.sync_file(target);
            self.end_sync(result)?;
        }
        Ok(())
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_under_way()
    }

    /// Begins the graceful end: what was appended becomes durable, and the wal says that nothing
    /// followed. Nothing may be appended after it; the next work does it.
    pub fn begin_close(&mut self) {
        if self.closing == Closing::No {
            self.closing = Closing::Asked;
            self.syncing.begin_checkpoint();
        }
    }

    /// Whether the graceful end is durable.
    pub fn is_closed(&self) -> bool {
        self.closing == Closing::Done
    }

    /// Brings the graceful end about, unless a sync is under way elsewhere: that can't be waited for.
    /// Returns whether it is durable; if not, the next start replays the wal, and nothing is lost.
    /// The snapshot is as of [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`Error`]; what was committed is safe nevertheless.
    pub fn close(mut self, snapshot: Snapshot<'_>) -> Result<bool, Error> {
        self.begin_close();
        self.sync(snapshot)?;
        Ok(self.is_closed())
    }

    /// Says in the wal that the last end isn't the last thing that happened, by a commit of nothing: from
    /// now on rows may be found behind the committed ones, of a commit that a power failure took out of
    /// the wal. Without it they are another program's.
    pub(crate) fn mark_open(&mut self) -> Result<(), Error> {
        // A segment that has no room for this has none for a commit either: the user finds that out.
        if !self.fits(record::commit_record_len(0)) {
            return Ok(());
        }
        let header = self.header(Kind::Commit, self.state.position.epoch);
        let no_rows = RowsSum::new(self.state.rows_crc, &[]);
        let zeros = record::encode_commit(header, &[], no_rows, &mut self.record);
        let (cursor, parts) = (self.state.position.cursor, [&self.record[..], &[], zeros]);
        let end = cursor + (self.record.len() + zeros.len() - BLOCK) as u64;
        let written = self.wal.write_parts_at(parts, cursor);
        written.map_err(self.paths.wal_error("write that it is open"))?;
        self.advance(end);
        self.sync_records()
    }
}
