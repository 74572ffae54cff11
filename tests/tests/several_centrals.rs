//! An agency that is told of several centrals, by its program and over real connections: it begins at one by
//! its number, leaves each that fails for the next, and finishes at the one that works.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use kit::client::Client;
use kit::inputs::{expected_rows, file, rows_of};
use kit::process::TIMEOUT;
use kit::programs::binary;
use kit::scripted_central::{self, Call, Peer, Script};
use kit::server::Server;
use wire::{ErrorCode, Response};

/// Addresses at which nothing listens.
const REFUSING: [&str; 2] = ["127.0.0.1:1", "127.0.0.2:1"];

/// How long an agency waits for a response of a central that sends none.
const RESPONSE_TIMEOUT: (&str, &str) = ("CLI_RESPONSE_TIMEOUT", "3s");

fn agency(id: u32, addresses: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary("client"));
    command.env_clear().stdin(Stdio::null());
    command.env("CLI_ID", id.to_string()).env("CLI_SERVER_ADDRESS", addresses.join(" , "));
    command.env("CLI_RETRY_MIN_DELAY", "1ms").env("CLI_RETRY_MAX_DELAY", "2ms");
    command.envs(environment.iter().copied());
    command
}

fn sending(id: u32, addresses: &[&str], path: &Path, environment: &[(&str, &str)]) -> Client {
    let mut command = agency(id, addresses, environment);
    command.env("CLI_DATA_PATH", path);
    Client::start(command)
}

/// The warning of an agency that leaves a central for the next.
fn left(failed: &str, next: &str) -> String {
    format!(
        " WARNING  action: connect | result: in_progress | server_address: {failed} | next_address: {next} | retry_in: "
    )
}

/// Whichever it begins at: of three agencies each begins at another.
#[test]
fn agencies_find_the_one_central_of_three_that_is_there() {
    let server = Server::start(&[("SERVER_AGENCIES", "3")]);
    let real = server.address();
    let addresses = [REFUSING[0], REFUSING[1], &real];
    let start = |id| {
        let path = file(server.folder(), id, 100, 10);
        (sending(id, &addresses, &path, &[]), path)
    };
    let agencies = [1, 2, 3].map(start);
    let warnings = [
        vec![left(REFUSING[0], REFUSING[1]), left(REFUSING[1], &real)],
        vec![left(REFUSING[1], &real)],
        vec![],
    ];
    let mut paths = Vec::new();
    for ((agency, path), expected) in agencies.into_iter().zip(warnings) {
        let (code, log) = agency.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(
            log.contains("consulta_ganadores | result: success | cant_ganadores: 10\n"),
            "{log}"
        );
        let found: Vec<_> = log.lines().filter(|line| line.contains(" WARNING ")).collect();
        assert_eq!(found.len(), expected.len(), "{log}");
        assert!(found.iter().zip(&expected).all(|(line, begin)| line.contains(begin)), "{log}");
        paths.push(path);
    }
    for (id, path) in (1..).zip(paths) {
        let ledger = server.folder().join("bets.csv");
        assert_eq!(rows_of(&ledger, id), expected_rows(&path, id));
    }
    server.stop();
}

#[test]
fn the_echo_loop_goes_on_where_it_is_answered() {
    let server = Server::start(&[]);
    let real = server.address();
    let echo = [("CLI_MODE", "echo"), ("CLI_LOOP_AMOUNT", "3")];
    let (code, log) = Client::start(agency(1, &[REFUSING[0], &real], &echo)).end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("action: receive_message | result: success").count(), 3, "{log}");
    assert_eq!(
        log.matches(&left(REFUSING[0], &real)).count(),
        1,
        "once, not for each message: {log}"
    );
    server.stop();
}

fn refuse(peer: &mut Peer, code: ErrorCode) -> io::Result<()> {
    peer.request()?;
    peer.respond(&Response::Error { code, reason: "ask another" })
}

