//! Finding, locking, reading back and making the two files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::engine::Ledger;
use crate::error::is_out_of_space;
use crate::lock::lock;
use crate::paths::{Paths, wal_path};
use crate::progress::{Progress, Step, Watch};
use crate::record::Snapshot;
use crate::recovery::{self, Existing, Files, OpenError, Recovery, Replay};
use crate::state::{LedgerState, WalPosition};
use crate::wal_file::{encode_file_header, file_len};
use crate::{Durability, Error, Options, Storage, space};

impl Ledger<File> {
    /// Opens the ledger of these rows, or makes a new one that begins with the snapshot `initial`,
    /// and locks it. Everything in it is handed to `replay`. `watch` learns at least every MiB how
    /// far it has come, and may stop it.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed then.
    pub fn open<R: Replay>(
        path: &Path,
        options: Options,
        initial: Snapshot<'_>,
        replay: &mut R,
        watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(Self, Recovery), OpenError<R::Error>> {
        require_regular_wal(path)?;
        let was_missing = !path.exists();
        // The rows are locked before their wal is looked for: under another name of the same file,
        // a hard link or a mount, that would be another wal, or none.
        let rows = open_file(path)?;
        lock(&rows, path)?;
        let paths = Paths::resolved(path)?;
        require_wal(&rows, &paths)?;
        let wal = open_file(&paths.wal)?;
        lock(&wal, &paths.wal)?;
        sync_folder(&paths.rows)?;
        sync_folder(&paths.wal)?;
        let opened = Self::with_paths(rows, wal, paths, options, initial, replay, watch);
        if was_missing && matches!(opened, Err(OpenError::Ledger(Error::RowsMissing { .. }))) {
            // The empty file that was made in its place. If it stays, no harm is done.
            let _ = fs::remove_file(path);
        }
        opened
    }

    /// Descriptors of the rows and the wal, for a thread that syncs them.
    ///
    /// # Errors
    /// When there are none left.
    pub fn descriptors(&self) -> io::Result<(File, File)> {
        Ok((self.rows.try_clone()?, self.wal.try_clone()?))
    }
}

/// Opens a file, or makes it. What is no regular file isn't opened: a device may do something then.
fn open_file(path: &Path) -> Result<File, Error> {
    if let Ok(metadata) = path.metadata() {
        require_regular(path, &metadata)?;
    }
    let error = |source| Error::Io { doing: "open it", path: path.to_owned(), source };
    // Nor is it waited for: a named pipe may have come into its place meanwhile.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    let opened = options.open(path);
    let file = opened.map_err(error)?;
    require_regular(path, &file.metadata().map_err(error)?)?;
    Ok(file)
}

pub(crate) fn require_regular(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let found = match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(Error::NotRegular { path: path.to_owned(), found })
}

/// What can't be a wal is refused before new rows are made beside it.
fn require_regular_wal(rows: &Path) -> Result<(), Error> {
    let wal = wal_path(rows);
    match wal.metadata() {
        Ok(metadata) if !rows.is_symlink() => require_regular(&wal, &metadata),
        _ => Ok(()),
    }
}

/// A wal is there, or may be made.
fn require_wal(rows: &File, paths: &Paths) -> Result<(), Error> {
    let metadata = rows.metadata().map_err(paths.rows_error("measure it"))?;
    let wal_len = paths.wal.metadata().map_or(0, |metadata| metadata.len());
    if wal_len == 0 && metadata.len() > 0 {
        return Err(wal_missing(paths, metadata.len()));
    }
    if wal_len == 0 && metadata.nlink() > 1 {
        return Err(Error::Linked { path: paths.rows.clone(), links: metadata.nlink() });
    }
    Ok(())
}

/// A new file is durable when its folder is.
pub(crate) fn sync_folder(file: &Path) -> Result<(), Error> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::Io { doing: "sync the folder", path: folder.to_owned(), source })
}

fn wal_missing(paths: &Paths, rows_len: u64) -> Error {
    Error::WalMissing { path: paths.rows.clone(), wal: paths.wal.clone(), rows_len }
}

