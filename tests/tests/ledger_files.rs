//! The files under the central's feet: reached by several names, of another kind, deleted, replaced
//! or cut off while it runs.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use kit::frames::{batch, end, hello, responses};
use kit::log::run_error;
use kit::process::{free_port, output};
use kit::reads;
use kit::server::{Server, command};
use rustix::process::Signal;

const BETS: [(&str, &str); 1] = [("12345678", "7")];

fn start_at(ledger: &Path) -> Command {
    let mut server = command(&[("SERVER_WAL_SEGMENT_SIZE", "1MiB")]);
    server.env("SERVER_STORAGE_PATH", ledger);
    server
}

/// The error of a central that can't have its ledger there.
fn refusal(ledger: &Path) -> String {
    refusal_of(&mut start_at(ledger))
}

fn refusal_of(central: &mut Command) -> String {
    let output = output(central);
    let log = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{log}");
    run_error(&log).strip_prefix("ledger: ").expect("the ledger's").to_owned()
}

#[test]
fn a_second_central_refuses_whatever_name_leads_to_the_ledger() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = server.folder().join("bets.csv");
    let (link, name) = (folder.path().join("link.csv"), folder.path().join("name.csv"));
    symlink(&ledger, &link).expect("made");
    fs::hard_link(&ledger, &name).expect("made");
    for path in [link, name] {
        let error = format!(
            "{}: another central has this ledger open (process {}): end that one, or set another \
             SERVER_STORAGE_PATH",
            path.display(),
            server.pid()
        );
        assert_eq!(refusal(&path), error);
    }
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 2, "no wal was made beside a name");
    server.stop();
}

/// A central that sees, in a mount of its own, `real` at `elsewhere` too, and has its ledger there.
fn start_over_mount(real: &Path, elsewhere: &Path, ledger: &Path) -> Command {
    let plain = start_at(ledger);
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c"]);
    unshare.arg("mount --bind \"$1\" \"$2\" && exec \"$0\"").arg(plain.get_program());
    unshare.args([real, elsewhere]).env_clear();
    unshare.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    unshare
}

#[test]
fn a_second_central_refuses_a_mount_that_leads_to_the_ledger() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (mounted, file) = (folder.path().join("mounted"), folder.path().join("file.csv"));
    fs::create_dir(&mounted).expect("made");
    fs::write(&file, b"").expect("made");
    let ledger = server.folder().join("bets.csv");
    for (real, elsewhere, path) in
        [(server.folder(), &mounted, &mounted.join("bets.csv")), (&ledger, &file, &file)]
    {
        let error = format!(
            "{}: another central has this ledger open (process {})",
            path.display(),
            server.pid()
        );
        let found = refusal_of(&mut start_over_mount(real, elsewhere, path));
        assert!(found.starts_with(&error), "{found}");
    }
    assert!(!folder.path().join("file.csv.wal").exists(), "no wal was made beside a mount");
    server.stop();
}

#[test]
fn the_wal_stands_beside_the_file_that_a_link_leads_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().join("real");
    fs::create_dir(&real).expect("made");
    let (link, wal) = (folder.path().join("bets.csv"), real.join("it.csv.wal"));
    symlink("real/it.csv", &link).expect("made");
    let server = Server::start_in(folder, &[]);
    let wal = wal.canonicalize().expect("it was made");
    assert!(!server.folder().join("bets.csv.wal").exists());
    let expected = format!("path: {} | wal: {}\n", link.display(), wal.display());
    let log = server.stop();
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn an_empty_file_with_other_names_is_no_new_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (folder.path().join("one.csv"), folder.path().join("other.csv"));
    fs::write(&one, b"").expect("written");
    fs::hard_link(&one, &other).expect("made");
    let error = refusal(&other);
    assert!(error.starts_with(&format!("{}: it has 2 names", other.display())), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn a_ledger_must_be_a_regular_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it starts").success());
    for (path, found) in [
        (Path::new("/dev/null"), "a device"),
        (folder.path(), "a directory"),
        (&pipe, "a named pipe"),
    ] {
        let error = format!(
            "{}: expected a regular file, found {found}: set another SERVER_STORAGE_PATH",
            path.display()
        );
        assert_eq!(refusal(path), error);
    }
    assert!(!Path::new("/dev/null.wal").exists());
    let ledger = folder.path().join("bets.csv");
    fs::create_dir(folder.path().join("bets.csv.wal")).expect("made");
    let error = refusal(&ledger);
    assert!(error.contains("bets.csv.wal: expected a regular file, found a directory"), "{error}");
    assert!(!ledger.exists(), "nothing is made beside it");
}

