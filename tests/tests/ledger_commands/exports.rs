//! `server ledger export`, and `server export` of a ledger.

use std::ffi::OsStr;
use std::fs;

use kit::process::output;
use kit::server::command;

use crate::world::{Rest, Said, central, done, ledger};

#[test]
fn all_rows_are_those_of_the_ledger_and_those_of_an_agency_are_its_own() {
    let rest = Rest::killed();
    let rows = fs::read_to_string(rest.rows()).expect("rows");
    // What was never committed isn't exported, what is in the wal alone is.
    fs::write(rest.rows(), &rows[..rows.len() - 3]).expect("written");
    let Said { out, err, .. } = done("export", &[rest.rows()]);
    assert_eq!((out, err.as_str()), (rows.clone(), "43 bets, 0 agencies have finished\n"));
    for (agency, count) in [("1", 40), ("2", 3), ("3", 0)] {
        let arguments = [rest.rows().into_os_string(), "--agency".into(), agency.into()];
        let Said { out, err, .. } = done("export", &arguments);
        let own: String = rows
            .split_inclusive('\n')
            .filter(|row| row.split(',').next() == Some(agency))
            .collect();
        assert_eq!((out, own.lines().count()), (own.clone(), count));
        assert_eq!(err, format!("{count} bets, 0 agencies have finished\n"));
    }
    let file = rest.path("out.csv");
    let said = done("export", &[rest.rows(), file.clone()]);
    assert_eq!((said.out.as_str(), fs::read_to_string(&file).expect("a file")), ("", rows));
    assert_eq!(fs::read_dir(rest.0.path()).expect("a folder").count(), 3, "nothing else is left");
}

#[test]
fn an_export_of_what_is_configured_is_the_same() {
    let server = central(&[]);
    let ledger = server.folder().join("bets.csv");
    let mut export = command(&[]);
    export.env("SERVER_STORAGE_PATH", &ledger).args(["export", "-"]);
    let exported = output(&mut export);
    assert_eq!(exported.status.code(), Some(0));
    assert_eq!(exported.stdout, fs::read(&ledger).expect("rows"));
    server.stop();
}

#[test]
fn a_damaged_ledger_leaves_no_file() {
    let rest = Rest::closed();
    let rows = fs::read(rest.rows()).expect("rows");
    fs::write(rest.rows(), [&rows[..rows.len() - 10], b"1999-01-01"].concat()).expect("written");
    let file = rest.path("out.csv");
    let said = ledger("export", &[rest.rows(), file.clone()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(!file.exists() && !rest.path("out.csv.partial").exists());
    assert_eq!(ledger::<&OsStr>("export", &[]).code, 2);
    let arguments = [rest.rows().into_os_string(), "--agency".into(), "0".into()];
    let said = ledger("export", &arguments);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("--agency: expected the number of an agency"), "{said:?}");
}
