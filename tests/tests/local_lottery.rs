//! `make run`: the whole lottery on this machine, to the draw or to what keeps it from coming.

use std::fs;
use std::io::{BufRead as _, Read as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kit::inputs::file;
use kit::process::output;
use kit::programs::binary;
use kit::reads::{self, Lines};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const AGENCIES: u32 = 2;

/// The tool beside so many bets of each agency, by way of another program or by itself.
fn lottery(folder: &Path, bets: usize, by: &[&str]) -> Command {
    let words = by.iter().map(Into::into).chain([binary("lottery").into_os_string()]);
    let words: Vec<_> = words.collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["--agencies", &AGENCIES.to_string(), "--data"]).arg(folder);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TMPDIR", folder).env("SERVER_WAL_SEGMENT_SIZE", "1MiB");
    (1..=AGENCIES).for_each(|agency| drop(file(folder, agency, bets, 2)));
    command
}

/// One that would take minutes: each bet waits for the disk.
fn slow_lottery(folder: &Path, by: &[&str]) -> Command {
    let mut command = lottery(folder, 100_000, by);
    command.env("CLI_BATCH_MAXAMOUNT", "1").env("CLI_BATCH_WINDOW", "1");
    command.env("LOGGING_LEVEL", "DEBUG");
    command
}

/// Starts it and waits until every agency has sent bets.
fn start(mut command: Command) -> (Child, Lines, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = reads::lines(child.stdout.take().expect("piped"));
    let mut log = String::new();
    let sends = |log: &str, agency: u32| {
        log.contains(&format!("action: receive_batch | result: success | agency: {agency} |"))
    };
    while !(1..=AGENCIES).all(|agency| sends(&log, agency)) {
        let read = lines.read_line(&mut log);
        assert!(matches!(read, Ok(1..)), "{read:?}: {log}");
    }
    (child, lines, log)
}

fn assert_interrupted((mut child, mut lines, mut log): (Child, Lines, String), by: &str) {
    let read = lines.read_to_string(&mut log);
    assert!(read.is_ok(), "{read:?}: {log}");
    assert_eq!(child.wait().expect("its output has ended").code(), Some(130), "{log}");
    let last = log.lines().last();
    let expected = format!(
        "interrupted by {by}; server: exit code 0, client1: exit code 0, client2: exit code 0"
    );
    assert_eq!(last, Some(&expected[..]), "{log}");
    assert!(log.contains("action: close_ledger | result: success"), "{log}");
    let end = log.split("action: close_listener").nth(1);
    assert!(end.is_some_and(|end| !end.contains("\nclient")), "the central ends last: {log}");
}

/// Both ends of a terminal.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = openpt(flags).expect("a terminal");
    grantpt(&person).and_then(|()| unlockpt(&person)).expect("it is ours");
    let name = ptsname(&person, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = rustix::fs::open(name, flags, Mode::empty()).expect("the other end");
    (person, program)
}

#[test]
fn the_tool_ends_with_a_table_and_a_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = output(lottery(folder.path(), 20, &[]).stdin(Stdio::null()));
    let log = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert!(log.contains("\nagency      bets    stored   winners  expected  exit code\n"), "{log}");
    assert!(log.contains("expected: rows and winning bets"), "{log}");
    assert!(log.ends_with("central: exit code 0; OK\n"), "{log}");
}

/// A serial is that of an agency's certificate.
#[test]
fn over_tls_it_ends_as_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = lottery(folder.path(), 20, &[]);
    command.arg("--tls").arg("--storage").arg(folder.path().join("kept.csv"));
    let ended = output(command.stdin(Stdio::null()));
    let log = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{log}");
    for agency in 1..=AGENCIES {
        let end =
            format!("receive_end | result: success | agency: {agency} | ip: 127.0.0.1 | serial: ");
        assert!(log.contains(&end), "{log}");
    }
    assert!(log.ends_with("central: exit code 0; OK\n"), "{log}");
    let names =
        fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    let kept = ["agency-1.csv", "agency-2.csv", "kept.csv", "kept.csv.wal"];
    assert_eq!(names, kept, "certificates are thrown away");
}

