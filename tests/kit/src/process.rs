//! What tests need of any process.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::reads;

pub use crate::reads::TIMEOUT;

/// As many descriptors as the system lets this process have; the server inherits it.
pub fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
}

/// Memory of a process in bytes, by its name in `/proc/PID/status`.
pub fn memory(pid: u32, name: &str) -> usize {
    try_memory(pid, name).expect("it runs, on Linux")
}

/// The same; none when the process has ended.
pub fn try_memory(pid: u32, name: &str) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// How long a process's first thread has had a processor; none when the process has ended.
pub fn processor_time(pid: u32) -> Option<Duration> {
    scheduled(pid, 0)
}

/// How long a process's first thread has been ready to run without a processor; none when the process has
/// ended.
pub fn processor_wait(pid: u32) -> Option<Duration> {
    scheduled(pid, 1)
}

fn scheduled(pid: u32, field: usize) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split(' ').nth(field)?.parse().ok().map(Duration::from_nanos)
}

/// The state letter in `/proc/PID/stat`, which follows the name in parentheses; none when the process has
/// ended.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a signal has stopped a process.
pub fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// An unused port, for a central that is started again at the same one.
///
/// Below the range that the kernel takes ports of outgoing connections from: while the central is
/// down, an agency that calls it could otherwise be given that very port, and call itself.
pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(15_000..32_000));
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("it goes on until there is one")
}

/// Waits until something is so.
///
/// # Panics
/// After [`TIMEOUT`].
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for the end of a process whose output isn't read.
///
/// # Panics
/// After [`TIMEOUT`].
pub fn wait_for_end(child: &mut Child) -> ExitStatus {
    let mut ended = None;
    wait_until("a process ends", || {
        ended = child.try_wait().expect("it is ours");
        ended.is_some()
    });
    ended.expect("it was waited for")
}

/// Runs a program that must end by itself; its status and output.
pub fn output(command: &mut Command) -> Output {
    finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
}

/// The same of one that runs already.
pub fn finish(mut child: Child) -> Output {
    let deadline = Instant::now() + TIMEOUT;
    let mut stdout = Vec::new();
    if let Some(output) = child.stdout.take() {
        let read = reads::lines(output).read_to_end(&mut stdout);
        if read.is_err() {
            child.kill().expect("it still runs");
            panic!("it writes no more and doesn't end: {}", String::from_utf8_lossy(&stdout));
        }
    }
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it still runs");
            panic!("it doesn't end: {}", String::from_utf8_lossy(&stdout));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Output { stdout, ..child.wait_with_output().expect("it has ended") }
}
