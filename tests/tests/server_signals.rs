//! What each signal makes of a central, in every state that it can be in.

use std::io::{BufRead, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kit::frames;
use kit::log::in_progress;
use kit::process::output;
use kit::programs::binary;
use kit::server::{Server, command};
use kit::stopwatch::{blamed_until, within_a_second};
use kit::{reads, strace};
use rustix::process::{Pid, Signal, kill_process};

/// Those that ask for the end.
const STOPS: [(Signal, &str); 6] = [
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::POWER, "SIGPWR"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::ALARM, "SIGALRM"),
];

/// Those that have no meaning, and would end a process that doesn't know them.
const NONE: [Signal; 5] = [Signal::XFSZ, Signal::IO, Signal::PROF, Signal::VTALARM, Signal::STKFLT];

/// Reads lines until one contains `text`; all that were read.
fn read_until(log: &mut impl BufRead, text: &str) -> String {
    let (mut lines, mut start) = (String::new(), 0);
    while !lines[start..].contains(text) {
        start = lines.len();
        assert!(log.read_line(&mut lines).expect("text") > 0, "no {text}: {lines}");
    }
    lines
}

fn assert_serves(server: &Server) {
    let mut stream = server.connect();
    stream.write_all(b"still there\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    assert_eq!(answer, b"still there\n");
}

/// So many bets of agency 1, all in the ledger.
fn store(server: &Server, batches: u64) {
    let bets = [("12345678", "7"); 100];
    let mut input = frames::hello(1);
    for position in (0..batches).map(|batch| batch * bets.len() as u64) {
        input.extend(frames::batch(position, &bets));
    }
    let mut stream = server.connect();
    let mut writer = stream.try_clone().expect("the same socket");
    let sending = std::thread::spawn(move || {
        writer.write_all(&input).expect("sent");
        writer.shutdown(Shutdown::Write).expect("half-closed");
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    sending.join().expect("no panic");
    let (received, _) = frames::responses(&answer);
    assert_eq!(received.last(), Some(&format!("stored {}", batches * bets.len() as u64)));
}

/// Sends a signal that asks for the end; how it ended, and its whole log.
fn wait_within_a_second(server: &mut Server, signal: Signal, name: &str) -> (ExitStatus, String) {
    within_a_second(server.pid(), name, || {
        server.signal(signal);
        server.wait()
    })
}

#[test]
fn each_that_asks_for_the_end_ends_in_order() {
    for (signal, name) in STOPS {
        let mut server = Server::start(&[]);
        let _idle = server.connect();
        let (status, log) = wait_within_a_second(&mut server, signal, name);
        assert_eq!(status.code(), Some(0), "{name}: {log}");
        let cause = format!("action: shutdown | result: in_progress | cause: {name}\n");
        for line in [&cause, "action: close_listener | result: success", "action: close_ledger"] {
            assert!(log.contains(line), "{name}: {log}");
        }
    }
}

#[test]
fn a_second_one_ends_at_once_whichever_it_is() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::QUIT, Signal::ALARM)] {
        let limits = [("SERVER_SHUTDOWN_TIMEOUT", "1m"), ("SERVER_LINGER_TIMEOUT", "1m")];
        let (mut server, mut log) = Server::start_with_log(&limits);
        let _lazy = server.connect();
        read_until(&mut log, "action: accept_connections | result: success");
        server.signal(first);
        read_until(&mut log, "action: shutdown | result: in_progress");
        // The same one is another only after a moment.
        let status =
            within_a_second(server.pid(), "another one", || server.signal_until_it_ends(second));
        assert_eq!(status.code(), Some(130));
    }
}

/// `timeout` sends its signal to its child, and microseconds later to the group that the child is in.
/// On a busy machine the second may come late, and count: hardly ever many times in a row.
#[test]
fn timeout_ends_it_in_order() {
    let ends_in_order = || {
        let plain = command(&[]);
        let mut timeout = Command::new("timeout");
        timeout.args(["--preserve-status", "60"]).arg(plain.get_program()).env_clear();
        timeout.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut server = Server::start_command(timeout);
        server.signal(Signal::TERM);
        server.wait().0.code() == Some(0)
    };
    assert!((0..20).any(|_| ends_in_order()));
}

