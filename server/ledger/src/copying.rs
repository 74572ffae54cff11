//! A copy of a ledger: rows that grow by what is new, and a wal that vouches for them and is put in place at
//! last.
//!
//! ```text
//!  rows            written behind those that were copied before, and synced
//!  wal.partial     one checkpoint, of all rows; synced; both are read back
//!  wal             wal.partial renamed: from here on the copy is the new one
//! ```
//!
//! Whenever it is interrupted, the wal of the last copying is still there, with all rows that it counts; what
//! is behind these is of no copy, and is written over the next time. Where nothing was copied before there
//! is no wal, and without a wal rows aren't taken for a ledger.
//!
//! A copy is *sealed*: its wal has a single record, the checkpoint of a graceful end in the first epoch, which
//! no other ledger has. A process that opens a copy makes it a ledger of its own, to which nothing is copied
//! any more.
//!
//! Must not know what is in rows and snapshots, nor where they come from.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use crate::crc;
use crate::lock::lock;
use crate::open::{preallocate, require_regular, sync_folder};
use crate::paths::Paths;
use crate::progress::{PIECE, Progress, Watch};
use crate::record::{BLOCK, Checkpoint, Kind, RecordHeader, Snapshot};
use crate::recovery::{self, Inspection};
use crate::state::WalPosition;
use crate::storage::Section;
use crate::wal_file::{encode_file_header, file_len, segment_start};
use crate::{Durability, Error, Options, Storage};

/// What the name of a file ends with that is no part of a copy yet.
const PARTIAL: &str = ".partial";

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file can't be had, read or written.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// There is a ledger already where one is to be made.
    #[error("{}: it is there already: nothing is overwritten; move it away, or name another place", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What is there was never made by a copying, or isn't a copy any more.
    #[error(
        "{}: expected a copy that was made here before, found another ledger, or a copy that a process has \
         opened since: name another place", path.display()
    )]
    NotACopy {
        /// The file.
        path: PathBuf,
    },
    /// The copy that is there isn't one of this ledger.
    #[error(
        "{}: the first {len} bytes aren't those of {}: it is a copy of another ledger, or newer: name \
         another place", path.display(), of.display()
    )]
    OtherLedger {
        /// The copy's rows.
        path: PathBuf,
        /// The ledger's rows.
        of: PathBuf,
        /// Bytes that were to be the same.
        len: u64,
    },
    /// What was copied before isn't there any more as it was, or what was written reads back otherwise.
    #[error(
        "{}: the checksum of the first {len} bytes is {found:08x}, expected {expected:08x}: the copy is \
         damaged: remove it, and make a new one", path.display()
    )]
    Damaged {
        /// The copy's rows.
        path: PathBuf,
        /// Bytes.
        len: u64,
        /// Their checksum when they were copied.
        expected: u32,
        /// Their checksum.
        found: u32,
    },
}

/// What a sealed wal vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sealed {
    len: u64,
    crc: u32,
}

/// A copy that is being made.
#[derive(Debug)]
pub struct Copying {
    /// The rows that are copied.
    source: PathBuf,
    rows: File,
    paths: Paths,
    /// Where rows are until they are complete.
    rows_now: PathBuf,
    /// What was copied before.
    before: Sealed,
    /// Bytes of rows that were taken.
    len: u64,
    /// Bytes that were written.
    written: u64,
    /// The wal gets all of its space at once, as a ledger in use needs it.
    is_preallocated: bool,
}

impl Copying {
    /// Begins a copy of the ledger `source` with these rows, or goes on with one.
    ///
    /// # Errors
    /// [`CopyError`]: there is something else.
    pub fn grow(rows: &Path, source: &Path) -> Result<Self, CopyError> {
        let paths = Paths::new(rows);
        let partial = partial(&paths.wal);
        let file = open(&paths.rows, false)?;
        lock(&file, &paths.rows)?;
        let found = Storage::len(&file).map_err(error("measure it", &paths.rows))?;
        let before = match exists(&paths.wal) {
            true => sealed(&paths.wal, &paths)?,
            false if found == 0 || exists(&partial) => Sealed { len: 0, crc: 0 },
            false => return Err(CopyError::NotACopy { path: paths.rows }),
        };
        if found < before.len {
            let (path, expected) = (paths.rows, before.len);
            return Err(Error::RowsTruncated { path, expected, found }.into());
        }
        // From here on the rows are known for those of a copying that wasn't completed.
        File::create(&partial).map_err(error("make it", &partial))?;
        Ok(Self::new(source, file, paths.rows.clone(), paths, before))
    }

