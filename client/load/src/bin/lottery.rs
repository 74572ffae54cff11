//! The whole lottery on this machine: a central and its agencies as processes on loopback, their
//! logs side by side, and a table of what came of it.
//!
//! A tool, not the server: what it waits for may block.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use load::certificates::Certificates;
use load::demo::{self, Demo, Step};
use load::processes::{Event, Processes, own_path, program};
use load::verify::{self, LEGEND, Line, Table};
use reactor::REPEAT_SPAN;
use runtime::{console, logging};
use rustix::process::Signal;
use signal_hook::consts::SIGHUP;

/// What the processes may take to end once they are asked to; they take a second at most.
const GRACE: Duration = Duration::from_secs(30);

/// How long the central stays up when it is to stay.
const FOREVER: Duration = Duration::from_hours(365 * 24);

/// Where the page is; who calls this tool may say it.
const PAGE_SETTING: &str = "SERVER_ADMIN_ADDRESS";

fn main() -> ExitCode {
    logging::catch_panics();
    match run(&command().get_matches()) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Mismatch) => ExitCode::FAILURE,
        Ok(Outcome::Interrupted) => ExitCode::from(130),
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
            argument("demo", "A slow lottery of generated bets to watch, of about this length")
                .value_name("DURATION")
                .conflicts_with_all(["agencies", "data"])
                .value_parser(demo_length),
            argument("stay", "Keep the central up after the draw, until Ctrl-C")
                .action(ArgAction::SetTrue),
            argument("tls", "Run it over TLS, with certificates that are thrown away")
                .action(ArgAction::SetTrue),
            argument("timeout", "Longest time that it may take [default: 10m, or twice the demo]")
                .value_parser(|text: &str| humantime::parse_duration(text)),
        ])
        .after_help(format!(
            "In the table at the end: {LEGEND}.\n\n\
             Exit codes: 0 OK; 1 MISMATCH (an agency or the central failed, the ledger isn't what \
             the files are, or time was over); 130 a signal ended it."
        ))
}

fn demo_length(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_secs(1)..=FOREVER;
    range.contains(&length).then_some(length).ok_or_else(|| "expected 1s or more".to_owned())
}

fn complain(error: &str) {
    console::complain(&format!("error: {error}\n"));
}

/// What came of it.
enum Outcome {
    Good,
    Mismatch,
    Interrupted,
}

/// Why the processes are asked to end.
#[derive(Clone, Copy)]
enum Cause {
    /// The agencies have ended, and the central is to follow.
    Done,
    /// This process failed before the draw, which can't come without it.
    Failed(usize),
    TimeOver,
    Signal(i32, Instant),
    /// The draw was over, and the central had stayed up for a signal, which came then.
    Dismissed(Instant),
}

/// Longest time that a lottery may take, unless the call says otherwise.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The central's index among the processes; agencies follow in their order.
const CENTRAL: usize = 0;

struct Lottery {
    processes: Processes,
    lines: Vec<Line>,
    files: Vec<PathBuf>,
    /// None if it isn't one.
    demo: Option<Demo>,
    started: Instant,
    /// Whether the draw is over and the central stays up until a signal.
    is_staying: bool,
    /// None without TLS.
    certificates: Option<Certificates>,
    /// The central's, once it listens.
    port: Option<u16>,
    /// Where its page is, once it is there.
    page: Option<String>,
    cause: Option<Cause>,
    deadline: Instant,
}

