//! Processor time of another process: what its work costs, whatever else the machine is doing.

use std::path::PathBuf;
use std::time::Duration;

/// Reads the processor time that the first thread of a process has taken, to the nanosecond.
#[derive(Debug, Clone)]
pub struct Watch {
    path: PathBuf,
}

impl Watch {
    /// Watches a process of this machine, on Linux.
    pub fn process(pid: u32) -> Self {
        Self { path: format!("/proc/{pid}/schedstat").into() }
    }

    /// Processor time so far; `None` when the process has ended or the system isn't Linux.
    pub fn time(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
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
}
