//! One attack: the server, the honest peers and the operator beside it, and what is measured of all.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::honest::{self, Honest, Latencies, Progress, Served};
use crate::operator::{ANSWER_MAX, Found, Operator, READY, Seen};
use crate::scale;
use kit::certificates::Certificates;
use kit::http::admin_port;
use kit::process::{TIMEOUT, try_memory};
use kit::server::{Server, command};

/// One attack that is under way.
pub(crate) struct Attack {
    name: &'static str,
    pub(crate) server: Server,
    /// With TLS.
    certificates: Option<Certificates>,
    honest: Option<Honest>,
    /// Where the admin listener is.
    admin: SocketAddr,
    operator: Option<Operator>,
    /// It is the admin listener that is attacked: a new client may have to wait there.
    is_at_admin: bool,
    /// What `/readyz` says at some time of it.
    readiness: Vec<&'static str>,
    begun: Instant,
}

/// What every attacked server has, unless the attack sets it otherwise: honest echo connections
/// stay, and a crowd may connect at once.
const ENVIRONMENT: [(&str, &str); 2] =
    [("SERVER_ECHO_KEEP_ALIVE", "true"), ("SERVER_LISTEN_BACKLOG", "1024")];

/// Agencies with a certificate, where there are certificates: the lottery's.
const AGENCIES: u32 = 5;

/// Memory that a server takes at most, as docs/testing.md has it: the default of
/// `SERVER_MAX_BUFFERED_BYTES` and a tenth, with TLS a half, and 32 MiB for everything else.
const MEMORY_MAX: usize = (256 + 26 + 32) << 20;
const MEMORY_MAX_TLS: usize = (256 + 128 + 32) << 20;

pub(crate) fn attacked_command(environment: &[(&str, &str)]) -> Command {
    command(&[&ENVIRONMENT[..], environment].concat())
}

/// A script of the shell that becomes the server, which is its `$0`.
pub(crate) fn shell(script: &str, environment: &[(&str, &str)]) -> Command {
    let server = attacked_command(environment);
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).arg(server.get_program()).env_clear();
    shell.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

impl Attack {
    pub(crate) fn begin(name: &'static str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::begin_with(name, folder, attacked_command(environment))
    }

    /// With a command that becomes the server.
    pub(crate) fn begin_with(
        name: &'static str,
        folder: tempfile::TempDir,
        command: Command,
    ) -> Self {
        Self::start(name, folder, command, None)
    }

    /// On the admin listener of a central whose honest peers have been served alone for a while.
    pub(crate) fn begin_at_admin(name: &'static str, environment: &[(&str, &str)]) -> Self {
        let attack = Self::begin(name, environment);
        Self { is_at_admin: true, ..attack }.after_a_while()
    }

    /// On a central that takes nothing but TLS, and whose honest peers have been served alone for a
    /// while.
    pub(crate) fn begin_tls(name: &'static str, environment: &[(&str, &str)]) -> Self {
        let certificates = Certificates::new(AGENCIES);
        let mut command = attacked_command(environment);
        command.envs(certificates.server_settings("required"));
        let folder = tempfile::tempdir().expect("a folder");
        Self::start(name, folder, command, Some(certificates)).after_a_while()
    }

    fn start(
        name: &'static str,
        folder: tempfile::TempDir,
        mut command: Command,
        certificates: Option<Certificates>,
    ) -> Self {
        command.env("SERVER_ADMIN_ADDRESS", "127.0.0.1:0");
        let server = Server::start_with_log_file(folder, command);
        let log = fs::read_to_string(server.folder().join("log")).expect("text");
        let admin = SocketAddr::from(([127, 0, 0, 1], admin_port(&log)));
        let honest = Some(Honest::start(&server, certificates.as_ref()));
        let operator = Some(Operator::start(server.pid(), admin));
        let (is_at_admin, readiness, begun) = (false, vec![READY], Instant::now());
        Self { name, server, certificates, honest, admin, operator, is_at_admin, readiness, begun }
    }

    /// Once the honest peers have been served alone.
    fn after_a_while(mut self) -> Self {
        self.wait_for(|progress| &progress.stored, scale(200, 5_000));
        self.honest.as_ref().expect("it is at work").note_attack();
        self.begun = Instant::now();
        self
    }

