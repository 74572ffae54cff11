//! The real binary on loopback, as a peer and an operator see it.
//!
//! Waits are bounded and end when what they wait for is there; nothing sleeps to let time pass.

use std::io::{BufRead as _, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use kit::process::{TIMEOUT, free_port, output};
use kit::server::{Server, command};

/// Everything that the peer sends until it closes.
fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end, not a reset");
    bytes
}

fn ask(server: &Server, input: &[u8]) -> Vec<u8> {
    let mut stream = server.connect();
    stream.write_all(input).expect("sent");
    read_all(&stream)
}

#[test]
fn echo_answers_a_line_however_it_arrives() {
    let server = Server::start(&[]);
    assert_eq!(ask(&server, b"hola\n"), b"hola\n");
    assert_eq!(ask(&server, b"\xff\xfe not UTF-8 | \x01\n"), b"\xff\xfe not UTF-8 | \x01\n");
    let mut slow = server.connect();
    for byte in b"byte by byte\n" {
        slow.write_all(&[*byte]).expect("sent");
    }
    assert_eq!(read_all(&slow), b"byte by byte\n");
    let mut ended = server.connect();
    ended.write_all(b"no newline").expect("sent");
    ended.shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(read_all(&ended), b"no newline\n");
    let log = server.stop();
    assert!(
        log.contains("action: receive_message | result: success | ip: 127.0.0.1 | msg: hola\n")
    );
    assert!(log.contains("| msg: \\xff\\xfe not UTF-8 \\x7c \\x01\n"), "{log}");
}

#[test]
fn echo_keeps_the_connection_when_configured() {
    let server = Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let mut stream = server.connect();
    stream.write_all(b"one\ntwo\nthree").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(read_all(&stream), b"one\ntwo\nthree\n");
}

#[test]
fn a_line_without_an_end_is_refused_and_no_other_peer_notices() {
    // 500 connect faster than the server accepts: the kernel's queue must hold them.
    let server = Server::start(&[("SERVER_LISTEN_BACKLOG", "512")]);
    let idle: Vec<_> = (0..500).map(|_| server.connect()).collect();
    let mut stream = server.connect();
    // The server stops reading for good at some point: what matters is that it answers.
    let _ = stream.write_all(&vec![b'x'; 3_000_000]);
    let answer = String::from_utf8(read_all(&stream)).expect("text");
    assert_eq!(
        answer,
        "error: a line is at most 65536 bytes long, found more than that without a newline\n"
    );
    assert_eq!(ask(&server, b"still there\n"), b"still there\n");
    for mut stream in &idle {
        stream.write_all(b"me too\n").expect("sent");
        assert_eq!(read_all(stream), b"me too\n");
    }
}

#[test]
fn sigterm_ends_in_order_even_with_peers_that_do_not_read() {
    let server =
        Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true"), ("SERVER_SHUTDOWN_TIMEOUT", "200ms")]);
    let mut not_reading = server.connect();
    // More than the kernel buffers hold: its answers wait in the server, which reads no more when
    // nothing is taken for so long.
    not_reading.set_write_timeout(Some(Duration::from_secs(1))).expect("set");
    let line = [b"x".repeat(8190), b"\n".to_vec()].concat();
    while not_reading.write(&line).is_ok() {}
    let mut idle = server.connect();
    idle.write_all(b"hola\n").expect("sent");
    let mut answer = [0; 5];
    idle.read_exact(&mut answer).expect("an answer");
    let log = server.stop();
    let lines =
        ["action: close_listener | result: success\n", "action: close_ledger | result: success"];
    for line in lines {
        assert_eq!(log.matches(line).count(), 1, "{line} in {log}");
    }
    assert_eq!(
        log.matches("action: close_connection | result: success | ip: 127.0.0.1").count(),
        2
    );
    for reason in ["closed by this side\n", "shutdown timeout exceeded, "] {
        assert_eq!(log.matches(&format!("| reason: {reason}")).count(), 1, "{log}");
    }
}

#[test]
fn the_second_central_on_a_ledger_refuses_to_start() {
    let server = Server::start(&[]);
    let ledger = server.folder().join("bets.csv");
    let path = ledger.to_str().expect("a plain name");
    let output = output(&mut command(&[("SERVER_STORAGE_PATH", path)]));
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).expect("text");
    assert!(log.contains("another central has this ledger open"), "{log}");
    server.stop();
}

