//! Runs a program in namespaces of its own: as the first process, which hears no signal that it
//! doesn't handle, or with other files in the places that it looks at.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, RawPid, geteuid};

use super::PATIENCE;

/// The same command as the first process of a namespace: the child that is started waits for it,
/// ends as it does, and takes it along when it is killed.
pub(crate) fn as_first_process(command: &Command) -> Command {
    unshared(command, &["--pid", "--fork", "--kill-child"], &[])
}

/// The same command, to which the file at `shown` is the one at `path`.
pub(crate) fn with_file(command: &Command, path: &Path, shown: &Path) -> Command {
    const SCRIPT: &str = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
    let path = path.to_str().expect("a plain name");
    let shown = shown.to_str().expect("a plain name");
    unshared(command, &["--mount"], &["sh", "-c", SCRIPT, path, shown])
}

fn unshared(command: &Command, flags: &[&str], before: &[&str]) -> Command {
    let mut unshared = Command::new("unshare");
    if !geteuid().is_root() {
        unshared.args(["--user", "--map-root-user"]);
    }
    unshared.args(flags).arg("--").args(before);
    unshared.arg(command.get_program()).args(command.get_args());
    let path = std::env::var_os("PATH").unwrap_or_default();
    unshared.env_clear().env("PATH", path).stdin(Stdio::null());
    unshared.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    unshared
}

/// The one child of a process, once it has one.
pub(crate) fn only_child(pid: u32) -> Pid {
    let (path, deadline) = (format!("/proc/{pid}/task/{pid}/children"), Instant::now() + PATIENCE);
    loop {
        let children = std::fs::read_to_string(&path).expect("it runs, and Linux tells it");
        let child = children.split_whitespace().next().and_then(|text| text.parse::<RawPid>().ok());
        if let Some(child) = child.and_then(Pid::from_raw) {
            return child;
        }
        assert!(Instant::now() < deadline, "it has no child");
        std::thread::sleep(Duration::from_millis(1));
    }
}
