//! The machine that is measured on: which core does what, and who else is using it.

use std::time::{Duration, Instant};

use load::swarm::cpu::Watch;
use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of whatever is under load.
pub(crate) const SERVER_CORE: usize = 0;

/// The core of the load.
pub(crate) const LOAD_CORE: usize = 1;

/// Linux counts the machine's time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Keeps this process, and those that it starts from now on, on one core.
pub(crate) fn stay_on(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    // A machine with one core only has nothing to keep apart.
    let _ = sched_setaffinity(None, &cores);
}

/// Notes what others take of the machine while something is measured.
pub(crate) struct Disturbance {
    start: Instant,
    busy: Duration,
    ours: Duration,
    watches: Vec<Watch>,
}

impl Disturbance {
    /// Begins; this process and `pid` are not others.
    pub(crate) fn watch(pid: u32) -> Self {
        let watches = vec![Watch::process(std::process::id()), Watch::process(pid)];
        let ours = own_time(&watches);
        Self { start: Instant::now(), busy: busy_time(), ours, watches }
    }

    /// Processor time of others, as a share of one core.
    pub(crate) fn share(&self) -> f64 {
        let busy = busy_time().saturating_sub(self.busy);
        let ours = own_time(&self.watches).saturating_sub(self.ours);
        busy.saturating_sub(ours).as_secs_f64() / self.start.elapsed().as_secs_f64()
    }
}

fn own_time(watches: &[Watch]) -> Duration {
    watches.iter().filter_map(Watch::time).sum()
}

/// Processor time of all processes: all that isn't idle or waiting for a disk.
fn busy_time() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").expect("Linux has it");
    let line = text.lines().next().expect("the first line is the sum of all cores");
    let ticks: Vec<u32> =
        line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = ticks[..]
    else {
        panic!("expected eight figures, found {line}");
    };
    TICK * (user + nice + system + interrupts + soft_interrupts + stolen)
}
