//! A process under load: the central, a yardstick, or what would be taken instead.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::machine::{LOAD_CORE, SERVER_CORE, stay_on};
use crate::secured;
use crate::syncing;
use crate::yardstick::{self, Bytes, Lottery, Space};
use kit::process::{free_port, memory};
use kit::programs::binary;

/// Who is under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Central,
    /// The central of another version: see [`earlier_central`].
    EarlierCentral,
    BareEcho,
    LinesCodec,
    /// Appends what comes to a file.
    BareLedger,
    /// Writes it over a file that was filled before.
    BareLog,
    /// Echoes over TLS.
    SecuredEcho,
    /// Appends what comes over TLS to a file.
    SecuredLedger,
    /// Does with the bets what the central does.
    SecuredLottery,
    TokioEcho,
    /// Does the same with the bets.
    TokioLottery,
    /// The central whose loop waits for the disk, or a thread of its own.
    SyncingLoop,
    SyncingThread,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Central,
        Self::EarlierCentral,
        Self::BareEcho,
        Self::LinesCodec,
        Self::BareLedger,
        Self::BareLog,
        Self::SecuredEcho,
        Self::SecuredLedger,
        Self::SecuredLottery,
        Self::TokioEcho,
        Self::TokioLottery,
        Self::SyncingLoop,
        Self::SyncingThread,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::EarlierCentral => "earlier central",
            Self::BareEcho => "bare mio loop",
            Self::BareLedger => "bare mio loop, appending",
            Self::BareLog => "bare mio loop, pre-filled",
            Self::LinesCodec => "tokio LinesCodec",
            Self::SecuredEcho | Self::SecuredLedger | Self::SecuredLottery => {
                "bare mio + rustls loop"
            }
            Self::TokioEcho | Self::TokioLottery => "tokio-rustls",
            Self::SyncingLoop => "central, its loop waits",
            Self::SyncingThread => "central, a thread waits",
        }
    }

    fn role(self) -> Option<&'static str> {
        match self {
            Self::Central | Self::EarlierCentral => None,
            Self::BareEcho => Some("bare-echo"),
            Self::LinesCodec => Some("lines-codec"),
            Self::BareLedger => Some("bare-ledger"),
            Self::BareLog => Some("bare-log"),
            Self::SecuredEcho => Some("secured-echo"),
            Self::SecuredLedger => Some("secured-ledger"),
            Self::SecuredLottery => Some("secured-lottery"),
            Self::TokioEcho => Some("tokio-echo"),
            Self::TokioLottery => Some("tokio-lottery"),
            Self::SyncingLoop => Some("syncing-loop"),
            Self::SyncingThread => Some("syncing-thread"),
        }
    }
}

/// The program of a central to compare this one with: `EARLIER_SERVER` names it, if there is one.
pub(crate) fn earlier_central() -> Option<PathBuf> {
    std::env::var_os("EARLIER_SERVER").map(PathBuf::from)
}

/// The process, in a folder of its own. Killed when it is dropped.
pub(crate) struct Contender {
    process: Process,
    port: u16,
    folder: TempDir,
}

/// What is left of a central that was killed.
pub(crate) struct Killed(TempDir);

/// Killed when it is dropped.
pub(crate) struct Process(pub(crate) Child);

/// This bench starts itself anew as the contender that these arguments name.
pub(crate) fn play(arguments: &[String]) -> Option<ExitCode> {
    let [role, port, folder, sync] = arguments else { return None };
    let role = Kind::ALL.into_iter().find(|kind| kind.role() == Some(role))?;
    let outcome = role.play(port.parse().ok()?, Path::new(folder), sync == "always");
    // They run until they are killed.
    Some(ExitCode::from(u8::from(outcome.is_err())))
}

impl Kind {
    fn play(self, port: u16, folder: &Path, is_synced: bool) -> io::Result<()> {
        let bytes = |space| Bytes::create(&folder.join("frames"), space, is_synced);
        let lottery = || Lottery::create(&folder.join("bets.csv"), secured::AGENCIES);
        match self {
            Self::Central | Self::EarlierCentral => Err(io::ErrorKind::Unsupported.into()),
            Self::BareEcho => yardstick::echo(port),
            Self::LinesCodec => yardstick::lines_codec(port),
            Self::BareLedger => yardstick::ledger(port, bytes(Space::Appended)?),
            Self::BareLog => yardstick::ledger(port, bytes(Space::Filled)?),
            Self::SecuredEcho => yardstick::secured_echo(port, &secured::config()?),
            Self::SecuredLedger => {
                yardstick::secured_ledger(port, &secured::config()?, bytes(Space::Appended)?)
            }
            Self::SecuredLottery => {
                yardstick::secured_ledger(port, &secured::config()?, lottery()?)
            }
            Self::TokioEcho => yardstick::tokio_lines(port, &secured::config()?),
            Self::TokioLottery => yardstick::tokio_ledger(port, &secured::config()?, lottery()?),
            Self::SyncingLoop => syncing::serve(port, folder, false),
            Self::SyncingThread => syncing::serve(port, folder, true),
        }
    }
}

impl Contender {
    /// Starts one on its core and waits until it listens.
    pub(crate) fn start(kind: Kind, sync: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_in(folder, kind, sync, environment)
    }

    fn start_in(folder: TempDir, kind: Kind, sync: &str, environment: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = if let Some(role) = kind.role() {
            let mut command = Command::new(std::env::current_exe().expect("it has a name"));
            command.arg(role).arg(port.to_string()).arg(folder.path()).arg(sync);
            command.envs(environment.iter().copied());
            command
        } else {
            let program = earlier_central().filter(|_| kind == Kind::EarlierCentral);
            let program = program.unwrap_or_else(|| binary("server"));
            central(&program, port, folder.path(), sync, environment)
        };
        stay_on(&[SERVER_CORE]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        stay_on(&[LOAD_CORE]);
        let contender = Self { process: Process(child), port, folder };
        contender.wait_until_it_listens();
        contender
    }

    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < deadline, "nothing listens at {}", self.address());
            std::thread::yield_now();
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it on the spot.
    pub(crate) fn kill(self) -> Killed {
        drop(self.process);
        Killed(self.folder)
    }

    /// Memory of its own that it uses, in bytes: not of files, not the program's code.
    pub(crate) fn anonymous_memory(&self) -> usize {
        memory(self.pid(), "RssAnon:")
    }

    /// The most memory that it has used at a time, in bytes, the program's code included.
    pub(crate) fn peak_memory(&self) -> usize {
        memory(self.pid(), "VmHWM:")
    }
}

impl Killed {
    /// A central on the same ledger.
    pub(crate) fn start_again(self) -> Contender {
        Contender::start_in(self.0, Kind::Central, "never", &[])
    }
}

/// The central as it is configured by default, but for what keeps it from listening and from
/// echoing more than one line.
fn central(
    program: &Path,
    port: u16,
    folder: &Path,
    sync: &str,
    environment: &[(&str, &str)],
) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("SERVER_BIND", "127.0.0.1")
        .env("SERVER_PORT", port.to_string())
        .env("SERVER_LISTEN_BACKLOG", "1024")
        .env("SERVER_STORAGE_PATH", folder.join("bets.csv"))
        .env("SERVER_ECHO_KEEP_ALIVE", "true")
        .env("SERVER_SYNC", sync)
        .envs(environment.iter().copied());
    command
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already only when something is wrong, and that shows elsewhere.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
