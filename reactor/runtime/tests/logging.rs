//! What a program's log does to the program, and what of it arrives.
//!
//! A process of its own, which starts itself again: standard output belongs to the whole process.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, Handler, Limits, Outcome};
use runtime::log_line;
use runtime::logging::{self, Fail, Format, Level, LevelFilter, Line, LogLine, Success};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};

/// What the process is to do when it was started by a test: how many lines it is to log, or a name.
const TASK: &str = "LOGGING_TEST_TASK";

/// Longest wait for a process that must end; far more than it takes.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// More bytes than one piece, less than a pipe holds.
const SOME: usize = 500;

/// More bytes than a pipe, a socket or a terminal holds, less than the log keeps.
const MANY: usize = 5000;

/// More bytes than the log keeps, in more turns than there is time for when each waits.
const TOO_MANY: usize = 100_000;

fn main() -> ExitCode {
    match std::env::var(TASK).as_deref() {
        Ok("panic") => return log_and_panic(),
        Ok("early panic") => return panic_before_the_log(),
        Ok("thread panic") => return panic_in_a_thread(),
        Ok("off") => return fail_without_a_log(),
        Ok("serve") => return serve_who_make_it_log(),
        Ok(count) => return log_lines(count.parse().unwrap()),
        Err(_) => {}
    }
    loop_tests::run_all(&[
        ("lines_arrive_in_a_file", lines_arrive_in_a_file),
        ("lines_arrive_in_a_pipe", lines_arrive_in_a_pipe),
        ("lines_arrive_at_a_terminal", lines_arrive_at_a_terminal),
        ("a_pipe_without_reader_stops_nothing", a_pipe_without_reader_stops_nothing),
        ("who_takes_nothing_is_not_waited_for_in_every_turn", who_takes_nothing_is_not_waited_for),
        ("a_socket_without_reader_stops_nothing", a_socket_without_reader_stops_nothing),
        ("a_terminal_without_reader_stops_nothing", a_terminal_without_reader_stops_nothing),
        ("a_closed_pipe_stops_nothing", a_closed_pipe_stops_nothing),
        ("a_full_disk_stops_nothing", a_full_disk_stops_nothing),
        ("a_panic_loses_no_line", a_panic_loses_no_line),
        ("a_panic_is_one_line_wherever_it_happens", a_panic_is_one_line_wherever_it_happens),
        ("a_turn_that_logs_much_serves_no_more", a_turn_that_logs_much_serves_no_more),
        ("a_panic_loses_no_line_of_a_file", a_panic_loses_no_line_of_a_file),
        ("the_reason_of_an_end_is_written_somewhere", the_reason_of_an_end_is_written_somewhere),
        ("the_reason_is_written_without_a_log_too", the_reason_is_written_without_a_log_too),
    ])
}

/// Turns of ten lines each.
fn log_lines(count: usize) -> ExitCode {
    let _flushed_at_the_end = logging::init(LevelFilter::Info, Format::Text);
    for number in 0..count {
        log_line!(Level::Info, Line::new("count", Success).with("number", number));
        log_line!(Level::Debug, Line::new("count", Fail).with("level", "too low"));
        if number % 10 == 9 {
            assert!(logging::bytes_since_flush() >= 10 * "2024-08-21 22:11:15".len());
            logging::flush();
            assert_eq!(logging::bytes_since_flush(), 0);
        }
    }
    ExitCode::SUCCESS
}

fn log_and_panic() -> ExitCode {
    let guard = logging::init(LevelFilter::Info, Format::Text);
    // As if the process ended right after the hook, which is what an abort does.
    std::mem::forget(guard);
    log_line!(Level::Error, Line::new("count", Fail).with("number", 0));
    panic!("on purpose");
}

fn panic_before_the_log() -> ExitCode {
    logging::catch_panics();
    panic!("two\nlines | {}", "x".repeat(100_000));
}

fn panic_in_a_thread() -> ExitCode {
    let _flushed_at_the_end = logging::init(LevelFilter::Off, Format::Text);
    let thread = std::thread::Builder::new().name("disk".to_owned());
    let thread = thread.spawn(|| panic!("on purpose")).unwrap();
    // None of them waits for long: the process ends.
    thread.join().unwrap_err();
    ExitCode::SUCCESS
}

