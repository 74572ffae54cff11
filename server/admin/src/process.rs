//! The standard metrics of a process, `process_*`, as Linux tells them.
//!
//! What can't be read is left out, never made up. A scrape costs two small reads of `/proc`, whatever
//! the number of connections: open descriptors are the size of `/proc/self/fd`, which Linux gives since
//! 6.2. Before it they would have to be listed, which costs a millisecond for each thousand or two:
//! there the number is left out. Knows no lottery.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::exposition::Exposition;

/// This process: what of it doesn't change is read once.
#[derive(Debug)]
pub struct Process {
    /// When it was started, in seconds since 1970-01-01 UTC.
    started: Option<f64>,
}

impl Process {
    /// This process.
    pub fn this() -> Self {
        Self { started: read_start() }
    }

    /// Writes its metrics, read now.
    pub fn write(&self, out: &mut Exposition) {
        let stat = read_stat();
        write_metrics(
            out,
            &Figures {
                cpu_seconds: stat.as_ref().map(|stat| seconds(stat.cpu_ticks)),
                open_fds: read_open_fds(),
                max_fds: getrlimit(Resource::Nofile).current,
                resident_bytes: stat.as_ref().map(|stat| stat.resident_pages * page_size() as u64),
                virtual_bytes: stat.as_ref().map(|stat| stat.virtual_bytes),
                start_seconds: self.started,
                threads: stat.as_ref().map(|stat| stat.threads),
            },
        );
    }
}

/// What could be read.
#[derive(Debug, Default)]
struct Figures {
    cpu_seconds: Option<f64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    start_seconds: Option<f64>,
    threads: Option<u64>,
}

fn write_metrics(out: &mut Exposition, figures: &Figures) {
    if let Some(seconds) = figures.cpu_seconds {
        out.counter("process_cpu_seconds_total", "Processor time, user's and system's.")
            .value(seconds);
    }
    if let Some(count) = figures.open_fds {
        out.gauge("process_open_fds", "Open file descriptors.").value(count);
    }
    if let Some(count) = figures.max_fds {
        out.gauge("process_max_fds", "File descriptors that may be open.").value(count);
    }
    if let Some(bytes) = figures.resident_bytes {
        out.gauge("process_resident_memory_bytes", "Memory that is in RAM.").value(bytes);
    }
    if let Some(bytes) = figures.virtual_bytes {
        out.gauge("process_virtual_memory_bytes", "Address space.").value(bytes);
    }
    if let Some(seconds) = figures.start_seconds {
        out.gauge("process_start_time_seconds", "When the process was started, in Unix time.")
            .value(seconds);
    }
    if let Some(count) = figures.threads {
        out.gauge("process_threads", "Threads of the process.").value(count);
    }
}

/// What `/proc/self/stat` says, in its units.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// After the machine was started.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// Reads the line; `None` when it has another form than `proc_pid_stat(5)` says.
    fn parse(line: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may hold anything.
        let (_, fields) = line.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn read_stat() -> Option<Stat> {
    Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn read_start() -> Option<f64> {
    let ticks = read_stat()?.start_ticks;
    Some(parse_boot_time(&fs::read_to_string("/proc/stat").ok()?)? + seconds(ticks))
}

/// When the machine was started, in seconds since 1970-01-01 UTC, as `/proc/stat` says.
fn parse_boot_time(stat: &str) -> Option<f64> {
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    boot.parse::<u32>().ok().map(f64::from)
}

fn read_open_fds() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.size();
    // A Linux before 6.2 says 0.
    (size > 0).then_some(size)
}

#[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a name that looks like more fields.
    const STAT: &str = "6094 (a) R 1 (b) S 6092 6092 31923 0 -1 4194304 98 0 0 0 150 27 0 0 20 0 3 0 \
                        125830 3133440 360 18446744073709551615 94007707734016 94007707753897\n";

    #[test]
    fn fields_are_those_of_the_manual() {
        let stat = Stat {
            cpu_ticks: 177,
            threads: 3,
            start_ticks: 125_830,
            virtual_bytes: 3_133_440,
            resident_pages: 360,
        };
        assert_eq!(Stat::parse(STAT), Some(stat));
        assert_eq!(parse_boot_time("cpu 1 2\nbtime 1764217973\nprocs 1\n"), Some(1_764_217_973.0));
    }

    #[test]
    fn what_has_another_form_is_left_out() {
        for text in ["", "1 (a", "1 (a) R 1", &STAT.replace(" 360 ", " -1 "), &STAT[..90]] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
        for text in ["", "btime", "btime x\n", "cpu 1 2\n", "mybtime 3\n"] {
            assert_eq!(parse_boot_time(text), None, "{text}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        let mut out = Exposition::new();
        write_metrics(&mut out, &Figures { threads: Some(2), ..Figures::default() });
        assert_eq!(
            out.as_str(),
            "# HELP process_threads Threads of the process.\n\
             # TYPE process_threads gauge\nprocess_threads 2\n"
        );
    }

    /// The number of a metric without labels.
    fn read(name: &str) -> Option<f64> {
        let mut out = Exposition::new();
        Process::this().write(&mut out);
        let line = out.as_str().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|number| number.parse().unwrap())
    }

    #[test]
    fn this_process_is_measured() {
        assert!(read("process_cpu_seconds_total").is_some_and(|seconds| seconds >= 0.0));
        assert!(read("process_threads").is_some_and(|count| count >= 1.0));
        let memory = ["process_resident_memory_bytes", "process_virtual_memory_bytes"].map(read);
        assert!(Some(4096.0) < memory[0] && memory[0] < memory[1], "{memory:?}");
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let started = read("process_start_time_seconds").unwrap();
        assert!(
            (now - 86_400.0..now + 2.0).contains(&started),
            "{started} is no time before {now}"
        );
        assert!(read("process_max_fds") >= read("process_open_fds"));
        let Some(before) = read("process_open_fds") else { return };
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(read("process_open_fds").is_some_and(|after| after >= before + 150.0));
        drop(files);
    }
}
