//! What each signal makes of an agency, in every state that it can be in.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kit::client::Client;
use kit::inputs::file;
use kit::process::{TIMEOUT, output};
use kit::programs::binary;
use kit::server::Server;
use kit::stopwatch::{Stopwatch, within_a_second};
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Those that ask for the end.
const STOPS: [(Signal, &str); 7] = [
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::HUP, "SIGHUP"),
    (Signal::POWER, "SIGPWR"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::ALARM, "SIGALRM"),
];

/// Those that have no meaning, and would end a process that doesn't know them.
const NONE: [Signal; 5] = [Signal::XFSZ, Signal::IO, Signal::PROF, Signal::VTALARM, Signal::STKFLT];

const MODES: [&str; 3] = ["loteria", "apuesta", "echo"];

/// An agency in one of the modes, with a file of ten bets.
fn client(mode: &str, address: &str, folder: &Path) -> Command {
    let mut command = Command::new(binary("client"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    command.envs([("CLI_ID", "1"), ("CLI_MODE", mode), ("CLI_SERVER_ADDRESS", address)]);
    command.env("CLI_DATA_PATH", file(folder, 1, 10, 1));
    let bet = ["Ana", "Paz", "12345678", "2000-01-01", "7"];
    command.envs(["NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"].into_iter().zip(bet));
    command
}

/// An agency whose look-up of a name never ends, as with a name server that is silent: the resolver
/// reads the aliases of a name without dots first, here from a silent pipe. So the test
/// needs neither rights nor a port that a name server has.
fn silent(mode: &str, folder: &Path) -> (Command, PathBuf) {
    let aliases = folder.join("aliases");
    assert!(Command::new("mkfifo").arg(&aliases).status().expect("it starts").success());
    let mut command = client(mode, "central:12345", folder);
    command.env("HOSTALIASES", &aliases);
    (command, aliases)
}

/// Waits until the resolver reads the aliases; it goes on reading as long as what this returns lives.
fn wait_for_look_up(aliases: &Path) -> OwnedFd {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        // Fails without a reader.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(aliases, flags, Mode::empty()) {
            Ok(pipe) => return pipe,
            Err(error) => assert_eq!(error, Errno::NXIO),
        }
        let failure =
            "the C library looks no name up: does /etc/nsswitch.conf ask another before dns?";
        assert!(Instant::now() < deadline, "{failure}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What SIGUSR2 is answered with.
const COUNT: &str = "action: count | result: success | turns: ";

/// Sends a signal that asks for the end: it comes in order, for this cause.
fn ends_within_a_second(agency: Client, signal: Signal, name: &str) {
    within_a_second(agency.id(), name, move || {
        agency.signal(signal);
        agency.ends_because_of(name);
    });
}

/// Sends a signal that is answered by a line that contains this.
fn answers_within_a_second(agency: &mut Client, signal: Signal, line: &str) {
    within_a_second(agency.id(), line, || {
        agency.signal(signal);
        agency.wait_for(line);
    });
}

#[test]
fn each_that_asks_for_the_end_ends_an_agency_that_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    for (signal, name) in STOPS {
        let mut command = client("loteria", &server.address(), folder.path());
        command.env("CLI_LOG_LEVEL", "DEBUG");
        let mut agency = Client::start(command);
        agency.wait_for("action: introduce | result: success");
        ends_within_a_second(agency, signal, name);
    }
}

#[test]
fn a_name_server_that_is_silent_holds_up_no_signal() {
    for mode in MODES {
        for (signal, name) in STOPS {
            let folder = tempfile::tempdir().expect("a folder");
            let (command, aliases) = silent(mode, folder.path());
            let mut agency = Client::start(command);
            let _silent = wait_for_look_up(&aliases);
            answers_within_a_second(&mut agency, Signal::USR1, "| connection: looking_up | ");
            ends_within_a_second(agency, signal, name);
        }
    }
}

/// The timeout of an answer is that of a look-up, and the attempts are counted; the process doesn't
/// wait for the thread that still looks up.
#[test]
fn a_look_up_without_an_answer_is_given_up() {
    for mode in MODES {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut command, _aliases) = silent(mode, folder.path());
        command.env("CLI_RESPONSE_TIMEOUT", "50ms").env("CLI_RETRY_MAX_ATTEMPTS", "3");
        command.env("CLI_RETRY_MIN_DELAY", "1ms");
        let agency = Client::start(command);
        let (code, text) = agency.end();
        assert_eq!(code, Some(1), "{text}");
        let error = "error: the name wasn't looked up within 50ms\n";
        assert_eq!(text.matches(error).count(), 3, "{text}");
    }
}

#[test]
fn a_name_leads_to_the_central() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let address = server.address().replace("127.0.0.1", "localhost");
    let output = output(&mut client("loteria", &address, folder.path()));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("action: consulta_ganadores | result: success"), "{text}");
}

