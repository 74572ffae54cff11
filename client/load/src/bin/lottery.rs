//! The whole lottery on this machine: a central and its agencies as processes on loopback, their
//! logs side by side, and a table of what came of it.
//!
//! A tool, not the server: it reads several pipes at once with a thread for each. The processes have
//! process groups of their own: a terminal's signals go to this one alone, which ends them in order.

use std::io::{BufRead, BufReader, IsTerminal, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use load::certificates::Certificates;
use load::demo::{self, Demo, Step};
use load::verify::{self, LEGEND, Line, Table};
use reactor::REPEAT_SPAN;
use runtime::{console, logging};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the processes may take to end once they are asked to; they take a second at most.
const GRACE: Duration = Duration::from_secs(30);

/// What a process may take from its start until it ends in order at a signal.
const START: Duration = Duration::from_secs(1);

/// How long the central stays up when it is to stay.
const FOREVER: Duration = Duration::from_hours(365 * 24);

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
            argument("timeout", "Longest time that it may take")
                .default_value("10m")
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

/// Something that happened to one of the processes, or to this one.
enum Event {
    Line(usize, String),
    Ended(usize, ExitStatus),
    Signal(i32, Instant),
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

/// The central's index among the processes; agencies follow in their order.
const CENTRAL: usize = 0;

struct Lottery {
    names: Vec<String>,
    pids: Vec<Pid>,
    ended: Vec<Option<ExitStatus>>,
    /// The last error that each process has logged.
    last_errors: Vec<Option<String>>,
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
    cause: Option<Cause>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    deadline: Instant,
    colours: bool,
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
    let timeout: Duration = *matches.get_one("timeout").expect("it has a default");
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
        let (sender, events) = channel();
        let hangup = (!reactor::is_ignored(Signal::HUP)).then_some(SIGHUP);
        let signals = [SIGINT, SIGTERM, SIGQUIT].into_iter().chain(hangup);
        let mut signals = Signals::new(signals).map_err(|error| error.to_string())?;
        let signaled = sender.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                // The receiver is gone when the tool itself ends.
                let _ = signaled.send(Event::Signal(signal, Instant::now()));
            }
        });
        Ok(Self {
            names: Vec::new(),
            pids: Vec::new(),
            ended: Vec::new(),
            last_errors: Vec::new(),
            lines: Vec::new(),
            files: Vec::new(),
            demo: None,
            started: Instant::now(),
            is_staying: false,
            certificates: None,
            port: None,
            cause: None,
            sender,
            events,
            deadline: Instant::now() + timeout,
            colours: std::io::stdout().is_terminal(),
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
        is_away || self.ended[1..].contains(&None)
    }

    /// Waits for a signal, or for the central's end.
    fn stay(&mut self) -> Result<(), String> {
        self.is_staying = true;
        self.deadline = Instant::now() + FOREVER;
        console::print("\nall agencies have their winners; the central stays up until Ctrl-C\n");
        self.wait_while(|lottery| lottery.cause.is_none())
    }

    fn start_central(&mut self, ledger: &Path) -> Result<(), String> {
        let mut command = program("server")?;
        command.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0");
        command.env("SERVER_AGENCIES", self.agencies().to_string());
        command.env("SERVER_STORAGE_PATH", ledger);
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
        if let Some(certificates) = &self.certificates {
            certificates.set_for_agency(&mut command, agency);
        }
        if let Some(demo) = &self.demo {
            command.envs(demo.settings(agency));
        }
        self.start(agency as usize, command)
    }

    /// Starts a process and a thread that reports its lines and its end. It is the next one, or one that
    /// has ended and comes back.
    fn start(&mut self, index: usize, mut command: Command) -> Result<(), String> {
        let name = if index == CENTRAL { "server".to_owned() } else { format!("client{index}") };
        let failed = |error| format!("can't start {name}: {error}");
        let (log, output) = std::io::pipe().map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().map_err(failed)?;
        if index == self.names.len() {
            self.names.push(name);
            self.pids.push(Pid::from_child(&child));
            self.ended.push(None);
            self.last_errors.push(None);
        } else {
            self.pids[index] = Pid::from_child(&child);
            self.ended[index] = None;
        }
        let sender = self.sender.clone();
        std::thread::spawn(move || report(index, child, log, &sender));
        Ok(())
    }

    /// Takes what happens as long as it is so.
    fn wait_while(&mut self, waits: impl Fn(&Self) -> bool) -> Result<(), String> {
        while waits(self) {
            match self.events.recv_timeout(self.patience()) {
                Ok(Event::Line(index, line)) => self.take_line(index, &line),
                Ok(Event::Ended(index, status)) => self.take_end(index, status),
                Ok(Event::Signal(signal, at)) => self.take_signal(signal, at),
                Err(_) if Instant::now() >= self.deadline => self.time_is_over(),
                Err(_) => {}
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
        self.demo.as_ref().filter(|_| self.names.len() > self.files.len() && self.cause.is_none())
    }

    /// Takes the demonstration's next step, when its time has come.
    fn play(&mut self) -> Result<(), String> {
        let index = demo::KILLED as usize;
        let Some(mut demo) = self.playing().cloned() else { return Ok(()) };
        // Where the machine is slow, one who is killed ends later than it should come back.
        if demo.is_away(demo::KILLED) && self.ended[index].is_none() {
            return Ok(());
        }
        let step = demo.take(self.started.elapsed());
        self.demo = Some(demo);
        match (step, self.port) {
            (Some(Step::Kill), _) => {
                console::print(&format!("{} is killed, and will come back\n", self.names[index]));
                self.running(index).take(1).for_each(|pid| send(pid, Signal::KILL));
                Ok(())
            }
            (Some(Step::Return), Some(port)) => {
                console::print(&format!("{} comes back\n", self.names[index]));
                self.start_agency(demo::KILLED, port)
            }
            _ => Ok(()),
        }
    }

    fn take_line(&mut self, index: usize, line: &str) {
        if index == CENTRAL {
            self.port = self.port.or_else(|| verify::port_in(line));
        } else if let Some(winners) = verify::winners_in(line) {
            self.lines[index - 1].winners = Some(winners);
        }
        if let Some(error) = verify::error_in(line) {
            self.last_errors[index] = Some(error.to_owned());
        }
        // Of a demonstration thousands of these would hide the few that tell something.
        if self.demo.is_none() || !verify::is_of_stored_batch(line) {
            self.show(index, line);
        }
    }

    /// An agency that knows its winners has seen the draw, so that the others will, however it ends.
    fn take_end(&mut self, index: usize, status: ExitStatus) {
        self.ended[index] = Some(status);
        let is_killed = |demo: &Demo| demo.is_away(demo::KILLED) && index == demo::KILLED as usize;
        let fine = index != CENTRAL
            && (status.success()
                || self.lines[index - 1].winners.is_some()
                || self.demo.as_ref().is_some_and(is_killed));
        if fine || self.cause.is_some() {
            return;
        }
        let end = format!("{} ended with {}", self.names[index], verify::end(status));
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
                self.signal_all(Signal::TERM);
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
        self.signal_all(Signal::KILL);
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
        self.wait_while(|lottery| lottery.ended.iter().skip(1).any(Option::is_none))?;
        self.ask_to_end(CENTRAL);
        self.wait_while(|lottery| lottery.ended.contains(&None))
    }

    /// Asks those that run to end in order, from this index on.
    fn ask_to_end(&mut self, first: usize) {
        let started = Instant::now() + START;
        for pid in self.running(first) {
            while !verify::takes_signals(pid) && Instant::now() < started {
                std::thread::sleep(Duration::from_millis(1));
            }
            send(pid, Signal::TERM);
        }
        self.deadline = Instant::now() + GRACE;
    }

    fn running(&self, first: usize) -> impl Iterator<Item = Pid> {
        let processes = self.pids.iter().zip(&self.ended).skip(first);
        processes.filter(|(_, ended)| ended.is_none()).map(|(pid, _)| *pid)
    }

    fn signal_all(&self, signal: Signal) {
        self.running(CENTRAL).for_each(|pid| send(pid, signal));
    }

    /// One line behind its process's name, as compose shows it.
    fn show(&self, index: usize, line: &str) {
        const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];
        let name = format!("{:<8} |", self.names[index]);
        let colour = COLOURS[index % COLOURS.len()];
        console::print(&if self.colours {
            format!("\x1b[{colour}m{name}\x1b[0m {line}\n")
        } else {
            format!("{name} {line}\n")
        });
    }

    fn conclude(&mut self) -> Outcome {
        for (line, status) in self.lines.iter_mut().zip(self.ended.iter().skip(1)) {
            line.exit_code = status.and_then(|status| status.code());
        }
        if let Some(Cause::Signal(signal, _)) = self.cause {
            self.print_interruption(signal);
            return Outcome::Interrupted;
        }
        if self.ended.len() > 1 {
            console::print(&format!("\n{}({LEGEND})\n", Table(&self.lines)));
        }
        let central = self.ended[CENTRAL];
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
        let ends = self.names.iter().zip(&self.ended).map(|(process, status)| {
            format!("{process}: {}", status.map_or("no end".to_owned(), verify::end))
        });
        let ends = ends.collect::<Vec<_>>().join(", ");
        console::print(&format!("\ninterrupted by {name}; {ends}\n"));
    }

    /// Who failed, of what, and what to look at.
    fn print_failure(&self, index: usize) {
        let name = &self.names[index];
        let end = self.ended[index].map_or("no end".to_owned(), verify::end);
        let error = self.last_errors[index].as_deref().unwrap_or("it logged no error");
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

fn send(pid: Pid, signal: Signal) {
    // Fails for a process that has just ended: its end is on its way.
    let _ = kill_process(pid, signal);
}

fn report(index: usize, mut child: Child, log: PipeReader, events: &Sender<Event>) {
    for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
        // The receiver is gone when the tool itself ends.
        let _ = events.send(Event::Line(index, String::from_utf8_lossy(&line).into_owned()));
    }
    if let Ok(status) = child.wait() {
        let _ = events.send(Event::Ended(index, status));
    }
}

/// A program of this project: it is beside this one.
fn program(name: &str) -> Result<Command, String> {
    let path = own_path(name)?;
    if path.exists() {
        return Ok(Command::new(path));
    }
    Err(format!("{} is missing: run make build first", path.display()))
}

fn own_path(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.with_file_name(name))
}
