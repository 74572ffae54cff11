//! Opens a file that must be a regular one, without blocking.
//!
//! To open a named pipe blocks until its other end is opened, maybe for ever, and a program that is
//! blocked there handles no signal. Nor can a pipe be read a second time.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It isn't a regular file.
    #[error("must be a regular file, found {found}")]
    NotRegular {
        /// What it is.
        found: &'static str,
    },
}

/// Opens a regular file to read it.
///
/// # Errors
/// When it isn't one, isn't there, or may not be read.
pub fn open(path: &Path) -> Result<File, OpenError> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // No device or address: what opening a socket says.
        Some(number) if number == rustix::io::Errno::NXIO.raw_os_error() => {
            OpenError::NotRegular { found: "a socket or a device" }
        }
        _ => error.into(),
    })?;
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind => Err(OpenError::NotRegular { found: name(kind) }),
    }
}

fn name(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    fn error(path: &Path) -> String {
        open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_regular_file_is_read_also_by_way_of_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&path, "hola").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            let mut text = String::new();
            open(path).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "hola");
        }
    }

    /// No process opens the other end of the pipe.
    #[test]
    fn whatever_else_there_is_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(error(&pipe), "must be a regular file, found a pipe");
        assert_eq!(error(&socket), "must be a regular file, found a socket or a device");
        assert_eq!(error(folder.path()), "must be a regular file, found a directory");
        assert_eq!(error(Path::new("/dev/null")), "must be a regular file, found a device");
        let missing = open(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(missing, OpenError::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