fn fail_without_a_log() -> ExitCode {
    let _flushed_at_the_end = logging::init(LevelFilter::Off, Format::Text);
    log_line!(Level::Info, Line::new("count", Success).with("number", 0));
    log_line!(Level::Error, Line::new("count", Fail).with("number", 1));
    logging::print("for a person");
    log_line!(Level::Error, Line::new("run", Fail).with("error", "the reason"));
    ExitCode::FAILURE
}

/// Peers that are served in a turn whose lines are as many bytes as a turn may log.
const SERVED: usize = 4;

/// Logs a lot for every peer that speaks.
#[derive(Debug, Default)]
struct Talkative {
    /// In this turn.
    served: usize,
    left: usize,
}

impl Handler for Talkative {
    type Fatal = Infallible;

    fn on_open(&mut self, _: &mut impl Context, _: ConnectionId, _: SocketAddr) {}

    fn on_data(&mut self, cx: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        let words = "x".repeat(1024);
        for _ in 0..1024 * 1024 / words.len() / SERVED {
            log_line!(Level::Info, Line::new("talk", Success).with("words", &words));
        }
        self.served += 1;
        self.left -= 1;
        if self.left == 0 {
            cx.shutdown();
        }
        input.len()
    }

    fn on_eof(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) {}

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}

    fn before_flush(&mut self, _: &mut impl Context) -> Result<(), Infallible> {
        assert!(std::mem::take(&mut self.served) <= SERVED);
        Ok(())
    }
}

fn serve_who_make_it_log() -> ExitCode {
    const PEERS: usize = 5 * SERVED;
    let _flushed_at_the_end = logging::init(LevelFilter::Info, Format::Text);
    let limits = Limits { shutdown_timeout: Duration::from_millis(1), ..Limits::default() };
    let mut event_loop = runtime::event_loop(limits).unwrap();
    let address = event_loop.listen((Ipv4Addr::LOCALHOST, 0).into(), 1024).unwrap();
    let peers = [(); PEERS].map(|()| TcpStream::connect(address).unwrap());
    for mut peer in &peers {
        peer.write_all(b"x").unwrap();
    }
    let mut handler = Talkative { left: PEERS, ..Talkative::default() };
    assert_eq!(event_loop.run(&mut handler).unwrap(), Outcome::Graceful);
    ExitCode::SUCCESS
}

/// This program, logging so many lines, or one and a panic.
fn start(lines: Option<usize>, stdout: impl Into<Stdio>) -> Child {
    let task = lines.map_or("panic".to_owned(), |count| count.to_string());
    start_task(&task, stdout, Stdio::null())
}

fn start_task(task: &str, stdout: impl Into<Stdio>, stderr: Stdio) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(TASK, task).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.spawn().unwrap()
}

/// Its exit code; it must end.
fn end(mut child: Child) -> Option<i32> {
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&PATIENCE)).unwrap();
    if ended == 0 {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert_eq!(ended, 1, "it doesn't end");
    status.code()
}

/// `text` must be the lines from 0 on, so many, each whole.
fn assert_lines(text: &str, count: usize) {
    let numbers = text.lines().map(|line| {
        let line = LogLine::parse(line).unwrap();
        assert!(line.level == Level::Info && line.is("count", Success), "{line:?}");
        line.value::<usize>("number").unwrap()
    });
    assert!(numbers.eq(0..count), "{} lines", text.lines().count());
    assert!(text.ends_with('\n'));
}

/// Both ends of a terminal: the one that shows, and the one that is written to.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let shown = openpt(flags).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let name = ptsname(&shown, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let written = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    // Newlines as they are, without a carriage return.
    let mut attributes = tcgetattr(&written).unwrap();
    attributes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&written, OptionalActions::Now, &attributes).unwrap();
    (shown, written)
}

fn lines_arrive_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(end(start(Some(MANY), file.reopen().unwrap())), Some(0));
    assert_lines(&std::fs::read_to_string(file.path()).unwrap(), MANY);
}

fn lines_arrive_in_a_pipe() {
    let mut child = start(Some(SOME), Stdio::piped());
    let text = io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert_eq!(end(child), Some(0));
    assert_lines(&text, SOME);
}

fn lines_arrive_at_a_terminal() {
    let (shown, written) = terminal();
    let child = start(Some(3), written);
    // Reading from a terminal fails when no process has it open any more.
    let mut text = Vec::new();
    let error = File::from(shown).read_to_end(&mut text).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    assert_eq!(end(child), Some(0));
    assert_lines(str::from_utf8(&text).unwrap(), 3);
}

