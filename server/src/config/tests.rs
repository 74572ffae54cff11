//! The table as it is used: what is taken, what is refused, and what is made of it.

use std::ops::ControlFlow;

use std::time::Duration;

use ledger::Durability;
use runtime::settings::Kind;

use super::*;
use crate::settings::{AGENCIES_MAX, PROGRAM, TABLE, WAL_SEGMENT_MIN};
use crate::store::FileStore;
use wire::DRAW_NAME_MAX;

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
    assert_eq!((config.address.port(), config.backlog, config.terms), (12345, 5, 5.into()));
    assert_eq!(config.ledger.durability, Durability::Synced);
    assert!(config.limits.shutdown_timeout < Duration::from_secs(1));
}

#[test]
fn a_draw_has_a_name_or_none_and_the_path_of_the_ledger_may_have_it() {
    let with = |arguments: &[&str]| {
        let config = Config::new(&mut layers(arguments)).map_err(|errors| errors.to_string())?;
        Ok::<_, String>((config.terms.draw.map(|draw| draw.to_string()), config.storage))
    };
    assert_eq!(with(&["--draw="]), Ok((None, "./bets.csv".into())));
    let path = "--storage-path=data/{draw}/{draw}-{id}.csv";
    let expected = (Some("2026-11-27".to_owned()), "data/2026-11-27/2026-11-27-{id}.csv".into());
    assert_eq!(with(&["--draw", " 2026-11-27 ", path]), Ok(expected));
    let error = "error: command line: --storage-path = \"data/{draw}/{draw}-{id}.csv\": expected a value \
                 without {draw}, or one in SERVER_DRAW\n";
    assert_eq!(with(&[path]), Err(error.to_owned()));
    let error = "error: command line: --draw = \"..\": expected 1 to 64 of A-Z, a-z, 0-9, dots, dashes and \
                 underscores, not . nor .., or nothing; a draw's name becomes a part of paths, where . \
                 and .. are folders: found ..\n";
    assert_eq!(with(&["--draw", "..", path]), Err(error.to_owned()));
    for bad in [".", "a/b", &"a".repeat(DRAW_NAME_MAX + 1), "a b", "ñ"] {
        assert!(with(&["--draw", bad]).unwrap_err().contains("--draw = "), "{bad}");
    }
}

#[test]
fn an_operator_and_agencies_are_listened_to_at_different_addresses() {
    let with = |bind: &str, port: &str, admin: &str| {
        let arguments = ["--bind", bind, "--port", port, "--admin-address", admin];
        Config::new(&mut layers(&arguments)).map(drop).map_err(|errors| errors.to_string())
    };
    for (bind, port, admin) in [
        ("0.0.0.0", "8080", "127.0.0.1:8081"),
        ("127.0.0.1", "8080", "127.0.0.2:8080"),
        ("127.0.0.1", "0", "127.0.0.1:0"),
        ("127.0.0.1", "8080", "localhost:8080"),
    ] {
        assert_eq!(with(bind, port, admin), Ok(()), "{bind}:{port}, {admin}");
    }
    for (bind, admin) in [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("0.0.0.0", "127.0.0.1:8080"),
        ("127.0.0.1", "0.0.0.0:8080"),
        ("::", "127.0.0.1:8080"),
        ("0.0.0.0", "localhost:8080"),
    ] {
        let error = with(bind, "8080", admin).unwrap_err();
        let expected = "expected another port than SERVER_PORT";
        assert!(error.contains("--admin-address") && error.contains(expected), "{error}");
    }
}

