//! The log goes into a file whose disk stalls: only the log waits for it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use kit::log::lines;
use kit::process::{TIMEOUT, free_port};
use kit::server::command;
use kit::strace::{traced, untrace};
use rustix::process::{Pid, Signal, kill_process};

/// How long each write into the log's file takes: far more than the whole test.
const STALL: &str = "--inject=write:delay_enter=60s";

/// The server's command, traced, with a log file that stalls.
fn stalling(folder: &Path, log: &Path, port: u16) -> Command {
    let port = port.to_string();
    let ledger = folder.join("bets.csv");
    let mut server = command(&[("SERVER_PORT", &port), ("SERVER_ECHO_KEEP_ALIVE", "true")]);
    server.env("SERVER_STORAGE_PATH", ledger);
    let only_the_log = format!("--trace-path={}", log.display());
    let arguments = ["--follow-forks", "--trace=write", &only_the_log, STALL].map(str::to_owned);
    traced(&server, &folder.join("trace"), &arguments)
}

/// Connects as soon as it listens: the log can't show when.
fn connect(port: u16) -> TcpStream {
    let mut stream = None;
    wait_until(|| {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    stream.expect("it waited for that")
}

/// The server, and the stall of its disk. Both end when it is dropped.
struct Stalled(Child);

impl Stalled {
    /// Lets the disk go on: without strace nothing stalls.
    fn go_on(&self) {
        untrace(self.0.id());
    }

    /// SIGTERM; it must end with 0.
    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("it still runs");
        wait_until(|| self.0.try_wait().expect("it is ours").is_some_and(|end| end.success()));
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.go_on();
        // It has ended already when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < deadline, "not within the harness's patience");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn peers_are_answered_while_the_log_file_stalls_and_its_lines_come_later() {
    const LINES: usize = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let port = free_port();
    let mut command = stalling(folder.path(), &log, port);
    command.stdout(File::create(&log).expect("made"));
    let mut server = Stalled(command.spawn().expect("it starts"));
    let mut stream = connect(port);
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream.set_write_timeout(Some(TIMEOUT)).expect("set");
    // More lines than the kernel holds between the loop and the log's thread, and than wait for it.
    let input = "a line that is logged\n".repeat(LINES);
    let mut reader = stream.try_clone().expect("cloned");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stream.write_all(input.as_bytes()).expect("sent");
            stream.shutdown(Shutdown::Write).expect("half-closed");
        });
        let mut echoed = String::new();
        reader.read_to_string(&mut echoed).expect("answered while the log's first write stalls");
        assert!(echoed == input, "{} of {} bytes", echoed.len(), input.len());
    });
    assert_eq!(log.metadata().expect("it is there").len(), 0, "no write has returned");
    server.go_on();
    wait_until(|| {
        let log = std::fs::read_to_string(&log).expect("text");
        let logged = log.matches("action: receive_message | result: success").count();
        // A count may still be in the middle of being written.
        let counts = lines(&log).filter_map(|line| line.value::<usize>("dropped_lines"));
        let dropped: usize = counts.sum();
        logged > 0 && dropped > 0 && logged + dropped == LINES
    });
    server.stop();
}
