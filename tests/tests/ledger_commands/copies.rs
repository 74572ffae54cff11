//! `server ledger backup` and `server ledger restore`.

use std::fs;

use kit::frames::{batch, hello};
use kit::server::Server;
use serde_json::json;

use crate::world::{Rest, central, checked, done, draw, ledger, sent};

#[test]
fn a_copy_of_a_ledger_that_is_open_grows_by_what_is_new_and_can_be_restored() {
    let server = central(&[]);
    let from = server.folder().join("bets.csv");
    let folder = tempfile::tempdir().expect("a folder");
    let (copy, restored) = (folder.path().join("copy"), folder.path().join("restored.csv"));
    let rows = fs::read(&from).expect("rows").len();
    let said = done("backup", &[&from, &copy]);
    let expected = format!("43 bets in {rows} bytes, {rows} of them copied now; verified\n");
    assert_eq!((said.out.as_str(), said.err), ("", expected));
    let said = done("backup", &[&from, &copy]);
    assert_eq!(said.err, format!("43 bets in {rows} bytes, 0 of them copied now; verified\n"));

    let row = "1,Ana,Paz,5,2000-01-01,7574\r\n".len();
    assert_eq!(sent(&server, &[hello(1), batch(40, &[("5", "7574")])].concat())[1], "stored 41");
    let said = done("backup", &[&from, &copy]);
    let all = rows + row;
    assert_eq!(said.err, format!("44 bets in {all} bytes, {row} of them copied now; verified\n"));
    assert_eq!(checked(&copy)["accounts"], checked(&from)["accounts"]);

    let said = done("restore", &[&copy, &restored]);
    assert_eq!(said.err, format!("44 bets in {all} bytes; verified\n"));
    assert_eq!(fs::read(&restored).expect("rows"), fs::read(&from).expect("rows"));
    let report = checked(&restored);
    assert_eq!((&report["clean"], &report["agencies"]), (&json!(true), &json!(2)));
    // The central has noticed nothing.
    assert!(!server.stop().contains("result: fail | error"));

    // It is a ledger as any other: a central goes on with it.
    let path = restored.display().to_string();
    let settings = [("SERVER_AGENCIES", "2"), ("SERVER_STORAGE_PATH", path.as_str())];
    let server = Server::start_in(tempfile::tempdir().expect("a folder"), &settings);
    assert_eq!(sent(&server, &hello(2))[0], "welcome 5 rejected 2 Open");
    assert_eq!(sent(&server, &[hello(1), batch(41, &[("5", "7")])].concat())[1], "stored 42");
    let log = server.stop();
    assert!(log.contains("state: clean"), "{log}");
    assert_eq!(checked(&restored)["bets"], 45);
}

