//! The agency's binary against centrals that respond what they like, over real connections: it ends, logs
//! why, and is called no more often than it may call.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kit::client::Client;
use kit::inputs::file;
use kit::process::TIMEOUT;
use kit::programs::binary;
use kit::scripted_central::{self, Peer, Script};
use kit::server::Server;
use rustix::process::Signal;
use wire::{Checksum, ErrorCode, FRAME_MAX, Field, Phase, Response};

/// Bets of the agency: three batches.
const BETS: u64 = 250;

/// Everything up to the question for the winners.
fn finish(peer: &mut Peer) -> io::Result<()> {
    peer.finish(BETS)
}

fn agency(address: &str, path: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary("client"));
    command.env_clear().stdin(Stdio::null());
    command.env("CLI_ID", "1").env("CLI_SERVER_ADDRESS", address).env("CLI_DATA_PATH", path);
    command
        .env("CLI_RETRY_MIN_DELAY", "1ms")
        .env("CLI_RETRY_MAX_DELAY", "2ms")
        .env("CLI_RETRY_MAX_ATTEMPTS", "4");
    command.envs(environment.iter().copied());
    command
}

/// Runs an agency against a script; returns how it ended, its log, and how often it connected.
fn run(script: Script, environment: &[(&str, &str)]) -> (Option<i32>, String, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), 1, usize::try_from(BETS).expect("small"), 10);
    let (reporter, calls) = mpsc::channel();
    let address = scripted_central::start(script, reporter);
    let (code, log) = Client::start(agency(&address.to_string(), &path, environment)).end();
    // The central may have to take the agency's last call yet: this one is behind it.
    let own = TcpStream::connect(address).and_then(|own| own.local_addr()).expect("it listens");
    let next = || calls.recv_timeout(TIMEOUT).expect("it takes every call");
    let count = std::iter::from_fn(|| Some(next()).filter(|call| call.from != own)).count();
    (code, log, count)
}

/// In every mode, and whether or not it ends with a line.
#[test]
fn another_service_is_distinguished_from_a_central() {
    let other = "another service, not a central of the lottery,";
    let services: [(Script, &str, &str, &str); 4] = [
        (|peer| peer.greet(b"SSH-2.0-OpenSSH_9.2\r\n"), other, "SSH", ""),
        (|peer| peer.greet(b"220 mail.example ESMTP\r\n"), other, "SMTP or FTP", ""),
        (|peer| peer.greet(b"HTTP/1.1 400 Bad Request\r\n\r\n"), other, "HTTP", ""),
        (
            |peer| peer.greet(b"\x15\x03\x01\x00\x02\x02\x46"),
            "no central that takes plaintext",
            "TLS, an alert",
            "set CLI_TLS=on if it is one that takes TLS, or ",
        ),
    ];
    for (script, who, name, remedy) in services {
        for mode in ["loteria", "apuesta", "echo"] {
            let bet = [
                ("CLI_MODE", mode),
                ("NOMBRE", "Ana"),
                ("APELLIDO", "Paz"),
                ("DOCUMENTO", "1"),
                ("NACIMIENTO", "1990-01-01"),
                ("NUMERO", "7574"),
            ];
            let (code, log, calls) = run(script, &bet);
            let expected = format!(
                ": {who} answers there (it looks like {name}): {remedy}check CLI_SERVER_ADDRESS \
                 (server.address); it says: "
            );
            assert!(log.contains(&expected), "{mode}: {expected}: {log}");
            assert_eq!((code, calls), (Some(1), 1), "{mode}: {log}");
        }
    }
}

