//! What an agency's number is worth without TLS, as an operator sees it: a claim that the start warns
//! of, that addresses may bound, and that the log names with the address that made it.
//!
//! All of 127.0.0.0/8 is this machine, so every peer calls from an address of its choice.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use kit::frames::{ask, bytes, end, hello};
use kit::log::run_error;
use kit::process::output;
use kit::programs::binary;
use kit::server::{Server, command};
use wire::Request;

/// An address of loopback.
fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// The lines of a log that contain this.
fn lines<'l>(log: &'l str, wanted: &str) -> Vec<&'l str> {
    log.lines().filter(|line| line.contains(wanted)).collect()
}

/// The log of a central that is to listen at another machine's address, and so ends before it does.
fn start_elsewhere(environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut central = command(environment);
    central.env("SERVER_BIND", "192.0.2.1").env("SERVER_STORAGE_PATH", folder.path().join("bets"));
    let output = output(&mut central);
    let log = String::from_utf8(output.stdout).expect("text");
    assert!(run_error(&log).starts_with("can't listen at 192.0.2.1:0: "), "{log}");
    log
}

#[test]
fn whoever_listens_beyond_loopback_is_warned_once_that_numbers_are_claims() {
    let warned = start_elsewhere(&[]);
    let [warning] = lines(&warned, "is only a claim")[..] else { panic!("{warned}") };
    let begin =
        " WARNING  action: config | result: in_progress | ip: 192.0.2.1 | warning: without TLS ";
    assert!(warning.contains(begin), "{warning}");
    for silenced in [
        ("SERVER_PLAINTEXT_WARNING", "false"),
        ("SERVER_AGENCY_ADDRESSES", "*=192.0.2.0/24"),
        ("SERVER_AGENCIES", "0"),
    ] {
        let log = start_elsewhere(&[silenced]);
        assert!(!log.contains("WARNING"), "{silenced:?}: {log}");
    }
    let log = Server::start(&[]).stop();
    assert!(!log.contains("WARNING"), "it listens at 127.0.0.1: {log}");
}

#[test]
fn an_agency_is_taken_from_its_addresses_alone_and_nobody_else_supersedes_it() {
    let server = Server::start(&[
        ("SERVER_AGENCIES", "2"),
        ("SERVER_AGENCY_ADDRESSES", "1=127.0.0.2, *=127.0.0.3,*=10.0.0.0/8"),
    ]);
    let mut honest = server.connect_from(host(2));
    assert_eq!(ask(&mut honest, &hello(1)), "welcome 0 rejected 0 Open");
    for impostor in [(3, 1), (4, 1), (2, 2), (4, 2)] {
        let mut stream = server.connect_from(host(impostor.0));
        assert_eq!(ask(&mut stream, &hello(impostor.1)), "error WrongAddress", "{impostor:?}");
    }
    assert_eq!(ask(&mut honest, &end(0)), "finished 0 0");
    let mut other = server.connect_from(host(3));
    assert_eq!(ask(&mut other, &hello(2)), "welcome 0 rejected 0 Open");
    let log = server.stop();
    let [refused] = lines(&log, "code: 21")[..] else { panic!("{log}") };
    let line = " WARNING  action: refuse_connection | result: fail | ip: 127.0.0.3 | code: 21 | \
                error: agency 1 may not connect from 127.0.0.3";
    assert!(refused.ends_with(line), "{refused}");
    assert_eq!(lines(&log, "error: code 21 | more: 3 | total: 4").len(), 1, "{log}");
    assert!(!log.contains("supersede_connection"), "{log}");
}

#[test]
fn an_agency_at_another_address_ends_and_says_what_to_set() {
    let server = Server::start(&[("SERVER_AGENCY_ADDRESSES", "*=127.0.0.9")]);
    let mut agency = Command::new(binary("client"));
    agency.env_clear().env("CLI_ID", "3").env("CLI_SERVER_ADDRESS", server.address());
    let bet = [
        ("CLI_MODE", "apuesta"),
        ("NOMBRE", "Ana"),
        ("APELLIDO", "Paz"),
        ("DOCUMENTO", "30904465"),
        ("NACIMIENTO", "1999-03-17"),
        ("NUMERO", "7574"),
    ];
    let output = output(agency.envs(bet).stdin(Stdio::null()));
    let log = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "it doesn't try again: {log}");
    let error = run_error(&log);
    let reason = "the central refuses, code 21: agency 3 may not connect from 127.0.0.1; ";
    assert!(error.contains(reason) && error.contains("SERVER_AGENCY_ADDRESSES"), "{error}");
}

#[test]
fn superseding_is_a_warning_with_both_addresses() {
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let mut old = server.connect_from(host(2));
    assert_eq!(ask(&mut old, &hello(2)), "welcome 0 rejected 0 Open");
    let mut new = server.connect_from(host(3));
    assert_eq!(ask(&mut new, &hello(2)), "welcome 0 rejected 0 Open");
    assert_eq!(ask(&mut old, b""), "error Superseded");
    let log = server.stop();
    let [superseded] = lines(&log, "supersede_connection")[..] else { panic!("{log}") };
    let line = " WARNING  action: supersede_connection | result: success | agency: 2 | \
                ip: 127.0.0.3 | superseded_ip: 127.0.0.2";
    assert!(superseded.ends_with(line), "{superseded}");
    assert!(!log.contains("receive_hello"), "without a certificate that is a detail: {log}");
}

#[test]
fn hello_and_end_are_logged_with_the_address_when_they_are_taken() {
    let server = Server::start(&[("SERVER_AGENCIES", "2"), ("LOGGING_LEVEL", "DEBUG")]);
    let mut stream = server.connect_from(host(2));
    assert_eq!(ask(&mut stream, &end(0)), "error NotIntroduced");
    let mut stream = server.connect_from(host(2));
    assert_eq!(ask(&mut stream, &hello(2)), "welcome 0 rejected 0 Open");
    assert_eq!(ask(&mut stream, &end(0)), "finished 0 0");
    assert_eq!(ask(&mut stream, &end(1)), "error WrongTotal");
    let mut stream = server.connect_from(host(2));
    assert_eq!(ask(&mut stream, &hello(3)), "error UnknownAgency");
    assert_eq!(ask(&mut server.connect(), &bytes(&Request::Winners)), "error NotIntroduced");
    let log = server.stop();
    for action in ["receive_hello", "receive_end"] {
        let [line] = lines(&log, action)[..] else { panic!("{action}: {log}") };
        let expected =
            format!(" DEBUG    action: {action} | result: success | agency: 2 | ip: 127.0.0.2");
        assert!(line.ends_with(&expected), "{line}");
    }
}
