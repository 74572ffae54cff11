//! What `accept` can fail of beside descriptors, which strace lets it do.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use kit::server::{Server, command};
use kit::strace;

/// A central whose `accept` fails so; its calls are in the file `trace` of the folder.
fn failing(folder: &tempfile::TempDir, failure: &str) -> Server {
    let arguments = ["--trace=accept4".to_owned(), format!("--inject=accept4:{failure}")];
    let plain = command(&[("LOGGING_LEVEL", "DEBUG")]);
    Server::start_command(strace::traced(&plain, &folder.path().join("trace"), &arguments))
}

/// Linux reports here that a peer, or the way to it, is gone before it was accepted: accept(2).
#[test]
fn a_connection_that_is_lost_before_it_is_accepted_holds_up_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    for error in ["EPROTO", "ENETDOWN", "EHOSTUNREACH", "ECONNABORTED", "EPERM"] {
        let server = failing(&folder, &format!("error={error}:when=1..9"));
        let mut stream = server.connect();
        stream.write_all(b"hola\n").expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        assert_eq!(answer, b"hola\n", "{error}");
        let log = server.stop();
        assert!(!log.contains("WARNING"), "{error}: {log}");
        let lost = "DEBUG    action: accept_connections | result: in_progress | \
                    lost: a connection that was gone before it was accepted (";
        assert_eq!(log.matches(lost).count(), 9, "{error}: {log}");
    }
}

/// A filter that forbids `accept` takes no connection out of the queue: asking again at once
/// would ask for ever.
#[test]
fn an_accept_that_always_fails_is_named_and_tried_now_and_then() {
    const PER_TURN: u128 = 64;
    let folder = tempfile::tempdir().expect("a folder");
    for (error, cause) in [
        ("EPERM", "accept failed (Operation not permitted (os error 1))"),
        ("ENOBUFS", "the kernel has no memory for connections (No buffer space available"),
        ("EMFILE", "no descriptors left: raise ulimit -n (Too many open files (os error 24))"),
    ] {
        let begun = Instant::now();
        let mut server = failing(&folder, &format!("error={error}"));
        let _peer = server.connect();
        let warning = "WARNING  action: accept_connections | result: in_progress | connections: 0";
        server.wait_for(&format!("{warning} | error: {cause}"));
        server.stop();
        let turns = 3 + begun.elapsed().as_millis() / 100;
        let trace = std::fs::read_to_string(folder.path().join("trace")).expect("it was traced");
        let calls = trace.matches("accept4(").count() as u128;
        assert!(calls > 0 && calls <= turns * PER_TURN, "{error}: {calls} calls in {turns} turns");
    }
}
