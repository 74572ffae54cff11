//! The two files byte for byte: what an earlier version wrote is read by every later one, and what
//! this one writes is what they wrote.

use std::fmt::Write as _;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use ledger::{Durability, Options};

use super::file_store::{FileStore, Opened};
use super::terms::Terms;
use super::test_support::batch;
use crate::lottery::Entry;

const OPTIONS: Options = Options::unbounded(Durability::Synced, 4096);

fn open(path: &Path, terms: impl Into<Terms>) -> Opened<File> {
    let goes_on = |_| ControlFlow::Continue(());
    FileStore::open(path, OPTIONS, terms, |_| {}, goes_on).expect("it opens")
}

/// Every block of 16 bytes that isn't zeros alone, behind its offset.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, block) in bytes.chunks(16).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            write!(text, "{:04x} ", index * 16).expect("a String takes everything");
            for byte in block {
                write!(text, "{byte:02x}").expect("the same");
            }
            text.push('\n');
        }
    }
    text
}

#[test]
fn a_small_ledger_has_these_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let mut opened = open(&path, 5);
    opened.make_durable(&[batch(1, 1, true), batch(2, 300, false)]);
    opened.make_durable(&[Entry::Finished { agency: 2 }, Entry::Drawn]);
    drop(opened);
    let rows = std::fs::read(&path).expect("rows");
    assert_eq!(
        String::from_utf8(rows).expect("text"),
        "1,\"Íñigo, \"\"Tito\"\"\",Paz,30000000,2000-02-29,7574\r\n"
    );
    let wal = std::fs::read(folder.path().join("bets.csv.wal")).expect("a wal");
    assert_eq!(wal.len(), 3 * 4096);
    assert_eq!(dump(&wal), SMALL);
    // A graceful end begins the other segment with a checkpoint.
    open(&path, 5).close();
    let wal = std::fs::read(folder.path().join("bets.csv.wal")).expect("a wal");
    assert_eq!(dump(&wal[8192..]), CLOSED);
}

/// The name is behind the number of agencies, in checkpoints alone.
#[test]
fn a_ledger_of_a_draw_with_a_name_has_these_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let terms = Terms { agencies: 5, draw: Some("2026-11-27".parse().expect("a name")) };
    let mut opened = open(&path, terms);
    opened.make_durable(&[Entry::Finished { agency: 2 }, Entry::Drawn]);
    opened.close();
    assert_eq!(std::fs::read(&path).expect("rows"), b"");
    let wal = std::fs::read(folder.path().join("bets.csv.wal")).expect("a wal");
    assert_eq!(dump(&wal), NAMED);
    open(&path, terms).close();
}

/// Through checkpoints, segments used again, ends, starts, and a lottery that grows.
#[test]
fn a_long_history_has_these_checksums() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let mut found = Vec::new();
    let mut note = |what: &str| {
        let read = |name: &str| std::fs::read(folder.path().join(name)).expect("it is there");
        let (rows, wal) = (read("bets.csv"), read("bets.csv.wal"));
        let (rows_crc, wal_crc) = (crc32fast::hash(&rows), crc32fast::hash(&wal));
        found.push(format!("{what}: {} {rows_crc:08x} {wal_crc:08x}", rows.len()));
    };
    let mut opened = open(&path, 5);
    note("new");
    for round in 0..11 {
        opened.make_durable(&[batch(1 + round % 3, 20, true)]);
        note("appended");
    }
    drop(opened);
    let opened = open(&path, 5);
    assert_eq!((opened.recovery.files.clean, opened.recovery.rows), (false, 220));
    note("killed and opened");
    opened.close();
    note("closed");
    let mut opened = open(&path, 7);
    let recovery = opened.recovery;
    assert_eq!((recovery.files.clean, recovery.agencies_before), (true, Some(5)));
    note("opened for more");
    opened.make_durable(&[batch(7, 3, true), batch(7, 2, false)]);
    note("appended");
    opened.make_durable(&[Entry::Finished { agency: 7 }, Entry::Drawn]);
    opened.close();
    note("drawn and closed");
    assert_eq!(found, LONG);
}

const SMALL: &str = "\
0000 6c6f74657269612077616c2076310d0a\n\
0010 0000000000001000ba16605800000000\n\
1000 00415055455354410100000000000000\n\
1010 00000000000000010000000000000001\n\
1020 00000000000000000000000c00000000\n\
1030 df16774100000000000000004af2b6fe\n\
1040 00000000020004000000050000000000\n\
1080 00415055455354410200000000000000\n\
1090 00000000000000010000000000000002\n\
10a0 00000000000000000000004a00000034\n\
10b0 13b982a00000000000000000841e85aa\n\
10c0 01000000010001010203040200000002\n\
10d0 012c01020304312c22c38dc3b169676f\n\
10e0 2c2022225469746f2222222c50617a2c\n\
10f0 33303030303030302c323030302d3032\n\
1100 2d32392c373537340d0a000000000000\n\
1140 00415055455354410200000000000000\n\
1150 00000000000000010000000000000003\n\
1160 00000000000000340000000600000000\n\
1170 020d75960000000000000000f1066737\n\
1180 03000000020400000000000000000000\n\
";
const CLOSED: &str = "\
0000 00415055455354410100000000000000\n\
0010 00000000000000020000000000000004\n\
0020 00000000000000340000004e00000000\n\
0030 7052700b0000000000000000a6c62733\n\
0040 c2e87464030004000000050100000001\n\
0050 00000000000000010000000000000001\n\
0060 00000000000000000102030400000000\n\
0070 02000000000000012c00000000000000\n\
0080 00000000000000012c01020304010000\n\
";
const NAMED: &str = "\
0000 6c6f74657269612077616c2076310d0a\n\
0010 0000000000001000ba16605800000000\n\
1000 00415055455354410100000000000000\n\
1010 00000000000000010000000000000001\n\
1020 00000000000000000000001600000000\n\
1030 56f162d800000000000000003b5ead46\n\
1040 0000000002000e00000005323032362d\n\
1050 31312d32370000000000000000000000\n\
1080 00415055455354410200000000000000\n\
1090 00000000000000010000000000000002\n\
10a0 00000000000000000000000600000000\n\
10b0 020d759600000000000000005cd48d9c\n\
10c0 03000000020400000000000000000000\n\
2000 00415055455354410100000000000000\n\
2010 00000000000000020000000000000003\n\
2020 00000000000000000000003700000000\n\
2030 e74b37a4000000000000000015f09796\n\
2040 0000000003000e00000005323032362d\n\
2050 31312d32370100000002000000000000\n\
2070 00000000000001000000000000000000\n\
";
const LONG: &[&str] = &[
    "new: 0 00000000 c9373d38",
    "appended: 1040 9fbbd452 47b66493",
    "appended: 2080 7accfb72 4cfaff52",
    "appended: 3120 3681296e 4aa2570e",
    "appended: 4160 3339e6a4 1fae332e",
    "appended: 5200 1f2d88df cbeb2565",
    "appended: 6240 82dc8acd f6b22331",
    "appended: 7280 1381ebcd 569cec92",
    "appended: 8320 45693107 cf214b76",
    "appended: 9360 0008776c 9bc65a80",
    "appended: 10400 21386eef 85716b11",
    "appended: 11440 11f4dcf9 57887fe3",
    "killed and opened: 11440 11f4dcf9 57887fe3",
    "closed: 11440 11f4dcf9 53f0ed80",
    "opened for more: 11440 11f4dcf9 e9afc9a8",
    "appended: 11596 72948e6b 743036c6",
    "drawn and closed: 11596 72948e6b 1eeb8aab",
];