/// Centrals that are of no use to an agency, and what it says of each.
const USELESS: [(Script, &str); 7] = [
    (
        |peer| peer.request().map(drop),
        "the central closed the connection (before the answer to HELLO)",
    ),
    (
        |peer| {
            peer.welcome()?;
            peer.request().map(drop)
        },
        "(before the answer to bets 0 to 99)",
    ),
    (Peer::listen, "no whole answer within 3s (expected: the answer to HELLO)"),
    (|peer| refuse(peer, ErrorCode::ShuttingDown), "the central refuses, code 16: ask another"),
    (|peer| refuse(peer, ErrorCode::Superseded), "the central refuses, code 14: ask another"),
    (|peer| refuse(peer, ErrorCode::StoreUnreachable), "the central refuses, code 23: ask another"),
    (|peer| refuse(peer, ErrorCode::Timeout), "the central refuses, code 15: ask another"),
];

/// Centrals with such scripts, in this order, and the calls to them.
fn scripted(scripts: &[Script]) -> (Vec<SocketAddr>, Receiver<Call>) {
    let (reporter, calls) = mpsc::channel();
    let start = |script: &Script| scripted_central::start(*script, reporter.clone());
    (scripts.iter().map(start).collect(), calls)
}

/// The centrals that were called by others than this function, in the order of the calls.
fn called(addresses: &[SocketAddr], calls: &Receiver<Call>) -> Vec<SocketAddr> {
    // Each may have to take its last call yet: these are behind it.
    let own = addresses.iter().map(|to| {
        let from = TcpStream::connect(to).and_then(|own| own.local_addr()).expect("it listens");
        (*to, from)
    });
    let mut own: BTreeSet<_> = own.collect();
    let mut called = Vec::new();
    while !own.is_empty() {
        let Call { to, from } = calls.recv_timeout(TIMEOUT).expect("each takes every call");
        if !own.remove(&(to, from)) {
            called.push(to);
        }
    }
    called
}

/// An agency calls these, and then a real one.
fn finishes_behind(useless: &[(Script, &str)]) {
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let scripts: Vec<_> = useless.iter().map(|(script, _)| *script).collect();
    let (scripted, calls) = scripted(&scripts);
    let mut addresses: Vec<_> = scripted.iter().map(ToString::to_string).collect();
    addresses.push(server.address());
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let path = file(server.folder(), 1, 250, 10);
    let (code, log) = sending(1, &addresses, &path, &[RESPONSE_TIMEOUT]).end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("consulta_ganadores | result: success | cant_ganadores: 25\n"), "{log}");
    assert_eq!(called(&scripted, &calls), scripted, "each once, in this order: {log}");
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(" WARNING ")).collect();
    assert_eq!(warnings.len(), useless.len(), "{log}");
    for (index, (_, reason)) in useless.iter().enumerate() {
        let begin = left(addresses[index], addresses[index + 1]);
        let warning = warnings[index];
        assert!(warning.contains(&begin) && warning.ends_with(reason), "{reason}: {log}");
    }
    assert_eq!(rows_of(&server.folder().join("bets.csv"), 1), expected_rows(&path, 1));
    server.stop();
}

#[test]
fn a_central_that_is_of_no_use_is_left_for_the_next() {
    for useless in USELESS.chunks(2) {
        finishes_behind(useless);
    }
    finishes_behind(&USELESS);
}

/// One budget for all: the agency gives up after so many calls, wherever they were made.
#[test]
fn the_limit_of_attempts_is_one_for_all_centrals() {
    let (scripted, calls) = scripted(&[USELESS[0].0, USELESS[3].0, USELESS[5].0]);
    let addresses: Vec<_> = scripted.iter().map(ToString::to_string).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), 2, 10, 10);
    let (code, log) = sending(2, &addresses, &path, &[("CLI_RETRY_MAX_ATTEMPTS", "7")]).end();
    assert_eq!(code, Some(1), "{log}");
    let order = [1, 2, 0, 1, 2, 0, 1].map(|index| scripted[index]);
    assert_eq!(called(&scripted, &calls), order, "{log}");
    let all = [1, 2, 0].map(|index| addresses[index]).join(",");
    let end = format!(
        " ERROR    action: connect | result: fail | server_address: {} | all_addresses: {all} | attempts: 7 \
         | error: the central refuses, code 16: ask another\n",
        addresses[1]
    );
    assert!(log.contains(&end), "{end}: {log}");
}

