//! Rows of winners that can't be read back, or aren't those that were committed: no agency gets a
//! list that may be wrong, and the central ends and logs where.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::Command;

use kit::frames::{batch, bytes, end, hello, responses};
use kit::log::run_error;
use kit::server::{Server, command};
use kit::strace;
use wire::Request;

const ROW: &str = "1,Ana,Paz,12345678,2000-01-01,7574\r\n";

/// The requests of an agency with one bet, which wins; with it the draw runs.
fn conversation() -> Vec<u8> {
    [hello(1), batch(0, &[("12345678", "7574")]), end(1)].concat()
}

/// Sends requests and ends its input; returns the responses until the connection ends.
fn responses_to(server: &Server, requests: &[u8]) -> Vec<String> {
    let mut stream = server.connect();
    stream.write_all(requests).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // The central has ended, and left some input unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not ended within the harness's patience: {error}"),
    }
    responses(&answer).0
}

fn ask_winners() -> Vec<u8> {
    [hello(1), bytes(&Request::Winners)].concat()
}

/// The central must end instead of sending winners. Returns its error.
fn end_of(mut server: Server) -> String {
    let received = responses_to(&server, &ask_winners());
    assert!(!received.iter().any(|response| response.starts_with("winners")), "{received:?}");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    run_error(&log).to_owned()
}

/// A central with one agency, whose one bet has won, and the name of its ledger.
fn drawn(strace: Option<&str>) -> (Server, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    fs::write(&path, "").expect("written");
    let mut command = command(&[("SERVER_AGENCIES", "1")]);
    if let Some(inject) = strace {
        command = with_failing_reads(&command, &path, inject);
    }
    let server = Server::start_with_log_file(folder, command);
    assert_eq!(responses_to(&server, &conversation())[1..], ["stored 1", "finished 1 0"]);
    assert_eq!(fs::read_to_string(&path).expect("text"), ROW);
    (server, path.display().to_string())
}

fn with_failing_reads(command: &Command, path: &Path, inject: &str) -> Command {
    let trace = path.with_extension("trace");
    let path = format!("--trace-path={}", path.display());
    strace::traced(command, &trace, &["--trace=pread64".to_owned(), path, inject.to_owned()])
}

#[test]
fn rows_that_are_gone_or_others_end_the_central() {
    let others = ROW.replace(',', ";");
    for found in ["", &ROW[..20], &others, &ROW.replace("7574", "7575")] {
        let (server, path) = drawn(None);
        assert_eq!(responses_to(&server, &ask_winners())[1..], ["winners true 12345678"]);
        fs::write(&path, found).expect("written");
        let reason = end_of(server);
        assert!(reason.contains(&format!("{path}: ")), "{reason}");
    }
}

#[test]
fn rows_that_cannot_be_read_end_the_central() {
    let (server, path) = drawn(Some("--inject=pread64:error=EIO"));
    let expected = "can't read rows back at byte 0: Input/output error (os error 5): its disk fails \
                    (see dmesg): start again on a disk that doesn't";
    assert_eq!(end_of(server), format!("{path}: {expected}"));
}
