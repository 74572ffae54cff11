//! A client as a process, and its log lines.

use std::io::{BufRead, Read};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::TIMEOUT;
use crate::reads::{self, Lines};

/// A client that runs. Killed when it is dropped.
#[derive(Debug)]
pub struct Client {
    child: Child,
    log: Lines,
    text: String,
}

impl Client {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let log = reads::lines(child.stdout.take().expect("piped"));
        Self { child, log, text: String::new() }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Waits for a line that contains this.
    pub fn wait_for(&mut self, wanted: &str) {
        let mut start = self.text.len();
        while !self.text[start..].contains(wanted) {
            start = self.text.len();
            let read = self.log.read_line(&mut self.text);
            assert!(matches!(read, Ok(1..)), "no {wanted}: {read:?}: {}", self.text);
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Whether it has handlers for SIGUSR1 and SIGTERM.
    fn handles_signals(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        let has =
            |signal: Signal| caught.is_some_and(|mask| mask & 1 << (signal.as_raw() - 1) != 0);
        has(Signal::USR1) && has(Signal::TERM)
    }

    /// Asks for its status, again and again, until that contains this.
    pub fn wait_for_status(&mut self, wanted: &str) {
        let end = Instant::now() + TIMEOUT;
        while !self.handles_signals() {
            assert!(Instant::now() < end, "it takes no signals: {}", self.text);
            std::thread::yield_now();
        }
        loop {
            assert!(Instant::now() < end, "no {wanted}: {}", self.text);
            self.signal(Signal::USR1);
            let start = self.text.len();
            self.wait_for("action: status | ");
            if self.text[start..].contains(wanted) {
                return;
            }
        }
    }

    /// Waits for its end: its exit code, and all that it logged.
    pub fn end(mut self) -> (Option<i32>, String) {
        let read = self.log.read_to_string(&mut self.text);
        assert!(read.is_ok(), "{read:?}: {}", self.text);
        let code = self.child.wait().expect("its output has ended").code();
        (code, std::mem::take(&mut self.text))
    }

    /// Waits for its end: in order, for this cause.
    pub fn ends_because_of(self, name: &str) {
        let (code, text) = self.end();
        assert_eq!(code, Some(0), "{name}: {text}");
        let line = format!("action: shutdown | result: in_progress | cause: {name}\n");
        assert!(text.contains(&line), "{name}: {text}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
