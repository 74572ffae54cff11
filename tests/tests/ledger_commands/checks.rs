//! `server ledger check`: what it shows, what it says of damage, and its exit codes.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::json;

use crate::world::{Rest, Said, central, checked, draw, ledger, ledger_with, sent};

const TABLE: &str = "\
agency      consumed        stored      rejected       winners  checksum  finished
     1            40            40             0             4  ????????        no
     2             5             3             2             0  ????????        no
   all            45            43             2             4                 0/2
the unnamed draw: the draw hasn't run
";

/// The same with other checksums.
fn masked(table: &str) -> String {
    let mask = |line: &str| match line.split_whitespace().nth(5) {
        Some(sum) if sum.len() == 8 && sum != "checksum" => line.replace(sum, "????????"),
        _ => line.to_owned(),
    };
    table.lines().map(|line| mask(line) + "\n").collect()
}

#[test]
fn a_good_ledger_is_shown_as_a_table_and_as_json() {
    let rest = Rest::closed();
    let Said { code, out, err } = ledger("check", &[rest.rows()]);
    assert_eq!((code, err.as_str()), (0, ""));
    let (table, last) = out.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(masked(table), TABLE);
    assert!(last.ends_with("; closed in order: good"), "{last}");
    let report = checked(&rest.rows());
    let bytes = fs::read(rest.rows()).expect("rows").len();
    assert_eq!(report["bets"], 43);
    assert_eq!((&report["bytes"], &report["clean"]), (&json!(bytes), &json!(true)));
    assert_eq!((&report["in_use"], &report["drawn"]), (&json!(false), &json!(false)));
    assert_eq!(report["accounts"][1]["rejected"], 2);
    // Without PATH it is the ledger that is configured.
    let path = rest.rows().display().to_string();
    let said = ledger_with::<&str>(&[("SERVER_STORAGE_PATH", &path)], "check", &[]);
    assert_eq!((said.code, said.out), (0, out));
}

#[test]
fn a_ledger_that_a_central_has_open_is_checked_as_of_one_moment_and_not_disturbed() {
    let server = central(&[]);
    let ledger = server.folder().join("bets.csv");
    let report = checked(&ledger);
    assert_eq!((&report["in_use"], &report["bets"]), (&json!(true), &json!(43)));
    draw(&server);
    let report = checked(&ledger);
    assert_eq!((&report["drawn"], &report["finished"]), (&json!(true), &json!(2)));
    // It still takes what comes.
    assert!(sent(&server, &kit::frames::hello(1))[0].ends_with("Drawn"));
    server.stop();
}

#[test]
fn what_a_kill_leaves_is_no_damage() {
    let rest = Rest::killed();
    let report = checked(&rest.rows());
    assert_eq!((&report["clean"], &report["bets"]), (&json!(false), &json!(43)));
    let rows = fs::read(rest.rows()).expect("rows");
    fs::write(rest.rows(), [&rows, &b"1,Ana"[..]].concat()).expect("written");
    let notes = checked(&rest.rows())["notes"].to_string();
    assert!(notes.contains("5 bytes from byte"), "{notes}");
    // Rows that are gone are in the wal, which has all since the last checkpoint.
    fs::remove_file(rest.rows()).expect("removed");
    let report = checked(&rest.rows());
    assert_eq!(report["bets"], 43);
    assert!(report["notes"].to_string().contains("in the wal alone"), "{report}");
}

/// Changes a byte.
fn flip(path: &Path, at: u64, bit: u8) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it is there");
    file.write_all_at(&[byte[0] ^ bit], at).expect("written");
}