#[test]
fn a_ledger_is_never_drawn_without_an_agency_that_has_bets_in_it() {
    let mut server = Server::start(&[("SERVER_AGENCIES", "3")]);
    acknowledged(&server, &[hello(3), batch(0, &BETS)].concat());
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
    let ledger = server.folder().join("bets.csv");
    let output = output(start_at(&ledger).env("SERVER_AGENCIES", "2"));
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).expect("text");
    assert!(log.contains("bets.csv: it is for 3 agencies, found 2 configured"), "{log}");
}

/// What is done to the ledger's files, and what the central must log.
type Tampering = (fn(&Path), &'static str);

const TAMPERINGS: [Tampering; 8] = [
    (|csv| fs::remove_file(csv).expect("removed"), "bets.csv: it was deleted, renamed or replaced"),
    (
        |csv| fs::remove_file(csv.with_extension("csv.wal")).expect("removed"),
        "bets.csv.wal: it was deleted, renamed or replaced",
    ),
    (
        |csv| {
            fs::remove_file(csv).expect("removed");
            fs::remove_file(csv.with_extension("csv.wal")).expect("removed");
        },
        "bets.csv: it was deleted, renamed or replaced",
    ),
    (replace, "bets.csv: it was deleted, renamed or replaced"),
    (
        |csv| replace(&csv.with_extension("csv.wal")),
        "bets.csv.wal: it was deleted, renamed or replaced",
    ),
    (
        |csv| drop(OpenOptions::new().write(true).truncate(true).open(csv).expect("cut off")),
        "bets.csv: expected 33 bytes, found 0: it was changed",
    ),
    (
        |csv| {
            let mut file = OpenOptions::new().append(true).open(csv).expect("opened");
            file.write_all(b"1,").expect("appended");
        },
        "bets.csv: expected 33 bytes, found 35: it was changed",
    ),
    (
        |csv| {
            let wal = OpenOptions::new().write(true).open(csv.with_extension("csv.wal"));
            wal.expect("opened").set_len(5000).expect("cut off");
        },
        "bets.csv.wal: expected 2101248 bytes, found 5000: it was changed",
    ),
];

/// By another file with the same content.
fn replace(path: &Path) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).expect("copied");
    fs::rename(copy, path).expect("renamed");
}

/// What is acknowledged, in words.
fn acknowledged(server: &Server, input: &[u8]) -> Vec<String> {
    let mut stream = server.connect();
    stream.write_all(input).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut output = Vec::new();
    // A central that ends may reset the connection.
    let _ = stream.read_to_end(&mut output);
    responses(&output).0
}

#[test]
fn nothing_is_acknowledged_once_the_files_are_not_what_they_were() {
    for (tamper, reason) in TAMPERINGS {
        let mut server = Server::start(&[("SERVER_AGENCIES", "1")]);
        let ledger = server.folder().join("bets.csv");
        let first = acknowledged(&server, &[hello(1), batch(0, &BETS)].concat());
        assert_eq!(first.last().expect("a response"), "stored 1");
        tamper(&ledger);
        let second = acknowledged(&server, &[hello(1), batch(1, &BETS)].concat());
        assert!(!second.contains(&"stored 2".to_owned()), "{reason}: {second:?}");
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("ERROR    action: run | result: fail | error: "), "{log}");
        assert!(log.contains(reason), "{log}");
    }
}

#[test]
fn the_health_check_and_the_end_notice_it_too() {
    for (tamper, reason) in TAMPERINGS {
        let port = free_port();
        let echo = [("SERVER_PORT", port.to_string())];
        let readiness = [("SERVER_ADMIN_ADDRESS", format!("127.0.0.1:{port}"))];
        for asked in [Some(&echo), Some(&readiness), None] {
            let asked = asked.map(|[(name, value)]| (*name, value.as_str()));
            let settings: Vec<_> = [("SERVER_AGENCIES", "1")].into_iter().chain(asked).collect();
            let mut server = Server::start(&settings);
            let ledger = server.folder().join("bets.csv");
            acknowledged(&server, &[hello(1), batch(0, &BETS)].concat());
            tamper(&ledger);
            if asked.is_some() {
                let check = output(command(&settings).arg("healthcheck"));
                assert_eq!(check.status.code(), Some(1), "{reason}");
                let error = String::from_utf8_lossy(&check.stderr);
                assert!(error.contains("closed after 0 "), "{error}");
            } else {
                server.signal(Signal::TERM);
            }
            let (status, log) = server.wait();
            assert_eq!(status.code(), Some(1), "{log}");
            assert!(log.contains(reason), "{log}");
            assert!(!log.contains("action: close_ledger | result: success"), "{log}");
        }
    }
}

