//! Runs a program under strace, which kills it at a system call, or lets one fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::TIMEOUT;

/// Where strace is.
fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("strace"));
    found
        .into_iter()
        .find(|path| path.is_file())
        .expect("strace is missing: apt-get install strace")
}

/// The same command with the same environment, under strace with these arguments. What strace sees
/// goes into the file `trace`.
///
/// The program stays the child that is started, and strace hides behind it: signals and the way it
/// ends are its own.
pub fn traced(command: &Command, trace: &Path, arguments: &[String]) -> Command {
    let mut traced = Command::new(program());
    traced.args(["--daemonize", "--decode-fds=path", "--output"]).arg(trace).args(arguments);
    traced.arg("--").arg(command.get_program()).args(command.get_args());
    traced.env_clear().stdin(Stdio::null());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced
}

/// The strace behind a process, as long as it is there.
fn tracer(pid: u32) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    Pid::from_raw(tracer.trim().parse().ok()?)
}

/// Ends the strace behind a process, which goes on as if there had never been one.
pub fn untrace(pid: u32) {
    if let Some(strace) = tracer(pid) {
        kill_process(strace, Signal::KILL).expect("it is ours");
    }
    // A signal that comes earlier would be lost with it.
    let deadline = Instant::now() + TIMEOUT;
    while tracer(pid).is_some() {
        assert!(Instant::now() < deadline, "strace doesn't end");
        std::thread::sleep(Duration::from_millis(1));
    }
}
