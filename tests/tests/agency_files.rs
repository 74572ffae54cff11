//! Files of bets as people make them: right, or refused before anything is sent, with the place.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use kit::client::Client;
use kit::process::output;
use kit::programs::binary;
use kit::reads;
use kit::server::Server;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

const GOOD: &str = "Ana,Paz,30000001,1990-01-01,7574\nJosé,Peña,30000003,1992-03-03,7574\n";

/// Where nothing listens: a connection attempt shows in the log.
const UNREACHABLE: &str = "127.0.0.1:1";

fn client() -> Command {
    let mut command = Command::new(binary("client"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn agency(address: &str, path: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = client();
    command.envs([
        ("CLI_ID", "1"),
        ("CLI_SERVER_ADDRESS", address),
        ("CLI_RETRY_MAX_ATTEMPTS", "1"),
    ]);
    command.env("CLI_DATA_PATH", path).envs(environment.iter().copied());
    command
}

fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = output(command);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

/// A file of these bytes, last written long ago.
fn file(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("agency-1.csv");
    fs::write(&path, bytes).expect("written");
    rest(&path);
    path
}

fn rest(path: &Path) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("set");
}

/// What is wrong, as it is logged behind the file's name.
const BAD: [(&[u8], &str); 15] = [
    (
        b"nombre,apellido,documento,nacimiento,numero\r\nAna,Paz,1,1990-01-01,7\r\n",
        "line: 1 | column: 17 | field: document | value: documento | error: not only digits: ",
    ),
    (
        b"Ana,Paz,1,1990-01-01,7\nJos\xe9,Pe\xf1a,1,1990-01-01,7\n",
        "line: 2 | column: 4 | field: first name | value: Jos\\xe9 | error: not UTF-8 (looks like Windows-1252)",
    ),
    (
        b"Ana,Paz,1,1990-01-01,7\nAna,Paz,1,1990-01-01\n",
        "line: 2 | column: 1 | value: Ana,Paz,1,1990-01-01 | ",
    ),
    (
        b"Ana,Paz,1,1990-01-01,\"75\"74\n",
        "line: 1 | column: 26 | field: number | value: \"75\"74 | error: text after a closing quotation mark",
    ),
    (
        b"Ana,Paz,1,1990-01-01,\"757",
        "line: 1 | column: 22 | field: number | value: \"757 | error: the quotation mark opened here isn't closed",
    ),
    (
        b"\"Juan \\\"Pepe\\\"\",Paz,1,1990-01-01,7\n",
        "line: 1 | column: 9 | field: first name | value: \"Juan \\\\\"Pepe\\\\\"\" | error: text after a closing",
    ),
    (
        b"Ana,Paz,1,1990-01-01,7\n\xEF\xBB\xBFAna,Paz,1,1990-01-01,7\n",
        "line: 2 | column: 1 | field: first name | value: \\u{feff}Ana | error: byte order mark inside the file",
    ),
    (
        b"Ana,\xE2\x80\x8B,1,1990-01-01,7\n",
        "line: 1 | column: 5 | field: last name | value: \u{200b} | error: it is blank (U+200B): ",
    ),
    (b"Ana;Paz;1;1990-01-01;7\n", "hints: rows look separated by ';'"),
    (b"Ana,Paz,1,1990-01-01,7\rx,y\r", "line: 2 | column: 1 | value: x,y | "),
    (
        b"\"Juan\nCarlos\",Paz,1,1990-01-01,7\n",
        "line: 1 | column: 6 | field: first name | value: Juan\\nCarlos | error: control character U+000A: ",
    ),
    (
        b"Ana,Paz,1,1990-01-01,7\n\nAna,Paz,1,1990-01-01,7\n",
        "line: 2 | column: 1 | value:  | error: an empty line",
    ),
    (
        b"A\0n\0a\0,\0P\0a\0z\0,\0",
        "hints: the file looks like UTF-16LE: iconv -f UTF-16LE -t UTF-8",
    ),
    (b"\x1f\x8b\x08\0\0\0\0\0", "hints: the file looks like a gzip file"),
    (
        &[0; 4096],
        "hints: the file looks like empty blocks, of a broken copy or disk: copy it again",
    ),
];

#[test]
fn a_bad_file_is_refused_before_connecting() {
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, expected) in BAD {
        let path = file(folder.path(), bytes);
        let (code, log) = ended(&mut agency(UNREACHABLE, &path, &[]));
        assert_eq!(code, Some(1), "{log}");
        let prefix =
            format!("ERROR    action: check_data | result: fail | file: {} | ", path.display());
        assert!(log.contains(&prefix) && log.contains(expected), "{expected}: {log}");
        assert!(log.contains("rows are bad: nothing was sent\n"), "{log}");
        assert!(!log.contains("connect"), "it has called: {log}");
        assert!(!log.contains("check_data | result: success"), "{log}");
    }
}

#[test]
fn all_bad_rows_are_counted_and_twenty_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), "Ana,Paz,1,17/03/1999,7\n".repeat(1000).as_bytes());
    let (code, log) = ended(&mut agency(UNREACHABLE, &path, &[]));
    assert_eq!((code, log.matches("| value: 17/03/1999 | ").count()), (Some(1), 20));
    let sum = "rows: 1000 | bad: 1000 | listed: 20 | hints: dates look like DD/MM/YYYY: write YYYY-MM-DD\n";
    assert!(log.contains(sum), "{log}");
}