/// Responses that can't be, and what the agency logs of each.
const IMPOSSIBLE: [(Script, &str); 13] = [
    (
        |peer| peer.respond(&Response::Stored { consumed: 0 }),
        "expected the answer to HELLO, found STORED with 0 bets consumed",
    ),
    (
        |peer| peer.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n"),
        "(it looks like HTTP): check CLI_SERVER_ADDRESS (server.address); it says: HTTP/1.1 400 Bad \
         Request\\r\\n\n",
    ),
    (
        |peer| {
            peer.welcome()?;
            peer.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n")
        },
        "error: a frame begins with byte 0xbe, found 0x48\n",
    ),
    (|peer| peer.stream.write_all(b"\xbe\x81\xff\xff"), "a frame is at most 8192 bytes long"),
    (
        |peer| peer.stream.write_all(b"\xbe\xff\x00\x0b\x05Nicol\xe1"),
        "it isn't from byte 5 on; it holds: \\x05Nicol\\xe1\n",
    ),
    (
        |peer| peer.respond(&Response::UnknownError { code: 99, reason: "in 2030" }),
        "with code 99, which this version doesn't know: in 2030\n",
    ),
    (
        |peer| {
            let mut frame = vec![b'x'; FRAME_MAX];
            frame[..5].copy_from_slice(&[0xbe, 0xff, 0x20, 0x00, 5]);
            peer.stream.write_all(&frame)
        },
        "xxx... (8216 bytes)\n",
    ),
    (
        |peer| {
            peer.take_all()?;
            peer.respond(&Response::Finished { stored: 249, rejected: 1 })
        },
        "FINISHED: expected 250 bets stored and 0 rejected, as it has acknowledged one by one, \
         found 249 and 1\n",
    ),
    (
        |peer| {
            peer.welcome()?;
            peer.respond(&Response::Unavailable { consumed: 999_999, reason: "full" })
        },
        "UNAVAILABLE: expected 0 bets consumed, found 999999\n",
    ),
    (
        |peer| {
            peer.welcome()?;
            let (field, reason) = (Field::Number, "bad");
            peer.respond(&Response::Rejected { consumed: 100, index: 100, field, reason })
        },
        "REJECTED: expected the index of one of the batch's 100 bets, from 0, found 100\n",
    ),
    (
        |peer| {
            finish(peer)?;
            loop {
                peer.winners(&[b"30904465"], false)?;
            }
        },
        "WINNERS: expected at most 250 winners, as many as bets are stored",
    ),
    (
        |peer| {
            finish(peer)?;
            loop {
                peer.winners(&[], false)?;
            }
        },
        "WINNERS: expected a document, or the end of the list, found neither\n",
    ),
    (
        |peer| {
            peer.welcome()?;
            let (consumed, phase) = (u64::MAX, Phase::Open);
            let checksum = Checksum::default();
            peer.respond(&Response::Welcome { consumed, checksum, rejected: 0, phase })
        },
        "found WELCOME with 18446744073709551615 bets consumed\n",
    ),
];

#[test]
fn what_cannot_be_ends_the_agency_at_once_and_says_why() {
    for (script, expected) in IMPOSSIBLE {
        let (code, log, calls) = run(script, &[]);
        assert!(log.contains("ERROR    action: run | result: fail | error: "), "{log}");
        assert!(log.contains(expected), "{expected}: {log}");
        assert_eq!((code, calls), (Some(1), 1), "{log}");
        assert!(log.len() < 3000, "{log}");
    }
}

