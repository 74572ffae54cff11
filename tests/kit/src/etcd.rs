//! A cluster of real etcd members, each a process with a folder of its own: on this machine's loopback, with
//! or without TLS, or each on a host of its own in [networks](crate::networks) of a test.
//!
//! Its ports are below the range that the kernel takes ports of outgoing connections from: a member that
//! is started again would collide with one.
//!
//! | file | what it is for |
//! |---|---|
//! | `caller` | how the test itself asks a member |
//! | `keys` | reads and writes of keys |
//! | `users` | who may do that |

mod caller;
mod keys;
mod users;

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use self::caller::Caller;
use crate::networks::Host;
use crate::process::{TIMEOUT, free_port, wait_until};

pub use self::keys::Key;

/// Members of one cluster. They are killed, and their data is removed, when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    folder: TempDir,
    /// Further arguments of each member.
    arguments: Vec<String>,
    /// What clients speak to members: `http` or `https`.
    scheme: &'static str,
    caller: Caller,
    /// Who the test is, where members want to know: user and password.
    user: Option<[String; 2]>,
}

#[derive(Debug)]
struct Member {
    /// `None` for this machine.
    host: Option<Host>,
    client: SocketAddr,
    peer: SocketAddr,
    process: Option<Child>,
}

/// Where a member runs, if not on this machine's loopback.
#[derive(Debug, Clone)]
pub struct Site {
    /// The host.
    pub host: Host,
    /// Its address for clients.
    pub client: Ipv4Addr,
    /// Its address for the other members.
    pub peer: Ipv4Addr,
}

/// Files of TLS: the authority, and a certificate that it has issued, both for a server and for a client.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The authority.
    pub ca: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Members' ports, where each has a host of its own: those for clients and for other members.
