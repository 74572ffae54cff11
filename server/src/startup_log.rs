//! Log lines of a start: where the ledger is, how it was found, what was repaired.

use std::path::Path;

use log::{info, warn};
use runtime::logging::Escaped;

use crate::config::Config;
use crate::ledger::file_ledger::LOG_SUFFIX;
use crate::ledger::{Recovery, Sync};

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
    let state = state(recovery);
    if recovery.is_needed() {
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
    if config.ledger.sync == Sync::Never {
        warn!(
            "action: open_ledger | result: success | path: {path} | sync: never | \
             warning: a crash of this machine may lose confirmed bets"
        );
    }
}

fn state(recovery: &Recovery) -> &'static str {
    match recovery {
        Recovery { created: true, .. } => "new",
        recovery if recovery.is_needed() => "recovered",
        _ => "clean",
    }
}

/// What a recovery found and did, and why, as a part of a log line.
fn repairs(recovery: &Recovery) -> String {
    let Recovery { commits, commit_rows, cut, restored, torn, .. } = recovery;
    format!(
        "bytes_cut: {cut} | bytes_restored: {restored} | torn_commit: {torn} | commits: {commits} | \
         rows: {commit_rows} | cause: the last run was killed or failed, or the power did: what was \
         confirmed is there"
    )
}

/// Logs where the wal is, when a symbolic link leads to the ledger: it isn't beside the link.
pub fn log_wal_path(storage: &Path, wal: &Path) {
    let mut beside = storage.as_os_str().to_owned();
    beside.push(LOG_SUFFIX);
    if wal != Path::new(&beside) {
        let (path, wal) = (escaped(storage), escaped(wal));
        info!("action: open_ledger | result: success | path: {path} | wal: {wal}");
    }
}

/// The names of both files of a ledger.
pub fn names(csv: &Path, wal: &Path) -> String {
    format!("{} and {}", escaped(csv), escaped(wal))
}

fn escaped(path: &Path) -> String {
    Escaped(path.display().to_string().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_new_clean_or_recovered() {
        let clean = Recovery { clean: true, ..Recovery::default() };
        for (recovery, expected) in [
            (Recovery { created: true, ..Recovery::default() }, "new"),
            (clean, "clean"),
            (Recovery::default(), "recovered"),
        ] {
            assert_eq!(state(&recovery), expected, "{recovery:?}");
        }
    }

    #[test]
    fn a_recovery_says_what_it_did_and_why() {
        let killed = Recovery { commits: 2, commit_rows: 9, restored: 7, ..Recovery::default() };
        assert_eq!(
            repairs(&killed),
            "bytes_cut: 0 | bytes_restored: 7 | torn_commit: false | commits: 2 | rows: 9 | \
             cause: the last run was killed or failed, or the power did: what was confirmed is there"
        );
    }
}
