//! Where a yardstick's bets go: into a file as they came, or all the way that the central's take.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

use ledger::{Durability, Options, Work};
use server::lottery::{Entry, Staged, State, fast_path};
use server::store::{AppendError, FileStore, Opened, Store as _};
use wire::{Agency, Batch, Checksum};

/// Takes the batches of a turn, and then stores them together.
pub(crate) trait Sink {
    /// Takes a batch.
    fn stage(
        &mut self,
        agency: Agency,
        checksum: &mut Checksum,
        batch: &Batch<'_>,
    ) -> io::Result<()>;
    /// Stores what was taken.
    fn commit(&mut self) -> io::Result<()>;
}

/// Which part of a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Its end.
    Appended,
    /// All of it, filled with zeros before, from its beginning again when it is full.
    Filled,
}

/// Bytes of a file that is filled: as large as both segments of the central's WAL.
const FILLED: u64 = 16 << 20;

/// The bytes as they came, all of a turn with one write, and one sync if at all.
pub(crate) struct Bytes {
    file: File,
    space: Space,
    is_synced: bool,
    staged: Vec<u8>,
}

impl Bytes {
    pub(crate) fn create(path: &Path, space: Space, is_synced: bool) -> io::Result<Self> {
        let mut file = File::create(path)?;
        if space == Space::Filled {
            io::copy(&mut io::repeat(0).take(FILLED), &mut file)?;
            file.sync_all()?;
            file.rewind()?;
        }
        Ok(Self { file, space, is_synced, staged: Vec::new() })
    }
}

impl Sink for Bytes {
    fn stage(&mut self, _: Agency, _: &mut Checksum, batch: &Batch<'_>) -> io::Result<()> {
        self.staged.extend_from_slice(batch.encoded);
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let length = self.staged.len() as u64;
        if self.space == Space::Filled && self.file.stream_position()? + length > FILLED {
            self.file.rewind()?;
        }
        self.file.write_all(&self.staged)?;
        self.staged.clear();
        if self.is_synced {
            rustix::fs::fdatasync(self.file.as_fd())?;
        }
        Ok(())
    }
}

/// The central's own validation and storage: what is left to compare is the loop.
pub(crate) struct Lottery {
    store: FileStore<File>,
    state: State,
    staged: Staged,
    /// Most bytes that are staged.
    room: usize,
}

impl Lottery {
    /// As the central opens it with `SERVER_SYNC=never`.
    pub(crate) fn create(path: &Path, agencies: Agency) -> io::Result<Self> {
        let options = Options::unbounded(Durability::NotSynced, 8 << 20);
        let opened =
            FileStore::open(path, options, agencies, |_| {}, |_| ControlFlow::Continue(()));
        let Opened { store, state, .. } = opened.map_err(io::Error::other)?;
        // The central's default: SERVER_GROUP_COMMIT_BYTES.
        let room = store.commit_room().map_err(io::Error::other)?.min(1 << 20);
        Ok(Self { store, state, staged: Staged::default(), room })
    }

    /// Nothing is synced: what is to be done is no more than to write a snapshot now and then.
    fn sync(&mut self) -> io::Result<()> {
        while let Some(work) = self.store.begin_sync().map_err(io::Error::other)? {
            match work {
                Work::Snapshot => self.store.checkpoint(&self.state).map_err(io::Error::other)?,
                Work::Sync(target) => {
                    let result = self.store.sync_here(target);
                    self.store.end_sync(result).map_err(io::Error::other)?;
                }
            }
        }
        Ok(())
    }
}

impl Sink for Lottery {
    fn stage(
        &mut self,
        agency: Agency,
        checksum: &mut Checksum,
        batch: &Batch<'_>,
    ) -> io::Result<()> {
        let plain = fast_path::push_rows(agency, batch, self.staged.rows_mut(), |_| {});
        assert!(plain, "the load is good");
        *checksum = checksum.extended(batch.encoded);
        let (count, checksum) = (batch.count, *checksum);
        self.staged.push_entry(Entry::Batch { agency, count, stored: true, checksum });
        if self.staged.encoded_len() < self.room { Ok(()) } else { self.commit() }
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.staged.is_empty() {
            return Ok(());
        }
        if let Err(AppendError::Busy) = self.store.append(&self.staged) {
            self.sync()?;
            self.store.append(&self.staged).map_err(io::Error::other)?;
        }
        for entry in self.staged.entries() {
            self.state.apply(entry);
        }
        self.staged.clear();
        self.sync()
    }
}