/// What every central would refuse, or what isn't one: asking the next would hide it.
#[test]
fn what_is_set_up_wrongly_is_not_tried_elsewhere() {
    let wrong: [(Script, &str); 3] = [
        (|peer| refuse(peer, ErrorCode::UnknownAgency), "the central refuses, code 5: ask another"),
        (|peer| refuse(peer, ErrorCode::WrongAddress), "the central refuses, code 21: ask another"),
        (
            |peer| peer.greet(b"SSH-2.0-OpenSSH_9.2\r\n"),
            "(it looks like SSH): check CLI_SERVER_ADDRESS",
        ),
    ];
    for (script, reason) in wrong {
        let (scripted, calls) = scripted(&[USELESS[0].0, script]);
        let addresses: Vec<_> = scripted.iter().map(ToString::to_string).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path(), 1, 10, 10);
        let (code, log) = sending(1, &addresses, &path, &[]).end();
        assert_eq!((code, called(&scripted, &calls)), (Some(1), scripted.clone()), "{log}");
        let end =
            format!("action: run | result: fail | server_address: {} | error: ", addresses[1]);
        let line = log.lines().find(|line| line.contains(&end)).expect("the end, with the address");
        assert!(line.contains(reason), "{reason}: {log}");
    }
}

/// To a single address error 14 still means another program that runs as the same agency.
#[test]
fn a_superseded_agency_with_one_address_ends() {
    let (scripted, calls) = scripted(&[USELESS[4].0]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), 1, 10, 10);
    let (code, log) = sending(1, &[&scripted[0].to_string()], &path, &[]).end();
    assert_eq!((code, called(&scripted, &calls)), (Some(1), scripted.clone()), "{log}");
    assert!(
        log.contains("action: run | result: fail | error: the central refuses, code 14: "),
        "{log}"
    );
    assert!(!log.contains("next_address") && !log.contains("all_addresses"), "{log}");
}

/// One that is cut off from its store comes back, or another takes its place at the same address.
#[test]
fn an_agency_with_one_address_tries_again_when_the_store_is_unreachable() {
    let (scripted, calls) = scripted(&[USELESS[5].0]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(folder.path(), 1, 10, 10);
    let address = scripted[0].to_string();
    let (code, log) = sending(1, &[&address], &path, &[("CLI_RETRY_MAX_ATTEMPTS", "3")]).end();
    assert_eq!((code, called(&scripted, &calls).len()), (Some(1), 3), "{log}");
    let line =
        format!("action: connect | result: in_progress | server_address: {address} | retry_in: ");
    assert_eq!(log.matches(&line).count(), 2, "{log}");
}

#[test]
fn addresses_that_cannot_be_meant_are_named() {
    for (addresses, error) in [
        ("a:1,,b:2", "address 2 is empty: there is a comma too many"),
        ("a:1,b:2,a:1", "address 3, a:1, is address 1 again"),
        (
            "a:1,b",
            "address 2, b, isn't HOST:PORT: it has no port: write HOST:PORT, as server:12345",
        ),
    ] {
        let mut command = agency(1, &[addresses], &[]);
        let output = kit::process::output(command.arg("--check-config").stderr(Stdio::piped()));
        let errors = String::from_utf8(output.stderr).expect("text");
        let begin =
            format!("error: environment variable CLI_SERVER_ADDRESS = \"{addresses}\": expected ");
        assert!(
            errors.starts_with(&begin) && errors.ends_with(&format!("; {error}\n")),
            "{errors}"
        );
        assert_eq!(output.status.code(), Some(2), "{errors}");
    }
    let mut command = agency(2, &["a:1", "b:2", "c:3"], &[]);
    let output = kit::process::output(command.arg("--check-config"));
    let shown = String::from_utf8(output.stdout).expect("text");
    let line = "server.address = a:1 , b:2 , c:3    (environment), read as b:2,c:3,a:1\n";
    assert!(shown.contains(line), "{shown}");
}
