//! The two files, and in which order they are written and synced.
//!
//! One commit:
//!
//! 1. one record with meta and rows is written into the wal, over blocks that exist already, so it
//!    can't run out of space and no metadata changes; the disk begins with it at once;
//! 2. its rows are appended to their file, not synced. No space? Both are taken back, nothing has
//!    happened;
//! 3. the wal is synced, once for all commits written by then. Only now are they durable, and only
//!    this is waited for.
//!
//! The rows themselves are synced when a segment of the wal is full, and at the end: what they may
//! lose in a crash is in the wal. In which order is `syncing`'s; what is found after a crash at
//! each point is in [`recovery`](crate::recovery).

mod checkpoint;

use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::paths::Paths;
use crate::record::{self, BLOCK, Kind, RecordHeader, RowsSum};
use crate::space::{self, Space};
use crate::state::{LedgerState, WalPosition};
use crate::storage::Section;
use crate::syncing::Syncing;
use crate::wal_file::{file_len, segment_start};
use crate::{Durability, Error, Options, Storage};

/// Log sequence number of a record in the wal, counted from 1; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

/// Why a commit was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The wal goes on in its other segment as soon as that is durable: to be tried again after the
    /// next work was done.
    #[error("the wal's other segment isn't ready yet")]
    Busy,
    /// Nothing was done, as if it had never been tried, and that will be durable with the next sync:
    /// until then it must not be reported. It may be tried again.
    #[error("storage unavailable: {0}")]
    Unavailable(#[source] Error),
    /// It is unknown what is on disk; only a restart that reads it back finds out.
    #[error(transparent)]
    Fatal(Error),
}

/// The ledger in two files.
#[derive(Debug)]
pub struct Ledger<S> {
    pub(crate) rows: S,
    pub(crate) wal: S,
    pub(crate) paths: Paths,
    pub(crate) options: Options,
    pub(crate) state: LedgerState,
    pub(crate) syncing: Syncing,
    /// How far the graceful end is.
    closing: Closing,
    /// Where the wal goes on once the checkpoint that was written is durable.
    pub(crate) next_position: WalPosition,
    space: Space,
    /// The record being written; kept for its memory.
    record: Vec<u8>,
}

/// How far the graceful end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// It wasn't asked for.
    No,
    /// Its checkpoint is due.
    Asked,
    /// Its checkpoint is written.
    Written,
    /// Its checkpoint is durable.
    Done,
}

/// The file must be the one that its name leads to, and as long as it was left.
fn verify_file(
    file: &impl Storage,
    path: &Path,
    right: RangeInclusive<u64>,
) -> Result<(), AppendError> {
    let found = file.len_at(path);
    let path = || path.to_owned();
    match found {
        Ok(Some(found)) if right.contains(&found) => Ok(()),
        Ok(Some(found)) => {
            let expected = *right.start();
            Err(AppendError::Fatal(Error::Changed { path: path(), expected, found }))
        }
        Ok(None) => Err(AppendError::Fatal(Error::Gone { path: path() })),
        // Nothing is known: it may be as it was.
        Err(source) => {
            Err(AppendError::Unavailable(Error::Io { doing: "look at it", path: path(), source }))
        }
    }
}

impl<S: Storage> Ledger<S> {
    pub(crate) fn new(
        rows: S,
        wal: S,
        paths: Paths,
        options: Options,
        state: LedgerState,
        next_position: WalPosition,
    ) -> Self {
        Self {
            rows,
            wal,
            paths,
            options,
            state,
            syncing: Syncing::new(0),
            closing: Closing::No,
            next_position,
            space: Space::default(),
            record: Vec::new(),
        }
    }