/// Whoever follows the address that the operator gave says its name.
#[test]
fn the_admin_listener_may_be_called_by_its_own_name() {
    let arguments = ["--admin-address", "Central.Example:8080", "--admin-hosts", "other"];
    let admin = Config::new(&mut layers(&arguments)).unwrap().admin.unwrap();
    assert_eq!(admin.address.to_string(), "central.example:8080");
    for (host, is_admitted) in
        [("central.example:8080", true), ("other", true), ("evil.example", false)]
    {
        assert_eq!(admin.hosts.admit(Some(host)), is_admitted, "{host}");
    }
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
    let terms = Terms { agencies: AGENCIES_MAX, draw: "a".repeat(DRAW_NAME_MAX).parse().ok() };
    let opened = FileStore::open(&path, options, terms, |_| {}, goes_on).unwrap();
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
        // A name or a path may be anything, and a trust domain and a draw's name this too.
        let is_name = matches!(flag, "tls-trust-domain" | "draw");
        if matches!(declaration.kind, Kind::Text { .. }) || is_name {
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

#[test]
fn tls_needs_its_files_and_names_all_that_are_missing() {
    let config = Config::new(&mut layers(&[])).unwrap();
    assert_eq!(config.tls, None);
    for mode in ["optional", "required"] {
        let text = Config::new(&mut layers(&["--tls", mode])).unwrap_err().to_string();
        for (key, flag) in [
            ("SERVER_TLS_CERT", "tls-cert"),
            ("SERVER_TLS_KEY", "tls-key"),
            ("SERVER_TLS_CLIENT_CA", "tls-client-ca"),
        ] {
            let expected = format!(
                "error: {key} is not set: expected the path of a file, needed with TLS, as {key} \
                 in the file, environment variable {key} or --{flag}\n"
            );
            assert!(text.contains(&expected), "{text}");
        }
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}

const FILES: [&str; 6] = ["--tls-cert", "s.pem", "--tls-key", "s.key", "--tls-client-ca", "ca.pem"];

#[test]
fn tls_is_as_it_was_set() {
    let with = |arguments: &[&str]| {
        let mut layers = layers(&[&FILES, arguments].concat());
        let config = Config::new(&mut layers).unwrap();
        assert!(layers.warnings().is_empty());
        config
    };
    let config = with(&["--tls", "required"]);
    let tls = config.tls.unwrap();
    assert_eq!((tls.plaintext, tls.trust_domain.as_str()), (Plaintext::Refused, "loteria"));
    let ServerOptions { own, clients, allow_anonymous } = tls.options;
    assert_eq!((own.certificate, own.key), ("s.pem".into(), "s.key".into()));
    assert_eq!((clients.authorities, clients.revocations), ("ca.pem".into(), None));
    assert!(allow_anonymous && !own.allow_open_key && !clients.allow_expired_lists);
    assert_eq!(config.protocol.handshake_timeout, Some(Duration::from_secs(10)));
    assert_eq!((config.limits.handshake_budget, config.limits.max_handshakes), (4, 1024));

    let config = with(&[
        "--tls=optional",
        "--tls-crl=crl.pem",
        "--tls-trust-domain=lottery-2.example",
        "--tls-anonymous-echo=false",
        "--tls-allow-open-key=true",
        "--tls-allow-expired-crl=true",
        "--tls-handshake-timeout=0s",
        "--max-handshakes=7",
        "--handshake-budget=2",
    ]);
    let tls = config.tls.unwrap();
    assert_eq!((tls.plaintext, &*tls.trust_domain), (Plaintext::Taken, "lottery-2.example"));
    let ServerOptions { own, clients, allow_anonymous } = tls.options;
    assert_eq!(clients.revocations, Some("crl.pem".into()));
    assert!(!allow_anonymous && own.allow_open_key && clients.allow_expired_lists);
    assert_eq!(config.protocol.handshake_timeout, None);
    assert_eq!((config.limits.handshake_budget, config.limits.max_handshakes), (2, 7));
}

#[test]
fn files_without_tls_are_doubted() {
    let mut layers = layers(&[&FILES[..], &["--tls-crl", "crl.pem"]].concat());
    assert_eq!(Config::new(&mut layers).unwrap().tls, None);
    let warnings: Vec<_> = layers.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 4);
    let first = "warning: command line: --tls-cert = \"s.pem\": it isn't used: SERVER_TLS is off";
    assert_eq!(warnings[0], first);
}

#[test]
fn a_trust_domain_is_one_of_spiffe() {
    for text in ["", "Loteria", "a/b", "a:1", "a b", "ñ", &"a".repeat(256)] {
        let error = Config::new(&mut layers(&["--tls-trust-domain", text])).unwrap_err();
        assert!(error.to_string().contains("expected a trust domain of "), "{text}");
    }
}