#[test]
fn damage_is_named_with_file_and_place_and_ends_with_1() {
    type Damage = (&'static str, fn(&Rest), &'static str);
    let damages: [Damage; 7] = [
        ("a row", |rest| flip(&rest.rows(), 40, 1), "bets.csv: the checksum of the first "),
        (
            "a record",
            |rest| flip(&rest.wal(), 4096 + (1 << 20) + 16, 1),
            "bets.csv.wal: damaged at byte 1052672: ",
        ),
        (
            "an old record",
            |rest| flip(&rest.wal(), 4096 + 70, 1),
            "bets.csv.wal: damaged at byte 4096",
        ),
        (
            "space never used",
            |rest| flip(&rest.wal(), 1 << 20, 1),
            "bets.csv.wal: damaged at byte 1048576: ",
        ),
        ("the header", |rest| flip(&rest.wal(), 20, 1), "bets.csv.wal: damaged at byte 0: "),
        (
            "no wal",
            |rest| fs::remove_file(rest.wal()).expect("removed"),
            "bets.csv.wal is missing or empty",
        ),
        (
            "no rows",
            |rest| fs::remove_file(rest.rows()).expect("removed"),
            "bets.csv: it is missing or empty, ",
        ),
    ];
    for (what, damage, expected) in damages {
        let rest = Rest::closed();
        damage(&rest);
        let said = ledger("check", &[rest.rows()]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{what}: {said:?}");
        assert!(said.err.starts_with("damaged: "), "{what}: {said:?}");
        assert!(said.err.contains(expected), "{what}: {said:?}");
        let said = ledger("check", &[rest.rows().as_os_str(), OsStr::new("--json")]);
        assert_eq!(said.code, 1);
        assert!(said.out.starts_with("{\"") && said.out.contains("\"damaged\""), "{said:?}");
    }
}

#[test]
fn what_cannot_be_read_or_understood_ends_with_2() {
    let rest = Rest::closed();
    let nothing = ledger("check", &[rest.path("nothing.csv")]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    assert!(nothing.err.contains("No such file or directory"), "{nothing:?}");
    let device = ledger("check", &["/dev/null"]);
    assert_eq!(device.code, 2, "{device:?}");
    assert_eq!(ledger("check", &["a", "b"]).code, 2);
    assert_eq!(ledger("check", &["--no-such-flag"]).code, 2);
    assert_eq!(ledger("mend", &[rest.rows()]).code, 2);
    let wal = OpenOptions::new().write(true).open(rest.wal()).expect("opened");
    wal.write_all_at(b"2", 13).expect("written");
    let newer = ledger("check", &[rest.rows()]);
    assert_eq!(newer.code, 2, "{newer:?}");
    let expected = "says that it is \"loteria wal v2\", the newest that this program knows is \
                    \"loteria wal v1\"";
    assert!(newer.err.contains(expected), "{newer:?}");
}

/// Every one is found, or it is a note that says what the next start does about it.
#[test]
fn flipped_bits_are_found() {
    const FLIPS: usize = 60;
    let seed = fastrand::u64(..);
    eprintln!("seed: {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for rest in [Rest::closed(), Rest::killed()] {
        let good = checked(&rest.rows());
        let (rows, wal) =
            (fs::read(rest.rows()).expect("rows"), fs::read(rest.wal()).expect("wal"));
        let written: Vec<_> = (0..wal.len()).filter(|at| wal[*at] != 0).collect();
        for _ in 0..FLIPS {
            let bit = 1 << random.u8(..8);
            if random.bool() {
                let at = written[random.usize(..written.len())];
                flip(&rest.wal(), at as u64, bit);
            } else {
                flip(&rest.rows(), random.u64(..rows.len() as u64), bit);
            }
            let said = ledger("check", &[rest.rows().as_os_str(), OsStr::new("--json")]);
            if said.code == 0 {
                let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
                assert!(report["notes"][0].is_string(), "{report}");
                assert_eq!(report["accounts"], good["accounts"]);
            } else {
                assert_eq!(said.code, 1, "{said:?}");
            }
            fs::write(rest.rows(), &rows).expect("written");
            fs::write(rest.wal(), &wal).expect("written");
        }
    }
}

#[test]
fn a_check_writes_nothing() {
    let rest = Rest::killed();
    let rows = fs::read(rest.rows()).expect("rows");
    fs::write(rest.rows(), &rows[..rows.len() - 5]).expect("written");
    let before = (fs::read(rest.rows()).expect("rows"), fs::read(rest.wal()).expect("wal"));
    checked(&rest.rows());
    let after = (fs::read(rest.rows()).expect("rows"), fs::read(rest.wal()).expect("wal"));
    assert!(before == after);
    // A central that starts finds what it would have found without it.
    let path = rest.rows().display().to_string();
    let server = kit::server::Server::start_in(
        tempfile::tempdir().expect("a folder"),
        &[("SERVER_AGENCIES", "2"), ("SERVER_STORAGE_PATH", &path)],
    );
    assert_eq!(sent(&server, &kit::frames::hello(1))[0], "welcome 40 rejected 0 Open");
    server.stop();
}