/// What is no CSV isn't left to the central either: it would have to be guessed what was meant.
#[test]
fn without_the_check_what_is_no_row_still_ends_the_agency() {
    let folder = tempfile::tempdir().expect("a folder");
    let overlong = format!("Ana,{},1,1990-01-01,7", "x".repeat(256));
    let shown = "x".repeat(64);
    for (row, expected) in [
        (
            "Ana,Paz,1,1990-01-01,\"75\"74",
            "line 3, column 26, number \"\"75\"74\": text after a closing quotation mark",
        ),
        ("Ana,Paz,1,7", "line 3, column 1, row \"Ana,Paz,1,7\": a row has 5 fields (first name, "),
        (
            overlong.as_str(),
            &format!(
                "line 3, column 5, last name \"{shown}... (256 bytes)\": last name is at most 255 "
            ),
        ),
    ] {
        let path = file(folder.path(), [GOOD, row, "\n"].concat().as_bytes());
        let server = Server::start(&[("SERVER_AGENCIES", "1")]);
        // The batch before is under way, and is waited for.
        let off = [("CLI_DATA_CHECK", "off"), ("CLI_BATCH_MAXAMOUNT", "2")];
        let (code, log) = ended(&mut agency(&server.address(), &path, &off));
        assert_eq!(code, Some(1), "{log}");
        let expected =
            format!("action: run | result: fail | error: {}, {expected}", path.display());
        assert!(log.contains(&expected), "{expected}: {log}");
        let advice = "; 2 bets of this agency are stored, nothing else was sent, and the central has \
                      taken no END: run the agency again with a file that begins with the same 2 bets";
        assert!(log.contains(advice), "{log}");
        // The right file goes on there.
        let right = file(folder.path(), GOOD.repeat(2).as_bytes());
        let (code, log) = ended(&mut agency(&server.address(), &right, &off));
        assert_eq!((code, log.contains("cant_ganadores: 4\n")), (Some(0), true), "{log}");
        assert_eq!(server.stop().matches("apuesta_recibida | result: success").count(), 2);
    }
}

const NO_BETS: &str = "no bets: the agency will finish with none, and can't send any later";

#[test]
fn doubtful_files_are_taken_with_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    for (bytes, warning, winners) in [
        (GOOD.trim_end().to_owned(), "the last line has no end: was the file cut off?", 2),
        (String::new(), NO_BETS, 0),
        (format!("\u{feff}{GOOD}\n\r\n"), "", 2),
        (GOOD.replace('\n', "\r"), "", 2),
    ] {
        let path = file(folder.path(), bytes.as_bytes());
        let server = Server::start(&[("SERVER_AGENCIES", "1")]);
        let (code, log) = ended(&mut agency(&server.address(), &path, &[]));
        assert_eq!((code, log.contains("WARNING")), (Some(0), !warning.is_empty()), "{log}");
        assert!(log.contains(warning), "{log}");
        assert!(log.contains(&format!("cant_ganadores: {winners}\n")), "{log}");
    }
    // The file wasn't checked before, and still it is logged.
    let path = file(folder.path(), GOOD.trim_end().as_bytes());
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let off = [("CLI_DATA_CHECK", "off")];
    let (code, log) = ended(&mut agency(&server.address(), &path, &off));
    let warning = "warning: the last line has no end: was the file cut off?\n";
    assert_eq!((code, log.matches(warning).count()), (Some(0), 1), "{log}");
    let path = file(folder.path(), b"\n");
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let (code, log) = ended(&mut agency(&server.address(), &path, &off));
    let warning = format!("| file: {} | warning: {NO_BETS}\n", path.display());
    assert_eq!((code, log.matches(&warning).count()), (Some(0), 1), "{log}");
}