/// The terminal's signal comes to the tool alone, and it asks each process once.
#[test]
fn ctrl_c_and_a_hangup_at_a_terminal_end_every_process_in_order() {
    for name in ["SIGINT", "SIGHUP"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (person, program) = terminal();
        let mut command = slow_lottery(folder.path(), &["setsid", "-c"]);
        command.stdin(program);
        let running = start(command);
        if name == "SIGINT" {
            rustix::io::write(&person, b"\x03").expect("Ctrl-C");
        }
        // The terminal hangs up when it is dropped.
        let _still = (name == "SIGINT").then_some(person);
        assert_interrupted(running, name);
    }
}

#[test]
fn a_signal_to_its_process_group_ends_every_process_in_order() {
    for (signal, name) in
        [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = slow_lottery(folder.path(), &[]);
        command.stdin(Stdio::null()).process_group(0);
        let running = start(command);
        kill_process_group(Pid::from_child(&running.0), signal).expect("it runs");
        assert_interrupted(running, name);
    }
}

/// Nothing is left to be done then: a signal is what it waits for.
#[test]
fn after_the_draw_the_central_stays_up_until_a_signal_where_it_is_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = lottery(folder.path(), 20, &[]);
    let command = command.arg("--stay").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut lines = reads::lines(child.stdout.take().expect("piped"));
    let mut log = String::new();
    while !log.contains("the central stays up until Ctrl-C") {
        let read = lines.read_line(&mut log);
        assert!(matches!(read, Ok(1..)), "{read:?}: {log}");
    }
    assert!(log.contains("action: sorteo") && !log.contains("action: shutdown"), "{log}");
    let pages: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("the page: ")).collect();
    let page = pages.first().and_then(|page| page.strip_prefix("http://")?.strip_suffix('/'));
    assert!(TcpStream::connect(page.expect("it says where")).is_ok(), "{pages:?}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let read = lines.read_to_string(&mut log);
    assert!(read.is_ok(), "{read:?}: {log}");
    assert_eq!(child.wait().expect("its output has ended").code(), Some(0), "{log}");
    assert!(log.ends_with("central: exit code 0; OK\n"), "{log}");
}

#[test]
fn in_a_demonstration_an_agency_is_killed_and_comes_back_and_a_batch_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(binary("lottery"));
    command.args(["--demo", "2s"]).env_clear().env("TMPDIR", folder.path());
    let ended = output(command.stdin(Stdio::null()));
    let log = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{log}");
    let places = ["client4 is killed, and will come back", "client4 comes back", "action: sorteo"]
        .map(|text| log.find(text));
    assert!(places.is_sorted() && !places.contains(&None), "{places:?}: {log}");
    assert!(log.contains("apuesta_recibida | result: fail | cantidad: 40\n"), "{log}");
    assert!(!log.contains("apuesta_recibida | result: success"), "the few lines that count: {log}");
    assert!(log.contains("          1  <- a batch was rejected, as it must be\n"), "{log}");
    assert!(log.ends_with("central: exit code 0; OK\n"), "{log}");
}

/// The draw can't come any more: it isn't waited for.
#[test]
fn an_agency_that_fails_ends_the_lottery_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = lottery(folder.path(), 20, &[]);
    let bad = folder.path().join("agency-2.csv");
    fs::write(&bad, "Ana,Paz,30.904.465,2000-01-01,7574\r\nAna\r\n").expect("written");
    let ended = output(command.stdin(Stdio::null()));
    let log = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{log}");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(errors.contains("client2 ended with exit code 1 before the draw"), "{errors}");
    for expected in [
        "          0  <- stopped before the draw\n",
        "          1  <- MISMATCH\n",
        "central: exit code 0; MISMATCH\n",
        "client2 failed, with exit code 1: action: run | result: fail | error: ",
        "behind \"client2  |\"\n",
        &format!("/client check {}\n", bad.display()),
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn a_central_that_fails_ends_the_lottery_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = lottery(folder.path(), 20, &[]);
    let ended = output(command.env("SERVER_MAX_LINE_SIZE", "much").stdin(Stdio::null()));
    let log = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1), "{log}");
    assert!(
        log.contains("central: exit code 2; MISMATCH\nserver failed, with exit code 2: error: "),
        "{log}"
    );
    assert!(log.contains("SERVER_MAX_LINE_SIZE"), "{log}");
}