impl<S: Storage> Ledger<S> {
    /// The ledger in these two files, which no other process has open: the seam for a storage that a
    /// test controls. `path` is the name of the rows, for messages.
    ///
    /// # Errors
    /// Like [`open`](Ledger::open).
    pub fn with_storage<R: Replay>(
        rows: S,
        wal: S,
        path: &Path,
        options: Options,
        initial: Snapshot<'_>,
        replay: &mut R,
        watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(Self, Recovery), OpenError<R::Error>> {
        Self::with_paths(rows, wal, Paths::new(path), options, initial, replay, watch)
    }

    fn with_paths<R: Replay>(
        mut rows: S,
        mut wal: S,
        paths: Paths,
        options: Options,
        initial: Snapshot<'_>,
        replay: &mut R,
        mut watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(Self, Recovery), OpenError<R::Error>> {
        let mut watch = Watch::new(&mut watch);
        let found = recovery::segment_size(&wal, &paths)?;
        let rows_len = rows.len().map_err(paths.rows_error("measure it"))?;
        match recovery::judge_existence(found, rows_len) {
            Existing::RowsAlone => Err(wal_missing(&paths, rows_len).into()),
            Existing::Nothing => {
                let ledger = Self::create(rows, wal, paths, options, initial, &mut watch)?;
                Ok((ledger, Recovery { created: true, ..Recovery::default() }))
            }
            Existing::Ledger(segment_size) => {
                let (rows_file, wal_file) = (&mut rows, &mut wal);
                let files = Files { rows: rows_file, wal: wal_file, paths: &paths, segment_size };
                let (state, recovery) = recovery::recover(files, replay, &mut watch)?;
                let next = WalPosition::BEFORE_THE_FIRST;
                let mut ledger = Self::new(rows, wal, paths, options, state, next);
                // A killed process may have left records that were written and not synced. They count
                // as committed from now on, so they must be.
                ledger.sync_records()?;
                if recovery.clean {
                    ledger.mark_open()?;
                }
                Ok((ledger, recovery))
            }
        }
    }

    /// Fills the wal with zeros, and begins it with a checkpoint. Its header comes last, so that a
    /// crash leaves a wal without one: nothing was ever confirmed.
    fn create(
        rows: S,
        mut wal: S,
        paths: Paths,
        options: Options,
        initial: Snapshot<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Self, Error> {
        let segment_size = options.segment_size;
        let position = WalPosition::BEFORE_THE_FIRST;
        preallocate(&mut wal, &paths, &options, watch)?;
        let state = LedgerState { rows_len: 0, rows_crc: 0, position, segment_size };
        let mut ledger = Self::new(rows, wal, paths, options, state, position);
        ledger.sync_wal()?;
        ledger.request_checkpoint();
        ledger.sync(initial)?;
        let header = encode_file_header(segment_size);
        let written = ledger.wal.write_at(&header, 0);
        written.map_err(ledger.paths.wal_error("write its header"))?;
        ledger.sync_wal()?;
        Ok(ledger)
    }

    fn sync_wal(&mut self) -> Result<(), Error> {
        match self.options.durability {
            Durability::Synced => self.wal.sync().map_err(self.paths.wal_error("sync it")),
            Durability::NotSynced => Ok(()),
        }
    }
}

/// Fills a new wal with zeros.
pub(crate) fn preallocate<S: Storage>(
    wal: &mut S,
    paths: &Paths,
    options: &Options,
    watch: &mut Watch<'_>,
) -> Result<(), Error> {
    const ZEROS: &[u8] = &[0; 256 * 1024];
    let size = file_len(options.segment_size);
    space::require(wal, &paths.wal, options, size)?;
    watch.begin(Step::FillWal, size).map_err(paths.interrupted())?;
    let mut filled = 0;
    while filled < size {
        let count = (size - filled).min(ZEROS.len() as u64);
        let zeros = &ZEROS[..usize::try_from(count).expect("at most the length of ZEROS")];
        if let Err(error) = wal.write_at(zeros, filled) {
            return Err(not_filled(wal, paths, size, error));
        }
        watch.advance(count).map_err(paths.interrupted())?;
        filled += count;
    }
    wal.set_len(size).map_err(paths.wal_error("set its length"))
}

/// A wal that can't be filled gives the space back that it has taken: other programs on the disk
/// need it too.
fn not_filled<S: Storage>(wal: &mut S, paths: &Paths, size: u64, source: io::Error) -> Error {
    if !is_out_of_space(&source) {
        return paths.wal_error("fill it")(source);
    }
    // If even that fails the next start fills it anew all the same.
    let _ = wal.set_len(0);
    Error::NoSpaceForWal { path: paths.wal.clone(), size, source }
}