    /// Begins a new ledger with these rows, as it is in `source`.
    ///
    /// # Errors
    /// [`CopyError`]: there is one already.
    pub fn create(rows: &Path, source: &Path) -> Result<Self, CopyError> {
        let paths = Paths::new(rows);
        for path in [&paths.rows, &paths.wal] {
            if exists(path) {
                return Err(CopyError::Exists { path: path.clone() });
            }
        }
        let rows_now = partial(&paths.rows);
        let file = open(&rows_now, true)?;
        lock(&file, &rows_now)?;
        let new = Self::new(source, file, rows_now, paths, Sealed { len: 0, crc: 0 });
        Ok(Self { is_preallocated: true, ..new })
    }

    fn new(source: &Path, rows: File, rows_now: PathBuf, paths: Paths, before: Sealed) -> Self {
        let (source, is_preallocated) = (source.to_owned(), false);
        Self { source, rows, paths, rows_now, before, len: 0, written: 0, is_preallocated }
    }

    /// The rows that were copied before, and how many bytes: they may be read from here.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn copied(&self) -> Result<(File, u64), CopyError> {
        let rows = self.rows.try_clone().map_err(error("open it", &self.rows_now))?;
        Ok((rows, self.before.len))
    }

    /// Bytes that were copied this time.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next rows. What was copied before must be the same.
    ///
    /// # Errors
    /// They can't be written, or are others.
    pub fn take(&mut self, rows: &[u8]) -> Result<(), CopyError> {
        let left = usize::try_from(self.before.len.saturating_sub(self.len)).unwrap_or(usize::MAX);
        let (known, new) = rows.split_at(left.min(rows.len()));
        if !known.is_empty() {
            let mut found = vec![0; known.len()];
            let read = self.rows.read_exact_at(&mut found, self.len);
            read.map_err(error("read it", &self.rows_now))?;
            if found != known {
                return Err(self.other_ledger());
            }
        }
        let at = self.len + known.len() as u64;
        self.rows.write_all_at(new, at).map_err(error("write it", &self.rows_now))?;
        self.written += new.len() as u64;
        self.len += rows.len() as u64;
        Ok(())
    }

    /// What is to be said when the rows aren't those that were copied before.
    pub fn other_ledger(&self) -> CopyError {
        let (path, of, len) = (self.paths.rows.clone(), self.source.clone(), self.before.len);
        CopyError::OtherLedger { path, of, len }
    }

    /// Whether what was copied before is still what it was.
    ///
    /// # Errors
    /// [`CopyError::Damaged`].
    pub fn verify_before(&self) -> Result<(), CopyError> {
        let Sealed { len, crc: expected } = self.before;
        let found = crc_of(&self.rows, len).map_err(error("read it", &self.rows_now))?;
        if found == expected {
            return Ok(());
        }
        Err(CopyError::Damaged { path: self.rows_now.clone(), len, expected, found })
    }

    /// Completes the copy: all rows were taken, which `found` says the length and the checksum of, and which
    /// led to this snapshot.
    ///
    /// # Errors
    /// [`CopyError`]; what was copied before is still there.
    pub fn finish(
        &mut self,
        found: &Inspection,
        snapshot: Snapshot<'_>,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), CopyError> {
        let watch = &mut Watch::new(watch);
        // A ledger never gets shorter.
        if self.len < self.before.len {
            return Err(self.other_ledger());
        }
        let all = Sealed { len: found.rows_len, crc: found.rows_crc };
        let path = self.rows_now.clone();
        self.rows.set_len(all.len).map_err(error("cut it", &path))?;
        self.rows.sync_all().map_err(error("sync it", &path))?;
        let wal = partial(&self.paths.wal);
        self.write_wal(&wal, found.segment_size, all, snapshot, watch)?;
        self.verify(all, &wal)?;
        if self.rows_now != self.paths.rows {
            rename(&self.rows_now, &self.paths.rows)?;
        }
        rename(&wal, &self.paths.wal)?;
        Ok(sync_folder(&self.paths.wal)?)
    }

    /// Removes what isn't complete, and nothing that was copied before.
    pub fn give_up(self) {
        // Of no use, and taken for nothing: that it can't be removed changes nothing.
        let _ = fs::remove_file(partial(&self.paths.wal));
        let has_copy = exists(&self.paths.wal);
        if self.rows_now != self.paths.rows || !has_copy {
            let _ = fs::remove_file(&self.rows_now);
        }
    }

    fn write_wal(
        &mut self,
        path: &Path,
        segment_size: u64,
        Sealed { len, crc }: Sealed,
        snapshot: Snapshot<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(), CopyError> {
        let mut wal = open(path, false)?;
        wal.set_len(0).map_err(error("empty it", path))?;
        if self.is_preallocated {
            let options = Options::unbounded(Durability::Synced, segment_size);
            preallocate(&mut wal, &self.paths, &options, watch)?;
        }
        let WalPosition { epoch, lsn, .. } = WalPosition::BEFORE_THE_FIRST;
        let header = RecordHeader::new(Kind::Checkpoint, epoch + 1, lsn + 1, len, lsn);
        let mut record = Vec::new();
        Checkpoint { rows_crc: crc, clean: true, snapshot }.encode(header, &mut record);
        if record.len() as u64 > segment_size {
            let (path, needed, segment) = (path.to_owned(), record.len(), segment_size);
            return Err(Error::RecordTooLarge { path, needed, segment }.into());
        }
        let written = wal
            .set_len(file_len(segment_size))
            .and_then(|()| wal.write_all_at(&record, segment_start(0, segment_size)))
            .and_then(|()| wal.write_all_at(&encode_file_header(segment_size), 0))
            .and_then(|()| wal.sync_all());
        Ok(written.map_err(error("write it", path))?)
    }

    /// Reads everything back, from the disk where the system lets go of what it has in memory.
    fn verify(&self, all: Sealed, wal: &Path) -> Result<(), CopyError> {
        // A system that keeps it all the same shows what was written, at least.
        let _ = fadvise(&self.rows, 0, None, Advice::DontNeed);
        let found = crc_of(&self.rows, all.len).map_err(error("read it back", &self.rows_now))?;
        if found != all.crc {
            let (path, len, expected) = (self.rows_now.clone(), all.len, all.crc);
            return Err(CopyError::Damaged { path, len, expected, found });
        }
        let sealed = sealed(wal, &self.paths)?;
        if sealed != all {
            return Err(CopyError::NotACopy { path: wal.to_owned() });
        }
        Ok(())
    }
}

