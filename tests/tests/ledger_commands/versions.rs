//! Small ledgers of every version there ever was, in `tests/ledgers`: each is opened by today's programs, and
//! read by `tests/read_ledger.py`, which knows nothing but docs/ledger.md.
//!
//! A ledger there is `NAME.csv`, its rows; `NAME.wal`, the blocks of 16 bytes of its wal that aren't zeros, each
//! behind its offset, and at last the length; and `NAME.json`, what a check says of it. None is ever made anew:
//! `MAKE_LEDGERS=1` adds those of a new version, from real centrals, and leaves what is there.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::frames::{end, hello_of};
use kit::process::output;
use kit::server::Server;
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Rest, central, checked, done, draw, sent};

/// What a ledger is called, and how it came about.
type Made = (&'static str, fn() -> Rest);

/// Those of this version.
const MADE: [Made; 4] = [
    ("v1-closed", Rest::closed),
    ("v1-killed", Rest::killed),
    ("v1-drawn", drawn),
    ("v1-named", named),
];

fn drawn() -> Rest {
    let mut server = central(&[]);
    draw(&server);
    let folder = server.take_folder();
    server.signal(Signal::TERM);
    server.wait();
    Rest(folder)
}

fn named() -> Rest {
    let name = "2026-11-27";
    let settings = [("SERVER_AGENCIES", "1"), ("SERVER_DRAW", name)];
    let mut server = Server::start(&settings);
    sent(&server, &[hello_of(1, name), end(0)].concat());
    let folder = server.take_folder();
    drop(server);
    Rest(folder)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ledgers")
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, block) in bytes.chunks(16).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            write!(text, "{:08x} ", index * 16).expect("a String takes everything");
            for byte in block {
                write!(text, "{byte:02x}").expect("the same");
            }
            text.push('\n');
        }
    }
    writeln!(text, "{:08x}", bytes.len()).expect("the same");
    text
}

fn undumped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let (at, block) = line.split_once(' ').unwrap_or((line, ""));
        bytes.resize(usize::from_str_radix(at, 16).expect("an offset"), 0);
        let digits = block.as_bytes().chunks(2).map(|two| str::from_utf8(two).expect("digits"));
        bytes.extend(digits.map(|two| u8::from_str_radix(two, 16).expect("a byte")));
    }
    bytes
}

/// The ledgers that are kept, by their names.
fn kept() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let names = names.map(|name| name.expect("text"));
    let mut names: Vec<_> =
        names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    names.sort();
    names
}

fn unpacked(name: &str) -> Rest {
    let rest = Rest(tempfile::tempdir().expect("a folder"));
    let read = |ending: &str| fs::read(folder().join(format!("{name}.{ending}"))).expect("a file");
    fs::write(rest.rows(), read("csv")).expect("written");
    let wal = undumped(&String::from_utf8(read("wal")).expect("text"));
    fs::write(rest.wal(), wal).expect("written");
    rest
}

/// What a check says, but for where the ledger is.
fn report(rest: &Rest) -> Value {
    let mut report = checked(&rest.rows());
    report.as_object_mut().expect("an object").remove("ledger");
    report
}

#[test]
fn ledgers_of_every_version_are_opened() {
    if std::env::var_os("MAKE_LEDGERS").is_some() {
        for (name, make) in MADE {
            keep(name, &make());
        }
    }
    let names = kept();
    assert!(names.len() >= MADE.len(), "{names:?}");
    for name in names {
        let rest = unpacked(&name);
        let expected = fs::read_to_string(folder().join(format!("{name}.json"))).expect("a file");
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        assert_eq!(report(&rest), expected, "{name}");
        // A central goes on with it, and closes it in order.
        let path = rest.rows().display().to_string();
        let agencies = expected["agencies"].to_string();
        let mut settings =
            vec![("SERVER_AGENCIES", agencies.as_str()), ("SERVER_STORAGE_PATH", path.as_str())];
        settings.extend(expected["draw"].as_str().map(|draw| ("SERVER_DRAW", draw)));
        Server::start_in(tempfile::tempdir().expect("a folder"), &settings).stop();
        let now = report(&rest);
        assert_eq!((&now["accounts"], &now["clean"]), (&expected["accounts"], &true.into()));
    }
}

/// A ledger that isn't there yet.
fn keep(name: &str, rest: &Rest) {
    let path = |ending: &str| folder().join(format!("{name}.{ending}"));
    if path("json").exists() {
        return;
    }
    fs::create_dir_all(folder()).expect("made");
    fs::copy(rest.rows(), path("csv")).expect("copied");
    fs::write(path("wal"), dump(&fs::read(rest.wal()).expect("a wal"))).expect("written");
    fs::write(path("json"), format!("{:#}\n", report(rest))).expect("written");
}

fn python(arguments: &[&Path]) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("read_ledger.py");
    let output = output(Command::new("python3").arg(script).args(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_reader_that_knows_the_documentation_alone_reads_the_same() {
    let kept = kept().into_iter().map(|name| unpacked(&name));
    let made = MADE.into_iter().map(|(_, make)| make());
    for rest in kept.chain(made) {
        let report = report(&rest);
        let found: Value = serde_json::from_slice(&python(&[&rest.rows()])).expect("JSON");
        for key in ["draw", "agencies", "drawn", "bytes", "crc32"] {
            assert_eq!(found[key], report[key], "{key}");
        }
        let mut accounts = report["accounts"].clone();
        for account in accounts.as_array_mut().expect("a list") {
            account.as_object_mut().expect("an object").remove("winners");
        }
        assert_eq!(found["accounts"], accounts);
        let rows = python(&[Path::new("--rows"), &rest.rows()]);
        assert_eq!(String::from_utf8(rows).expect("text"), done("export", &[rest.rows()]).out);
    }
}
