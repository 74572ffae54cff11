//! The table as it is used: what is taken, what is refused, and what is made of it.

use std::ops::ControlFlow;

use std::time::Duration;

use ledger::Durability;

use super::*;
use crate::settings::{AGENCIES_MAX, PROGRAM, TABLE, WAL_SEGMENT_MIN};
use crate::store::FileStore;

fn layers(arguments: &[&str]) -> Settings {
    let arguments = [&["server"], arguments].concat();
    let matches = PROGRAM.command().try_get_matches_from(arguments).unwrap();
    PROGRAM.layer(&matches, [])
}

#[test]
fn the_shipped_file_and_the_defaults_are_good() {
    let mut layers = layers(&["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/config.ini")]);
    assert!(layers.warnings().is_empty());
    let config = Config::new(&mut layers).unwrap();
    assert_eq!((config.address.port(), config.backlog, config.agencies), (12345, 5, 5));
    assert_eq!(config.ledger.durability, Durability::Synced);
    assert!(config.limits.shutdown_timeout < Duration::from_secs(1));
}

#[test]
fn unlimited_addresses_are_any_number_of_networks() {
    for (text, count) in [("", 0), (" 10.0.0.0/8 ,, ::1", 2), ("127.0.0.1", 1)] {
        let config = Config::new(&mut layers(&["--unlimited-addresses", text])).unwrap();
        assert_eq!(config.limits.unlimited_addresses.len(), count, "{text:?}");
    }
    let mut layers = layers(&["--unlimited-addresses", "10.0.0.0/8,10.0.0.0/33"]);
    assert!(Config::new(&mut layers).is_err());
}

#[test]
fn every_agency_has_addresses_and_no_other() {
    let text = |agencies: &str, entries: &str| {
        let mut layers = layers(&["--agencies", agencies, "--agency-addresses", entries]);
        Config::new(&mut layers).map_err(|errors| errors.to_string())
    };
    for (agencies, entries) in [("5", ""), ("5", "*=::1"), ("2", "1=::1,2=::1"), ("0", "*=::1")] {
        assert!(text(agencies, entries).is_ok(), "{entries}");
    }
    let begin =
        |entries| format!("error: command line: --agency-addresses = \"{entries}\": expected ");
    for (agencies, entries, expected) in [
        (
            "3",
            "1=::1,3=::1",
            "an entry for agency 2 or for all others (*), within SERVER_AGENCIES\n",
        ),
        ("5", "*=::1,11=::1", "no entry for agency 11, which is above SERVER_AGENCIES\n"),
        ("0", "1=::1", "no entry for agency 1, which is above SERVER_AGENCIES\n"),
    ] {
        assert_eq!(text(agencies, entries).unwrap_err(), begin(entries) + expected);
    }
    let wrong = text("1", "1=10.0.0.0/33").unwrap_err();
    assert!(
        wrong.ends_with(
            "; expected a network, as 10.0.0.0/8, or an address, found \"10.0.0.0/33\"\n"
        ),
        "{wrong}"
    );
    let alone = text("x", "1=::1").unwrap_err();
    assert!(!alone.contains("agency-addresses"), "{alone}");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let mut layers = layers(&["--write-buffer-low", "1MiB", "--group-commit-bytes", "4MiB"]);
    let text = Config::new(&mut layers).unwrap_err().to_string();
    assert_eq!(
        text,
        "error: command line: --write-buffer-low = \"1MiB\": expected less than SERVER_WRITE_BUFFER_HIGH\n\
         error: command line: --group-commit-bytes = \"4MiB\": expected at most a quarter of \
         SERVER_WAL_SEGMENT_SIZE\n"
    );
}

#[test]
fn a_smaller_log_has_smaller_commits() {
    let mut layers = layers(&["--wal-segment-size", "1048577", "--max-connections", "100"]);
    let config = Config::new(&mut layers).unwrap();
    assert_eq!(config.protocol.group_commit_bytes, (256 << 10) + 1024);
    let shown = layers.describe();
    for line in [
        "SERVER_WAL_SEGMENT_SIZE = 1048577    (command line), read as 1028KiB\n",
        "SERVER_GROUP_COMMIT_BYTES = 512KiB    (default), read as 257KiB\n",
        "SERVER_RESERVED_CONNECTIONS = 64    (default), read as 25\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn the_largest_commit_fits_behind_the_largest_checkpoint_in_the_smallest_wal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bets.csv");
    let options = Options::unbounded(Durability::NotSynced, WAL_SEGMENT_MIN);
    let goes_on = |_| ControlFlow::Continue(());
    let opened = FileStore::open(&path, options, AGENCIES_MAX, |_| {}, goes_on).unwrap();
    assert!(opened.store.commit_room().unwrap() as u64 >= WAL_SEGMENT_MIN / 4);
}

#[test]
fn an_older_wal_lowers_the_default_and_refuses_what_was_asked_for() {
    let default = Config::new(&mut layers(&[])).unwrap();
    assert_eq!(default.protocol_within(1000).unwrap().group_commit_bytes, 1000);
    assert_eq!(default.protocol_within(1 << 30).unwrap(), default.protocol);
    let chosen = Config::new(&mut layers(&["--group-commit-bytes", "1MiB"])).unwrap();
    assert!(chosen.protocol_within((1 << 20) - 1).is_none());
    assert_eq!(chosen.protocol_within(1 << 20).unwrap(), chosen.protocol);
}

#[test]
fn every_bad_value_says_what_was_expected() {
    for setting in TABLE {
        let declaration = setting.declaration();
        let flag = declaration.names.flag;
        if matches!(flag, "ip" | "storage-path") {
            continue;
        }
        let mut layers = layers(&[&format!("--{flag}"), "-x"]);
        let text = Config::new(&mut layers).unwrap_err().to_string();
        let expected = format!("--{flag} = \"-x\": expected {}", declaration.expected());
        let rest = text.split_once(&expected).map(|(_, rest)| rest);
        assert!(rest.is_some_and(|rest| rest.starts_with(['\n', ';'])), "{text}");
    }
}

#[test]
fn a_ledger_is_a_file() {
    for path in ["", "/", "data/", ".", "..", "data/.", "data/.."] {
        let text = Config::new(&mut layers(&["--storage-path", path])).unwrap_err().to_string();
        assert!(text.contains("expected the path of a file"), "{path}: {text}");
    }
    assert!(Config::new(&mut layers(&["--storage-path", "a/..b"])).is_ok());
}

#[test]
fn what_is_above_a_maximum_is_refused() {
    for (flag, value, maximum) in [
        ("max-connections", "1000000001", "1 to 1000000000"),
        ("max-line-size", "1025MiB", "at most 1GiB"),
        ("max-ledger-size", "1025TiB", "at most 1024TiB"),
        ("idle-timeout", "366d", "up to 365d"),
        ("tcp-keepalive", "32768s", "up to 32767s"),
        ("tcp-keepalive", "1500ms", "a duration of whole seconds"),
        ("shutdown-timeout", "61s", "up to 1m"),
        ("agencies", "10001", "0 to 10000"),
    ] {
        let flag = format!("--{flag}");
        let text = Config::new(&mut layers(&[&flag, value])).unwrap_err().to_string();
        assert!(text.contains(maximum), "{text}");
    }
}