#[test]
fn a_configuration_that_cannot_be_used_is_named_and_ends_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.ini");
    std::fs::write(&file, "[DEFAULT]\nSERVER_PORT = abc\n").expect("written");
    let mut command = command(&[("SERVER_AGENCIES", "many")]);
    command.args(["--config", file.to_str().expect("a plain name"), "--sync", "sometimes"]);
    let output = output(command.env_remove("SERVER_PORT"));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let expected = format!(
        "error: {}:2: SERVER_PORT = \"abc\": expected a TCP port, 0 to 65535 (0: any free one)\n\
         error: environment variable SERVER_AGENCIES = \"many\": expected a number, 0 to 10000\n\
         error: command line: --sync = \"sometimes\": expected always or never\n",
        file.display()
    );
    assert_eq!(String::from_utf8(output.stderr).expect("text"), expected);
}

#[test]
fn help_version_and_check_config_end_at_once() {
    for (argument, expected) in [
        ("--help", "--listen-backlog <NUMBER>"),
        ("--version", env!("CARGO_PKG_VERSION")),
        ("--check-config", "SERVER_AGENCIES = 5    (default)"),
    ] {
        let output = output(command(&[]).arg(argument));
        assert_eq!(output.status.code(), Some(0), "{argument}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains(expected), "{argument}: {text}");
    }
}

#[test]
fn log_lines_without_reader_stop_nothing() {
    let (server, log) = Server::start_with_log(&[]);
    drop(log);
    for _ in 0..100 {
        assert_eq!(ask(&server, b"hola\n"), b"hola\n");
    }
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_log_reader_that_stops_reading_stops_nothing() {
    let (server, log) = Server::start_with_log(&[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let mut stream = server.connect();
    // Far more lines than a pipe holds.
    let line = [b"x".repeat(1000), b"\n".to_vec()].concat();
    for _ in 0..500 {
        stream.write_all(&line).expect("sent");
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer).expect("an answer");
    }
    drop(stream);
    assert_eq!(server.terminate().code(), Some(0));
    drop(log);
}

#[test]
fn a_health_check_is_answered_and_leaves_no_line_at_info() {
    let (port, admin) = (free_port().to_string(), format!("[::]:{}", free_port()));
    let server = Server::start(&[("SERVER_PORT", &port), ("SERVER_ADMIN_ADDRESS", &admin)]);
    let check = |setting| output(command(&[setting]).arg("healthcheck"));
    let (echo, readiness) = (("SERVER_PORT", &*port), ("SERVER_ADMIN_ADDRESS", &*admin));
    for asked in [echo, readiness].repeat(3) {
        let output = check(asked);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let log = server.stop();
    assert_eq!(log.matches("accept_connections").count(), 1, "the one at the start: {log}");
    for action in ["receive_message", "close_connection", "accept_admin"] {
        assert!(!log.contains(action), "{log}");
    }
    for asked in [echo, readiness] {
        let output = check(asked);
        assert_eq!(output.status.code(), Some(1), "nothing listens there any more");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with("error: 127.0.0.1:"), "{error}");
        let setting = if asked == echo { "SERVER_PORT or" } else { "SERVER_ADMIN_ADDRESS" };
        assert!(error.contains(&format!("has another {setting}")), "{error}");
    }
}

#[test]
fn refusals_of_one_cause_are_logged_once_and_counted() {
    let server = Server::start(&[("SERVER_REFUSAL_LOG_INTERVAL", "1h")]);
    for _ in 0..50 {
        let mut stream = server.connect();
        // A frame of an unknown kind.
        stream.write_all(&[0xBE, 0x77, 0, 4]).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the refusal, and the end");
        assert_eq!(answer[1], 0xFF);
    }
    let log = server.stop();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("refuse_connection")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("| ip: 127.0.0.1 | code: 3 | error: "), "{lines:?}");
    assert!(lines[1].ends_with("| error: code 3 | more: 49 | total: 50"), "{lines:?}");
}

/// The central takes nothing of a whole record, and yet the end comes without a reset.
#[test]
fn tls_is_refused_with_a_line_logged_once_and_counted() {
    let server = Server::start(&[("SERVER_REFUSAL_LOG_INTERVAL", "1h")]);
    let error = "error: this central takes no TLS (SERVER_TLS=off)";
    for _ in 0..50 {
        let record = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 506]].concat();
        assert_eq!(ask(&server, &record), format!("{error}\n").as_bytes());
    }
    let log = server.stop();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("refuse_connection")).collect();
    let begin = "WARNING  action: refuse_connection | result: fail | ";
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with(&format!(" {begin}ip: 127.0.0.1 | {error}")), "{lines:?}");
    assert!(lines[1].ends_with(&format!(" {begin}{error} | more: 49 | total: 50")), "{lines:?}");
    assert!(!log.contains("receive_message"), "it is no line of text: {log}");
}

