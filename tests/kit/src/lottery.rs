//! A central and its agencies as processes, ended and started again at a test's will, and what must
//! come of them whatever the test does.
//!
//! Must not know why the test ends them.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use runtime::logging::{LineResult, LogLine};
use rustix::process::Pid;

use crate::inputs::{expected_rows, file, read, rows_of};
use crate::process::free_port;
use crate::processes::{Event, Processes};
use crate::programs::binary;
use crate::server::command;

/// Who a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The server.
    Central,
    /// The client of this agency.
    Agency(u32),
}

/// Where an agency's bets come from.
#[derive(Debug, Clone)]
pub enum Input {
    /// So many are made, of which every `lucky`-th wins.
    Made {
        /// How many.
        bets: usize,
        /// Bets from one that wins to the next.
        lucky: usize,
    },
    /// They are there.
    File(PathBuf),
}

/// An agency: its bets, and how it sends them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its bets.
    pub input: Input,
    /// Settings in its environment, beside those of every agency.
    pub environment: Vec<(&'static str, String)>,
}

impl Plan {
    /// Every second bet wins.
    pub fn new(bets: usize, max_amount: &str, window: &str) -> Self {
        let environment = vec![
            ("CLI_BATCH_MAXAMOUNT", max_amount.to_owned()),
            ("CLI_BATCH_WINDOW", window.to_owned()),
        ];
        Self { input: Input::Made { bets, lucky: 2 }, environment }
    }
}

/// The processes, their files and what they have logged.
#[derive(Debug)]
pub struct Lottery {
    folder: tempfile::TempDir,
    /// What the draw is called; `None` for the unnamed one.
    draw: Option<&'static str>,
    port: u16,
    plans: Vec<Plan>,
    files: Vec<PathBuf>,
    /// Of all agencies together.
    bets: usize,
    processes: Processes<Name>,
    /// What all its central processes have logged.
    pub central_log: Vec<String>,
    /// What each agency has logged since it was started last.
    agency_logs: BTreeMap<u32, Vec<String>>,
    /// Position up to which each agency was ever confirmed.
    confirmed: BTreeMap<u32, u64>,
    /// Winners that each agency has received that has come to its end.
    finished: BTreeMap<u32, u64>,
    /// The central listens since it was started last.
    listens: bool,
    /// Lines of it that are older.
    lines_before: usize,
    /// Lines of the central and ends of agencies: how far the lottery has come.
    pub progress: u64,
}

impl Lottery {
    /// One of which nothing is started: agencies 1 and so on, as planned.
    pub fn new(plans: &[Plan]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let files = (1..).zip(plans).map(|(id, plan)| match &plan.input {
            Input::Made { bets, lucky } => file(folder.path(), id, *bets, *lucky),
            Input::File(path) => path.clone(),
        });
        let files: Vec<_> = files.collect();
        Self {
            draw: None,
            port: free_port(),
            plans: plans.to_vec(),
            bets: files.iter().map(|path| read(path).len()).sum(),
            files,
            folder,
            processes: Processes::default(),
            central_log: Vec::new(),
            agency_logs: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            finished: BTreeMap::new(),
            listens: false,
            lines_before: 0,
            progress: 0,
        }
    }

    /// The same, of a draw with this name.
    #[must_use]
    pub fn of_draw(self, name: &'static str) -> Self {
        Self { draw: Some(name), ..self }
    }

    /// Numbers of the agencies.
    pub fn agencies(&self) -> impl Iterator<Item = u32> + use<> {
        (1..).take(self.plans.len()).map(|id: u32| id)
    }