/// None of these brings the agency further, so each call is one of the four that it may make.
#[test]
fn a_central_that_brings_nothing_is_called_as_often_as_the_limit_says() {
    let scripts: [(Script, &str); 6] = [
        (|peer| peer.request().map(drop), "closed the connection (before the answer to HELLO)"),
        (Peer::welcome, "(before the answer to bets 0 to 99)"),
        (
            |peer| {
                peer.request()?;
                peer.respond(&Response::Error { code: ErrorCode::ShuttingDown, reason: "goodbye" })
            },
            "the central refuses, code 16: goodbye",
        ),
        (
            |peer| {
                peer.request()?;
                peer.stream.write_all(b"\xbe\x81\x00")
            },
            "closed the connection (in the middle of the answer to HELLO)",
        ),
        (Peer::listen, "no whole answer within 50ms (expected: the answer to HELLO)"),
        (
            |peer| {
                peer.welcome()?;
                // A byte at a time is no answer either, however long it goes on.
                for byte in b"\xbe\x82\x00\x0c\0\0\0\0\0\0\0".iter().cycle() {
                    peer.stream.write_all(&[*byte])?;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            },
            "no whole answer within 50ms (expected: the answer to bets 0 to 99)",
        ),
    ];
    for (script, expected) in scripts {
        let (code, log, calls) = run(script, &[("CLI_RESPONSE_TIMEOUT", "50ms")]);
        assert!(log.contains(expected), "{expected}: {log}");
        assert_eq!((code, calls), (Some(1), 4), "{log}");
        assert_eq!(
            log.matches("WARNING").count(),
            3,
            "one for each attempt that is repeated: {log}"
        );
        assert!(log.contains("action: connect | result: fail | server_address: "), "{log}");
        assert!(log.contains("| attempts: 4 | error: "), "{log}");
    }
}

/// Responds to every request that nothing can be stored now.
fn never_available(peer: &mut Peer) -> io::Result<()> {
    peer.welcome()?;
    loop {
        peer.request()?;
        peer.respond(&Response::Unavailable { consumed: 0, reason: "no space\tleft" })?;
    }
}

#[test]
fn a_storage_that_is_never_available_is_asked_as_often_as_the_limit_says() {
    let (code, log, calls) = run(never_available, &[("CLI_BATCH_WINDOW", "1")]);
    assert_eq!((code, calls), (Some(1), 1), "{log}");
    assert_eq!(log.matches("| cantidad: 100 | error: no space\\tleft\n").count(), 4, "{log}");
    assert!(
        log.contains("action: storage | result: fail | error: unavailable for too long"),
        "{log}"
    );
}

#[test]
fn winners_that_have_begun_arrive_in_time_or_not_at_all() {
    let script: Script = |peer| {
        finish(peer)?;
        peer.stream.write_all(b"\xbe\x86\x00")?;
        peer.listen()
    };
    let (code, log, calls) = run(script, &[("CLI_RESPONSE_TIMEOUT", "500ms")]);
    assert!(log.contains("no whole answer within 500ms (expected: the winners)"), "{log}");
    // It answers WELCOME to the next connection as if nothing had been stored.
    assert!(log.contains("has acknowledged 250 bets of this agency and says now that"), "{log}");
    assert_eq!((code, calls), (Some(1), 2), "{log}");
}

#[test]
fn a_single_bet_is_held_to_the_same_limit() {
    let bet = [("CLI_MODE", "apuesta"), ("NOMBRE", "Ana"), ("APELLIDO", "Paz")];
    let rest = [("DOCUMENTO", "30904465"), ("NACIMIENTO", "1999-03-17"), ("NUMERO", "7574")];
    let environment = [&bet[..], &rest].concat();
    let (code, log, calls) = run(Peer::welcome, &environment);
    assert_eq!((code, calls), (Some(1), 4), "{log}");
    assert!(log.contains("(before the answer to the bet)"), "{log}");
    let (code, log, calls) = run(
        |peer| {
            peer.welcome()?;
            peer.respond(&Response::Stored { consumed: 7 })
        },
        &environment,
    );
    assert_eq!((code, calls), (Some(1), 1), "{log}");
    assert!(log.contains("STORED: expected 1 bets consumed, found 7"), "{log}");
    let (code, log, calls) = run(never_available, &environment);
    assert_eq!((code, calls), (Some(1), 1), "{log}");
    let held = "action: apuesta_enviada | result: in_progress | dni: 30904465 | numero: 7574 | \
                error: no space\\tleft\n";
    assert_eq!(log.matches(held).count(), 4, "it waits and logs that: {log}");
}

/// However much a central rejects, the log has an end, and says how much isn't in it.
#[test]
fn what_a_central_repeats_is_logged_within_a_budget() {
    let (code, log, _) = run(
        |peer| {
            peer.welcome()?;
            let mut consumed = 0;
            loop {
                let (kind, count) = peer.request()?;
                consumed += count;
                let reason = "first name: expected text, found \"Nicol\\xe1s | \"";
                match kind {
                    0x03 => {
                        let (field, index) = (Field::FirstName, 0);
                        peer.respond(&Response::Rejected { consumed, index, field, reason })?;
                    }
                    0x04 => {
                        peer.respond(&Response::Finished { stored: 0, rejected: consumed })?;
                    }
                    _ => peer.winners(&[], true)?,
                }
            }
        },
        &[("CLI_BATCH_MAXAMOUNT", "1"), ("CLI_MAX_LOG_LINES", "3")],
    );
    assert_eq!(code, Some(1), "{log}");
    let rejected = "action: apuesta_enviada | result: fail";
    assert_eq!(log.matches(&format!("{rejected} | cantidad: 1 | posicion: ")).count(), 3, "{log}");
    assert!(log.contains("found \"Nicol\\xe1s \\x7c \" | place: "), "escaped once: {log}");
    assert!(log.contains(", line 3 | field: first name | lines: 3 to 3\n"), "{log}");
    assert!(log.contains(&format!("{rejected} | more: 247 | total: 250")), "{log}");
    let result = "action: consulta_ganadores | result: success | cant_ganadores: 0\n";
    let (_, last) = log.split_once(result).expect("the result");
    let expected = "action: send_bets | result: fail | client_id: 1 | stored: 0 | rejected: 250 | ";
    assert!(last.contains(expected), "{log}");
}

#[test]
fn a_rejected_bet_is_named_by_file_and_line_and_escaped_once() {
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let path = server.folder().join("agency-1.csv");
    let good = "Ana,Paz,1,2000-01-01,7574\n";
    let rows = [&good.repeat(7), "Nico\tlás|,Paz,2,2000-01-01,7574\r\n", &good.repeat(7)];
    std::fs::write(&path, rows.concat()).expect("written");
    let environment = [("CLI_BATCH_MAXAMOUNT", "5"), ("CLI_DATA_CHECK", "off")];
    let (code, log) = Client::start(agency(&server.address(), &path, &environment)).end();
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("apuesta_enviada | result: fail | cantidad: 5 | posicion: 7 | code: 1"),
        "{log}"
    );
    assert!(log.contains("found \"Nico\\tlás\\x7c\""), "{log}");
    let place =
        format!("| place: {}, line 8 | field: first name | lines: 6 to 10\n", path.display());
    assert!(log.contains(&place), "{log}");
    let warning = " | warning: CLI_DATA_CHECK is off: the central judges alone";
    assert!(log.contains(warning), "{log}");
    // Another run with the same file sends nothing, and logs the same.
    let again = Client::start(agency(&server.address(), &path, &environment)).end();
    for (code, log) in [(code, log), again] {
        let result = "action: consulta_ganadores | result: success | cant_ganadores: 10\n";
        let (_, last) = log.split_once(result).expect("the result");
        let expected =
            "action: send_bets | result: fail | client_id: 1 | stored: 10 | rejected: 5 | ";
        assert!(code == Some(1) && last.contains(expected), "{log}");
    }
    server.stop();
}