    /// Where its admin listener is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// It brings about that `/readyz` says this at some time.
    pub(crate) fn expect_not_ready(&mut self, line: &'static str) {
        self.readiness.push(line);
    }

    /// Waits until the operator is told so by `/readyz`.
    pub(crate) fn wait_for_readiness(&self, line: &str) {
        self.operator.as_ref().expect("it is at work").wait_for_readiness(line);
    }

    /// The certificates of a central that takes TLS.
    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("it takes TLS")
    }

    /// Most memory that the server has had resident, in bytes; none when it has ended.
    pub(crate) fn peak(&self) -> Option<usize> {
        try_memory(self.server.pid(), "VmHWM:")
    }

    /// From here on, [`peak`](Self::peak) is measured anew.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5").expect("it is ours");
    }

    /// Waits until one of the honest agency's counts has grown by so much.
    pub(crate) fn wait_for(&self, count: impl Fn(&Progress) -> &AtomicU64, growth: u64) {
        let count = count(self.honest.as_ref().expect("it is at work").progress());
        let (start, deadline) = (count.load(Ordering::Relaxed), Instant::now() + TIMEOUT);
        while count.load(Ordering::Relaxed) < start + growth {
            assert!(Instant::now() < deadline, "the honest agency doesn't get on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Processor time that the server has taken.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        processor_time(self.server.pid())
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        fs::metadata(self.server.folder().join("log")).map_or(0, |log| log.len())
    }

    /// The draw is held with what the honest agency has sent so far; it asks for its winners from
    /// then on. Every other agency must have ended its input.
    pub(crate) fn draw(&mut self) {
        let (served, echo) = self.honest.take().expect("it is at work").stop();
        let stored = served.expect("the honest agency is served").stored;
        echo.expect("the honest echo peer is served");
        honest::finish(&self.server, stored);
        self.honest = Some(Honest::start(&self.server, None));
    }

    /// Ends the attack, and prints its row; see [`Ended::report`].
    pub(crate) fn end(self, bound: &str, measured: &str, broken: Vec<String>) -> String {
        self.ask_to_end(|| ()).report(bound, measured, broken)
    }

    /// Lets the honest peers have their last responses, does something else, and asks the server to
    /// end.
    pub(crate) fn ask_to_end(mut self, meanwhile: impl FnOnce()) -> Ended {
        let (peak, spent) = (self.peak(), self.begun.elapsed());
        let honest = self.honest.take().expect("it is at work").stop();
        let operator = self.operator.take().expect("it is at work").stop();
        meanwhile();
        let (processor, log_bytes) = (self.processor_time(), self.log_bytes());
        let folder = self.server.take_folder();
        let begun = Instant::now();
        let status = self.server.terminate();
        let ending = begun.elapsed();
        Ended {
            name: self.name,
            folder,
            most: if self.certificates.is_some() { MEMORY_MAX_TLS } else { MEMORY_MAX },
            peak,
            spent,
            processor,
            log_bytes,
            honest,
            operator,
            is_at_admin: self.is_at_admin,
            readiness: self.readiness,
            status,
            ending,
        }
    }
}

/// What an attack has left behind.
pub(crate) struct Ended {
    name: &'static str,
    folder: tempfile::TempDir,
    /// Memory that it may have taken.
    most: usize,
    peak: Option<usize>,
    spent: Duration,
    processor: Option<Duration>,
    log_bytes: u64,
    honest: (io::Result<Served>, io::Result<Latencies>),
    operator: Seen,
    is_at_admin: bool,
    readiness: Vec<&'static str>,
    status: ExitStatus,
    /// How long the server took to end.
    pub(crate) ending: Duration,
}

impl Ended {
    /// Prints the attack's row, and checks that the honest peers were served, that the server has
    /// ended in order, and that the ledger holds the honest agency's bets. `broken` names
    /// the bounds that were not kept. The server's log.
    pub(crate) fn report(self, bound: &str, measured: &str, mut broken: Vec<String>) -> String {
        let log = self.folder.path().join("log");
        if self.status.code() != Some(0) {
            broken.push(format!("{}: {}", self.status, last_line(&log)));
        }
        let (agency, echo) = &self.honest;
        if let Ok(served) = agency {
            broken.extend(check_ledger(&self.folder.path().join("bets.csv"), served.stored).err());
        }
        let agency =
            latencies_or_failure(agency.as_ref().map(|served| &served.latencies), &mut broken);
        let echo = latencies_or_failure(echo.as_ref(), &mut broken);
        let operator = self.operator_row(&mut broken);
        if let Some(peak) = self.peak.filter(|peak| *peak > self.most) {
            broken.push(format!("{} of memory", mebibytes(peak)));
        }
        let log_bytes = usize::try_from(self.log_bytes).expect("it fits");
        print_row(&[
            self.name,
            bound,
            measured,
            &self.peak.map_or("ended".to_owned(), mebibytes),
            &mebibytes(log_bytes),
            &format!(
                "{} of {}",
                self.processor.map_or("-".to_owned(), seconds),
                seconds(self.spent)
            ),
            &agency,
            &echo,
            &operator,
        ]);
        assert!(broken.is_empty(), "{}: {}", self.name, broken.join("; "));
        whole_log(&log)
    }

    /// How long the operator has waited. What wasn't answered in time, and that `/readyz` hasn't said
    /// what it must, are bounds that are broken.
    fn operator_row(&self, broken: &mut Vec<String>) -> String {
        let Seen { kept, fresh, readiness } = &self.operator;
        let is_expected = |line: &String| self.readiness.iter().any(|expected| expected == line);
        let wrong = readiness.iter().filter(|line| !is_expected(line));
        broken.extend(wrong.map(|line| format!("/readyz said: {line}")));
        let is_missing = |line: &&&str| !readiness.iter().any(|found| found == **line);
        let missing = self.readiness.iter().filter(is_missing);
        broken.extend(missing.map(|line| format!("/readyz never said: {line}")));
        let bounded = [Some(kept), Some(fresh).filter(|_| !self.is_at_admin)];
        for Found { longest: (longest, target), .. } in bounded.into_iter().flatten().flatten() {
            if *longest > ANSWER_MAX {
                broken
                    .push(format!("{target} took {longest:.1?} that the central is to blame for"));
            }
        }
        let mut cell = |found: &io::Result<Found>| {
            latencies_or_failure(found.as_ref().map(|found| &found.latencies), broken)
        };
        format!("{}; {}", cell(kept), cell(fresh))
    }
}

/// How long an honest peer has waited; that it wasn't served is a bound that is broken.
fn latencies_or_failure(
    latencies: Result<&Latencies, &io::Error>,
    broken: &mut Vec<String>,
) -> String {
    match latencies {
        Ok(latencies) => latencies.to_string(),
        Err(error) => {
            broken.push(format!("an honest peer: {error}"));
            "not served".to_owned()
        }
    }
}

/// Processor time that all threads of a process have taken; none when it has ended.
fn processor_time(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let times =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    times.map(|text| text.split(' ').next()?.parse().ok().map(Duration::from_nanos)).sum()
}

/// The log of a server that has ended in order. Its last lines may still be in a pipe.
fn whole_log(path: &Path) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = fs::read_to_string(path).expect("text");
        if text.contains("action: close_ledger | result: success") || Instant::now() > deadline {
            return text;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or_default().to_owned()
}

/// The honest agency's rows must be there in order, and no other row of it.
fn check_ledger(path: &Path, stored: u64) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let own = format!("{},", honest::AGENCY);
    let found = text.split_terminator("\r\n").filter(|row| row.starts_with(&own));
    if found.eq(honest::rows(stored)) {
        return Ok(());
    }
    Err(format!("the ledger doesn't hold the {stored} bets that were confirmed"))
}

pub(crate) fn mebibytes(bytes: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "printed with one digit behind the point")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[expect(clippy::print_stderr, reason = "what was measured is what a person wants to know")]
fn print_row(cells: &[&str]) {
    let row = format!("| {} |\n", cells.join(" | "));
    eprint!("{row}");
    let Some(path) = std::env::var_os("HOSTILE_TABLE").map(PathBuf::from) else { return };
    let file = fs::File::options().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(row.as_bytes())).expect("the table takes a row");
}
