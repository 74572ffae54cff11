//! What the log has of a draw that is waited for: which agencies are missing, and which have gone.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use kit::frames::{batch, end, hello, responses};
use kit::server::{Server, command};
use kit::{reads, strace};

const BETS: [(&str, &str); 1] = [("12345678", "7")];

/// Sends requests, and reads until so many responses have come.
fn ask(server: &Server, requests: &[u8], expected: usize) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(requests).expect("sent");
    let mut bytes = Vec::new();
    while responses(&bytes).0.len() < expected {
        let mut piece = [0; 4096];
        let count = reads::read(&mut stream, &mut piece).expect("an answer");
        assert!(count > 0, "it has closed: {:?}", responses(&bytes).0);
        bytes.extend_from_slice(&piece[..count]);
    }
    stream
}

#[test]
fn the_log_says_whom_the_draw_waits_for_and_who_has_gone() {
    let mut server = Server::start(&[("SERVER_AGENCIES", "3")]);
    let waits = "INFO     action: wait_for_draw | result: in_progress | ";
    server.wait_for(&format!(
        "{waits}finished: 0 | of: 3 | missing: 1 2 3 | connected: none | rejected: 0\n"
    ));
    // Gone before it has ended its input.
    drop(ask(&server, &[hello(1), batch(0, &BETS)].concat(), 2));
    server.wait_for(
        "INFO     action: lose_agency | result: in_progress | agency: 1 | ip: 127.0.0.1 | \
         posicion: 1 | reason: closed by the peer\n",
    );
    // Refused: it has gone too.
    let refused = [hello(1), batch(7, &BETS)].concat();
    drop(ask(&server, &refused, 2));
    server.wait_for(
        "action: lose_agency | result: in_progress | agency: 1 | ip: 127.0.0.1 | posicion: 1 | \
         reason: the next batch begins at position 1, found one at 7\n",
    );
    let _third = ask(&server, &hello(3), 1);
    // Who has finished may go.
    drop(ask(&server, &[hello(2), end(0)].concat(), 2));
    server.wait_for(&format!(
        "{waits}finished: 1 | of: 3 | missing: 1 3 | connected: 3 | rejected: 0\n"
    ));
    drop(ask(&server, &[hello(1), end(1)].concat(), 2));
    server.wait_for(&format!(
        "{waits}finished: 2 | of: 3 | missing: 3 | connected: 3 | rejected: 0\n"
    ));
    drop(ask(&server, &[hello(3), end(0)].concat(), 2));
    let log = server.stop();
    assert!(log.contains("action: sorteo | result: success"), "{log}");
    assert_eq!(log.matches("action: lose_agency ").count(), 2, "{log}");
    assert_eq!(log.matches("action: wait_for_draw ").count(), 3, "{log}");
}

/// An end that waits for a slow disk, behind a commit that is under way, is logged with its result.
#[test]
fn an_agency_that_finishes_while_the_disk_is_busy_is_not_listed_as_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        ("SERVER_AGENCIES", "2"),
        ("SERVER_WAITING_LOG_INTERVAL", "0"),
        ("LOGGING_LEVEL", "DEBUG"),
    ];
    let slow = ["--follow-forks", "--trace=fdatasync"].map(str::to_owned);
    // Longer than the pause between two lines: it is over when the first batch is confirmed.
    let delay = ["--inject=fdatasync:delay_enter=1200000".to_owned()];
    let traced = strace::traced(
        &command(&settings),
        &folder.path().join("trace"),
        &[&slow[..], &delay].concat(),
    );
    let mut server = Server::start_command(traced);
    let mut one = ask(&server, &[hello(1), batch(0, &BETS)].concat(), 2);
    let mut two = ask(&server, &hello(2), 1);
    one.write_all(&batch(1, &BETS)).expect("sent");
    server.wait_for("action: receive_batch | result: success | agency: 1 | posicion: 1 |");
    two.write_all(&end(0)).expect("sent");
    server.wait_for("finished: 1 | of: 2 | missing: 1 | connected: 1 | rejected: 0\n");
    let log = server.stop();
    assert_eq!(log.matches("| finished: 0 | of: 2 |").count(), 1, "only at the start: {log}");
}

