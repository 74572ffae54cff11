//! A file that is complete or isn't there: it is written beside its place and moved there at the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a file's name ends with until it is complete.
const PARTIAL: &str = ".partial";

/// It can't be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: expected to write it: {source}", path.display())]
pub struct WriteError {
    /// Which.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Whether this name means standard output.
pub fn is_standard_output(to: &OsStr) -> bool {
    to == "-"
}

/// Lets `write_into` write the file `to`, `-` for standard output; it gets the name for messages.
///
/// # Errors
/// That of `write_into`, or [`WriteError`]; there is no file then, or the one that was there before.
pub fn write<T, E: From<WriteError>>(
    to: &OsStr,
    write_into: impl FnOnce(&Path, &mut dyn Write) -> Result<T, E>,
) -> Result<T, E> {
    if is_standard_output(to) {
        return write_into(Path::new("standard output"), &mut io::stdout().lock());
    }
    let mut partial = to.to_owned();
    partial.push(PARTIAL);
    let (path, partial) = (Path::new(to), PathBuf::from(partial));
    let write_error = |source| WriteError { path: partial.clone(), source };
    let mut file = File::create(&partial).map_err(write_error)?;
    let written = write_into(&partial, &mut file).and_then(|written| {
        file.sync_all().and_then(|()| fs::rename(&partial, path)).map_err(write_error)?;
        Ok(written)
    });
    if written.is_err() {
        // Of no use; that it can't be removed changes nothing about the error.
        let _ = fs::remove_file(&partial);
    }
    written
}
