//! Files that are created and never overwritten, and files that are replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Who may read a file.
#[derive(Clone, Copy)]
pub(crate) enum Readers {
    /// Its owner alone.
    Owner,
    /// Everybody whom the umask lets.
    Everybody,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// For `map_err`, with what was tried.
pub(crate) fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, action, source }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(failed(path, "read"))
}

/// Refuses if any of `paths` exists, be it a link to nowhere.
pub(crate) fn refuse_existing(paths: impl IntoIterator<Item = PathBuf>) -> Result<(), Error> {
    let existing: Vec<_> =
        paths.into_iter().filter(|path| path.symlink_metadata().is_ok()).collect();
    if existing.is_empty() { Ok(()) } else { Err(Error::Exists(existing)) }
}

/// Creates a file that must not exist. Its mode is right from the first byte; a file that couldn't be
/// written whole is removed.
pub(crate) fn create(path: &Path, readers: Readers, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(readers.mode());
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(vec![path.to_owned()]),
        _ => failed(path, "create")(error),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // The first error is the one that is returned.
        let _ = fs::remove_file(path);
        failed(path, "write")(error)
    })
}

/// Replaces a file, or creates it: a reader sees the old or the new one, and so does who reads after a
/// power failure. One process at a time may call it for a path.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.tmp"));
    let written = File::create(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path));
    written.map_err(failed(path, "replace"))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    // A path of one component has an empty parent.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "sync"))
}
