//! Places that no ledger can be kept in, and log output that nothing can be written to: the central
//! logs what is wrong and where, changes nothing, or goes on.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kit::log::run_error;
use kit::process::{TIMEOUT, free_port};
use kit::programs::binary;
use kit::server::command;
use rustix::process::{Pid, Signal, geteuid, kill_process};

/// A user that no folder of ours belongs to.
const NOBODY: u32 = 65534;

const ROW: &str = "1,Ana,Paz,12345678,2000-01-01,7\r\n";

/// HELLO of agency 1, and its WELCOME at the very beginning.
const HELLO: &[u8] = b"\xBE\x01\0\x09\x01\0\0\0\x01";
const WELCOME: &[u8] = b"\xBE\x81\0\x19\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A batch with that bet, and what confirms it.
const BATCH: &[u8] =
    b"\xBE\x03\0\x2C\0\0\0\0\0\0\0\0\0\x01\x03Ana\x03Paz\x0812345678\x0A2000-01-01\x017";
const STORED: &[u8] = b"\xBE\x82\0\x0C\0\0\0\0\0\0\0\x01";

/// A folder that others may look into, with the server's binary.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        // By another process: a file that is open for writing here while a test beside this one
        // starts a process stays open in that for a moment, and can't be run.
        let copied = Command::new("cp").arg(binary("server")).arg(folder.path()).status();
        assert!(copied.expect("it starts").success());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The error of a central with its ledger there, as a user for whom permissions count. It must end
    /// by itself.
    fn refusal(&self, ledger: &Path) -> String {
        let mut server = Command::new(self.path("server"));
        server.env_clear().env("SERVER_PORT", "0").env("SERVER_BIND", "127.0.0.1");
        server.env("SERVER_STORAGE_PATH", ledger).env("SERVER_WAL_SEGMENT_SIZE", "1MiB");
        if geteuid().is_root() {
            server.uid(NOBODY).gid(NOBODY);
        }
        server.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Killed(server.spawn().expect("it starts"));
        let lines = BufReader::new(server.0.stdout.take().expect("it is piped")).lines();
        let mut log = String::new();
        for line in lines {
            log.push_str(&line.expect("text"));
            log.push('\n');
            assert!(!log.contains("action: listen | result: success"), "{log}");
        }
        assert_eq!(server.0.wait().expect("it ends").code(), Some(1), "{log}");
        run_error(&log).strip_prefix("ledger: ").expect("the ledger's").to_owned()
    }
}

/// A folder for which each user has these permissions.
fn folder(path: &Path, mode: u32) {
    fs::create_dir(path).expect("made");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn file(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_folder_that_cannot_be_written_or_is_not_there_is_named() {
    let place = Place::new();
    folder(&place.path("read-only"), 0o555);
    for (name, reason) in [
        ("read-only/bets.csv", "can't open it: Permission denied (os error 13)"),
        ("missing/bets.csv", "can't open it: No such file or directory (os error 2)"),
        ("server/bets.csv", "can't open it: Not a directory (os error 20)"),
        ("read-only", "expected a regular file, found a directory"),
    ] {
        let ledger = place.path(name);
        let (error, expected) =
            (place.refusal(&ledger), format!("{}: {reason}: ", ledger.display()));
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.ends_with("set another SERVER_STORAGE_PATH"), "{error}");
    }
    assert_eq!(fs::read_dir(place.path("read-only")).expect("a folder").count(), 0);
}

#[test]
fn files_that_cannot_be_read_or_are_not_ours_are_named_and_stay() {
    let denied = "can't open it: Permission denied (os error 13)";
    let foreign = "expected the wal of a ledger, whose header begins with \"loteria wal v1\", found \
                   another file: move it away if it is none of a ledger's";
    let empty = format!(
        "it holds {} bytes, but its wal LOG is missing or empty: put the wal back; if the file isn't \
         a ledger's, or for another lottery, move it away",
        ROW.len()
    );
    let (row, none) = (ROW.as_bytes(), &b""[..]);
    for (csv, log, at_log, reason) in [
        (Some((row, 0o000)), Some((none, 0o666)), false, denied),
        (Some((row, 0o444)), Some((none, 0o666)), false, denied),
        (Some((none, 0o666)), Some((none, 0o000)), true, denied),
        (Some((row, 0o666)), Some((&b"another's"[..], 0o666)), true, foreign),
        (None, Some((&b"another's"[..], 0o666)), true, foreign),
        (Some((row, 0o666)), Some((none, 0o666)), false, &empty),
        (Some((row, 0o666)), None, false, &empty),
    ] {
        let place = Place::new();
        folder(&place.path("ledger"), 0o777);
        let paths = [place.path("ledger/bets.csv"), place.path("ledger/bets.csv.wal")];
        for (path, content) in paths.iter().zip([csv, log]) {
            if let Some((content, mode)) = content {
                file(path, content, mode);
            }
        }
        let named = paths[usize::from(at_log)].display();
        let reason = reason.replace("LOG", &paths[1].display().to_string());
        let error = place.refusal(&paths[0]);
        assert!(error.starts_with(&format!("{named}: {reason}")), "{error}");
        for (path, content) in paths.iter().zip([csv, log]) {
            let found = fs::read(path).unwrap_or_default();
            assert_eq!(found, content.map_or(none, |(content, _)| content), "{}", path.display());
        }
    }
}

#[test]
fn empty_files_are_a_new_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("bets.csv");
    file(&ledger, b"", 0o600);
    file(&folder.path().join("bets.csv.wal"), b"", 0o600);
    serves_and_ends("exec \"$0\" >/dev/null", &ledger);
}

/// Neither a closed output, whose place the ledger's own file could take, nor one that is full.
#[test]
fn log_output_that_takes_nothing_stops_nothing_and_spoils_nothing() {
    for start in
        ["exec \"$0\" >&-", "exec \"$0\" <&- >&- 2>&-", "exec \"$0\" >/dev/full 2>/dev/full"]
    {
        let folder = tempfile::tempdir().expect("a folder");
        serves_and_ends(start, &folder.path().join("bets.csv"));
    }
}

/// Starts a central by the shell, stores a bet, and ends it: all as if nothing were wrong.
fn serves_and_ends(start: &str, ledger: &Path) {
    let port = free_port();
    let server = command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", start]).arg(server.get_program()).env_clear();
    shell.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", port.to_string());
    shell.env("SERVER_STORAGE_PATH", ledger).env("SERVER_WAL_SEGMENT_SIZE", "1MiB");
    let mut child = Killed(shell.spawn().expect("it starts"));
    let mut stream = connect(port);
    for (request, expected) in [(HELLO, WELCOME), (BATCH, STORED)] {
        stream.write_all(request).expect("sent");
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, expected, "{start}");
    }
    kill_process(Pid::from_child(&child.0), Signal::TERM).expect("it runs");
    assert_eq!(child.0.wait().expect("it ends").code(), Some(0), "{start}");
    assert_eq!(fs::read_to_string(ledger).expect("text"), ROW, "{start}");
}

/// A process that doesn't outlive a test that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A central without a log can only be tried until it listens.
fn connect(port: u16) -> TcpStream {
    let begun = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(TIMEOUT)).expect("set");
            return stream;
        }
        assert!(begun.elapsed() < TIMEOUT, "nothing listens at {port}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
