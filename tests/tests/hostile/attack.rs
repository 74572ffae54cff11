//! One attack: the server, the honest peers and the operator beside it, and what is measured of all.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ended::Ended;
use crate::honest::{self, Honest, Phase, Progress};
use crate::operator::{Operator, READY};
use crate::scale;
use crate::turns::{self, Turns};
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
    /// Where the work of a turn is looked at.
    turns: Option<Turns>,
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
        Self::start(name, folder, command, None, Phase::Attack)
    }

    /// On the admin listener of a central whose honest peers have been served alone for a while.
    pub(crate) fn begin_at_admin(name: &'static str, environment: &[(&str, &str)]) -> Self {
        let (folder, command) =
            (tempfile::tempdir().expect("a folder"), attacked_command(environment));
        let attack = Self::start(name, folder, command, None, Phase::Alone);
        Self { is_at_admin: true, ..attack }.after_a_while()
    }

    /// On a central that takes nothing but TLS, and whose honest peers have been served alone for a
    /// while.
    pub(crate) fn begin_tls(name: &'static str, environment: &[(&str, &str)]) -> Self {
        let certificates = Certificates::new(AGENCIES);
        let mut command = attacked_command(environment);
        command.envs(certificates.server_settings("required"));
        let folder = tempfile::tempdir().expect("a folder");
        Self::start(name, folder, command, Some(certificates), Phase::Alone).after_a_while()
    }

    fn start(
        name: &'static str,
        folder: tempfile::TempDir,
        mut command: Command,
        certificates: Option<Certificates>,
        phase: Phase,
    ) -> Self {
        command.env("SERVER_ADMIN_ADDRESS", "127.0.0.1:0");
        let server = Server::start_with_log_file(folder, command);
        let log = fs::read_to_string(server.folder().join("log")).expect("text");
        let admin = SocketAddr::from(([127, 0, 0, 1], admin_port(&log)));
        let honest = Some(Honest::start(&server, certificates.as_ref(), phase));
        let operator = Some(Operator::start(server.pid(), admin));
        let (is_at_admin, readiness, turns) = (false, vec![READY], None);
        let begun = Instant::now();
        Self {
            name,
            server,
            certificates,
            honest,
            admin,
            operator,
            is_at_admin,
            readiness,
            turns,
            begun,
        }
    }

    /// On a central whose turns are small, and the work of each is looked at.
    pub(crate) fn begin_in_turns(name: &'static str, environment: &[(&str, &str)]) -> Self {
        Self::begin(name, &[environment, &[turns::SETTING]].concat()).in_turns()
    }

    /// The same of a server that was started with [`turns::SETTING`].
    pub(crate) fn in_turns(self) -> Self {
        let turns = Turns::start(self.server.pid(), self.admin);
        Self { turns: Some(turns), begun: Instant::now(), ..self }
    }

    /// Once the honest peers have been served alone.
    fn after_a_while(mut self) -> Self {
        self.wait_a_while();
        self.begin_phase(Phase::Attack);
        self
    }

    /// Until the honest peers have been served often enough to say how long that takes.
    fn wait_a_while(&self) {
        self.wait_for(|progress| &progress.stored, scale(200, 5_000));
    }

    /// What the honest peers ask for from now on is beside this.
    pub(crate) fn begin_phase(&mut self, phase: Phase) {
        if phase == Phase::Attack {
            self.begun = Instant::now();
        }
        self.honest.as_ref().expect("it is at work").begin(phase);
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

    /// Since it has begun.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
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
        self.honest = Some(Honest::start(&self.server, None, Phase::Attack));
    }

    /// Ends the attack, and prints its row; see [`Ended::report`].
    pub(crate) fn end(self, bound: &str, measured: &str, broken: Vec<String>) -> String {
        self.ask_to_end(|| ()).report(bound, measured, broken)
    }

    /// Lets the honest peers have their last responses, does something else, and asks the server to
    /// end.
    pub(crate) fn ask_to_end(mut self, meanwhile: impl FnOnce()) -> Ended {
        let (peak, spent) = (self.peak(), self.begun.elapsed());
        let processor = self.processor_time();
        if self.is_at_admin {
            self.begin_phase(Phase::Behind);
            self.wait_a_while();
        }
        let honest = self.honest.take().expect("it is at work").stop();
        let operator = self.operator.take().expect("it is at work").stop();
        meanwhile();
        let turns = self.turns.as_ref().zip(operator.kept.as_ref().ok());
        let turns = turns.map(|(turns, kept)| turns.end(kept.most_work));
        let log_bytes = self.log_bytes();
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
            turns,
            status,
            ending,
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

pub(crate) fn mebibytes(bytes: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "printed with one digit behind the point")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}