/// Each kind of line has a budget of its own; a budget that isn't exceeded logs nothing.
#[test]
fn lines_that_a_peer_can_repeat_are_logged_up_to_a_budget_and_counted() {
    let server = Server::start(&[
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_MAX_LOG_LINES", "100"),
        ("SERVER_REFUSAL_LOG_INTERVAL", "1h"),
    ]);
    for count in [100, 5000] {
        let input = b"x\n".repeat(count);
        let mut stream = server.connect();
        stream.write_all(&input).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half-closed");
        assert_eq!(read_all(&stream), input);
    }
    let log = server.stop();
    let echoed: Vec<_> = log.lines().filter(|line| line.contains("receive_message")).collect();
    let (logged, counted) = echoed.split_at(100);
    let line = " INFO     action: receive_message | result: success | ip: 127.0.0.1 | msg: x";
    assert!(logged.iter().all(|logged| logged.ends_with(line)), "{logged:?}");
    let outcome = " WARNING  action: receive_message | result: success";
    assert_eq!(counted.len(), 2, "{counted:?}");
    let warning = "| log_lines: 100 | warning: more are only counted for a while";
    assert!(counted[0].ends_with(&format!("{outcome} {warning}")), "{counted:?}");
    assert!(counted[1].ends_with(&format!("{outcome} | more: 5000 | total: 5100")), "{counted:?}");
    assert_eq!(log.matches("accept_connections | result: success").count(), 2, "{log}");
}

#[test]
fn counts_are_logged_while_they_grow_and_the_next_interval_has_a_budget_again() {
    let (server, log) = Server::start_with_log(&[
        ("SERVER_MAX_LOG_LINES", "1"),
        ("SERVER_LOG_INTERVAL", "100ms"),
        ("SERVER_REFUSAL_LOG_INTERVAL", "10ms"),
    ]);
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // The receiver is gone when the test is done.
        log.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
    });
    let deadline = Instant::now() + TIMEOUT;
    for expected in ["| msg: x", "counted for a while", "| more: ", "| msg: x"] {
        let is_next = |line: String| line.contains("receive_message") && line.contains(expected);
        while !lines.try_iter().any(is_next) {
            assert!(Instant::now() < deadline, "no line with {expected:?}");
            assert_eq!(ask(&server, b"x\n"), b"x\n");
        }
    }
}

#[test]
fn a_long_line_is_echoed_whole_and_logged_in_part() {
    let server = Server::start(&[]);
    let line = [vec![b'x'; 64 << 10], b"\n".to_vec()].concat();
    assert_eq!(ask(&server, &line), line);
    let log = server.stop();
    let shown = format!("| msg: {}... (65536 bytes)\n", "x".repeat(1024));
    assert!(log.contains(&shown), "{log}");
}

#[test]
fn a_reader_of_the_log_who_comes_late_gets_it_although_nothing_else_happens() {
    const LINES: usize = 3000;
    let (server, log) = Server::start_with_log(&[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let input = b"more of them than a pipe holds\n".repeat(LINES);
    let mut stream = server.connect();
    stream.write_all(&input).expect("sent");
    stream.read_exact(&mut vec![0; input.len()]).expect("echoed");
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let echoed = |line: &String| line.contains("receive_message");
        // The receiver is gone when the test is done.
        log.lines().map_while(Result::ok).filter(echoed).all(|line| sender.send(line).is_ok())
    });
    for number in 0..LINES {
        lines.recv_timeout(TIMEOUT).unwrap_or_else(|error| panic!("line {number}: {error}"));
    }
}
