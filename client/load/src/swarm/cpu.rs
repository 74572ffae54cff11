//! Processor time of other processes: what their work costs, whatever else the machine is doing.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reads the processor time that the first threads of processes have taken together, to the nanosecond.
#[derive(Debug, Clone)]
pub struct Watch {
    paths: Vec<PathBuf>,
}

impl Watch {
    /// Watches a process of this machine, on Linux.
    pub fn process(pid: u32) -> Self {
        Self::processes(&[pid])
    }

    /// Watches several.
    pub fn processes(pids: &[u32]) -> Self {
        let paths = pids.iter().map(|pid| format!("/proc/{pid}/schedstat").into());
        Self { paths: paths.collect() }
    }

    /// Processor time so far; `None` when a process has ended or the system isn't Linux.
    pub fn time(&self) -> Option<Duration> {
        self.paths.iter().map(|path| time_in(path)).sum()
    }
}

fn time_in(path: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(path).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_waiting_takes_none() {
        let own = Watch::process(std::process::id());
        let before = own.time().expect("this process runs");
        while own.time().expect("it still does") <= before {}
        // Linux gives no such number to a process.
        assert_eq!(Watch::process(u32::MAX).time(), None);
    }

    #[test]
    fn times_of_several_are_added_as_long_as_all_of_them_run() {
        let own = std::process::id();
        let before = Watch::process(own).time().expect("this process runs");
        assert!(Watch::processes(&[own, own]).time() >= Some(2 * before));
        assert_eq!(Watch::processes(&[own, u32::MAX]).time(), None);
    }
}
