//! `server ledger export PATH`: the durable rows of a ledger, of all agencies or of one, in their order.
//!
//! They are verified on their way: what was written to standard output by then isn't taken back when there is
//! damage behind it, but the exit code says so; a file isn't there then.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use ledger::Reader;
use wire::Agency;

use super::audit::Audit;
use super::error::KeepError;
use crate::row::{self, StoredBet};
use crate::whole_file::{self, WriteError};

/// Bytes of one agency's rows that are written together.
const PIECE: usize = 64 << 10;

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Rows.
    pub bets: u64,
    /// Agencies that have finished.
    pub finished: usize,
}

/// Writes the rows of the ledger `from` to `to`, `-` for standard output; those of one agency alone if it is
/// given.
///
/// # Errors
/// [`KeepError`].
pub fn export(from: &Path, to: &OsStr, of: Option<Agency>) -> Result<Exported, KeepError> {
    let reader = Reader::open(from)?;
    whole_file::write(to, |path, out| {
        let mut rows = Rows { out, path, piece: Vec::new(), failed: None };
        let exported = match of {
            None => write_all(&reader, &mut rows),
            Some(agency) => write_of(&reader, &mut rows, agency),
        };
        // What kept rows from being written is the reason, whatever became of the reading.
        match rows.failed {
            Some(error) => Err(error.into()),
            None => exported,
        }
    })
}

fn write_all(reader: &Reader, rows: &mut Rows<'_>) -> Result<Exported, KeepError> {
    let mut sink = |bytes: &[u8]| rows.write(bytes);
    let mut audit = Audit::with_sink(&mut sink);
    reader.inspect(None, &mut audit, &mut |_| std::ops::ControlFlow::Continue(()))?;
    Ok(Exported { bets: audit.rows(), finished: finished(&audit) })
}

fn write_of(reader: &Reader, rows: &mut Rows<'_>, agency: Agency) -> Result<Exported, KeepError> {
    let mut bets = 0;
    let mut visit = |stored: &StoredBet<'_>| {
        if stored.agency == agency {
            bets += 1;
            rows.push(stored);
        }
    };
    let mut audit = Audit::with_visit(&mut visit);
    reader.inspect(None, &mut audit, &mut |_| std::ops::ControlFlow::Continue(()))?;
    let finished = finished(&audit);
    rows.flush();
    Ok(Exported { bets, finished })
}

fn finished(audit: &Audit<'_>) -> usize {
    audit.state.accounts().filter(|(_, account)| account.finished).count()
}

/// Where rows go.
struct Rows<'o> {
    out: &'o mut dyn Write,
    path: &'o Path,
    /// Rows of one agency that aren't written yet.
    piece: Vec<u8>,
    /// Nothing more is written after it.
    failed: Option<WriteError>,
}

impl Rows<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.out.write_all(bytes).map_err(|source| {
            let kind = source.kind();
            self.failed = Some(WriteError { path: self.path.to_owned(), source });
            kind.into()
        })
    }

    fn push(&mut self, stored: &StoredBet<'_>) {
        row::encode(stored.agency, &stored.bet, &mut self.piece);
        if self.piece.len() >= PIECE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        if self.failed.is_none() {
            // What it fails of is kept.
            let _ = self.write(&piece).and_then(|()| self.out.flush());
        }
    }
}
