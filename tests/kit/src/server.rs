//! The server as a process, in a folder of its own, on a port that the kernel chooses.

use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::log;
use crate::process::{TIMEOUT, is_stopped, memory, processor_time};
use crate::programs::binary;
use crate::reads::{self, Lines};

/// Longest start, on a disk that takes seconds for each of several syncs.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A server that runs. Killed when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    log: Log,
}

/// Where its log lines are.
#[derive(Debug)]
enum Log {
    /// In a pipe; the lines that were read to know that it listens, and the rest.
    Pipe(String, Lines),
    /// In a file.
    File(PathBuf),
    /// The test reads them.
    Taken,
}

/// The binary with an environment of its own.
pub fn command(environment: &[(&str, &str)]) -> Command {
    configure(Command::new(binary("server")), environment)
}

/// A command that becomes the server, with an environment of its own.
pub(crate) fn configure(mut command: Command, environment: &[(&str, &str)]) -> Command {
    command.env_clear().env("SERVER_PORT", "0").env("SERVER_BIND", "127.0.0.1");
    command.env("SERVER_WAL_SEGMENT_SIZE", "1MiB");
    command.envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// A connection from an address of this machine to one of its ports, on which nothing is waited for longer
/// than [`TIMEOUT`].
pub fn connect_from(address: Ipv4Addr, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("it is this machine's");
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream.set_write_timeout(Some(TIMEOUT)).expect("set");
    stream
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), environment)
    }

    /// Like [`start`](Self::start), with so many descriptors in all, of which `taken` are open
    /// already.
    pub fn start_with_descriptors(most: u32, taken: u32, environment: &[(&str, &str)]) -> Self {
        const SCRIPT: &str =
            "for fd in $(seq 10 $((9 + $2))); do eval \"exec $fd< /dev/null\"; done
            ulimit -n $1; exec \"$0\"";
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(SCRIPT).arg(binary("server"));
        shell.args([most.to_string(), taken.to_string()]);
        Self::spawn(tempfile::tempdir().expect("a folder"), configure(shell, environment))
    }

    /// Like [`start`](Self::start), with files of at most so many KiB each, as by `ulimit -f`.
    pub fn start_with_file_limit(kib: u32, environment: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("bash");
        shell.args(["-c", "ulimit -f $1; exec \"$0\""]).arg(binary("server"));
        shell.arg(kib.to_string());
        Self::spawn(tempfile::tempdir().expect("a folder"), configure(shell, environment))
    }

    /// Like [`start`](Self::start), in a folder that holds something already.
    pub fn start_in(folder: tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        Self::spawn(folder, command(environment))
    }

    /// Starts a command that becomes the server, or waits for it, and waits until it listens.
    pub fn start_command(command: Command) -> Self {
        Self::spawn(tempfile::tempdir().expect("a folder"), command)
    }

    fn spawn(folder: tempfile::TempDir, mut command: Command) -> Self {
        if !command.get_envs().any(|(name, _)| name == "SERVER_STORAGE_PATH") {
            command.env("SERVER_STORAGE_PATH", folder.path().join("bets.csv"));
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut log = reads::lines(child.stdout.take().expect("it is piped"));
        let mut lines = String::new();
        let port = loop {
            let count = log.read_line(&mut lines).expect("text");
            assert!(count > 0, "the server ended: {lines}");
            if let Some(port) = listening_port(&lines) {
                break port;
            }
        };
        Self { child, port, folder, log: Log::Pipe(lines, log) }
    }

    /// Starts a command that becomes the server, with its log lines in a file of the folder.
    pub fn start_with_log_file(folder: tempfile::TempDir, mut command: Command) -> Self {
        let path = folder.path().join("log");
        let file = File::options().append(true).create(true).open(&path).expect("made");
        let begin = file.metadata().expect("it is open").len();
        if !command.get_envs().any(|(name, _)| name == "SERVER_STORAGE_PATH") {
            command.env("SERVER_STORAGE_PATH", folder.path().join("bets.csv"));
        }
        let mut child = command.stdout(file).spawn().expect("the server starts");
        let deadline = Instant::now() + START_TIMEOUT;
        let port = loop {
            let lines = read_from(&path, begin);
            if let Some(port) = listening_port(&lines) {
                break port;
            }
            let ended = child.try_wait().expect("it is ours");
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {lines}");
            std::thread::sleep(Duration::from_millis(1));
        };
        Self { child, port, folder, log: Log::File(path) }
    }

    /// Like [`start`](Self::start), with the reader of its log in the test's hands.
    pub fn start_with_log(environment: &[(&str, &str)]) -> (Self, Lines) {
        let mut server = Self::start(environment);
        let Log::Pipe(_, log) = std::mem::replace(&mut server.log, Log::Taken) else {
            unreachable!("it was just made");
        };
        (server, log)
    }

    /// Kills it on the spot, and starts another one on its ledger and at its port.
    pub fn kill_and_restart(mut self, environment: &[(&str, &str)]) -> Self {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it ends");
        let port = self.port.to_string();
        let folder = self.take_folder();
        let environment = [environment, &[("SERVER_PORT", &port)]].concat();
        Self::start_in(folder, &environment)
    }

    /// Kills it on the spot, and starts a command that becomes another one on its ledger, with its log
    /// lines in the same file.
    pub fn kill_and_start(mut self, command: Command) -> Self {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it ends");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"));
        Self::start_with_log_file(folder, command)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory of its own that it uses, in bytes: not of files, not the program's code.
    pub fn anonymous_memory(&self) -> usize {
        memory(self.pid(), "RssAnon:")
    }

    /// Processor time that its first thread has taken.
    pub fn processor_time(&self) -> Duration {
        processor_time(self.pid()).expect("it runs")
    }

    /// Folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its folder, which stays when the server is gone.
    pub fn take_folder(&mut self) -> tempfile::TempDir {
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }

    /// A connection to it, on which nothing is waited for longer than [`TIMEOUT`].
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        stream.set_write_timeout(Some(TIMEOUT)).expect("set");
        stream
    }

    /// The same from an address of the test's choice: all of 127.0.0.0/8 is this machine.
    pub fn connect_from(&self, address: Ipv4Addr) -> TcpStream {
        connect_from(address, self.port)
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_end()
    }

    /// SIGTERM; its whole log. It must end with 0.
    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let (status, text) = self.wait();
        assert_eq!(status.code(), Some(0), "{text}");
        text
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it still runs");
    }

    /// Sends a signal again and again until it ends.
    pub fn signal_until_it_ends(&mut self, signal: Signal) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server doesn't end");
            self.signal(signal);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for a line that contains `wanted`, among those that weren't waited for.
    pub fn wait_for(&mut self, wanted: &str) {
        let Log::Pipe(lines, log) = &mut self.log else { panic!("its log is elsewhere") };
        let mut start = lines.len();
        while !lines[start..].contains(wanted) {
            start = lines.len();
            let count = log.read_line(lines).expect("text");
            assert!(count > 0, "no {wanted}: {lines}");
        }
    }

    /// Its log, as far as it was waited for.
    pub fn log_so_far(&self) -> &str {
        let Log::Pipe(lines, _) = &self.log else { panic!("its log is elsewhere") };
        lines
    }

    /// What is in its log file.
    pub fn log(&self) -> String {
        let Log::File(path) = &self.log else { panic!("its log isn't in a file") };
        read_from(path, 0)
    }

    /// Sends SIGSTOP, and waits until it is stopped; SIGCONT lets it go on.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
        let deadline = Instant::now() + TIMEOUT;
        while !is_stopped(self.pid()) {
            assert!(Instant::now() < deadline, "it doesn't stop");
            std::thread::yield_now();
        }
    }

    /// Waits until it ends; its whole log.
    pub fn wait(&mut self) -> (ExitStatus, String) {
        let mut text = String::new();
        if let Log::Pipe(lines, log) = &mut self.log {
            text = std::mem::take(lines);
            log.read_to_string(&mut text).expect("text");
        }
        let status = self.wait_for_end();
        if let Log::File(path) = &self.log {
            text = read_from(path, 0);
        }
        (status, text)
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server doesn't end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a file that is being written holds behind its first `begin` bytes.
fn read_from(path: &Path, begin: u64) -> String {
    let mut file = File::open(path).expect("it was made");
    file.seek(SeekFrom::Start(begin)).expect("a file");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    text
}

/// The port that it logs once it listens.
fn listening_port(lines: &str) -> Option<u16> {
    Some(log::successes(lines, "listen").next()?.value("port").expect("a number"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
