//! The ledger under the central's feet: deleted, cut off, replaced, opened by another way, and
//! started with fewer agencies than it was made for.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::attack::attacked_command;
use crate::conversation::{Conversation, HOSTILE};
use crate::frames::{batch, end};
use crate::process::{Server, output};

const BETS: [(&str, &str); 2] = [("1", "7574"), ("2", "5")];

fn start(environment: &[(&str, &str)]) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    Server::start_with_log_file(folder, attacked_command(environment))
}

/// Does something to the files of a running server that has a batch stored: nothing more may be
/// confirmed, and it must end and say why.
fn spoiled(what: &str, spoil: impl FnOnce(&Path, &Path)) {
    let mut server = start(&[]);
    let (mut agency, _) = Conversation::introduced(&server, HOSTILE, 1);
    assert_eq!(agency.ask(&batch(0, &BETS)), "stored 2");
    let csv = server.folder().join("bets.csv");
    spoil(&csv, &server.folder().join("bets.csv.wal"));
    let answer = agency.try_ask(&batch(2, &BETS)).unwrap_or_else(|error| error.to_string());
    assert!(!answer.starts_with("stored"), "{what}: {answer}");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{what}: {log}");
    let last = log.lines().last().expect("it has said something");
    assert!(last.contains(" ERROR ") && last.contains("bets.csv"), "{what}: {log}");
}

#[test]
fn a_ledger_that_is_deleted_cut_off_or_replaced_ends_the_central() {
    spoiled("both deleted", |csv, wal| {
        fs::remove_file(csv).expect("deleted");
        fs::remove_file(wal).expect("deleted");
    });
    spoiled("the rows deleted", |csv, _| fs::remove_file(csv).expect("deleted"));
    spoiled("the log deleted", |_, wal| fs::remove_file(wal).expect("deleted"));
    spoiled("the rows cut off", |csv, _| {
        fs::File::options()
            .write(true)
            .open(csv)
            .and_then(|file| file.set_len(0))
            .expect("cut off");
    });
    spoiled("the rows replaced", |csv, _| {
        let copy = csv.with_extension("copy");
        fs::copy(csv, &copy).expect("copied");
        fs::rename(copy, csv).expect("replaced");
    });
}

/// What a central says that is started on a ledger, which it must refuse.
fn refusal(ledger: &Path, environment: &[(&str, &str)]) -> String {
    let mut command = attacked_command(environment);
    command.env("SERVER_STORAGE_PATH", ledger);
    let Output { status, stdout, .. } = output(command);
    let log = String::from_utf8(stdout).expect("text");
    assert_eq!(status.code(), Some(1), "{log}");
    log
}

#[test]
fn a_second_central_is_refused_whatever_way_it_comes() {
    let server = start(&[]);
    let ledger = server.folder().join("bets.csv");
    let elsewhere = tempfile::tempdir_in(server.folder()).expect("a folder");
    let (symbolic, hard) =
        (elsewhere.path().join("symbolic.csv"), elsewhere.path().join("hard.csv"));
    std::os::unix::fs::symlink(&ledger, &symbolic).expect("linked");
    fs::hard_link(&ledger, &hard).expect("linked");
    for path in [&ledger, &symbolic, &hard] {
        let log = refusal(path, &[]);
        assert!(log.contains(" ERROR "), "{}: {log}", path.display());
    }
    let (mut agency, _) = Conversation::introduced(&server, HOSTILE, 1);
    assert_eq!(agency.ask(&batch(0, &BETS)), "stored 2");
    server.stop();
}

#[test]
fn a_start_with_fewer_agencies_is_refused() {
    let mut server = start(&[("SERVER_AGENCIES", "3")]);
    let (mut agency, _) = Conversation::introduced(&server, HOSTILE, 3);
    assert_eq!(agency.ask(&batch(0, &BETS)), "stored 2");
    assert_eq!(agency.ask(&end(2)), "finished 2 0");
    drop(agency);
    let folder = server.take_folder();
    server.stop();
    let log = refusal(&folder.path().join("bets.csv"), &[("SERVER_AGENCIES", "2")]);
    assert!(log.contains(" ERROR "), "{log}");
    let again = attacked_command(&[("SERVER_AGENCIES", "3")]);
    let server = Server::start_with_log_file(folder, again);
    let (_, welcome) = Conversation::introduced(&server, HOSTILE, 3);
    assert_eq!(welcome, "welcome 2 rejected 0 Finished");
    server.stop();
}
