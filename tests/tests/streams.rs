//! Every program, in every way in which it writes something and ends, with standard output and error
//! closed, full, or never read: it ends with the code that it would end with anyway, and writes nothing
//! of it.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kit::process::{TIMEOUT, free_port};
use kit::programs::binary;
use kit::server::Server;

/// Where one of the two streams leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Read,
    Closed,
    Full,
    Unread,
}

impl Stream {
    const ALL: [Self; 4] = [Self::Read, Self::Closed, Self::Full, Self::Unread];

    fn open(self) -> Stdio {
        match self {
            Self::Read => Stdio::piped(),
            // The shell closes it.
            Self::Closed => Stdio::null(),
            Self::Full => {
                OpenOptions::new().write(true).open("/dev/full").expect("it's there").into()
            }
            Self::Unread => std::io::pipe().expect("a pipe").1.into(),
        }
    }
}

/// One way of running a program.
struct Run {
    program: &'static str,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    code: i32,
}

fn run(program: &'static str, arguments: &[&str], code: i32) -> Run {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Run { program, arguments, environment: Vec::new(), code }
}

impl Run {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn end(&self, folder: &Path, stdout: Stream, stderr: Stream) -> (ExitStatus, String) {
        let close = |stream: Stream, how| if stream == Stream::Closed { how } else { "" };
        let script =
            format!("exec \"$0\" \"$@\" {} {}", close(stdout, ">&-"), close(stderr, "2>&-"));
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(binary(self.program)).args(&self.arguments);
        command.env_clear().env("RUST_BACKTRACE", "1").current_dir(folder).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let child = command.stdout(stdout.open()).stderr(stderr.open()).spawn().expect("it starts");
        wait(child)
    }

    fn assert(&self, folder: &Path) {
        for stdout in Stream::ALL {
            for stderr in Stream::ALL {
                let (status, text) = self.end(folder, stdout, stderr);
                let what = format!("{} {:?} {stdout:?} {stderr:?}", self.program, self.arguments);
                assert_eq!(status.code(), Some(self.code), "{what}: {text}");
                assert!(
                    !text.contains("panic") && !text.contains("RUST_BACKTRACE"),
                    "{what}: {text}"
                );
                if (stdout, stderr) == (Stream::Read, Stream::Read) {
                    assert!(!text.is_empty(), "{what}: not a word");
                }
            }
        }
    }
}

/// What it writes is less than a pipe holds: it is read when it has ended.
fn wait(mut child: Child) -> (ExitStatus, String) {
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it still runs");
            panic!("it doesn't end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("it has ended");
    let text = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn help_and_a_wrong_command_line_end_as_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    for program in ["server", "client", "dataset", "lottery", "swarm"] {
        run(program, &["--help"], 0).assert(folder.path());
        run(program, &["--version"], 0).assert(folder.path());
        run(program, &["--no-such-flag"], 2).assert(folder.path());
    }
}

#[test]
fn a_configuration_is_checked_as_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    run("server", &["--check-config"], 0).assert(folder.path());
    run("server", &["healthcheck", "--check-config"], 0)
        .with("SERVER_PROT", "1")
        .assert(folder.path());
    for arguments in [&[][..], &["--check-config"], &["healthcheck"]] {
        run("server", arguments, 2).with("SERVER_PORT", "x").assert(folder.path());
    }
    let client = |arguments, code| run("client", arguments, code).with("CLI_SERVER_ADDRESS", "a:1");
    client(&["--check-config"], 0).with("CLI_ID", "1").assert(folder.path());
    client(&["--check-config"], 2).assert(folder.path());
    client(&["check", "no-such-file", "--check-config"], 0).assert(folder.path());
    client(&[], 2).assert(folder.path());
}

#[test]
fn what_fails_fails_as_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let unused = format!("127.0.0.1:{port}");
    run("server", &["healthcheck"], 1).with("SERVER_PORT", &port.to_string()).assert(folder.path());
    run("server", &["--storage-path", "missing/bets.csv", "--port", "0"], 1).assert(folder.path());
    let agency = || run("client", &[], 1).with("CLI_ID", "1").with("CLI_SERVER_ADDRESS", &unused);
    agency().assert(folder.path());
    agency().with("CLI_MODE", "echo").with("CLI_RETRY_MAX_ATTEMPTS", "1").assert(folder.path());
    run("client", &["check", "missing.csv"], 1).assert(folder.path());
    run("dataset", &["--out", "/dev/null/x"], 1).assert(folder.path());
    run("lottery", &["--data", "missing"], 1).assert(folder.path());
    run("swarm", &["--address", &unused, "echo", "--connections", "1"], 1).assert(folder.path());
}

#[test]
fn what_works_works_as_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let address = server.address();
    let port = address.rsplit_once(':').expect("a port").1;
    run("server", &["healthcheck"], 0).with("SERVER_PORT", port).assert(folder.path());
    run("dataset", &["--agencies", "1", "--bets", "5"], 0).assert(folder.path());
    run("client", &["check", ".data/agency-1.csv"], 0).assert(folder.path());
    let echo = run("client", &["--mode", "echo", "--loop-amount", "1"], 0).with("CLI_ID", "1");
    echo.with("CLI_SERVER_ADDRESS", &address).assert(folder.path());
}

/// Its figures are all that it is run for: when they are lost it has failed, unless they aren't wanted.
#[test]
fn a_report_that_does_not_arrive_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let arguments = ["--address", &server.address(), "echo", "--connections", "1", "--lines", "1"];
    let swarm = run("swarm", &arguments, 0);
    let end = |stdout| swarm.end(folder.path(), stdout, Stream::Read);
    for stdout in [Stream::Read, Stream::Closed, Stream::Unread] {
        assert_eq!(end(stdout).0.code(), Some(0), "{stdout:?}");
    }
    let (status, text) = end(Stream::Full);
    let expected = "error: standard output: No space left on device (os error 28)\n";
    assert_eq!((status.code(), text.as_str()), (Some(1), expected));
}