fn run(matches: &ArgMatches) -> Result<Outcome, String> {
    let throw_away = std::env::temp_dir().join(format!("lottery-{}", std::process::id()));
    std::fs::create_dir(&throw_away).map_err(|error| named(&throw_away, &error))?;
    let outcome = run_in(&throw_away, matches);
    std::fs::remove_dir_all(&throw_away).map_err(|error| named(&throw_away, &error))?;
    outcome
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Runs it, with a folder for what is thrown away.
fn run_in(throw_away: &Path, matches: &ArgMatches) -> Result<Outcome, String> {
    let length: Duration = matches.get_one("demo").copied().unwrap_or_default();
    let timeout = matches.get_one("timeout").copied().unwrap_or(TIMEOUT.max(2 * length));
    let mut lottery = Lottery::new(timeout)?;
    if let Some(length) = matches.get_one("demo") {
        lottery.prepare_demo(throw_away, *length)?;
    } else {
        let agencies: u32 = *matches.get_one("agencies").expect("it has a default");
        let data: &PathBuf = matches.get_one("data").expect("it has a default");
        lottery.take_files(data, agencies)?;
    }
    if matches.get_flag("tls") {
        let issued = Certificates::issue(throw_away.join("pki"), lottery.agencies());
        lottery.certificates = Some(issued.map_err(|error| error.to_string())?);
    }
    let storage = matches.get_one::<PathBuf>("storage").cloned();
    let ledger = storage.unwrap_or_else(|| throw_away.join("bets.csv"));
    lottery.hold(&ledger, matches.get_flag("stay"))
}

impl Lottery {
    fn new(timeout: Duration) -> Result<Self, String> {
        let processes = Processes::new().map_err(|error| error.to_string())?;
        Ok(Self {
            processes,
            lines: Vec::new(),
            files: Vec::new(),
            demo: None,
            started: Instant::now(),
            is_staying: false,
            certificates: None,
            port: None,
            page: None,
            cause: None,
            deadline: Instant::now() + timeout,
        })
    }

    /// The agencies' files as they are in a folder.
    fn take_files(&mut self, data: &Path, agencies: u32) -> Result<(), String> {
        for agency in 1..=agencies {
            let file = data.join(format!("agency-{agency}.csv"));
            let counted = verify::count_file(&file).map_err(|error| named(&file, &error))?;
            let (bets, expected_winners) = counted;
            self.lines.push(Line { agency, bets, expected_winners, ..Line::default() });
            self.files.push(file);
        }
        Ok(())
    }

    /// Files for a demonstration, in a folder.
    fn prepare_demo(&mut self, folder: &Path, length: Duration) -> Result<(), String> {
        self.lines = demo::write_files(folder).map_err(|error| named(folder, &error))?;
        let name = |line: &Line| folder.join(format!("agency-{}.csv", line.agency));
        self.files = self.lines.iter().map(name).collect();
        self.demo = Some(Demo::new(length));
        Ok(())
    }

    fn agencies(&self) -> u32 {
        self.lines.iter().map(|line| line.agency).max().unwrap_or_default()
    }

    /// From the central's start to its end.
    fn hold(&mut self, ledger: &Path, stay: bool) -> Result<Outcome, String> {
        self.start_central(ledger)?;
        self.wait_while(|lottery| lottery.port.is_none() && lottery.cause.is_none())?;
        if let Some(port) = self.port.filter(|_| self.cause.is_none()) {
            self.started = Instant::now();
            for agency in 1..=self.agencies() {
                self.start_agency(agency, port)?;
            }
            self.wait_while(|lottery| lottery.is_under_way() && lottery.cause.is_none())?;
        }
        if stay && self.cause.is_none() {
            self.stay()?;
        }
        self.finish()?;
        if ledger.exists() {
            verify::count_ledger(ledger, &mut self.lines).map_err(|error| named(ledger, &error))?;
        }
        Ok(self.conclude())
    }

    /// Whether an agency runs, or will again.
    fn is_under_way(&self) -> bool {
        let is_away = self.demo.as_ref().is_some_and(|demo| demo.is_away(demo::KILLED));
        is_away || self.processes.any_runs(CENTRAL + 1)
    }

    /// Waits for a signal, or for the central's end.
    fn stay(&mut self) -> Result<(), String> {
        self.is_staying = true;
        self.deadline = Instant::now() + FOREVER;
        let page =
            self.page.as_ref().map_or_else(String::new, |page| format!("\nthe page: {page}"));
        let text = "all agencies have their winners; the central stays up until Ctrl-C";
        console::print(&format!("\n{text}{page}\n"));
        self.wait_while(|lottery| lottery.cause.is_none())
    }

    fn start_central(&mut self, ledger: &Path) -> Result<(), String> {
        let mut command = program("server")?;
        command.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0");
        command.env("SERVER_AGENCIES", self.agencies().to_string());
        command.env("SERVER_STORAGE_PATH", ledger);
        // Their lines are read here.
        command.env("LOGGING_FORMAT", "text");
        if std::env::var_os(PAGE_SETTING).is_none() {
            command.env(PAGE_SETTING, "127.0.0.1:0");
        }
        if let Some(certificates) = &self.certificates {
            certificates.set_for_central(&mut command);
        }
        self.start(CENTRAL, command)
    }

    fn start_agency(&mut self, agency: u32, port: u16) -> Result<(), String> {
        let mut command = program("client")?;
        let file = &self.files[agency as usize - 1];
        command.env("CLI_ID", agency.to_string()).env("CLI_DATA_PATH", file);
        command.env("CLI_SERVER_ADDRESS", format!("127.0.0.1:{port}")).env("CLI_MODE", "loteria");
        command.env("CLI_LOG_FORMAT", "text");
        if let Some(certificates) = &self.certificates {
            certificates.set_for_agency(&mut command, agency);
        }
        if let Some(demo) = &self.demo {
            command.envs(demo.settings(agency));
        }
        self.start(agency as usize, command)
    }

    fn start(&mut self, index: usize, command: Command) -> Result<(), String> {
        let name = if index == CENTRAL { "server".to_owned() } else { format!("client{index}") };
        self.processes.start(index, &name, command)
    }

    fn name(&self, index: usize) -> &str {
        &self.processes.list()[index].name
    }

    fn end(&self, index: usize) -> Option<ExitStatus> {
        self.processes.list().get(index).and_then(|process| process.ended)
    }

    /// Takes what happens as long as it is so.
    fn wait_while(&mut self, waits: impl Fn(&Self) -> bool) -> Result<(), String> {
        while waits(self) {
            match self.processes.next(self.patience()) {
                Some(Event::Line(index, line)) => self.take_line(index, &line),
                Some(Event::Ended(index, status)) => self.take_end(index, status),
                Some(Event::Signal(signal, at)) => self.take_signal(signal, at),
                None if Instant::now() >= self.deadline => self.time_is_over(),
                None => {}
            }
            self.play()?;
        }
        Ok(())
    }

    /// How long nothing needs to be done if nothing happens.
    fn patience(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let step = self.playing().and_then(|demo| demo.next_in(self.started.elapsed()));
        step.map_or(left, |step| step.min(left))
    }

    /// The demonstration, while all of its agencies were started and nothing ends.
    fn playing(&self) -> Option<&Demo> {
        self.demo
            .as_ref()
            .filter(|_| self.processes.list().len() > self.files.len() && self.cause.is_none())
    }

    /// Takes the demonstration's next step, when its time has come.
    fn play(&mut self) -> Result<(), String> {
        let index = demo::KILLED as usize;
        let Some(mut demo) = self.playing().cloned() else { return Ok(()) };
        // Where the machine is slow, one who is killed ends later than it should come back.
        if demo.is_away(demo::KILLED) && self.end(index).is_none() {
            return Ok(());
        }
        let step = demo.take(self.started.elapsed());
        self.demo = Some(demo);
        match (step, self.port) {
            (Some(Step::Kill), _) => {
                console::print(&format!("{} is killed, and will come back\n", self.name(index)));
                self.processes.kill(index);
                Ok(())
            }
            (Some(Step::Return), Some(port)) => {
                console::print(&format!("{} comes back\n", self.name(index)));
                self.start_agency(demo::KILLED, port)
            }
            _ => Ok(()),
        }
    }

    fn take_line(&mut self, index: usize, line: &str) {
        if index == CENTRAL {
            self.port = self.port.or_else(|| verify::port_in(line));
            self.take_page(line);
        } else if let Some(winners) = verify::winners_in(line) {
            self.lines[index - 1].winners = Some(winners);
        }
        // Of a demonstration thousands of these would hide the few that tell something.
        if self.demo.is_none() || !verify::is_of_stored_batch(line) {
            self.processes.show(index, line);
        }
    }

    /// What the central logs soon hides it: it is said again when the draw is over.
    fn take_page(&mut self, line: &str) {
        if let Some(page) = verify::page_in(line) {
            console::print(&format!("\nthe page: {page}\n\n"));
            self.page = Some(page);
        }
    }

    /// An agency that knows its winners has seen the draw, so that the others will, however it ends.
    fn take_end(&mut self, index: usize, status: ExitStatus) {
        let is_killed = |demo: &Demo| demo.is_away(demo::KILLED) && index == demo::KILLED as usize;
        let fine = index != CENTRAL
            && (status.success()
                || self.lines[index - 1].winners.is_some()
                || self.demo.as_ref().is_some_and(is_killed));
        if fine || self.cause.is_some() {
            return;
        }
        let end = format!("{} ended with {}", self.name(index), verify::end(status));
        let rest =
            if self.is_staying { "" } else { " before the draw was over: the others are stopped" };
        complain(&format!("{end}{rest}"));
        self.stop(Cause::Failed(index));
    }

    fn take_signal(&mut self, signal: i32, at: Instant) {
        if let Some(Cause::Signal(_, first) | Cause::Dismissed(first)) = self.cause {
            // A second one ends the processes at once. A terminal that is gone is no impatience, and make
            // and the terminal both send the same.
            if signal != SIGHUP && at.saturating_duration_since(first) > REPEAT_SPAN {
                self.processes.signal_all(Signal::TERM);
            }
            return;
        }
        if self.is_staying && self.cause.is_none() {
            self.stop(Cause::Dismissed(at));
            return;
        }
        self.cause = None;
        self.stop(Cause::Signal(signal, at));
    }

    fn time_is_over(&mut self) {
        if self.cause.is_none() {
            complain("the time is over (--timeout): all are stopped");
            self.stop(Cause::TimeOver);
            return;
        }
        complain("some don't end when they are asked to: they are killed");
        self.processes.signal_all(Signal::KILL);
        self.deadline = Instant::now() + GRACE;
    }

    /// Asks the agencies to end, for the first cause there is; the central is to follow them.
    fn stop(&mut self, cause: Cause) {
        if self.cause.is_none() {
            self.cause = Some(cause);
            self.ask_to_end(CENTRAL + 1);
        }
    }

    /// Waits until all have ended, the central last.
    fn finish(&mut self) -> Result<(), String> {
        self.stop(Cause::Done);
        self.wait_while(|lottery| lottery.processes.any_runs(CENTRAL + 1))?;
        self.ask_to_end(CENTRAL);
        self.wait_while(|lottery| lottery.processes.any_runs(CENTRAL))
    }

    /// Asks those that run to end in order, from this index on.
    fn ask_to_end(&mut self, first: usize) {
        self.processes.ask_to_end(first);
        self.deadline = Instant::now() + GRACE;
    }

    fn conclude(&mut self) -> Outcome {
        for (line, process) in self.lines.iter_mut().zip(self.processes.list().iter().skip(1)) {
            line.exit_code = process.ended.and_then(|status| status.code());
        }
        if let Some(Cause::Signal(signal, _)) = self.cause {
            self.print_interruption(signal);
            return Outcome::Interrupted;
        }
        if self.processes.list().len() > 1 {
            console::print(&format!("\n{}({LEGEND})\n", Table(&self.lines)));
        }
        let central = self.end(CENTRAL);
        let good = matches!(self.cause, Some(Cause::Done | Cause::Dismissed(_)))
            && central.is_some_and(|status| status.success())
            && self.lines.iter().all(Line::is_good);
        let central = central.map_or("no end".to_owned(), verify::end);
        let verdict = if good { "OK" } else { "MISMATCH" };
        console::print(&format!("central: {central}; {verdict}\n"));
        if let Some(Cause::Failed(index)) = self.cause {
            self.print_failure(index);
        }
        if good { Outcome::Good } else { Outcome::Mismatch }
    }

    fn print_interruption(&self, signal: i32) {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        let ends = self.processes.list().iter().map(|process| {
            let end = process.ended.map_or("no end".to_owned(), verify::end);
            format!("{}: {end}", process.name)
        });
        let ends = ends.collect::<Vec<_>>().join(", ");
        console::print(&format!("\ninterrupted by {name}; {ends}\n"));
    }

    /// Who failed, of what, and what to look at.
    fn print_failure(&self, index: usize) {
        let process = &self.processes.list()[index];
        let name = &process.name;
        let end = process.ended.map_or("no end".to_owned(), verify::end);
        let error = process.last_error.as_deref().unwrap_or("it logged no error");
        console::print(&format!("{name} failed, with {end}: {error}\n"));
        console::print(&format!("look at its lines above, behind \"{name:<8} |\"\n"));
        if let Some(file) = index.checked_sub(1).map(|agency| self.files[agency].display()) {
            let client =
                own_path("client").map_or("client".to_owned(), |path| path.display().to_string());
            console::print(&format!(
                "and at its file; this checks it alone: {client} check {file}\n"
            ));
        }
    }
}

/// Whatever ends this tool, nothing that it started stays behind.
impl Drop for Lottery {
    fn drop(&mut self) {
        // Only a demonstration that goes on could fail, and it ends here.
        let _ = self.finish();
    }
}