/// Sends batches one after the other until one isn't stored; returns how many bets were, and the other
/// response. Ends then, and returns the response to that.
fn fill(server: &Server) -> (u64, String, String) {
    let mut stream = server.connect();
    let bets = [("12345678", "7"); 250];
    let (mut position, mut reader) = (0, ResponseReader::default());
    stream.write_all(&hello(1)).expect("sent");
    assert_eq!(reader.next(&mut stream), "welcome 0 rejected 0 Open");
    loop {
        stream.write_all(&batch(position, &bets)).expect("sent");
        let response = reader.next(&mut stream);
        if response != format!("stored {}", position + 250) {
            stream.write_all(&end(position)).expect("sent");
            return (position, response, reader.next(&mut stream));
        }
        position += 250;
    }
}

/// Responses as they come, in words.
#[derive(Default)]
struct ResponseReader(Vec<u8>);

impl ResponseReader {
    fn next(&mut self, stream: &mut TcpStream) -> String {
        loop {
            let (words, rest) = responses(&self.0);
            if let Some(response) = words.into_iter().next() {
                assert!(rest.is_empty(), "one at a time");
                self.0.clear();
                return response;
            }
            let mut piece = [0; 1024];
            let count = reads::read(stream, &mut piece).expect("a response");
            assert!(count > 0, "the central has closed");
            self.0.extend_from_slice(&piece[..count]);
        }
    }
}

/// However space runs out: batches are unavailable, the end and the draw aren't, and the files are good.
#[test]
fn without_space_bets_are_unavailable_and_the_end_is_not() {
    const LIMIT_KIB: u32 = 2100;
    let agencies = ("SERVER_AGENCIES", "1");
    let limited = Server::start_with_file_limit(LIMIT_KIB, &[agencies]);
    let largest = Server::start(&[agencies, ("SERVER_MAX_LEDGER_SIZE", "100KiB")]);
    for (mut server, bytes, reason) in [
        (limited, u64::from(LIMIT_KIB) << 10, "can't append rows: File too large (os error 27)"),
        (largest, 100 << 10, "the ledger is full: 99000 of at most 102400 bytes"),
    ] {
        let (stored, response, ended) = fill(&server);
        assert_eq!(response, format!("unavailable {stored}"), "{reason}");
        assert_eq!(ended, format!("finished {stored} 0"), "{reason}");
        let ledger = fs::read(server.folder().join("bets.csv")).expect("it is there");
        assert_eq!(ledger.len() as u64, stored * 33, "{reason}");
        assert!(ledger.len() as u64 > bytes - 8250, "{reason}: as many as fit");
        server.signal(Signal::TERM);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains(reason), "{log}");
        assert!(log.contains("action: sorteo | result: success"), "{log}");
    }
}

#[test]
fn a_new_ledger_needs_free_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("bets.csv");
    let output = output(start_at(&ledger).env("SERVER_MIN_FREE_BYTES", "1024TiB"));
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).expect("text");
    assert!(log.contains("bets.csv.wal: ") && log.contains(" bytes are free on its file"), "{log}");
}

/// As a disk may leave it that loses a file's blocks: nothing of the hole is shown.
#[test]
fn a_ledger_with_a_large_hole_is_refused_in_one_bounded_line() {
    const HOLE: std::ops::Range<usize> = 1_000..(1 << 20) + 2_000;
    const LINE_MAX: usize = 1_000;
    let mut server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let bets = [BETS[0]; 200];
    let batches = (0..200).flat_map(|index| batch(index * bets.len() as u64, &bets));
    let stored = acknowledged(&server, &hello(1).into_iter().chain(batches).collect::<Vec<_>>());
    assert_eq!(stored.last().expect("a response"), "stored 40000");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0.code(), Some(0));
    let ledger = server.folder().join("bets.csv");
    let mut rows = fs::read(&ledger).expect("it is there");
    rows[HOLE].fill(0);
    fs::write(&ledger, rows).expect("written");
    let output = output(&mut start_at(&ledger));
    let log = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{log}");
    let error = run_error(&log);
    assert!(error.contains("bets.csv: "), "{error}");
    let longest = log.lines().map(str::len).max().expect("lines");
    assert!(longest < LINE_MAX, "a line of {longest} bytes");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