    /// Path of `bets.csv`.
    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("bets.csv")
    }

    /// `bets.csv` and its log.
    pub fn ledger_files(&self) -> [PathBuf; 2] {
        [self.ledger(), self.ledger().with_extension("csv.wal")]
    }

    /// Folder of all files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The central's command, always at the same port and with the same ledger.
    pub fn central(&self, environment: &[(&str, &str)]) -> Command {
        let mut command = command(environment);
        command
            .env("SERVER_PORT", self.port.to_string())
            .env("SERVER_STORAGE_PATH", self.ledger())
            .env("SERVER_AGENCIES", self.plans.len().to_string())
            .env("SERVER_WAL_SEGMENT_SIZE", "1MiB")
            .envs(self.draw.map(|name| ("SERVER_DRAW", name)));
        command
    }

    /// Starts the central; it may not even listen yet.
    pub fn start_central(&mut self, command: Command) {
        self.listens = false;
        self.lines_before = self.central_log.len();
        self.processes.start(Name::Central, command);
    }

    /// Starts an agency.
    pub fn start_agency(&mut self, agency: u32) {
        let at = agency as usize - 1;
        let mut command = Command::new(binary("client"));
        command
            .env_clear()
            .env("CLI_ID", agency.to_string())
            .env("CLI_SERVER_ADDRESS", format!("127.0.0.1:{}", self.port))
            .env("CLI_DATA_PATH", &self.files[at])
            // It logs what was confirmed.
            .env("CLI_LOG_LEVEL", "DEBUG")
            .env("CLI_RETRY_MIN_DELAY", "1ms")
            .env("CLI_RETRY_MAX_DELAY", "20ms")
            .envs(self.draw.map(|name| ("CLI_DRAW", name)))
            .envs(self.plans[at].environment.iter().cloned())
            .stdin(Stdio::null());
        self.agency_logs.insert(agency, Vec::new());
        self.processes.start(Name::Agency(agency), command);
    }

    /// Starts all agencies.
    pub fn start_agencies(&mut self) {
        self.agencies().for_each(|agency| self.start_agency(agency));
    }

    /// Whether a process runs.
    pub fn is_running(&self, name: Name) -> bool {
        self.processes.runs(name)
    }

    /// Whether every agency has come to its end.
    pub fn is_over(&self) -> bool {
        self.finished.len() == self.plans.len()
    }

    /// Bets of that agency that were confirmed.
    pub fn confirmed(&self, agency: u32) -> u64 {
        self.confirmed.get(&agency).copied().unwrap_or_default()
    }

    /// Whether the central has logged that it listens.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// The server's process.
    pub fn central_pid(&self) -> Pid {
        self.processes.pid(Name::Central)
    }

    /// Whether that agency has come to its end.
    pub fn has_finished(&self, agency: u32) -> bool {
        self.finished.contains_key(&agency)
    }

    /// Waits for the next event; returns how the central ended when it was that.
    pub fn step(&mut self) -> Option<ExitStatus> {
        match self.processes.next_event() {
            (Name::Central, Event::Line(line)) => {
                self.progress += 1;
                self.listens |= line.contains("action: listen | result: success");
                self.central_log.push(line);
            }
            (Name::Central, Event::Ended(status)) => return Some(status),
            (Name::Agency(agency), Event::Line(line)) => self.agency_logged(agency, line),
            (Name::Agency(agency), Event::Ended(status)) => self.agency_ended(agency, status),
        }
        None
    }

    /// What was confirmed once stays: the central never sends an agency back behind it.
    fn agency_logged(&mut self, agency: u32, line: String) {
        let confirmed = self.confirmed.entry(agency).or_default();
        if let Some(found) = number(&line, "batch_confirmado", "posicion") {
            *confirmed = found.max(*confirmed);
        }
        if let Some(found) = number(&line, "introduce", "posicion") {
            assert!(found >= *confirmed, "agency {agency}: {confirmed} confirmed, then {line}");
        }
        self.agency_logs.entry(agency).or_default().push(line);
    }

    /// An agency ends because it was killed, or because it is done: nothing that happens to the
    /// central is a reason to give up.
    fn agency_ended(&mut self, agency: u32, status: ExitStatus) {
        if was_killed(status) {
            return;
        }
        self.progress += 1;
        let log = &self.agency_logs[&agency];
        assert_eq!(status.code(), Some(0), "agency {agency}: {}", log.join("\n"));
        let winners = |line: &String| number(line, "consulta_ganadores", "cant_ganadores");
        let winners: Vec<_> = log.iter().filter_map(winners).collect();
        let [winners] = winners[..] else { panic!("agency {agency}: {}", log.join("\n")) };
        self.finished.insert(agency, winners);
    }

    /// `kill -9`, and everything that it had still logged.
    pub fn kill(&mut self, name: Name) {
        self.processes.kill(name);
        if name == Name::Central {
            let status = self.central_end();
            assert!(was_killed(status), "{status}: {}", self.last_lines());
            return;
        }
        while self.is_running(name) {
            self.go_on();
        }
    }

    /// What the central has logged since it was started last, as far as it was read.
    pub fn log_since_start(&self) -> String {
        self.central_log[self.lines_before..]
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }

    /// Winners that all agencies have received that have come to their end.
    pub fn winners(&self) -> u64 {
        self.finished.values().sum()
    }

    /// Waits until all agencies are done, and the central listens.
    pub fn wait_for_end(&mut self) {
        while !self.is_over() || !self.listens {
            self.go_on();
        }
    }

    /// Waits until all agencies are done, and ends the central in order.
    pub fn finish(&mut self) {
        // Before it listens, a signal may still find it unprepared.
        self.wait_for_end();
        self.processes.terminate(Name::Central);
        let status = self.central_end();
        assert_eq!(status.code(), Some(0), "{}", self.last_lines());
    }

    /// Runs a central until it ends, and returns how; terminates it once the agencies are done.
    pub fn run(&mut self, central: Command) -> ExitStatus {
        self.start_central(central);
        while !self.is_over() || !self.listens {
            if let Some(status) = self.step() {
                return status;
            }
        }
        self.processes.terminate(Name::Central);
        self.central_end()
    }

    /// After a crash: another start on the same ledger, and everything comes to its end.
    pub fn recover(&mut self) {
        let central = self.central(&[]);
        self.start_central(central);
        self.finish();
        self.check();
    }

    /// Like [`step`](Self::step), while the central has no reason to end.
    pub fn go_on(&mut self) {
        let ended = self.step();
        assert_eq!(ended, None, "the central ended: {}", self.last_lines());
    }

    /// Waits until the central has ended, and returns how.
    pub fn central_end(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.step() {
                return status;
            }
        }
    }

    /// The last lines of the central.
    pub fn last_lines(&self) -> String {
        self.central_log[self.central_log.len().saturating_sub(30)..].join("\n")
    }

    /// Bets in the files of all agencies.
    pub fn bets(&self) -> usize {
        self.bets
    }

    /// Rows in the ledger, whole or not; 0 when there is none.
    pub fn rows(&self) -> usize {
        let bytes = std::fs::read(self.ledger()).unwrap_or_default();
        bytes.split(|byte| *byte == b'\n').count() - 1
    }

    /// Every bet is in the ledger once and in its agency's order, nothing else is, every agency was
    /// sent its winners, and the lottery was drawn once.
    pub fn check(&self) {
        let ledger = self.ledger();
        assert_eq!(read(&ledger).len(), self.bets(), "{}", self.last_lines());
        for (agency, path) in self.agencies().zip(&self.files) {
            let (rows, expected) = (rows_of(&ledger, agency), expected_rows(path, agency));
            assert!(rows == expected, "agency {agency}: {}", self.last_lines());
            let winners = expected.iter().filter(|row| row[5] == "7574").count() as u64;
            assert_eq!(self.finished.get(&agency), Some(&winners), "agency {agency}");
        }
        assert!(self.count("action: sorteo | result: success") <= 1, "drawn twice");
        let taken = |line: &String| number(line, "apuesta_recibida", "cantidad");
        let taken = self.central_log.iter().filter_map(taken).sum::<u64>();
        assert!(taken <= self.bets() as u64, "{taken} bets were taken of {}", self.bets());
    }

    /// Lines of the central that end with `text`.
    pub fn count(&self, text: &str) -> usize {
        self.central_log.iter().filter(|line| line.ends_with(text)).count()
    }
}

/// Whether it was SIGKILL that ended it.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// The number that a line of this action has, with result `success`; `None` for other lines.
fn number(line: &str, action: &str, key: &str) -> Option<u64> {
    let line = LogLine::parse(line).filter(|line| line.is(action, LineResult::Success))?;
    Some(line.value(key).expect("a number"))
}
