//! What each command was asked for on the command line, and the line that it says at its end.

use std::ffi::OsString;
use std::path::Path;

use wire::Agency;

use super::backup::{self, Copied};
use super::check::{self, ledger_at};
use super::check_etcd;
use super::error::KeepError;
use super::export::{self, Exported};
use super::report::Report;
use crate::config::Config;
use crate::exporting;

/// `server ledger check [PATH]`: the ledger PATH, or what is configured.
///
/// # Errors
/// [`KeepError`].
pub fn check_ledger(config: &Config, operands: &[OsString]) -> Result<Report, KeepError> {
    match (operands, &config.etcd) {
        ([path], _) => check::check(&ledger_at(Path::new(path))),
        ([], None) => check::check(&config.storage),
        ([], Some(etcd)) => check_etcd::check(config, etcd),
        _ => Err(KeepError::Usage("ledger check: expected one PATH, or none")),
    }
}

/// `server ledger export PATH [FILE] [--agency N]`.
///
/// # Errors
/// [`KeepError`].
pub fn export_ledger(operands: &[OsString], agency: Option<&str>) -> Result<String, KeepError> {
    let agency = agency.map(one_agency).transpose()?;
    let standard_output = OsString::from("-");
    let (from, to) = match operands {
        [from] => (from, &standard_output),
        [from, to] => (from, to),
        _ => return Err(KeepError::Usage("ledger export: expected PATH, and FILE or nothing")),
    };
    let exported = export::export(&ledger_at(Path::new(from)), to, agency)?;
    Ok(said_of(exported))
}

fn one_agency(text: &str) -> Result<Agency, KeepError> {
    let agency = text.parse().ok().filter(|agency| *agency > 0);
    agency.ok_or(KeepError::Usage("--agency: expected the number of an agency, from 1 on"))
}

fn said_of(Exported { bets, finished }: Exported) -> String {
    format!("{bets} bets, {finished} agencies have finished\n")
}

/// `server export FILE`: of what is configured.
///
/// # Errors
/// [`KeepError`].
pub fn export_draw(config: &Config, operands: &[OsString]) -> Result<String, KeepError> {
    let [to] = operands else {
        return Err(KeepError::Usage("export: expected one FILE, or - for standard output"));
    };
    let Some(etcd) = &config.etcd else {
        return Ok(said_of(export::export(&config.storage, to, None)?));
    };
    let exporting::Exported { bets, finished, revision } = exporting::export(config, etcd, to)?;
    let agencies = config.terms.agencies;
    Ok(format!(
        "{bets} bets, {finished} of {agencies} agencies have finished, revision {revision}\n"
    ))
}

/// `server ledger backup PATH DEST`.
///
/// # Errors
/// [`KeepError`].
pub fn back_up_ledger(operands: &[OsString]) -> Result<String, KeepError> {
    let [from, to] = operands else {
        return Err(KeepError::Usage("ledger backup: expected PATH and DEST"));
    };
    let Copied { bets, bytes, written } = backup::backup(Path::new(from), Path::new(to))?;
    Ok(format!("{bets} bets in {bytes} bytes, {written} of them copied now; verified\n"))
}

/// `server ledger restore SRC PATH`.
///
/// # Errors
/// [`KeepError`].
pub fn restore_ledger(operands: &[OsString]) -> Result<String, KeepError> {
    let [from, to] = operands else {
        return Err(KeepError::Usage("ledger restore: expected SRC and PATH"));
    };
    let Copied { bets, bytes, .. } = backup::restore(Path::new(from), Path::new(to))?;
    Ok(format!("{bets} bets in {bytes} bytes; verified\n"))
}