const PORTS: [u16; 2] = [2379, 2380];

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
        Self::launch(on_loopback(count), arguments, "http", Caller::Socket)
    }

    /// The same over TLS: clients, and the test itself, must have a certificate.
    pub fn secured(count: usize, files: &TlsFiles, arguments: &[&str]) -> Self {
        let [ca, certificate, key] = [&files.ca, &files.certificate, &files.key]
            .map(|path| path.to_str().expect("text").to_owned());
        let secure = [
            "--client-cert-auth",
            "--trusted-ca-file",
            ca.as_str(),
            "--cert-file",
            certificate.as_str(),
            "--key-file",
            key.as_str(),
        ];
        let caller = Caller::over_tls(&ca, &certificate, &key);
        Self::launch(on_loopback(count), &[&secure[..], arguments].concat(), "https", caller)
    }

    /// A member on each of these hosts, asked by the test from another one.
    pub fn on_hosts(sites: Vec<Site>, asked_from: Host) -> Self {
        let member = |site: Site| {
            let [client, peer] = [(site.client, PORTS[0]), (site.peer, PORTS[1])]
                .map(|(address, port)| SocketAddr::new(IpAddr::V4(address), port));
            Member { host: Some(site.host), client, peer, process: None }
        };
        let members = sites.into_iter().map(member).collect();
        Self::launch(members, &[], "http", Caller::from_host(asked_from))
    }

    fn launch(
        members: Vec<Member>,
        arguments: &[&str],
        scheme: &'static str,
        caller: Caller,
    ) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let mut cluster = Self { members, folder, arguments, scheme, caller, user: None };
        cluster.restart_all();
        cluster
    }

    /// Where a member listens.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.members[index].client
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
        let killed = self.indices().filter(|index| !self.runs(*index));
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

    /// What leads, as one member says; `None` when it knows of nobody, or doesn't say.
    pub fn leader_id(&self, asked: usize) -> Option<String> {
        self.status(asked, "\"leader\":\"")
    }

    /// Waits until each member that runs has served a read that all of them agree on.
    pub fn wait_until_whole(&self) {
        wait_until("all members are healthy", || {
            self.indices().all(|index| !self.runs(index) || self.is_healthy(index))
        });
    }

    /// Stops a cluster of one member, and keeps a copy of what it has; it is healthy when this returns.
    pub fn back_up(&mut self) -> Backup {
        self.kill(0);
        let backup = Backup(self.folder.path().join("backup"));
        copy_folder(&self.data(0), &backup.0);
        self.restart(0);
        backup
    }

    /// Has a cluster of one member be as it was then, as if it had never stopped; it is healthy when this
    /// returns.
    pub fn restore(&mut self, backup: &Backup) {
        self.kill(0);
        fs::remove_dir_all(self.data(0)).expect("it was there");
        copy_folder(&backup.0, &self.data(0));
        self.restart(0);
    }

    /// Has another cluster of one member, which is empty, take the place of this one; it is healthy when
    /// this returns.
    pub fn replace(&mut self) {
        self.kill(0);
        fs::remove_dir_all(self.data(0)).expect("it was there");
        self.arguments.extend(["--initial-cluster-token".to_owned(), "another".to_owned()]);
        self.restart(0);
    }

    /// The response to a request of the gateway, head and body; nothing when there is none.
    pub fn call(&self, index: usize, resource: &str, body: &str) -> Option<String> {
        let token = match &self.user {
            Some(user) => Some(self.token(index, user)?),
            None => None,
        };
        self.ask(index, resource, body, token.as_deref())
    }

    /// A member's own metrics.
    pub fn metrics(&self, index: usize) -> String {
        self.ask(index, "/metrics", "", None).expect("a response")
    }

    fn ask(&self, index: usize, resource: &str, body: &str, token: Option<&str>) -> Option<String> {
        self.caller.call(self.scheme, self.address(index), resource, body, token)
    }

    /// The process of a member that runs.
    pub fn pid(&self, index: usize) -> u32 {
        self.members[index].process.as_ref().expect("it runs").id()
    }

    /// Whether the process runs, perhaps frozen.
    pub fn runs(&self, index: usize) -> bool {
        self.members[index].process.is_some()
    }

    /// What stands behind a name in the status of a member.
    fn status(&self, index: usize, name: &str) -> Option<String> {
        value_of(name, &self.call(index, "/v3/maintenance/status", "{}")?)
    }

    fn spawn(&mut self, index: usize) {
        let peer_url = |member: &Member| format!("http://{}", member.peer);
        let peers = self.members.iter().enumerate();
        let peers: Vec<_> = peers.map(|(at, it)| format!("m{at}={}", peer_url(it))).collect();
        let member = &self.members[index];
        let (client, peer) = (format!("{}://{}", self.scheme, member.client), peer_url(member));
        let log = File::options().append(true).create(true).open(self.log(index));
        let mut command = Command::new(program());
        command
            .args(["--name", &format!("m{index}"), "--initial-cluster", &peers.join(",")])
            .arg("--data-dir")
            .arg(self.data(index))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--heartbeat-interval", "50", "--election-timeout", "300"])
            .args(&self.arguments);
        if let Some(host) = &member.host {
            command = host.command(&command);
        }
        let process = command.stdout(Stdio::null()).stderr(log.expect("a file")).spawn();
        self.members[index].process = Some(process.expect("it starts"));
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

    fn indices(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    fn data(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("data-{index}"))
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("log-{index}"))
    }

    fn signal(&self, index: usize, signal: Signal) {
        let process = self.members[index].process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("it wasn't waited for");
    }
}

/// What a cluster had at a time.
#[derive(Debug)]
pub struct Backup(PathBuf);

fn on_loopback(count: usize) -> Vec<Member> {
    let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let member = || Member { host: None, client: address(), peer: address(), process: None };
    std::iter::repeat_with(member).take(count).collect()
}

/// What stands behind a name in a response.
fn value_of(name: &str, response: &str) -> Option<String> {
    let response = response.replace(' ', "");
    let (_, rest) = response.split_once(name)?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(copied.success(), "{} is copied", from.display());
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
