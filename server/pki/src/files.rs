//! Files that are created and never overwritten, files that are replaced as a whole, and copies for
//! another user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

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

/// The user and group that a copy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

impl Owner {
    fn take(self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.user), Some(self.group))
    }
}

impl FromStr for Owner {
    type Err = Error;

    /// `UID:GID`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let owner = text.split_once(':').and_then(|(user, group)| {
            Some(Self { user: user.parse().ok()?, group: group.parse().ok()? })
        });
        owner.ok_or_else(|| Error::NoOwner(text.to_owned()))
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
    create_owned(path, readers, None, text)
}

fn create_owned(
    path: &Path,
    readers: Readers,
    owner: Option<Owner>,
    text: &str,
) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(readers.mode());
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(vec![path.to_owned()]),
        _ => failed(path, "create")(error),
    })?;
    let written = owner
        .map_or(Ok(()), |owner| owner.take(&file).map_err(failed(path, "give away")))
        .and_then(|()| {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.map_err(failed(path, "write"))
        });
    written.inspect_err(|_| {
        // The first error is the one that is returned.
        let _ = fs::remove_file(path);
    })
}

/// Replaces a file, or creates it: a reader sees the old or the new one, and so does who reads after a
/// power failure. One process at a time may call it for a path.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let unfinished = unfinished(path);
    let written = File::create(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path));
    written.map_err(failed(path, "replace"))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Where a file is written before it takes another's place.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// Replaces a file with a copy of another for `owner`, or creates it: a reader sees the old or the new
/// one. The copy is its owner's before it holds anything.
pub(crate) fn copy(
    from: &Path,
    to: &Path,
    readers: Readers,
    owner: Option<Owner>,
) -> Result<(), Error> {
    let text = read(from)?;
    let unfinished = unfinished(to);
    // One that was left behind may have another owner and mode.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&unfinished, "remove")(error));
        }
        _ => {}
    }
    create_owned(&unfinished, readers, owner, &text)?;
    fs::rename(&unfinished, to).map_err(failed(to, "replace"))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    // A path of one component has an empty parent.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "sync"))
}