/// What a copy's wal vouches for.
fn sealed(path: &Path, paths: &Paths) -> Result<Sealed, CopyError> {
    let not_a_copy = || CopyError::NotACopy { path: path.to_owned() };
    let wal = File::open(path).map_err(error("open it", path))?;
    let names = Paths { rows: paths.rows.clone(), wal: path.to_owned() };
    let segment_size = recovery::segment_size(&wal, &names)?.ok_or_else(not_a_copy)?;
    let start = segment_start(0, segment_size);
    let read = |at: u64, len: usize| {
        let mut bytes = Vec::new();
        let mut section = Section::new(&wal, at, at + len as u64);
        io::Read::read_to_end(&mut section, &mut bytes).map_err(error("read it", path))?;
        Ok::<_, Error>(bytes)
    };
    let header = read(start, BLOCK)?.first_chunk().and_then(RecordHeader::decode);
    let header = header.filter(|header| header.epoch == 1 && header.record_len() <= segment_size);
    let header = header.ok_or_else(not_a_copy)?;
    let payload = read(start + BLOCK as u64, header.payload_len as usize)?;
    let checkpoint = Checkpoint::decode(&payload).filter(|_| header.matches(&payload));
    let checkpoint = checkpoint.filter(|checkpoint| checkpoint.clean).ok_or_else(not_a_copy)?;
    // A process that has opened it says so behind the checkpoint.
    let behind = read(start + header.record_len(), BLOCK)?;
    if behind.iter().any(|byte| *byte != 0) {
        return Err(not_a_copy());
    }
    Ok(Sealed { len: header.rows_before, crc: checkpoint.rows_crc })
}

fn crc_of(rows: &File, len: u64) -> io::Result<u32> {
    let (mut sum, mut piece, mut at) = (0, vec![0; PIECE], 0);
    while at < len {
        let wanted = usize::try_from(len - at).unwrap_or(PIECE).min(PIECE);
        rows.read_exact_at(&mut piece[..wanted], at)?;
        sum = crc::extend(sum, &piece[..wanted]);
        at += wanted as u64;
    }
    Ok(sum)
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    name.into()
}

/// Whatever it is, a link that leads nowhere included.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Opens a file for reading and writing, or makes it; an empty one if it is to be `new`.
fn open(path: &Path, new: bool) -> Result<File, Error> {
    if let Ok(metadata) = path.metadata() {
        require_regular(path, &metadata)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(new);
    options.open(path).map_err(error("open it", path))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(error("put it in place", to))
}

fn error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}
