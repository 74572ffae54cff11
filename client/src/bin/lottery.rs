//! The whole lottery on this machine: a central and its agencies as processes on loopback, their
//! logs side by side, and a table of what came of it.
//!
//! A tool, not the server: it reads several pipes at once with a thread for each.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, value_parser};
use client::local::{self, Line, Table};
use reactor::{console, logging};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    logging::catch_panics();
    match run(&command().get_matches()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn command() -> clap::Command {
    let argument = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    clap::Command::new("lottery")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs a central and its agencies on this machine, to the draw")
        .args([
            argument("agencies", "How many agencies")
                .default_value("5")
                .value_parser(value_parser!(u32).range(1..=1000)),
            argument("data", "Folder of their files, agency-1.csv and so on")
                .default_value(".data")
                .value_parser(value_parser!(PathBuf)),
            argument("storage", "Ledger to go on with [default: a new one that is thrown away]")
                .value_parser(value_parser!(PathBuf)),
            argument("timeout", "Longest time that it may take")
                .default_value("10m")
                .value_parser(|text: &str| humantime::parse_duration(text)),
        ])
}

fn complain(error: &str) {
    console::complain(&format!("error: {error}\n"));
}

/// Something that happened to one of the processes, or to this one.
enum Event {
    Line(usize, String),
    Ended(usize, ExitStatus),
    Interrupted,
}

/// The central's place among the processes; agencies follow in their order.
const CENTRAL: usize = 0;

struct Lottery {
    names: Vec<String>,
    pids: Vec<Pid>,
    ended: Vec<Option<ExitStatus>>,
    lines: Vec<Line>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    deadline: Instant,
    colours: bool,
}

/// Says whether everything is as it must be.
fn run(matches: &ArgMatches) -> Result<bool, String> {
    let data: &PathBuf = matches.get_one("data").expect("it has a default");
    let agencies: u32 = *matches.get_one("agencies").expect("it has a default");
    let timeout: Duration = *matches.get_one("timeout").expect("it has a default");
    let throw_away = std::env::temp_dir().join(format!("lottery-{}", std::process::id()));
    let storage = matches.get_one::<PathBuf>("storage").cloned();
    if storage.is_none() {
        std::fs::create_dir(&throw_away).map_err(|error| named(&throw_away, &error))?;
    }
    let ledger = storage.clone().unwrap_or_else(|| throw_away.join("bets.csv"));
    let outcome = run_with(data, agencies, &ledger, timeout);
    if storage.is_none() {
        std::fs::remove_dir_all(&throw_away).map_err(|error| named(&throw_away, &error))?;
    }
    outcome
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn run_with(data: &Path, agencies: u32, ledger: &Path, timeout: Duration) -> Result<bool, String> {
    let mut lottery = Lottery::new(timeout)?;
    let files: Vec<_> = (1..=agencies).map(|id| data.join(format!("agency-{id}.csv"))).collect();
    for (agency, file) in (1..).zip(&files) {
        let counted = local::count_file(file).map_err(|error| named(file, &error))?;
        let (bets, expected_winners) = counted;
        lottery.lines.push(Line { agency, bets, expected_winners, ..Line::default() });
    }
    let port = lottery.start_central(agencies, ledger)?;
    for (agency, file) in (1..=agencies).zip(&files) {
        lottery.start_agency(agency, port, file)?;
    }
    lottery.wait_for(1..=files.len());
    lottery.signal(CENTRAL..=CENTRAL);
    lottery.wait_for(CENTRAL..=CENTRAL);
    local::count_ledger(ledger, &mut lottery.lines).map_err(|error| named(ledger, &error))?;
    Ok(lottery.conclude())
}

impl Lottery {
    fn new(timeout: Duration) -> Result<Self, String> {
        let (sender, events) = channel();
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
        let interrupted = sender.clone();
        std::thread::spawn(move || {
            signals.forever().for_each(|_| drop(interrupted.send(Event::Interrupted)));
        });
        Ok(Self {
            names: Vec::new(),
            pids: Vec::new(),
            ended: Vec::new(),
            lines: Vec::new(),
            sender,
            events,
            deadline: Instant::now() + timeout,
            colours: std::io::stdout().is_terminal(),
        })
    }

    fn start_central(&mut self, agencies: u32, ledger: &Path) -> Result<u16, String> {
        let mut command = program("server")?;
        command.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0");
        command.env("SERVER_AGENCIES", agencies.to_string()).env("SERVER_STORAGE_PATH", ledger);
        self.start("server".to_owned(), command)?;
        loop {
            match self.next() {
                Some(Event::Line(_, line)) => {
                    self.show(CENTRAL, &line);
                    if let Some(port) = local::port_told(&line) {
                        return Ok(port);
                    }
                }
                Some(Event::Ended(_, status)) => return Err(format!("the server ended: {status}")),
                Some(Event::Interrupted) | None => {
                    self.signal(CENTRAL..=CENTRAL);
                    return Err("the server didn't listen in time".to_owned());
                }
            }
        }
    }

    fn start_agency(&mut self, agency: u32, port: u16, file: &Path) -> Result<(), String> {
        let mut command = program("client")?;
        command.env("CLI_ID", agency.to_string()).env("CLI_DATA_PATH", file);
        command.env("CLI_SERVER_ADDRESS", format!("127.0.0.1:{port}")).env("CLI_MODE", "loteria");
        self.start(format!("client{agency}"), command)
    }

    /// Starts a process and a thread that reports its lines and its end.
    fn start(&mut self, name: String, mut command: Command) -> Result<(), String> {
        let place = self.names.len();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("can't start {name}: {error}"))?;
        self.names.push(name);
        self.pids.push(Pid::from_child(&child));
        self.ended.push(None);
        let (sender, log) = (self.sender.clone(), child.stdout.take());
        std::thread::spawn(move || report(place, child, log, &sender));
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        self.events.recv_timeout(self.deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Shows lines until these processes have ended. When the time is over or somebody interrupts,
    /// all are asked to end.
    fn wait_for(&mut self, places: std::ops::RangeInclusive<usize>) {
        while places.clone().any(|place| self.ended.get(place) == Some(&None)) {
            match self.next() {
                Some(Event::Line(place, line)) => self.take_line(place, &line),
                Some(Event::Ended(place, status)) => self.ended[place] = Some(status),
                Some(Event::Interrupted) => self.signal(0..=self.pids.len() - 1),
                None => {
                    complain("the time is over");
                    self.signal(0..=self.pids.len() - 1);
                    // They end within a second; this is for the one that doesn't.
                    self.deadline = Instant::now() + Duration::from_secs(30);
                }
            }
        }
    }

    fn take_line(&mut self, place: usize, line: &str) {
        if let Some(winners) = local::winners_told(line) {
            self.lines[place - 1].winners = Some(winners);
        }
        self.show(place, line);
    }

    fn signal(&self, places: std::ops::RangeInclusive<usize>) {
        for place in places.filter(|place| self.ended[*place].is_none()) {
            // Fails for a process that has just ended: its end is on its way.
            let _ = kill_process(self.pids[place], Signal::TERM);
        }
    }

    /// One line behind its process's name, as compose shows it.
    fn show(&self, place: usize, line: &str) {
        const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];
        let name = format!("{:<8} |", self.names[place]);
        let colour = COLOURS[place % COLOURS.len()];
        console::print(&if self.colours {
            format!("\x1b[{colour}m{name}\x1b[0m {line}\n")
        } else {
            format!("{name} {line}\n")
        });
    }

    fn conclude(&mut self) -> bool {
        for (line, status) in self.lines.iter_mut().zip(&self.ended[1..]) {
            line.exit_code = status.and_then(|status| status.code());
        }
        let central = self.ended[CENTRAL].and_then(|status| status.code());
        console::print(&format!("\n{}", Table(&self.lines)));
        let good = central == Some(0) && self.lines.iter().all(Line::is_good);
        let central = central.map_or("signal".to_owned(), |code| code.to_string());
        let verdict = if good { "all as it must be" } else { "not as it must be" };
        console::print(&format!("central: exit code {central}; {verdict}\n"));
        good
    }
}

/// Whatever ends this tool, nothing that it started stays behind.
impl Drop for Lottery {
    fn drop(&mut self) {
        if !self.pids.is_empty() {
            self.signal(0..=self.pids.len() - 1);
        }
    }
}

fn report(place: usize, mut child: Child, log: Option<ChildStdout>, events: &Sender<Event>) {
    for line in log.into_iter().flat_map(|log| BufReader::new(log).lines()).map_while(Result::ok) {
        // Nobody listens any more when the tool itself ends.
        let _ = events.send(Event::Line(place, line));
    }
    if let Ok(status) = child.wait() {
        let _ = events.send(Event::Ended(place, status));
    }
}

/// A program of this project: it stands beside this one.
fn program(name: &str) -> Result<Command, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = own.with_file_name(name);
    if path.exists() {
        return Ok(Command::new(path));
    }
    Err(format!("{} is missing: run make build first", path.display()))
}
