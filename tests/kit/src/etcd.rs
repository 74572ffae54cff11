//! A cluster of real etcd members on this machine, each a process with a folder of its own.
//!
//! Its ports are below the range that the kernel takes ports of outgoing connections from: a member that
//! is started again would collide with one.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{TIMEOUT, free_port};

/// Members of one cluster. They are killed, and their data is removed, when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    folder: TempDir,
    /// Further arguments of each member.
    arguments: Vec<String>,
}

#[derive(Debug)]
struct Member {
    client_port: u16,
    peer_port: u16,
    process: Option<Child>,
}

/// Where Debian's package was unpacked, if it isn't installed.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/etcd/usr/bin/etcd");

/// The program.
///
/// # Panics
/// When there is none: `.ci/setup test` sees to it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut installed = std::env::split_paths(&path).map(|folder| folder.join("etcd"));
    let found = installed.find(|program| program.is_file());
    let unpacked = Some(Path::new(UNPACKED).to_owned()).filter(|program| program.is_file());
    found.or(unpacked).expect("etcd is installed, or unpacked by `.ci/setup test`")
}

impl Cluster {
    /// Starts so many members; each is there when this returns.
    pub fn start(count: usize) -> Self {
        Self::with_arguments(count, &[])
    }

    /// The same, with further arguments of each.
    pub fn with_arguments(count: usize, arguments: &[&str]) -> Self {
        let member = || Member { client_port: free_port(), peer_port: free_port(), process: None };
        let members = std::iter::repeat_with(member).take(count).collect();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let mut cluster = Self { members, folder, arguments };
        for index in 0..count {
            cluster.spawn(index);
        }
        for index in 0..count {
            cluster.wait_until_healthy(index);
        }
        cluster
    }

    /// Where a member listens.
    pub fn address(&self, index: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.members[index].client_port).into()
    }

    /// Where all of them do.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.members.len()).map(|index| self.address(index)).collect()
    }

    /// `kill -9`; returns when it has ended.
    pub fn kill(&mut self, index: usize) {
        let mut process = self.members[index].process.take().expect("it runs");
        process.kill().expect("it wasn't waited for");
        process.wait().expect("it ends");
    }

    /// Starts one again that was killed; it is healthy when this returns.
    pub fn restart(&mut self, index: usize) {
        self.spawn(index);
        self.wait_until_healthy(index);
    }

    /// Starts all again that were killed; all are healthy when this returns.
    pub fn restart_all(&mut self) {
        let killed = (0..self.members.len()).filter(|index| !self.runs(*index));
        let killed: Vec<_> = killed.collect();
        for index in &killed {
            self.spawn(*index);
        }
        for index in killed {
            self.wait_until_healthy(index);
        }
    }

    /// Stops one, as a machine does that hangs.
    pub fn freeze(&self, index: usize) {
        self.signal(index, Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self, index: usize) {
        self.signal(index, Signal::CONT);
    }

    /// Who leads, as one member says; it waits until there is one.
    pub fn leader(&self, asked: usize) -> usize {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let leader = self.status(asked, "\"leader\":\"");
            let mut members = (0..self.members.len()).filter(|&one| self.runs(one));
            if let Some(leader) = leader
                && let Some(index) = members
                    .find(|&one| self.status(one, "\"member_id\":\"").as_ref() == Some(&leader))
            {
                return index;
            }
            assert!(Instant::now() < deadline, "no leader");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The response to a request of the gateway, head and body; nothing when there is none.
    pub fn call(&self, index: usize, resource: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address(index)).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let length = body.len();
        // HTTP/1.0: no chunks, and the response ends with the connection.
        let head = format!("POST {resource} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        Some(response)
    }

    /// The body of the response to a read of all keys with a prefix.
    pub fn with_prefix(&self, index: usize, prefix: &str) -> Option<String> {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("a prefix") += 1;
        let (key, end) = (STANDARD.encode(prefix), STANDARD.encode(end));
        let body = format!(r#"{{"key":"{key}","range_end":"{end}"}}"#);
        let response = self.call(index, "/v3/kv/range", &body)?;
        response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// Whether the process runs, perhaps frozen.
    pub fn runs(&self, index: usize) -> bool {
        self.members[index].process.is_some()
    }

    /// What stands behind a name in the status of a member.
    fn status(&self, index: usize, name: &str) -> Option<String> {
        let status = self.call(index, "/v3/maintenance/status", "{}")?.replace(' ', "");
        let (_, rest) = status.split_once(name)?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    }

    fn spawn(&mut self, index: usize) {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let peers = self.members.iter().enumerate();
        let peers: Vec<_> = peers.map(|(at, it)| format!("m{at}={}", url(it.peer_port))).collect();
        let Member { client_port, peer_port, .. } = self.members[index];
        let log = File::options().append(true).create(true).open(self.log(index));
        let process = Command::new(program())
            .args(["--name", &format!("m{index}"), "--initial-cluster", &peers.join(",")])
            .arg("--data-dir")
            .arg(self.folder.path().join(format!("data-{index}")))
            .args(["--listen-client-urls", &url(client_port)])
            .args(["--advertise-client-urls", &url(client_port)])
            .args(["--listen-peer-urls", &url(peer_port)])
            .args(["--initial-advertise-peer-urls", &url(peer_port)])
            .args(["--heartbeat-interval", "50", "--election-timeout", "300"])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log.expect("a file"))
            .spawn()
            .expect("it starts");
        self.members[index].process = Some(process);
    }

    fn wait_until_healthy(&mut self, index: usize) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.is_healthy(index) {
            let process = self.members[index].process.as_mut().expect("it was started");
            let has_ended = process.try_wait().expect("it is ours").is_some();
            let log = || fs::read_to_string(self.log(index)).expect("a log");
            let is_waiting = !has_ended && Instant::now() < deadline;
            assert!(is_waiting, "member {index} isn't healthy: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has served a read that all members agree on.
    fn is_healthy(&self, index: usize) -> bool {
        let answer = self.call(index, "/v3/kv/range", r#"{"key":"YQ=="}"#);
        answer.is_some_and(|answer| {
            !answer.contains("\"code\":14") && answer.contains("header")
                || answer.contains("user name is empty")
        })
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("log-{index}"))
    }

    fn signal(&self, index: usize, signal: Signal) {
        let process = self.members[index].process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("it wasn't waited for");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.members.iter_mut().filter_map(|member| member.process.as_mut()) {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
