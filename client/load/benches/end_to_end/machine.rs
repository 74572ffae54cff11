//! The machine that is measured on: which core does what, and who else is using it.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of whatever is under load.
pub(crate) const SERVER_CORE: usize = 0;

/// The core of the load.
pub(crate) const LOAD_CORE: usize = 1;

/// Both, for whatever isn't kept apart.
pub(crate) const BOTH_CORES: [usize; 2] = [SERVER_CORE, LOAD_CORE];

/// Linux counts the machine's time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Keeps this process, and those that it starts from now on, on these cores.
pub(crate) fn stay_on(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    // A machine with one core only has nothing to keep apart.
    let _ = sched_setaffinity(None, &set);
}

/// Notes what others take of the machine while something is measured.
pub(crate) struct Disturbance {
    start: Instant,
    busy: Duration,
    ours: Duration,
    own: Vec<u32>,
}

impl Disturbance {
    /// Begins; this process and those under load are not others.
    pub(crate) fn watch(under_load: &[u32]) -> Self {
        let own = [under_load, &[std::process::id()]].concat();
        let ours = processor_time(&own);
        Self { start: Instant::now(), busy: busy_time(), ours, own }
    }

    /// Processor time of others, as a share of one core.
    pub(crate) fn share(&self) -> f64 {
        let busy = busy_time().saturating_sub(self.busy);
        let ours = processor_time(&self.own).saturating_sub(self.ours);
        busy.saturating_sub(ours).as_secs_f64() / self.start.elapsed().as_secs_f64()
    }
}

/// Processor time of all threads of these processes; nothing of those that have ended.
pub(crate) fn processor_time(pids: &[u32]) -> Duration {
    pids.iter().filter_map(|pid| all_threads(*pid)).sum()
}

/// The 14th and 15th fields of its line, in user and kernel mode; the second is a name in parentheses.
fn all_threads(pid: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map_while(|field| field.parse::<u32>().ok());
    Some(TICK * (ticks.next()? + ticks.next()?))
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