/// While there is still time: an operator who reads only the result reads it when nothing can be done.
#[test]
fn what_was_rejected_is_logged_before_the_draw_by_both_ends() {
    let mut server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let path = server.folder().join("agency-1.csv");
    let good = "Ana,Paz,1,2000-01-01,7574\n";
    std::fs::write(&path, [good, good, "Ana,Paz,1,2000-01-01,x\n"].concat()).expect("written");
    let environment = [("CLI_BATCH_MAXAMOUNT", "2"), ("CLI_DATA_CHECK", "off")];
    let mut first = Client::start(agency(&server.address(), &path, &environment));
    let rejected =
        "ERROR    action: send_bets | result: fail | client_id: 1 | stored: 2 | rejected: 1 | ";
    first.wait_for(rejected);
    assert!(
        first
            .text()
            .contains("send them as another agency, before the draw: SERVER_AGENCIES one higher"),
        "{}",
        first.text()
    );
    first.wait_for_status(
        "stage: waiting_for_draw | posicion: 3 | bytes: 75 | of: 75 | rejected: 1\n",
    );
    let waits = "action: wait_for_draw | result: in_progress | finished: 1 | of: 2 | missing: 2 | ";
    server.wait_for(&format!("{waits}connected: none | rejected: 1\n"));
    server.signal(Signal::USR1);
    server.wait_for("bets: 2 | drawn: false | connections: 1 | rejected: 1\n");
    let second = server.folder().join("agency-2.csv");
    std::fs::write(&second, good).expect("written");
    let (code, log) = Client::start(agency(&server.address(), &second, &[("CLI_ID", "2")])).end();
    assert_eq!(code, Some(0), "{log}");
    let (code, log) = first.end();
    assert_eq!((code, log.matches(rejected).count()), (Some(1), 2), "{log}");
    assert!(log.lines().last().is_some_and(|line| !line.contains("before the draw")), "{log}");
    let log = server.stop();
    assert!(log.contains(" | posicion: 2 | field: number\n"), "{log}");
}

