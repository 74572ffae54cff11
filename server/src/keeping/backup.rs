//! `server ledger backup PATH DEST` and `server ledger restore SRC PATH`.
//!
//! The rows are read once: verified, counted and copied on their way. How a ledger is read that a central has
//! open is at the head of the ledger's `recovery/live.rs`, how a copy stays whole when its making is
//! interrupted at that of `copying.rs`.

use std::fs;
use std::path::Path;

use ledger::{CopyError, Copying, Inspection, Reader};

use super::audit::Audit;
use super::check::{COPY, ledger_at};
use super::error::KeepError;
use super::progress::ProgressLine;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Rows in the copy.
    pub bets: u64,
    /// Bytes of rows in the copy.
    pub bytes: u64,
    /// Bytes that were copied this time.
    pub written: u64,
}

/// Copies the ledger `from` into a folder, or what is new of it; verifies the copy.
///
/// # Errors
/// [`KeepError`]; an earlier copy in the folder is still there then.
pub fn backup(from: &Path, folder: &Path) -> Result<Copied, KeepError> {
    let source = Reader::open(from)?;
    make_folder(folder)?;
    let mut copying = Copying::grow(&folder.join(COPY), from)?;
    let copied = copy(&source, &mut copying).map_err(|error| explain(&source, &copying, error));
    if copied.is_err() {
        copying.give_up();
    }
    copied
}

/// Makes the ledger `to` of the copy `from`, or of any other ledger, which is verified before.
///
/// # Errors
/// [`KeepError`]; there is no new ledger then.
pub fn restore(from: &Path, to: &Path) -> Result<Copied, KeepError> {
    let from = ledger_at(from);
    let source = Reader::open(&from)?;
    let mut copying = Copying::create(to, &from)?;
    let copied = verify(&source).and_then(|()| copy(&source, &mut copying));
    if copied.is_err() {
        copying.give_up();
    }
    copied
}

fn verify(source: &Reader) -> Result<(), KeepError> {
    let mut line = ProgressLine::new();
    source.inspect(None, &mut Audit::default(), &mut |progress| line.show(progress))?;
    Ok(())
}

fn copy(source: &Reader, copying: &mut Copying) -> Result<Copied, KeepError> {
    let mut line = ProgressLine::new();
    let mut watch = |progress| line.show(progress);
    let (copied, before) = copying.copied()?;
    let mut failed = None;
    let mut sink = |rows: &[u8]| {
        copying.take(rows).map_err(|error| {
            failed = Some(error);
            std::io::Error::other("the copy can't be written")
        })
    };
    let mut audit = Audit::with_sink(&mut sink);
    let inspected = source.inspect(Some((&copied, before)), &mut audit, &mut watch);
    let (bets, mut snapshot) = (audit.rows(), Vec::new());
    let snapshot = audit.snapshot(&mut snapshot);
    drop(audit);
    if let Some(error) = failed {
        return Err(error.into());
    }
    let found: Inspection = inspected?;
    copying.finish(&found, snapshot, &mut watch)?;
    Ok(Copied { bets, bytes: found.rows_len, written: copying.written() })
}

/// Rows that don't go on from those that were copied before: it is to be known whose fault that is.
fn explain(source: &Reader, copying: &Copying, error: KeepError) -> KeepError {
    let is_unclear = match &error {
        KeepError::Copy(CopyError::OtherLedger { .. }) => true,
        other => other.is_damage(),
    };
    if !is_unclear {
        return error;
    }
    match copying.verify_before().map_err(KeepError::from).and_then(|()| verify(source)) {
        Ok(()) => copying.other_ledger().into(),
        Err(error) => error,
    }
}

fn make_folder(folder: &Path) -> Result<(), KeepError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir(folder).map_err(|source| KeepError::Folder { path: folder.to_owned(), source })
}
