//! Runs a program under strace, which kills it at a system call, or lets one fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