type Change = fn(&Path);

/// What another program does to a file, and how it shows.
const CHANGES: [(Change, &str); 7] = [
    (
        |path| {
            let mut file = File::options().append(true).open(path).expect("it is there");
            file.write_all(b"Ana,Paz,9,1990-01-01,9\n").expect("written");
        },
        "it grew from ",
    ),
    (
        |path| {
            File::options().write(true).open(path).and_then(|file| file.set_len(9)).expect("cut");
        },
        "it shrank from ",
    ),
    (
        |path| {
            let other = path.with_extension("new");
            fs::copy(path, &other).expect("copied");
            fs::rename(other, path).expect("replaced");
        },
        "another file has taken its place",
    ),
    (|path| fs::write(path, GOOD.replace("7574", "7575")).expect("written"), "it was written to"),
    (|path| fs::remove_file(path).expect("removed"), "it was deleted or renamed"),
    (
        |path| fs::hard_link(path, path.with_extension("link")).expect("linked"),
        "its mode, owner, links or name changed, or its time was set back",
    ),
    (
        |path| {
            fs::write(path, GOOD.replace("7574", "7575")).expect("written");
            rest(path);
        },
        "its mode, owner, links or name changed, or its time was set back",
    ),
];

/// The central sleeps, so everything happens between the check and the first batch.
#[test]
fn nothing_is_sent_of_a_file_that_changes_under_the_agency() {
    let folder = tempfile::tempdir().expect("a folder");
    for (change, how) in CHANGES {
        for check in ["on", "off"] {
            let path = file(folder.path(), GOOD.as_bytes());
            let server = Server::start(&[("SERVER_AGENCIES", "1")]);
            server.suspend();
            let environment = [("CLI_DATA_CHECK", check), ("CLI_LOG_LEVEL", "DEBUG")];
            let mut agency = Client::start(agency(&server.address(), &path, &environment));
            agency.wait_for("action: connect | result: success");
            change(&path);
            server.signal(Signal::CONT);
            let (code, log) = agency.end();
            let expected = format!("{}: changed while it was read: {how}", path.display());
            assert!(code == Some(1) && log.contains(&expected), "{expected}: {log}");
            let stored = "; 0 bets of this agency are stored, nothing else was sent, and the central \
                          has taken no END: run the agency again with the right file\n";
            assert!(log.contains(stored), "{log}");
            let log = server.stop();
            assert!(!log.contains("apuesta_recibida") && !log.contains("action: sorteo"), "{log}");
            let _ = fs::remove_file(path.with_extension("link"));
        }
    }
}

/// A writer in the middle of a row: what is there is a row, but not the one that is meant.
#[test]
fn a_row_that_may_still_be_written_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    for check in ["on", "off"] {
        let path = file(folder.path(), format!("{GOOD}Ana,Paz,1,1990-01-01,75").as_bytes());
        File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .expect("set");
        let server = Server::start(&[("SERVER_AGENCIES", "1")]);
        let environment = [("CLI_DATA_CHECK", check), ("CLI_DATA_QUIET_DELAY", "1h")];
        let mut agency = Client::start(agency(&server.address(), &path, &environment));
        // It has read all of it, and waits.
        let waits =
            if check == "on" { "stage: checking | posicion: 0 | bytes: 93" } else { "posicion: 3" };
        agency.wait_for_status(waits);
        agency.signal(Signal::TERM);
        agency.ends_because_of("SIGTERM");
        assert!(!server.stop().contains("action: sorteo"), "END was sent");
    }
    // None does: it is what there is.
    let path = file(folder.path(), GOOD.trim_end().as_bytes());
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let environment = [("CLI_DATA_QUIET_DELAY", "1h")];
    assert_eq!(ended(&mut agency(&server.address(), &path, &environment)).0, Some(0));
}

/// So long that its check takes minutes, and no row in it.
fn endless(folder: &Path) -> PathBuf {
    let path = file(folder, GOOD.as_bytes());
    File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 42)).expect("a hole");
    path
}

