//! `server ledger check PATH`: verifies every byte of a ledger, and shows what is in it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ledger::Reader;
use runtime::console;

use super::audit::Audit;
use super::error::KeepError;
use super::progress::ProgressLine;
use super::report::{Report, failure_json};

/// What the rows of a copy are called, in its folder.
pub const COPY: &str = "bets.csv";

/// The ledger that a path means: itself, or the copy in a folder.
pub fn ledger_at(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(COPY) } else { path.to_owned() }
}

/// Verifies a ledger.
///
/// # Errors
/// [`KeepError`]: what is wrong with it, or why it can't be read.
pub fn check(path: &Path) -> Result<Report, KeepError> {
    let reader = Reader::open(path)?;
    let (mut audit, mut line) = (Audit::default(), ProgressLine::new());
    let found = reader.inspect(None, &mut audit, &mut |progress| line.show(progress))?;
    Ok(Report::of_ledger(path, &found, &audit))
}

/// Says what was found. A report that can't be written is none.
pub fn print(found: &Result<Report, KeepError>, as_json: bool) -> ExitCode {
    let (text, code) = match found {
        Ok(report) if as_json => (report.json(), ExitCode::SUCCESS),
        Ok(report) => (report.table(), ExitCode::SUCCESS),
        Err(error) => {
            let is_damage = error.is_damage();
            let kind = if is_damage { "damaged" } else { "error" };
            console::complain(&format!("{kind}: {error}\n"));
            let json = || failure_json(is_damage, &error.to_string());
            let text = if as_json { json() } else { String::new() };
            (text, error.exit_code_of_check())
        }
    };
    match console::try_print(&text) {
        Ok(()) => code,
        Err(error) => {
            console::complain(&format!("error: standard output: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