#[test]
fn each_that_asks_for_something_else_is_answered_and_ends_nothing() {
    let (server, mut log) = Server::start_with_log(&[("SERVER_AGENCIES", "3")]);
    store(&server, 3);
    let _idle = server.connect();
    read_until(&mut log, "action: apuesta_recibida | result: success | cantidad: 100");
    for (signal, line) in [
        (Signal::HUP, "action: reload | result: success | cause: SIGHUP | reloaded: nothing\n"),
        (
            Signal::USR1,
            "action: status | result: success | agencies: 3 | finished: 0 | missing: 1 2 3 | \
             bets: 300 | drawn: false | connections: ",
        ),
        (Signal::USR2, "action: count | result: success | turns: "),
    ] {
        within_a_second(server.pid(), line, || {
            server.signal(signal);
            read_until(&mut log, line)
        });
        assert_serves(&server);
    }
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn those_without_a_meaning_change_nothing() {
    let server = Server::start(&[]);
    for signal in NONE {
        server.signal(signal);
        assert_serves(&server);
    }
    server.stop();
}

/// A line a second at most for each kind, however many come.
#[test]
fn a_flood_of_signals_does_not_flood_the_log() {
    let begun = Instant::now();
    let server = Server::start(&[]);
    for _ in 0..1000 {
        for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
            server.signal(signal);
        }
    }
    assert_serves(&server);
    let log = server.stop();
    let most = 1 + begun.elapsed().as_secs();
    for action in ["action: reload ", "action: status ", "action: count "] {
        let count = log.matches(action).count() as u64;
        assert!(count > 0 && count <= most, "{action}{count} times, at most {most}");
    }
}

/// `ulimit -f`: the write that goes beyond it fails, as on a full disk. Nothing of that batch is
/// stored, everything else goes on.
#[test]
fn a_ledger_that_may_not_grow_is_a_full_disk() {
    const SCRIPT: &str = "ulimit -f 2200; exec \"$0\"";
    let plain = command(&[("SERVER_AGENCIES", "1")]);
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(SCRIPT).arg(plain.get_program()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Server::start_command(shell);
    let bets = [("12345678", "7"); 200];
    let mut stream = server.connect();
    stream.write_all(&frames::hello(1)).expect("sent");
    let mut position = 0;
    let mut received = String::new();
    while !received.starts_with("unavailable") {
        stream.write_all(&frames::batch(position, &bets)).expect("sent");
        position += bets.len() as u64;
        assert!(position < 200_000, "nothing failed");
        received = next_response(&mut stream);
    }
    assert_serves(&server);
    drop(stream);
    let (status, log) = wait_within_a_second(&mut server, Signal::TERM, "SIGTERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("File too large"), "{log}");
}

/// The next response that isn't the welcome.
fn next_response(stream: &mut impl Read) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = reads::read(stream, &mut buffer).expect("answered");
        assert!(count > 0, "the connection ended");
        bytes.extend_from_slice(&buffer[..count]);
        let (received, rest) = frames::responses(&bytes);
        let response = received.into_iter().find(|response| !response.starts_with("welcome"));
        if let Some(response) = response
            && rest.is_empty()
        {
            return response;
        }
    }
}

/// A central on a slow disk: strace holds each of these calls up.
fn slow(calls: &str, folder: &Path, environment: &[(&str, &str)]) -> Child {
    let mut command = command(environment);
    command.env("SERVER_STORAGE_PATH", folder.join("bets.csv"));
    let arguments = [
        format!("--trace={calls}"),
        format!("--inject={calls}:delay_enter=100ms"),
        format!("--trace-path={}", folder.join("bets.csv").display()),
        format!("--trace-path={}", folder.join("bets.csv.wal").display()),
    ];
    let mut traced = strace::traced(&command, &folder.join("trace"), &arguments);
    traced.stdout(Stdio::piped()).spawn().expect("it starts")
}

/// Ends it by SIGTERM as soon as it has logged how far the opening of its ledger is.
fn end_while_opening(mut central: Child) -> String {
    let mut log = reads::lines(central.stdout.take().expect("piped"));
    let mut text = read_until(&mut log, "action: recover_ledger | result: in_progress | step: ");
    let status = within_a_second(central.id(), "SIGTERM", || {
        kill_process(Pid::from_child(&central), Signal::TERM).expect("it runs");
        log.read_to_string(&mut text).expect("text");
        central.wait().expect("its output has ended")
    });
    assert_eq!(status.code(), Some(0), "{text}");
    text
}