#[test]
fn each_that_asks_for_something_else_is_answered_and_ends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let mut command = client("loteria", &server.address(), folder.path());
    command.env("CLI_LOG_LEVEL", "DEBUG");
    let mut agency = Client::start(command);
    agency.wait_for("action: finish | result: success");
    for signal in NONE {
        agency.signal(signal);
    }
    let status = "action: status | result: success | client_id: 1 | connection: open | \
                  stage: waiting_for_draw | posicion: 10 | bytes: ";
    answers_within_a_second(&mut agency, Signal::USR1, status);
    answers_within_a_second(&mut agency, Signal::USR2, COUNT);
    ends_within_a_second(agency, Signal::TERM, "SIGTERM");

    let mut command = client("echo", &server.address(), folder.path());
    command.envs([("CLI_LOOP_AMOUNT", "2"), ("CLI_LOOP_PERIOD", "1h"), ("CLI_LOG_LEVEL", "DEBUG")]);
    let mut echo = Client::start(command);
    // The answer comes first, and the end of the connection only when the central has closed it too.
    echo.wait_for("action: close_connection | result: success");
    let status = "| client_id: 1 | connection: none | message: 1 | of: 2\n";
    answers_within_a_second(&mut echo, Signal::USR1, status);
    answers_within_a_second(&mut echo, Signal::USR2, COUNT);
    ends_within_a_second(echo, Signal::TERM, "SIGTERM");
}

/// The result is logged; what is left is to stay for an hour.
#[test]
fn the_delay_of_the_exit_holds_up_no_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[]);
    let mut command = client("echo", &server.address(), folder.path());
    command.envs([("CLI_LOOP_AMOUNT", "1"), ("CLI_EXIT_DELAY", "1h")]);
    let mut echo = Client::start(command);
    echo.wait_for("action: loop_finished | result: success");
    ends_within_a_second(echo, Signal::TERM, "SIGTERM");
}

/// `nohup` ignores SIGHUP for a program that is to outlive the terminal: it stays ignored.
#[test]
fn a_hangup_that_was_ignored_before_stays_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let plain = client("loteria", &server.address(), folder.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\""]).arg(plain.get_program()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("CLI_LOG_LEVEL", "DEBUG");
    let mut agency = Client::start(shell);
    agency.wait_for("action: finish | result: success");
    agency.signal(Signal::HUP);
    answers_within_a_second(&mut agency, Signal::USR1, "action: status | result: success");
    ends_within_a_second(agency, Signal::TERM, "SIGTERM");
}

/// A terminal that was stopped by Ctrl-S takes neither log nor progress bar, and holds up no signal.
#[test]
fn a_stopped_terminal_holds_up_no_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&[("SERVER_AGENCIES", "2"), ("LOGGING_LEVEL", "DEBUG")]);
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let shown = openpt(flags).expect("a terminal");
    grantpt(&shown).and_then(|()| unlockpt(&shown)).expect("it is ours");
    let name = ptsname(&shown, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let written = rustix::fs::open(name, flags, Mode::empty()).expect("the other end");
    rustix::io::write(&shown, b"\x13").expect("Ctrl-S");
    let mut command = client("loteria", &server.address(), folder.path());
    command.stdout(written.try_clone().expect("once more")).stderr(written).env("TERM", "xterm");
    let mut agency = command.spawn().expect("it starts");
    drop(command);
    server.wait_for("action: finish | result: success | agency: 1");
    let ended = pidfd_open(Pid::from_child(&agency), PidfdFlags::empty()).expect("it is ours");
    let mut stopwatch = Stopwatch::start(agency.id());
    kill_process(Pid::from_child(&agency), Signal::TERM).expect("it runs");
    let in_time = stopwatch.wait(&ended, PollFlags::IN, Duration::from_secs(1));
    if in_time.is_err() {
        agency.kill().expect("it runs");
    }
    assert_eq!(agency.wait().expect("it ends").code(), Some(0), "{in_time:?}");
}

/// The other end of this pipe is never opened, and a second reading would find nothing in it.
#[test]
fn bets_in_a_named_pipe_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("bets");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let mut command = client("loteria", "127.0.0.1:1", folder.path());
    command.env("CLI_DATA_PATH", &pipe);
    let output = output(&mut command);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("must be a regular file: it is read twice; found a pipe"), "{text}");
    // A later opener finds no reader.
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(&pipe);
    opened.expect("a pipe").write_all(b"x").expect("it has room");
}