fn a_pipe_without_reader_stops_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    assert_eq!(end(start(Some(MANY), writer)), Some(0));
    let text = io::read_to_string(reader).unwrap();
    assert_lines(&text, text.lines().count());
    assert!(text.lines().count() < MANY, "it was to be full");
}

fn who_takes_nothing_is_not_waited_for() {
    let (_reader, writer) = io::pipe().unwrap();
    assert_eq!(end(start(Some(TOO_MANY), writer)), Some(0));
}

fn a_socket_without_reader_stops_nothing() {
    let (mut reader, writer) = UnixStream::pair().unwrap();
    assert_eq!(end(start(Some(MANY), OwnedFd::from(writer))), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_lines(&text, text.lines().count());
}

fn a_terminal_without_reader_stops_nothing() {
    let (shown, written) = terminal();
    assert_eq!(end(start(Some(MANY), written.try_clone().unwrap())), Some(0));
    // Others who have the terminal open still wait when they write to it.
    assert!(!rustix::fs::fcntl_getfl(&written).unwrap().contains(OFlags::NONBLOCK));
    drop(shown);
}

fn a_closed_pipe_stops_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    assert_eq!(end(start(Some(MANY), writer)), Some(0));
}

fn a_full_disk_stops_nothing() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(end(start(Some(MANY), full)), Some(0));
}

fn a_panic_loses_no_line_of_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(end(start(None, file.reopen().unwrap())), Some(101));
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert_is_panic(&text, &["count | result: fail | number: 0"]);
}

/// Ends with these lines, and the one of a panic.
fn assert_is_panic(text: &str, before: &[&str]) {
    let mut lines: Vec<_> = text.lines().collect();
    let last = lines.pop().unwrap();
    let line = " ERROR    action: panic | result: fail | thread: main | place: reactor/runtime/tests/logging.rs:";
    assert!(last.contains(line) && last.ends_with("| error: on purpose"), "{text}");
    assert!(lines.iter().zip(before).all(|(line, before)| line.ends_with(before)), "{text}");
    assert_eq!(lines.len(), before.len(), "{text}");
}

fn a_panic_is_one_line_wherever_it_happens() {
    for (task, begin, behind) in [
        ("early panic", "thread: main | place: ", "... (100012 bytes)"),
        ("thread panic", "thread: disk | place: ", " | error: on purpose"),
    ] {
        let mut child = start_task(task, Stdio::piped(), Stdio::piped());
        let text = io::read_to_string(child.stdout.take().unwrap()).unwrap();
        let errors = io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!((end(child), errors.as_str()), (Some(101), ""));
        let (line, rest) = text.split_once('\n').unwrap();
        let message = format!(" ERROR    action: panic | result: fail | {begin}");
        assert!(rest.is_empty() && line.contains(&message) && line.ends_with(behind), "{text}");
    }
}

fn the_reason_of_an_end_is_written_somewhere() {
    let full_disk = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_reader, full_pipe) = full_pipe();
    for nowhere in [Stdio::from(full_disk), full_pipe.into()] {
        let mut child = start_task("panic", nowhere, Stdio::piped());
        let text = io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!(end(child), Some(101));
        assert_is_panic(&text, &[]);
    }
}

fn the_reason_is_written_without_a_log_too() {
    let mut child = start_task("off", Stdio::piped(), Stdio::piped());
    let said = io::read_to_string(child.stdout.take().unwrap()).unwrap();
    let reason = io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert_eq!(end(child), Some(1));
    assert_eq!(said, "for a person\n");
    assert!(
        reason.ends_with(" ERROR    action: run | result: fail | error: the reason\n"),
        "{reason}"
    );
    assert_eq!(reason.lines().count(), 1, "{reason}");
}

/// One without a reader, and without room.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

fn a_panic_loses_no_line() {
    let mut child = start(None, Stdio::piped());
    let text = io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert_eq!(end(child), Some(101));
    assert_is_panic(&text, &["count | result: fail | number: 0"]);
}

fn a_turn_that_logs_much_serves_no_more() {
    assert_eq!(end(start_task("serve", Stdio::null(), Stdio::null())), Some(0));
}
