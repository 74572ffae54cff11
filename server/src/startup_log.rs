//! Log lines of a start: where the ledger is, how it was found, what was repaired.

use std::path::Path;

use ledger::{Durability, Paths, WAL_SUFFIX};
use log::{info, warn};
use runtime::logging::Escaped;

use crate::config::Config;
use crate::store::Recovery;

/// Agencies keep their connections until the draw: with fewer `connections` than agencies there is
/// none.
pub fn warn_of_few_connections(config: &Config, connections: usize) {
    let agencies = config.agencies;
    if connections >= agencies as usize {
        return;
    }
    let asked = config.limits.max_connections;
    warn!(
        "action: config | result: in_progress | connections: {connections} | agencies: {agencies} | \
         warning: not all agencies can be connected at the same time: SERVER_MAX_CONNECTIONS is \
         {asked}, and RLIMIT_NOFILE may allow fewer"
    );
}

/// Logs that the ledger is open, and what its opening found.
pub fn log_opened(config: &Config, recovery: &Recovery) {
    let path = escaped(&config.storage);
    let rows = recovery.rows;
    let state = state(&recovery.files);
    if recovery.files.is_needed() {
        info!("action: recover_ledger | result: success | path: {path} | {}", repairs(recovery));
    }
    info!("action: open_ledger | result: success | path: {path} | state: {state} | bets: {rows}");
    if let Some(before) = recovery.agencies_before {
        let now = config.agencies;
        warn!(
            "action: open_ledger | result: success | path: {path} | agencies: {now} | \
             agencies_before: {before} | warning: the draw waits for {now} agencies from now on"
        );
    }
    if config.ledger.durability == Durability::NotSynced {
        warn!(
            "action: open_ledger | result: success | path: {path} | sync: never | \
             warning: a crash of this machine may lose confirmed bets"
        );
    }
}

fn state(files: &ledger::Recovery) -> &'static str {
    match files {
        ledger::Recovery { created: true, .. } => "new",
        files if files.is_needed() => "recovered",
        _ => "clean",
    }
}

/// What a recovery found and did, and why, as a part of a log line.
fn repairs(recovery: &Recovery) -> String {
    let Recovery { files, commit_rows, .. } = recovery;
    let ledger::Recovery { commits, cut, restored, torn, .. } = files;
    format!(
        "bytes_cut: {cut} | bytes_restored: {restored} | torn_commit: {torn} | commits: {commits} | \
         rows: {commit_rows} | cause: the last run was killed or failed, or the power did: what was \
         confirmed is there"
    )
}

/// Logs where the wal is, when a symbolic link leads to the ledger: it isn't beside the link.
pub fn log_wal_path(storage: &Path, wal: &Path) {
    let mut beside = storage.as_os_str().to_owned();
    beside.push(WAL_SUFFIX);
    if wal != Path::new(&beside) {
        let (path, wal) = (escaped(storage), escaped(wal));
        info!("action: open_ledger | result: success | path: {path} | wal: {wal}");
    }
}

/// The names of both files of a ledger.
pub fn names(paths: &Paths) -> String {
    format!("{} and {}", escaped(&paths.rows), escaped(&paths.wal))
}

fn escaped(path: &Path) -> String {
    Escaped(path.display().to_string().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_new_clean_or_recovered() {
        let found = ledger::Recovery::default();
        for (recovery, expected) in [
            (ledger::Recovery { created: true, ..found }, "new"),
            (ledger::Recovery { clean: true, ..found }, "clean"),
            (found, "recovered"),
        ] {
            assert_eq!(state(&recovery), expected, "{recovery:?}");
        }
    }

    #[test]
    fn a_recovery_says_what_it_did_and_why() {
        let files = ledger::Recovery { commits: 2, restored: 7, ..ledger::Recovery::default() };
        let killed = Recovery { files, commit_rows: 9, ..Recovery::default() };
        assert_eq!(
            repairs(&killed),
            "bytes_cut: 0 | bytes_restored: 7 | torn_commit: false | commits: 2 | rows: 9 | \
             cause: the last run was killed or failed, or the power did: what was confirmed is there"
        );
    }
}
