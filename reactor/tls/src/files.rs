//! Reads files of certificates, keys and revocation lists, so that all are of one generation.
//!
//! Who renews certificates may replace several files at a time by pointing a link at another folder,
//! as Kubernetes does with `..data`. What was read before the link moved doesn't go with what is read
//! after it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use runtime::regular_file::{self, OpenError};

use crate::problem::{LoadError, Problem, Role};

/// Largest file, in bytes. Each handshake hashes a whole revocation list, to check its signature: with
/// one of this size, which has about 20,000 certificates, that takes as long as the rest of it.
pub const MAX_FILE_SIZE: u64 = 1 << 20;

/// How often files are read that are replaced meanwhile.
const ATTEMPTS: u32 = 3;

/// Permissions of the owner's group and of others to read and to write.
const OTHERS: u32 = 0o066;

/// All permissions.
const PERMISSIONS: u32 = 0o7777;

/// What was read, and by which name it was found.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Where each name led; `None` for one that led nowhere.
    resolved: Vec<(PathBuf, Option<PathBuf>)>,
}

/// A file's content.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    mode: u32,
}

/// Loads something from several files; again when one of their names leads elsewhere afterwards.
///
/// # Errors
/// What the last attempt fails with.
pub(crate) fn load_together<T>(
    mut load: impl FnMut(&mut Reader) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let mut attempt = 1;
    loop {
        let mut reader = Reader::default();
        let loaded = load(&mut reader);
        if attempt == ATTEMPTS || reader.is_current() {
            return loaded;
        }
        attempt += 1;
    }
}

impl Reader {
    /// Reads a regular file of at most [`MAX_FILE_SIZE`] bytes. Never waits for a pipe.
    ///
    /// # Errors
    /// It isn't one, or can't be read.
    pub(crate) fn read(&mut self, role: Role, path: &Path) -> Result<Content, LoadError> {
        self.try_read(path).map_err(|problem| problem.of(role, path))
    }

    fn try_read(&mut self, path: &Path) -> Result<Content, Problem> {
        let resolved = path.canonicalize();
        self.resolved.push((path.to_owned(), resolved.as_ref().ok().cloned()));
        content(&regular_file::open(&resolved.map_err(OpenError::Io)?)?)
    }

    /// Whether all names still lead to where they led.
    fn is_current(&self) -> bool {
        self.resolved.iter().all(|(path, resolved)| path.canonicalize().ok() == *resolved)
    }
}

fn content(file: &File) -> Result<Content, Problem> {
    let mode = file.metadata().map_err(Problem::Read)?.permissions().mode() & PERMISSIONS;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(Problem::Read)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(Problem::TooLarge { max: MAX_FILE_SIZE });
    }
    Ok(Content { bytes, mode })
}

impl Content {
    /// Refuses a file that others than its owner can read or write.
    pub(crate) fn check_is_closed(&self) -> Result<(), Problem> {
        match self.mode {
            mode if mode & OTHERS == 0 => Ok(()),
            mode => Err(Problem::OpenKey { mode }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A folder with a link `data` to one of the folders 1 and 2, each with files `a` and `b`.
    fn generations() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1", "2"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            for file in ["a", "b"] {
                fs::write(folder.path().join(name).join(file), format!("{file}{name}")).unwrap();
            }
        }
        point(folder.path(), "1");
        folder
    }

    fn point(folder: &Path, target: &str) {
        symlink(target, folder.join("new")).unwrap();
        fs::rename(folder.join("new"), folder.join("data")).unwrap();
    }

    /// Reads both files, and lets `between` happen between them.
    fn load(folder: &Path, mut between: impl FnMut(u32)) -> (Result<String, LoadError>, u32) {
        let mut attempts = 0;
        let loaded = load_together(|reader| {
            attempts += 1;
            let mut text = reader.read(Role::Certificate, &folder.join("data/a"))?.bytes;
            between(attempts);
            text.extend(reader.read(Role::Key, &folder.join("data/b"))?.bytes);
            Ok(String::from_utf8(text).unwrap())
        });
        (loaded, attempts)
    }

    #[test]
    fn files_that_are_replaced_meanwhile_are_read_again() {
        let folder = generations();
        let path = folder.path();
        let (loaded, attempts) = load(path, |_| ());
        assert_eq!((loaded.unwrap().as_str(), attempts), ("a1b1", 1));
        let (loaded, attempts) = load(path, |attempt| {
            if attempt == 1 {
                point(path, "2");
            }
        });
        assert_eq!((loaded.unwrap().as_str(), attempts), ("a2b2", 2));
        // As Kubernetes does, the folder before goes at once.
        let (loaded, attempts) = load(path, |attempt| {
            if attempt == 1 {
                point(path, "1");
                fs::remove_dir_all(path.join("2")).unwrap();
            }
        });
        assert_eq!((loaded.unwrap().as_str(), attempts), ("a1b1", 2));
    }

    #[test]
    fn files_that_are_replaced_for_ever_are_not_read_for_ever() {
        let folder = generations();
        let path = folder.path();
        let (loaded, attempts) =
            load(path, |attempt| point(path, ["1", "2"][attempt as usize % 2]));
        assert_eq!(attempts, ATTEMPTS);
        loaded.unwrap();
    }

    #[test]
    fn a_file_that_is_missing_is_asked_for_once() {
        let folder = generations();
        let path = folder.path();
        let (loaded, attempts) = load(path, |_| drop(fs::remove_file(path.join("1/b"))));
        let error = loaded.unwrap_err();
        assert_eq!((error.path, error.role, attempts), (path.join("data/b"), Role::Key, 1));
        assert!(matches!(*error.problem, Problem::Open(OpenError::Io(_))));
    }
}