#[test]
fn a_draw_is_in_the_copy() {
    let server = central(&[]);
    draw(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let (from, copy) = (server.folder().join("bets.csv"), folder.path().join("copy"));
    done("backup", &[&from, &copy]);
    let report = checked(&copy);
    assert_eq!((&report["drawn"], &report["finished"]), (&json!(true), &json!(2)));
    server.stop();
}

#[test]
fn nothing_is_overwritten() {
    let (rest, other) = (Rest::closed(), Rest::killed());
    let copy = rest.path("copy");
    done("backup", &[rest.rows(), copy.clone()]);
    let said = ledger("restore", &[copy.clone(), other.rows()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("bets.csv: it is there already: nothing is overwritten"), "{said:?}");
    // One of the two files is enough.
    fs::remove_file(other.rows()).expect("removed");
    assert_eq!(ledger("restore", &[copy.clone(), other.rows()]).code, 1);
    assert_eq!(fs::read_dir(other.0.path()).expect("a folder").count(), 1);

    // A folder with a ledger that is no copy.
    let said = ledger("backup", &[&rest.rows(), &Rest::killed().0.path().to_owned()]);
    assert_eq!(said.code, 1, "{said:?}");
    let strange = rest.path("strange");
    fs::create_dir(&strange).expect("made");
    fs::write(strange.join("bets.csv"), "mine\n").expect("written");
    let said = ledger("backup", &[rest.rows(), strange.clone()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("expected a copy that was made here before"), "{said:?}");
    assert_eq!(fs::read(strange.join("bets.csv")).expect("a file"), b"mine\n");

    // A copy of another ledger, and one that a central has gone on with.
    let mut second = central(&[]);
    assert_eq!(sent(&second, &[hello(1), batch(40, &[("9", "9")])].concat())[1], "stored 41");
    let other = Rest(second.take_folder());
    second.stop();
    let elsewhere = other.path("copy");
    done("backup", &[other.rows(), elsewhere.clone()]);
    let said = ledger("backup", &[rest.rows(), elsewhere.clone()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("it is a copy of another ledger, or newer"), "{said:?}");
    assert_eq!(checked(&elsewhere)["bets"], 44, "it is as it was");
    let path = copy.join("bets.csv").display().to_string();
    let settings = [("SERVER_AGENCIES", "2"), ("SERVER_STORAGE_PATH", path.as_str())];
    let opened = Server::start_in(tempfile::tempdir().expect("a folder"), &settings);
    let said = ledger("backup", &[rest.rows(), copy.clone()]);
    assert!(said.err.contains("another process has this ledger open"), "{said:?}");
    opened.stop();
    let said = ledger("backup", &[rest.rows(), copy]);
    assert!(said.err.contains("or a copy that a process has opened since"), "{said:?}");
}

#[test]
fn an_interrupted_backup_leaves_the_copy_of_before() {
    let server = central(&[]);
    let from = server.folder().join("bets.csv");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    // As the very first one leaves it: nothing that would be taken for a ledger.
    fs::create_dir(&copy).expect("made");
    fs::write(copy.join("bets.csv"), "1,Ana,P").expect("written");
    fs::write(copy.join("bets.csv.wal.partial"), "").expect("written");
    assert_eq!(ledger("check", &[&copy]).code, 1);
    assert_eq!(ledger("restore", &[&copy, &folder.path().join("r.csv")]).code, 1);
    done("backup", &[&from, &copy]);
    let before = checked(&copy);
    // As a later one leaves it: rows that the copy's wal doesn't count.
    let rows = fs::read(copy.join("bets.csv")).expect("rows");
    fs::write(copy.join("bets.csv"), [&rows, &b"1,Ana,Paz,5,2000-0"[..]].concat())
        .expect("written");
    fs::write(copy.join("bets.csv.wal.partial"), "loteria").expect("written");
    let now = checked(&copy);
    assert_eq!((&now["bets"], &now["crc32"]), (&before["bets"], &before["crc32"]));
    assert!(now["notes"].to_string().contains("of a backup that was interrupted"), "{now}");
    let restored = folder.path().join("r.csv");
    done("restore", &[&copy, &restored]);
    assert_eq!(fs::read(restored).expect("rows"), rows);
    assert_eq!(sent(&server, &[hello(1), batch(40, &[("5", "7574")])].concat())[1], "stored 41");
    done("backup", &[&from, &copy]);
    assert_eq!(fs::read(copy.join("bets.csv")).expect("rows"), fs::read(&from).expect("rows"));
    assert!(!copy.join("bets.csv.wal.partial").exists());
    server.stop();
}

#[test]
fn a_damaged_ledger_isnt_copied_and_a_damaged_copy_isnt_restored() {
    let rest = Rest::closed();
    let copy = rest.path("copy");
    done("backup", &[rest.rows(), copy.clone()]);
    let good = fs::read(rest.rows()).expect("rows");
    let mut bad = good.clone();
    bad[20] ^= 1;
    // The copy is.
    fs::write(copy.join("bets.csv"), &bad).expect("written");
    let said = ledger("restore", &[copy.clone(), rest.path("r.csv")]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(!rest.path("r.csv").exists() && !rest.path("r.csv.partial").exists());
    let said = ledger("backup", &[rest.rows(), copy.clone()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("the copy is damaged: remove it, and make a new one"), "{said:?}");
    // The ledger is: the copy stays what it was.
    fs::write(copy.join("bets.csv"), &good).expect("written");
    let mut wal = fs::read(rest.wal()).expect("a wal");
    wal[20] ^= 1;
    fs::write(rest.wal(), wal).expect("written");
    assert_eq!(ledger("backup", &[rest.rows(), copy.clone()]).code, 1);
    assert_eq!(checked(&copy)["bets"], 43);
    // There is none yet: nothing is left that would be taken for one.
    let fresh = rest.path("fresh");
    assert_eq!(ledger("backup", &[rest.rows(), fresh.clone()]).code, 1);
    assert_eq!(fs::read_dir(&fresh).expect("a folder").count(), 0);
}
