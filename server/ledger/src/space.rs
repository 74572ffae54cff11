//! Limits on what is written: the size of the rows, and space that stays free on their file system.

use std::path::Path;

use crate::{Error, Options, Storage};

/// Bytes of rows that the disk begins to write together: enough to be written in one go, few enough
/// to be done before the checkpoint comes. After as many the free space is looked at again.
const WRITEBACK: u64 = 1 << 20;

/// Where the last such piece of a file of so many bytes begins, before and after some are added.
pub(crate) fn writeback_range(len: u64, added: u64) -> (u64, u64) {
    let begun = |len: u64| len - len % WRITEBACK;
    (begun(len), begun(len + added))
}

/// Looks for space before rows need it: a file system that is full isn't a good place for a program,
/// nor for whatever else lives there.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// There was some when the last row was appended, and there will be until the next MiB begins.
    known: bool,
}

impl Space {
    /// Something has failed: nothing is known of it any more.
    pub(crate) fn forget(&mut self) {
        self.known = false;
    }

    /// Whether so many bytes may be added to the rows, which have `len`.
    pub(crate) fn check(
        &mut self,
        rows: &impl Storage,
        path: &Path,
        options: &Options,
        (len, added): (u64, u64),
    ) -> Result<(), Error> {
        let max = options.max_size;
        if added == 0 {
            return Ok(());
        }
        if len + added > max {
            return Err(Error::Full { len, max });
        }
        let (from, to) = writeback_range(len, added);
        if self.known && from == to {
            return Ok(());
        }
        self.known = false;
        require(rows, path, options, added)?;
        self.known = true;
        Ok(())
    }
}

/// So many bytes must be free for the file, and some must stay so.
pub(crate) fn require(
    file: &impl Storage,
    path: &Path,
    options: &Options,
    needed: u64,
) -> Result<(), Error> {
    let min_free = options.min_free;
    if min_free == 0 {
        return Ok(());
    }
    let path = || path.to_owned();
    let free = file.free_space().map_err(|source| Error::Io {
        doing: "ask for the free space",
        path: path(),
        source,
    })?;
    match free {
        Some(free) if free < needed.saturating_add(min_free) => {
            Err(Error::LowSpace { path: path(), free, needed, min_free })
        }
        _ => Ok(()),
    }
}
