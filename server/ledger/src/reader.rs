//! A ledger's files, opened to be read alone.
//!
//! Another process may have them open: whether one has is tried by a lock, which is given back at once. A
//! process that opens the ledger in just that moment tries again.

use std::fs::{File, OpenOptions, TryLockError};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use crate::open::require_regular;
use crate::paths::Paths;
use crate::progress::{Progress, Watch};
use crate::recovery::{self, Inspected, Inspection, OpenError, Replay};
use crate::{Error, Storage};

/// A ledger that is only read.
#[derive(Debug)]
pub struct Reader {
    rows: File,
    wal: File,
    paths: Paths,
    /// An empty file is in their place.
    rows_missing: bool,
}

impl Reader {
    /// Opens the ledger of these rows.
    ///
    /// # Errors
    /// It isn't there, or can't be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let paths = Paths::resolved(path)?;
        // Rows that are missing are as good as none: the wal says whether there were any.
        let rows_missing = !paths.rows.exists() && paths.wal.exists();
        let rows = if rows_missing {
            File::open("/dev/null").map_err(paths.rows_error("open it"))?
        } else {
            open(&paths.rows)?
        };
        if !paths.wal.exists() {
            let rows_len = Storage::len(&rows).map_err(paths.rows_error("measure it"))?;
            return Err(Error::WalMissing { path: paths.rows, wal: paths.wal, rows_len });
        }
        let wal = open(&paths.wal)?;
        Ok(Self { rows, wal, paths, rows_missing })
    }

    /// Names of the two files.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Whether another process has the ledger open.
    ///
    /// # Errors
    /// The file system says no.
    pub fn is_in_use(&self) -> Result<bool, Error> {
        match self.wal.try_lock_shared() {
            Ok(()) => {
                self.wal.unlock().map_err(self.paths.wal_error("unlock it"))?;
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(self.paths.wal_error("lock it")(source)),
        }
    }

    /// Verifies all of it, and hands it to `replay`. Where `copied` is a file that has so many bytes of the
    /// rows already, these are read from there. `watch` learns how far it has come, and may stop it.
    ///
    /// # Errors
    /// [`OpenError`]: it is damaged, or `replay` refuses it.
    pub fn inspect<R: Replay>(
        &self,
        copied: Option<(&File, u64)>,
        replay: &mut R,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Inspection, OpenError<R::Error>> {
        let mut watch = Watch::new(watch);
        let files = Inspected { rows: &self.rows, wal: &self.wal, paths: &self.paths, copied };
        let found = recovery::inspect(&files, &mut || self.is_in_use(), replay, &mut watch)?;
        self.verify_names()?;
        Ok(found)
    }

    /// Both files must still be where they were opened.
    fn verify_names(&self) -> Result<(), Error> {
        let Paths { rows, wal } = &self.paths;
        let found = self.rows.len_at(rows).map_err(self.paths.rows_error("look at it"))?;
        let found_wal = self.wal.len_at(wal).map_err(self.paths.wal_error("look at it"))?;
        for (path, found) in [(rows, found), (wal, found_wal)] {
            if found.is_none() && !(self.rows_missing && path == rows) {
                return Err(Error::Gone { path: path.clone() });
            }
        }
        Ok(())
    }
}

/// Opens a file for reading. What is no regular file isn't opened: a device may do something then.
fn open(path: &Path) -> Result<File, Error> {
    let error = |source| Error::Io { doing: "open it", path: path.to_owned(), source };
    require_regular(path, &path.metadata().map_err(error)?)?;
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(error)
}
