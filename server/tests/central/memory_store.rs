//! A store in memory that does what the test says.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use ledger::{Lsn, SyncTarget, Work};
use server::lottery::{Staged, State};
use server::store::{AppendError, ReadRows, Store, StoreError};

/// What the memory store does, decided by the test.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the disk")]
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) rows: Vec<u8>,
    pub(crate) full: bool,
    /// There is no space for rows, but for everything else.
    pub(crate) full_for_rows: bool,
    /// Commits that were tried.
    pub(crate) attempts: u64,
    /// Submitting fails in a way that only a restart repairs.
    pub(crate) broken: bool,
    /// Commits are taken, but not reported as durable.
    pub(crate) held_back: bool,
    /// Commits have to wait for the wal's other segment.
    pub(crate) busy: bool,
    pub(crate) commits: u64,
}

/// A store in memory.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    disk: Rc<RefCell<Disk>>,
    appended: Lsn,
    durable: Lsn,
    under_way: Option<Lsn>,
    closed: bool,
}

impl MemoryStore {
    pub(crate) fn new(disk: &Rc<RefCell<Disk>>) -> Self {
        let (appended, durable) = (Lsn(0), Lsn(0));
        Self { disk: disk.clone(), appended, durable, under_way: None, closed: false }
    }
}

fn io_error(doing: &'static str, path: &str, source: io::Error) -> StoreError {
    ledger::Error::Io { doing, path: path.into(), source }.into()
}

impl ReadRows for MemoryStore {
    fn rows_len(&self) -> u64 {
        self.disk.borrow().rows.len() as u64
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let disk = self.disk.borrow();
        let from = usize::try_from(offset).expect("in memory");
        let count = buffer.len().min(disk.rows.len() - from);
        buffer[..count].copy_from_slice(&disk.rows[from..from + count]);
        Ok(count)
    }

    fn rows_changed(&self, offset: u64) -> StoreError {
        ledger::Error::RowsChanged { path: "bets.csv".into(), offset }.into()
    }
}

impl Store for MemoryStore {
    fn append(&mut self, staged: &Staged) -> Result<Lsn, AppendError> {
        let mut disk = self.disk.borrow_mut();
        if disk.busy {
            return Err(AppendError::Busy);
        }
        disk.attempts += 1;
        if disk.full || disk.full_for_rows && !staged.rows().is_empty() {
            let source = io::ErrorKind::StorageFull.into();
            return Err(AppendError::Unavailable(io_error("append rows", "bets.csv", source)));
        }
        disk.commits += 1;
        if disk.broken {
            let source = io::Error::other("input/output error");
            return Err(AppendError::Fatal(io_error("sync it", "bets.csv.wal", source)));
        }
        disk.rows.extend_from_slice(staged.rows());
        self.appended = Lsn(disk.commits);
        Ok(self.appended)
    }

    fn commit_len(&self, staged_len: usize) -> usize {
        ledger::commit_record_len(staged_len)
    }

    fn begin_sync(&mut self) -> Result<Option<Work>, StoreError> {
        if self.under_way.is_some() || self.durable == self.appended {
            return Ok(None);
        }
        self.under_way = Some(self.appended);
        Ok(Some(Work::Sync(SyncTarget::Wal)))
    }

    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), StoreError> {
        result.map_err(|source| io_error("sync it", "bets.csv.wal", source))?;
        self.durable = self.under_way.take().unwrap_or(self.durable);
        Ok(())
    }

    fn sync_here(&mut self, _: SyncTarget) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _: &State) -> Result<(), StoreError> {
        unreachable!("it needs none")
    }

    fn is_syncing(&self) -> bool {
        self.under_way.is_some()
    }

    fn begin_close(&mut self) {
        self.closed = true;
    }

    fn is_closed(&self) -> bool {
        self.closed
    }

    fn appended_lsn(&self) -> Lsn {
        self.appended
    }

    fn durable_lsn(&self) -> Lsn {
        let disk = self.disk.borrow();
        if disk.held_back { Lsn(0) } else { self.durable }
    }
}