    /// Appends a commit, to be made durable by the next sync: its rows, and what its user has to know
    /// of it when the ledger is read back.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn append(&mut self, meta: &[u8], rows: &[u8]) -> Result<Lsn, AppendError> {
        self.check_append(rows.len())?;
        self.make_room(meta.len() + rows.len())?;
        let sum = RowsSum::new(self.state.rows_crc, rows);
        let header = self.header(Kind::Commit, self.state.position.epoch);
        let zeros = record::encode_commit(header, meta, sum, &mut self.record);
        let parts = [&self.record[..], rows, zeros];
        let written_len = parts.iter().map(|part| part.len()).sum::<usize>();
        let cursor = self.state.position.cursor;
        if let Err(error) = self.wal.write_parts_at(parts, cursor) {
            let cause = self.paths.wal_error("write a commit")(error);
            return Err(self.undo(written_len, cause));
        }
        let end = cursor + (written_len - BLOCK) as u64;
        if self.options.durability == Durability::Synced {
            self.wal.start_writeback(cursor, end);
        }
        if let Err(error) = self.rows.append(rows, self.state.rows_len) {
            let cause = self.paths.rows_error("append rows")(error);
            return Err(self.undo(written_len, cause));
        }
        self.start_writeback(rows.len() as u64);
        self.state.rows_len += rows.len() as u64;
        self.state.rows_crc = sum.crc_after;
        self.advance(end);
        Ok(self.appended_lsn())
    }

    /// Whether files and space allow for so many bytes of rows, as far as that is known before.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn check_append(&mut self, rows_len: usize) -> Result<(), AppendError> {
        self.verify()?;
        let lengths = (self.state.rows_len, rows_len as u64);
        let checked = self.space.check(&self.rows, &self.paths.rows, &self.options, lengths);
        checked.map_err(AppendError::Unavailable)
    }

    /// Looks whether both files are where they were opened, and as they were left. An append does
    /// this too.
    ///
    /// # Errors
    /// [`AppendError`]; fatal when they aren't.
    pub fn verify(&self) -> Result<(), AppendError> {
        let (Paths { rows, wal }, len) = (&self.paths, self.state.rows_len);
        verify_file(&self.rows, rows, len..=len)?;
        verify_file(&self.wal, wal, file_len(self.state.segment_size)..=u64::MAX)
    }

    /// Sees to it that a commit of such a payload fits where the next record goes.
    fn make_room(&mut self, payload_len: usize) -> Result<(), AppendError> {
        if !self.syncing.is_appending() || self.closing != Closing::No {
            return Err(AppendError::Busy);
        }
        let record_len = record::commit_record_len(payload_len);
        if self.fits(record_len) {
            return Ok(());
        }
        // What doesn't fit behind a checkpoint wouldn't fit behind the next one either.
        if self.state.position == self.next_position {
            return Err(AppendError::Fatal(self.too_large(record_len)));
        }
        self.syncing.begin_checkpoint();
        Err(AppendError::Busy)
    }

    fn fits(&self, len: usize) -> bool {
        let WalPosition { segment, cursor, .. } = self.state.position;
        cursor + len as u64 <= self.segment_end(segment)
    }

    fn segment_end(&self, segment: u64) -> u64 {
        segment_start(segment + 1, self.state.segment_size)
    }

    fn too_large(&self, needed: usize) -> Error {
        let (path, segment) = (self.paths.wal.clone(), self.state.segment_size);
        Error::RecordTooLarge { path, needed, segment }
    }

    fn header(&self, kind: Kind, epoch: u64) -> RecordHeader {
        let LedgerState { rows_len, position, .. } = self.state;
        RecordHeader::new(kind, epoch, position.lsn + 1, rows_len, self.syncing.durable())
    }

    /// A record has been written up to here.
    fn advance(&mut self, end: u64) {
        self.state.position.cursor = end;
        self.state.position.lsn += 1;
    }

    /// Lets the disk write rows while more come in, instead of all of a segment's at the checkpoint,
    /// which waits for it.
    fn start_writeback(&mut self, added: u64) {
        let (from, to) = space::writeback_range(self.state.rows_len, added);
        if from < to && self.options.durability == Durability::Synced {
            self.rows.start_writeback(from, to);
        }
    }

    /// Cuts off what was appended since the last commit. A file that has become shorter than that was
    /// cut off by another program, and making it longer again would hide a hole.
    fn take_rows_back(&mut self) -> Result<(), Error> {
        let expected = self.state.rows_len;
        let found = self.rows.len().map_err(self.paths.rows_error("measure it"))?;
        if found < expected {
            return Err(Error::Changed { path: self.paths.rows.clone(), expected, found });
        }
        self.rows.set_len(expected).map_err(self.paths.rows_error("take rows back"))
    }

    /// Rolls back a partially written commit. The record may have reached the disk by now: that it is
    /// gone must be durable before it is reported, like a commit.
    fn undo(&mut self, record_len: usize, cause: Error) -> AppendError {
        self.space.forget();
        if let Err(error) = self.take_rows_back() {
            return AppendError::Fatal(error);
        }
        let wiped = self.wal.write_at(&vec![0; record_len], self.state.position.cursor);
        if let Err(error) = wiped {
            return AppendError::Fatal(self.paths.wal_error("take a commit back")(error));
        }
        self.syncing.wiped(self.written());
        AppendError::Unavailable(cause)
    }

    /// The last record that was written, a checkpoint included.
    fn written(&self) -> u64 {
        self.state.position.lsn.max(self.next_position.lsn)
    }

    /// The newest record, durable or not.
    pub fn appended_lsn(&self) -> Lsn {
        Lsn(self.written())
    }

    /// The newest record that, like all before it, is durable.
    pub fn durable_lsn(&self) -> Lsn {
        Lsn(self.syncing.durable())
    }

    /// Bytes of rows, everything included that was appended.
    pub fn rows_len(&self) -> u64 {
        self.state.rows_len
    }

    /// Bytes of a segment of the wal: [`checkpoint_record_len`](crate::checkpoint_record_len) of the
    /// largest snapshot and [`commit_record_len`](crate::commit_record_len) of the largest commit
    /// must fit into one together.
    pub fn segment_size(&self) -> u64 {
        self.state.segment_size
    }

    /// Names of the two files.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Reads rows back from `offset` on: fills `buffer` as far as there are rows, and returns how
    /// many bytes that are.
    ///
    /// # Errors
    /// They can't be read, or aren't there any more.
    pub fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let left = usize::try_from(self.state.rows_len.saturating_sub(offset));
        let count = buffer.len().min(left.unwrap_or(usize::MAX));
        let mut rows = Section::new(&self.rows, offset, offset + count as u64);
        match rows.read_exact(&mut buffer[..count]) {
            Ok(()) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.rows_changed(offset))
            }
            Err(source) => {
                let path = self.paths.rows.clone();
                Err(Error::RowsUnreadable { path, offset, source })
            }
        }
    }

    /// What is to be said when the rows that were read at `offset` aren't those that were appended.
    pub fn rows_changed(&self, offset: u64) -> Error {
        Error::RowsChanged { path: self.paths.rows.clone(), offset }
    }
}
