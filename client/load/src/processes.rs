//! Processes of this project side by side: started, their log lines and ends heard, asked to end.
//!
//! A thread for each reads its pipe. The processes have process groups of their own: a terminal's signals
//! go to this program alone, which ends them in order. Knows nothing of a lottery.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use runtime::console;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::verify;

/// What a process may take from its start until it ends in order at a signal.
const START: Duration = Duration::from_secs(1);

/// Something that happened to one of the processes, or to this one.
#[derive(Debug)]
pub enum Event {
    /// A process has written a line.
    Line(usize, String),
    /// A process has ended, and its output with it.
    Ended(usize, ExitStatus),
    /// This process got a signal.
    Signal(i32, Instant),
}

/// A process that was started.
#[derive(Debug)]
pub struct Process {
    /// What people know it by.
    pub name: String,
    /// How it has ended.
    pub ended: Option<ExitStatus>,
    /// The last error that it has logged.
    pub last_error: Option<String>,
    pid: Pid,
}

/// All that were started, by their indices.
#[derive(Debug)]
pub struct Processes {
    list: Vec<Process>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    colours: bool,
}

impl Processes {
    /// None yet. From now on signals that would end this process are events.
    ///
    /// # Errors
    /// When signals can't be handled.
    pub fn new() -> io::Result<Self> {
        let (sender, events) = channel();
        let hangup = (!reactor::is_ignored(Signal::HUP)).then_some(SIGHUP);
        let signals = [SIGINT, SIGTERM, SIGQUIT].into_iter().chain(hangup);
        let mut signals = Signals::new(signals)?;
        let signaled = sender.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                // The receiver is gone when the tool itself ends.
                let _ = signaled.send(Event::Signal(signal, Instant::now()));
            }
        });
        Ok(Self { list: Vec::new(), sender, events, colours: io::stdout().is_terminal() })
    }

    /// Starts a process, and a thread that reports its lines and its end. It is the next one, or takes
    /// the place of one that has ended.
    ///
    /// # Errors
    /// When it can't be started, in words.
    pub fn start(&mut self, index: usize, name: &str, mut command: Command) -> Result<(), String> {
        let failed = |error| format!("can't start {name}: {error}");
        let (log, output) = io::pipe().map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().map_err(failed)?;
        let (name, pid) = (name.to_owned(), Pid::from_child(&child));
        let process = Process { name, pid, ended: None, last_error: None };
        match self.list.get_mut(index) {
            Some(place) => *place = process,
            None => self.list.push(process),
        }
        let sender = self.sender.clone();
        std::thread::spawn(move || report(index, child, log, &sender));
        Ok(())
    }

    /// What happens next, and is noted; `None` if nothing does for so long.
    pub fn next(&mut self, patience: Duration) -> Option<Event> {
        let event = self.events.recv_timeout(patience).ok()?;
        match &event {
            Event::Line(index, line) => {
                if let Some(error) = verify::error_in(line) {
                    self.list[*index].last_error = Some(error.to_owned());
                }
            }
            Event::Ended(index, status) => self.list[*index].ended = Some(*status),
            Event::Signal(..) => {}
        }
        Some(event)
    }

    /// All that were started.
    pub fn list(&self) -> &[Process] {
        &self.list
    }

    /// Whether one of those from this index on runs.
    pub fn any_runs(&self, first: usize) -> bool {
        self.running(first).next().is_some()
    }

    /// Asks those that run to end in order, from this index on.
    pub fn ask_to_end(&self, first: usize) {
        let started = Instant::now() + START;
        for pid in self.running(first) {
            while !verify::takes_signals(pid) && Instant::now() < started {
                std::thread::sleep(Duration::from_millis(1));
            }
            send(pid, Signal::TERM);
        }
    }

    /// Sends all that run a signal.
    pub fn signal_all(&self, signal: Signal) {
        self.running(0).for_each(|pid| send(pid, signal));
    }

    /// Kills one, if it runs.
    pub fn kill(&self, index: usize) {
        let process = self.list.get(index).filter(|process| process.ended.is_none());
        if let Some(process) = process {
            send(process.pid, Signal::KILL);
        }
    }

    /// One line behind its process's name, as compose shows it.
    pub fn show(&self, index: usize, line: &str) {
        const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];
        let name = format!("{:<8} |", self.list[index].name);
        let colour = COLOURS[index % COLOURS.len()];
        console::print(&if self.colours {
            format!("\x1b[{colour}m{name}\x1b[0m {line}\n")
        } else {
            format!("{name} {line}\n")
        });
    }

    fn running(&self, first: usize) -> impl Iterator<Item = Pid> {
        let running = self.list.iter().skip(first).filter(|process| process.ended.is_none());
        running.map(|process| process.pid)
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
///
/// # Errors
/// When it isn't there, in words.
pub fn program(name: &str) -> Result<Command, String> {
    let path = own_path(name)?;
    if path.exists() {
        return Ok(Command::new(path));
    }
    Err(format!("{} is missing: run make build first", path.display()))
}

/// Where a program of this project is, or would be.
///
/// # Errors
/// When this program doesn't know its own place, in words.
pub fn own_path(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.with_file_name(name))
}
