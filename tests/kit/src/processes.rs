//! Several processes at once: their log lines and ends come in one queue.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::TIMEOUT;

/// What a process did.
#[derive(Debug)]
pub enum Event {
    /// It wrote a line, without its newline.
    Line(String),
    /// It has ended: no line of it follows.
    Ended(ExitStatus),
}

/// Processes by their names. Killed when it is dropped.
#[derive(Debug)]
pub struct Processes<N: Copy + Ord> {
    children: BTreeMap<N, Child>,
    sender: Sender<(N, Option<String>)>,
    receiver: Receiver<(N, Option<String>)>,
    /// Set by the first start, before which programs may have to be built.
    deadline: Option<Instant>,
}

/// How long all of it may take.
const TIMEOUT_IN_ALL: Duration = Duration::from_mins(2);

impl<N: Copy + Ord> Default for Processes<N> {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { children: BTreeMap::new(), sender, receiver, deadline: None }
    }
}

impl<N: Copy + Ord + std::fmt::Debug + Send + 'static> Processes<N> {
    /// Starts a process; one of the same name must have ended before.
    pub fn start(&mut self, name: N, mut command: Command) {
        self.deadline.get_or_insert_with(|| Instant::now() + TIMEOUT_IN_ALL);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let sender = self.sender.clone();
        std::thread::spawn(move || forward(name, lines, &sender));
        assert!(self.children.insert(name, child).is_none(), "{name:?} runs already");
    }

    /// Whether the process runs.
    pub fn runs(&self, name: N) -> bool {
        self.children.contains_key(&name)
    }

    /// Its process.
    pub fn pid(&self, name: N) -> Pid {
        Pid::from_child(&self.children[&name])
    }

    /// `kill -9`. What it has logged, and its end, are still to come.
    pub fn kill(&mut self, name: N) {
        self.children.get_mut(&name).expect("it was started").kill().expect("it wasn't waited for");
    }

    /// Like [`kill`](Self::kill), with SIGTERM.
    pub fn terminate(&self, name: N) {
        kill_process(self.pid(name), Signal::TERM).expect("it wasn't waited for");
    }

    /// Waits for what happens next.
    pub fn next_event(&mut self) -> (N, Event) {
        let deadline = self.deadline.expect("one was started");
        let timeout = TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
        let Ok((name, line)) = self.receiver.recv_timeout(timeout) else {
            panic!("nothing happened for {timeout:?}, still there: {:?}", self.children.keys());
        };
        assert!(Instant::now() < deadline, "not done after {TIMEOUT_IN_ALL:?}");
        let Some(line) = line else {
            let mut child = self.children.remove(&name).expect("it was started");
            return (name, Event::Ended(child.wait().expect("it ends")));
        };
        (name, Event::Line(line))
    }
}

fn forward<N: Copy>(name: N, lines: BufReader<ChildStdout>, sender: &Sender<(N, Option<String>)>) {
    // The receiver is gone when a test has failed.
    for line in lines.lines() {
        let _ = sender.send((name, Some(line.expect("text"))));
    }
    let _ = sender.send((name, None));
}

impl<N: Copy + Ord> Drop for Processes<N> {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
