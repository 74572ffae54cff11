//! Log lines of a start: where the ledger is, how it was found, what was repaired.

use std::net::SocketAddr;
use std::path::Path;

use ledger::{Durability, Paths, WAL_SUFFIX};
use runtime::log_line;
use runtime::logging::{Escaped, InProgress, Level, Line, Pairs, Success};

use crate::central::Plaintext;
use crate::config::Config;
use crate::lottery::Lottery;
use crate::store::{Recovery, Store};

/// Agencies keep their connections until the draw: with fewer `connections` than agencies there is
/// none.
pub fn warn_of_few_connections(config: &Config, connections: usize) {
    let agencies = config.terms.agencies;
    if connections >= agencies as usize {
        return;
    }
    let asked = config.limits.max_connections;
    let warning = format_args!(
        "not all agencies can be connected at the same time: SERVER_MAX_CONNECTIONS is {asked}, and \
         RLIMIT_NOFILE may allow fewer"
    );
    let line = Line::new("config", InProgress)
        .with("connections", connections)
        .with("agencies", agencies)
        .with("warning", warning);
    log_line!(Level::Warn, line);
}

/// Warns when there is no room for another bet.
pub fn warn_of_full_ledger(store: &impl Store, lottery: &Lottery) {
    let Some(limit) = store.max_len().filter(|_| store.is_full() && lottery.awaits_draw()) else {
        return;
    };
    let line = Line::new("open_ledger", InProgress)
        .with("bytes", store.rows_len())
        .with("limit", limit)
        .with("warning", "no bet is taken: raise SERVER_MAX_LEDGER_SIZE");
    log_line!(Level::Warn, line);
}

/// Warns when a socket that a service manager has passed on is at another port than `setting` says, which
/// the health check asks and messages name.
pub fn warn_of_other_port(setting: &str, configured: u16, listening: SocketAddr) {
    let passed = listening.port();
    if configured == 0 || configured == passed {
        return;
    }
    let warning = format!(
        "the passed socket is at port {passed}, and {setting} says {configured}: the health check asks \
         there, set it to the port of the socket"
    );
    let line = Line::new("listen", InProgress).with("ip", listening.ip()).with("port", passed);
    log_line!(Level::Warn, line.with("warning", warning));
}

/// Warns when any host that reaches the port may speak for any agency.
pub fn warn_of_plaintext(config: &Config) {
    if !config.plaintext_warning || !takes_claims(config) {
        return;
    }
    let warning = "without TLS an agency's number is only a claim: anybody who reaches the port can \
                   send bets and END in the name of any agency. SERVER_TLS=required has each prove it; \
                   SERVER_AGENCY_ADDRESSES says from where each may connect; \
                   SERVER_PLAINTEXT_WARNING=false silences this";
    let line = Line::new("config", InProgress).with("ip", config.address.ip());
    log_line!(Level::Warn, line.with("warning", warning));
}

/// Whether a host other than this one may introduce itself as any agency, and needs no proof.
fn takes_claims(config: &Config) -> bool {
    let is_reachable = !config.address.ip().to_canonical().is_loopback();
    let anywhere = config.protocol.agency_addresses.is_empty();
    is_reachable && anywhere && config.terms.agencies > 0 && !requires_tls(config)
}

/// Whether agencies have to prove who they are.
fn requires_tls(config: &Config) -> bool {
    config.tls.as_ref().is_some_and(|tls| tls.plaintext == Plaintext::Refused)
}

/// Logs that the ledger is open, and what its opening found.
pub fn log_opened(config: &Config, recovery: &Recovery) {
    let (path, draw) = (&config.storage, config.terms.draw);
    if recovery.files.is_needed() {
        let line = Line::new("recover_ledger", Success).with_path("path", path).with_all(recovery);
        log_line!(Level::Info, line);
    }
    let opened = || Line::new("open_ledger", Success).with_path("path", path);
    let state = state(&recovery.files);
    let line = opened().with("state", state).with("bets", recovery.rows);
    log_line!(Level::Info, line.with_some("draw", draw));
    if let Some(before) = recovery.agencies_before {
        let now = config.terms.agencies;
        let warning = format_args!("the draw waits for {now} agencies from now on");
        let line = opened().with("agencies", now).with("agencies_before", before);
        log_line!(Level::Warn, line.with("warning", warning));
    }
    if config.ledger.durability == Durability::NotSynced {
        let warning = "a crash of this machine may lose confirmed bets";
        log_line!(Level::Warn, opened().with("sync", "never").with("warning", warning));
    }
}

fn state(files: &ledger::Recovery) -> &'static str {
    match files {
        ledger::Recovery { created: true, .. } => "new",
        files if files.is_needed() => "recovered",
        _ => "clean",
    }
}

/// What a recovery found and did, and why.
impl Pairs for Recovery {
    fn add_to(&self, line: Line) -> Line {
        let ledger::Recovery { commits, cut, restored, torn, .. } = self.files;
        let cause =
            "the last run was killed or failed, or the power did: what was confirmed is there";
        line.with("bytes_cut", cut)
            .with("bytes_restored", restored)
            .with("torn_commit", torn)
            .with("commits", commits)
            .with("rows", self.commit_rows)
            .with("cause", cause)
    }
}

/// Logs where the wal is, when a symbolic link leads to the ledger: it isn't beside the link.
pub fn log_wal_path(storage: &Path, wal: &Path) {
    let mut beside = storage.as_os_str().to_owned();
    beside.push(WAL_SUFFIX);
    if wal != Path::new(&beside) {
        let line = Line::new("open_ledger", Success).with_path("path", storage);
        log_line!(Level::Info, line.with_path("wal", wal));
    }
}

/// The names of both files of a ledger.
pub fn names(paths: &Paths) -> String {
    let [rows, wal] = [&paths.rows, &paths.wal].map(|path| path.as_os_str().as_encoded_bytes());
    format!("{} and {}", Escaped(rows), Escaped(wal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PROGRAM;

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
    fn numbers_are_claims_where_other_hosts_can_connect() {
        for (bind, expected) in [
            ("0.0.0.0", true),
            ("::", true),
            ("192.0.2.1", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
        ] {
            let matches = PROGRAM.command().get_matches_from(["server", "--bind", bind]);
            let config = Config::new(&mut PROGRAM.layer(&matches, [])).unwrap();
            assert_eq!(takes_claims(&config), expected, "{bind}");
        }
    }

    #[test]
    fn numbers_are_claims_unless_tls_is_required() {
        for (mode, expected) in [("off", true), ("optional", true), ("required", false)] {
            let files = ["--tls-cert=a", "--tls-key=b", "--tls-client-ca=c"];
            let arguments = [&["server", "--tls", mode], &files[..]].concat();
            let matches = PROGRAM.command().get_matches_from(arguments);
            let config = Config::new(&mut PROGRAM.layer(&matches, [])).unwrap();
            assert_eq!(takes_claims(&config), expected, "{mode}");
        }
    }

    #[test]
    fn a_recovery_says_what_it_did_and_why() {
        let files = ledger::Recovery { commits: 2, restored: 7, ..ledger::Recovery::default() };
        let killed = Recovery { files, commit_rows: 9, ..Recovery::default() };
        assert_eq!(
            Line::new("recover_ledger", Success).with_all(&killed).to_string(),
            "action: recover_ledger | result: success | bytes_cut: 0 | bytes_restored: 7 | \
             torn_commit: false | commits: 2 | rows: 9 | cause: the last run was killed or failed, \
             or the power did: what was confirmed is there"
        );
    }
}