/// Reading back takes as long as it takes, but is logged, and ends when it is asked to. Nothing has
/// changed then.
#[test]
fn a_recovery_says_how_far_it_is_and_ends_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let storage = [("SERVER_STORAGE_PATH", path.to_str().expect("a plain name"))];
    let server = Server::start_command(command(&storage));
    store(&server, 100);
    drop(server);
    let files = [path.clone(), path.with_extension("csv.wal")];
    let before = files.each_ref().map(|path| std::fs::read(path).expect("it is there"));
    let text = end_while_opening(slow("pread64", folder.path(), &[]));
    for line in [
        "action: shutdown | result: in_progress | cause: SIGTERM\n",
        "action: close_ledger | result: success | path: ",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("action: listen "), "{text}");
    let after = files.each_ref().map(|path| std::fs::read(path).expect("it is there"));
    assert!(before == after, "the ledger has changed");
    let log = Server::start_command(command(&storage)).stop();
    assert!(log.contains("| bets: 10000\n"), "{log}");
}

#[test]
fn making_a_ledger_ends_in_order_too() {
    let folder = tempfile::tempdir().expect("a folder");
    end_while_opening(slow("pwrite64", folder.path(), &[("SERVER_WAL_SEGMENT_SIZE", "256MiB")]));
}

/// A line a second, as far as the central is to blame for what passes, and no more of them.
#[test]
fn how_far_a_recovery_is_is_said_every_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = [("SERVER_WAL_SEGMENT_SIZE", "64MiB")];
    let mut central = slow("pwrite64", folder.path(), &large);
    let mut log = reads::lines(central.stdout.take().expect("piped"));
    let mut times = Vec::new();
    for _ in 0..4 {
        let said = "action: recover_ledger | result: in_progress | step: fill the wal | bytes: ";
        let (text, blamed) = blamed_until(central.id(), || read_until(&mut log, said));
        // The second, and what is between two looks at the clock: a piece of the file.
        assert!(blamed < Duration::from_secs(2), "nothing was said for {blamed:.2?}: {text}");
        times.extend(in_progress(&text, "recover_ledger").map(|line| line.time.to_owned()));
    }
    central.kill().and_then(|()| central.wait()).expect("it is ours");
    let count = times.len();
    times.dedup();
    assert_eq!(times.len(), count, "no two of a second: {times:?}");
}

/// A configuration is read at once or not at all: the other end of this pipe is never opened.
#[test]
fn a_configuration_in_a_named_pipe_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("config.ini");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let output = output(Command::new(binary("server")).env_clear().arg("--config").arg(&pipe));
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("can't read it: must be a regular file, found a pipe"), "{text}");
}

/// One for each signal that is taken over, and in the middle of it: none of them is lost. Ends when
/// there is none left to interrupt.
#[test]
fn a_signal_at_any_moment_of_the_start_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for count in 1..100 {
        let trace = folder.path().join(format!("trace-{count}"));
        let mut command = command(&[]);
        command.env("SERVER_STORAGE_PATH", folder.path().join(format!("bets-{count}.csv")));
        let inject = format!("--inject=rt_sigaction:signal=SIGTERM:when={count}");
        let mut traced =
            strace::traced(&command, &trace, &["--trace=rt_sigaction".to_owned(), inject]);
        let mut central = traced.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut log = reads::lines(central.stdout.take().expect("piped"));
        let mut text = String::new();
        while !text.contains("action: listen | result: success") {
            if log.read_line(&mut text).expect("text") == 0 {
                break;
            }
        }
        let came = std::fs::read_to_string(&trace).expect("a trace").contains("--- SIGTERM");
        if !came {
            central.kill().expect("it runs");
            central.wait().expect("it ends");
            assert!(count > STOPS.len(), "strace interrupts nothing");
            return;
        }
        let read = log.read_to_string(&mut text);
        central.kill().expect("it has ended, or runs in vain");
        central.wait().expect("it ends");
        assert!(read.is_ok(), "call {count}: the signal was lost: {text}");
    }
    panic!("no start takes over as many signals");
}
