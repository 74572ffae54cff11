//! A service manager that a test plays, as systemd would be one: what it hears, and sockets that it passes on.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::TIMEOUT;
use crate::programs::binary;
use crate::server;

/// Where it hears. All that it hears has to be waited for in order.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl ServiceManager {
    /// One that hears from now on.
    #[expect(clippy::new_without_default, reason = "it is something that happens")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(TIMEOUT)).expect("set");
        Self { socket, folder }
    }

    /// What `NOTIFY_SOCKET` is for what it starts.
    pub fn name(&self) -> String {
        self.folder.path().join("notify").to_str().expect("text").to_owned()
    }

    /// The next message.
    pub fn next(&self) -> String {
        self.receive().expect("it says something")
    }

    /// Messages until one says this, with an assignment that begins so; that one is the last.
    ///
    /// # Panics
    /// After [`TIMEOUT`], whatever else it hears until then.
    pub fn wait_for(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            assert!(Instant::now() < deadline, "no {wanted}: {heard:?}");
            heard.push(self.receive().unwrap_or_else(|| panic!("no {wanted}: {heard:?}")));
            let last = heard.last().expect("just heard");
            if last.lines().any(|line| line.starts_with(wanted)) {
                return heard;
            }
        }
    }

    /// What it has heard already and wasn't waited for.
    pub fn drain(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("set");
        let heard = std::iter::from_fn(|| self.receive()).collect();
        self.socket.set_nonblocking(false).expect("set");
        heard
    }

    /// The first message within this time, if there is one.
    pub fn hears_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).expect("set");
        let heard = self.receive();
        self.socket.set_read_timeout(Some(TIMEOUT)).expect("set");
        heard
    }

    fn receive(&self) -> Option<String> {
        let mut buffer = [0; 8192];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(String::from_utf8(buffer[..length].to_vec()).expect("text")),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                None
            }
        }
    }
}

/// A command that becomes the server with up to two sockets passed on, and their names if they have any.
///
/// Standard input and standard error are no more than the way that they take.
pub fn activated_server(
    sockets: &[&TcpListener],
    names: Option<&str>,
    environment: &[(&str, &str)],
) -> Command {
    const SCRIPT: &str =
        "exec 3<&0 4<&2 0</dev/null 2>/dev/null; export LISTEN_PID=$$; exec \"$0\"";
    let passed = |index: usize| {
        let socket: &TcpListener = sockets.get(index)?;
        Some(Stdio::from(OwnedFd::from(socket.try_clone().expect("a descriptor"))))
    };
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(SCRIPT).arg(binary("server"));
    let count = sockets.len().to_string();
    // What the test says of it comes later, and is what counts.
    let environment = [&[("LISTEN_FDS", &*count)][..], environment].concat();
    let mut shell = server::configure(shell, &environment);
    shell.envs(names.map(|names| ("LISTEN_FDNAMES", names)));
    shell.stdin(passed(0).unwrap_or_else(Stdio::null));
    shell.stderr(passed(1).unwrap_or_else(Stdio::inherit));
    shell
}