#[test]
fn the_check_of_a_huge_file_holds_up_no_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut agency = Client::start(agency(UNREACHABLE, &endless(folder.path()), &[]));
    agency.wait_for_status("stage: checking | ");
    agency.signal(Signal::TERM);
    agency.ends_because_of("SIGTERM");

    let mut command = client();
    command.arg("check").arg(folder.path().join("agency-1.csv")).arg("another");
    let mut check = Client::start(command);
    check.wait_for_status("action: status | result: success | file: ");
    check.signal(Signal::TERM);
    let (code, text) = check.end();
    assert!(code == Some(1) && text.contains("interrupted: 0 of 2 files were checked\n"), "{text}");
}

#[test]
fn check_shows_bad_rows_as_compilers_do_and_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [
        ("good.csv", GOOD.to_owned()),
        ("open.csv", GOOD.trim_end().to_owned()),
        ("bad.csv", GOOD.to_owned() + &"Ana,Paz,30.904.465,1990-01-01,7\n".repeat(30)),
    ] {
        fs::write(folder.path().join(name), bytes).expect("written");
        rest(&folder.path().join(name));
    }
    let check =
        |files: &[&str]| ended(client().current_dir(folder.path()).arg("check").args(files));
    let (code, text) = check(&["good.csv", "open.csv"]);
    let expected = "open.csv: warning: the last line has no end: was the file cut off?\n\
                    file           rows        bad         bytes  result\n\
                    good.csv          2          0            70  good\n\
                    open.csv          2          0            69  good\n";
    assert_eq!((code, text.as_str()), (Some(0), expected));
    let (code, text) = check(&["bad.csv", "none.csv", "good.csv"]);
    assert_eq!((code, text.matches("bad.csv:").count()), (Some(1), 22), "{text}");
    for line in [
        "bad.csv:3:9: document \"30.904.465\": not only digits: expected 1 to 20 digits\n",
        "bad.csv: 10 more bad rows\n",
        "bad.csv: hint: numbers have dots between the digits: write digits alone\n",
        "none.csv: can't be opened: ",
        "bad.csv          32         30          1030  BAD\n",
        "none.csv          0          0             0  not checked\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (code, text) = check(&["-", ""]);
    assert!(text.starts_with("-: standard input can't be checked: it is read twice; "), "{text}");
    assert!(code == Some(1) && text.contains("\nthe name of a file is empty\n"), "{text}");
    let usage = output(client().arg("check"));
    assert_eq!(usage.status.code(), Some(2));
}

/// What a pager does: it takes the first page, and the rest when that was read.
#[test]
fn a_report_is_complete_however_late_it_is_read() {
    const FILES: usize = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<_> = (0..FILES).map(|number| format!("agency-{number:02}.csv")).collect();
    for name in &names {
        fs::write(folder.path().join(name), "Ana,Paz,30.904.465,1990-01-01,7\n".repeat(30))
            .expect("written");
    }
    let mut command = client();
    command.current_dir(folder.path()).arg("check").args(&names).stderr(Stdio::null());
    let mut check = command.spawn().expect("it starts");
    let end = pidfd_open(Pid::from_child(&check), PidfdFlags::empty()).expect("it is ours");
    // Longer than the program waits at its end for a reader who takes nothing.
    let late = Timespec::try_from(Duration::from_millis(600)).expect("a short time");
    let ended = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&late)).expect("polled");
    let mut text = String::new();
    let mut output = reads::lines(check.stdout.take().expect("piped"));
    let read = output.read_to_string(&mut text);
    let code = check.wait().expect("it ends").code();
    assert!(read.is_ok() && text.len() > 64 * 1024, "more than a pipe holds: {read:?}");
    assert_eq!((ended, code, text.matches("30.904.465").count()), (0, Some(1), 20 * FILES));
    let table = text.lines().rev().take_while(|line| line.ends_with("BAD"));
    assert_eq!(table.count(), FILES);
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_named() {
    for arguments in ["", "check some.csv"] {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n 4 && exec \"$0\" {arguments}");
        command.args(["-c", &script]).arg(binary("client")).env_clear();
        command.env("CLI_ID", "1").env("CLI_SERVER_ADDRESS", UNREACHABLE).stdin(Stdio::null());
        let (code, log) = ended(&mut command);
        let advice = ": raise the limit of open files (ulimit -n)\n";
        assert!(code == Some(1) && log.contains(advice), "{log}");
    }
}