#[test]
fn as_long_as_an_agency_waits_it_is_logged_again() {
    let line = "action: wait_for_draw | result: in_progress | finished: 1 | of: 2 | missing: 2 |";
    let settings = [("SERVER_AGENCIES", "2"), ("SERVER_WAITING_LOG_INTERVAL", "10ms")];
    let mut server = Server::start(&settings);
    drop(ask(&server, &[hello(1), end(0)].concat(), 2));
    server.wait_for(line);
    server.wait_for(line);
    let mut server = server.kill_and_restart(&settings);
    server.wait_for(line);
    server.wait_for(line);
    let log = server.stop();
    let state = "state: open | agencies: 2 | finished: 1 | with_bets: 0 | bets: 0\n";
    assert!(log.contains(state), "{log}");
}

/// A line a second at most, however many finish; and no more for one that finishes again and again.
#[test]
fn very_many_that_finish_at_once_are_not_a_line_each() {
    let begun = Instant::now();
    let mut server = Server::start(&[("SERVER_AGENCIES", "1001")]);
    for agency in 1..=1000 {
        drop(ask(&server, &[hello(agency), end(0), end(0)].concat(), 3));
    }
    server.wait_for("finished: 1000 | of: 1001 | missing: 1001 | connected: ");
    let most = 2 + begun.elapsed().as_secs();
    let count = server.stop().matches("action: wait_for_draw ").count() as u64;
    assert!(count <= most, "{count} lines");
}

#[test]
fn a_start_says_in_which_state_the_lottery_is() {
    let one = [("SERVER_AGENCIES", "1")];
    let mut server = Server::start(&one);
    let action = "INFO     action: open_lottery | result: success | state:";
    drop(ask(&server, &[hello(1), batch(0, &BETS), end(1)].concat(), 3));
    let folder = server.take_folder();
    let log = server.stop();
    assert!(
        log.contains(&format!(
            "{action} new | agencies: 1 | finished: 0 | with_bets: 0 | bets: 0\n"
        )),
        "{log}"
    );
    let csv = folder.path().join("bets.csv");
    let drawn = format!(
        "{action} drawn | agencies: 1 | finished: 1 | with_bets: 1 | bets: 1 | note: the draw was \
         held, no more bets are taken: for another lottery stop the central, remove {0} and {0}.wal, \
         and start it again\n",
        csv.display()
    );
    let log = Server::start_in(folder, &one).stop();
    assert!(log.contains(&drawn), "{log}");
    assert!(!log.contains("wait_for_draw"), "{log}");
    let log = Server::start(&[("SERVER_AGENCIES", "0")]).stop();
    assert!(
        log.contains(&format!("{action} echo | agencies: 0 | ")) && !log.contains("wait_for_draw"),
        "{log}"
    );
}

/// An echo server is none of the lottery's business.
#[test]
fn without_agencies_no_wait_is_logged() {
    let settings = [("SERVER_AGENCIES", "2"), ("SERVER_WAITING_LOG_INTERVAL", "1ms")];
    let mut server = Server::start(&settings);
    server.wait_for("action: wait_for_draw ");
    // Longer than the pause between two lines.
    let begun = Instant::now();
    while begun.elapsed().as_millis() < 1500 {
        let mut stream = server.connect();
        stream.write_all(b"hola\n").expect("sent");
        stream.shutdown(Shutdown::Write).expect("half-closed");
        stream.read_to_end(&mut Vec::new()).expect("answered");
    }
    let log = server.stop();
    assert_eq!(log.matches("action: wait_for_draw ").count(), 1, "{log}");
}