/// An agency that waits for the draw, by its own status.
fn waiting(server: &Server, environment: &[(&str, &str)]) -> Client {
    let path = file(server.folder(), 1, 10, 5);
    let environment = [environment, &[("CLI_LOG_LEVEL", "DEBUG")]].concat();
    let mut agency = Client::start(agency(&server.address(), &path, &environment));
    agency.wait_for("action: finish | result: success");
    agency
}

/// Warnings of an agency before it calls a central that isn't there.
fn warnings(log: &str) -> Vec<&str> {
    let warnings = log.lines().filter(|line| line.contains(" WARNING "));
    warnings.take_while(|line| !line.contains("not connected")).collect()
}

#[test]
fn a_central_that_ends_in_order_is_one_warning() {
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let agency = waiting(&server, &[]);
    server.stop();
    let (code, log) = agency.end();
    assert_eq!(code, Some(1), "{log}");
    let [warning] = warnings(&log)[..] else { panic!("{log}") };
    assert!(warning.contains("error: the central refuses, code 16: "), "{log}");
}

#[test]
fn a_central_that_is_killed_is_one_warning() {
    let environment = [("SERVER_AGENCIES", "2")];
    let server = Server::start(&environment);
    let mut agency = waiting(&server, &[("CLI_RETRY_MAX_ATTEMPTS", "0")]);
    let server = server.kill_and_restart(&environment);
    agency.wait_for("action: introduce | result: success");
    let [warning] = warnings(agency.text())[..] else { panic!("{}", agency.text()) };
    assert!(warning.ends_with("(before the winners)"), "{warning}");
    server.stop();
}

/// A host that is gone sends nothing, not even an end: TCP must ask.
#[test]
fn a_central_whose_host_is_gone_is_noticed_while_the_agency_waits_for_the_draw() {
    /// The timer of a connection in `/proc/net/tcp` that asks whether the peer is still there.
    const KEEPALIVE: &str = "02:";
    /// Its state. Beside it may be one to a central that had the port before, in `TIME_WAIT`.
    const ESTABLISHED: &str = "01";
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let agency = waiting(&server, &[]);
    let port: u16 = server.address().rsplit_once(':').expect("a port").1.parse().expect("a number");
    let (remote, deadline) = (format!("0100007F:{port:04X}"), Instant::now() + TIMEOUT);
    loop {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", agency.id()));
        let table = table.expect("Linux has it");
        let mut fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = fields.find(|fields| fields.get(2..4) == Some(&[remote.as_str(), ESTABLISHED]));
        let timer = ours.expect("it is connected")[5].to_owned();
        if timer.starts_with(KEEPALIVE) {
            break;
        }
        // What was sent last may still wait for its acknowledgement.
        assert!(Instant::now() < deadline, "{timer}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
