//! Metrics by value: each is brought about, and read.

use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kit::certificates::Certificates;
use kit::conversation::Conversation;
use kit::frames::{batch, end, hello, hello_of_version};
use kit::http::{get, receive};
use kit::server::{Server, command};
use kit::tls_client::{TlsClient, client_config};
use rustix::process::Signal;
use wire::Request;

use crate::world::{Central, finish, send, wait_until};

const BET: [(&str, &str); 1] = [("12345678", "7")];

/// How much a metric has grown since it had this value.
fn growth(central: &Central, name: &str, before: u64) -> u64 {
    central.number(name) - before
}

/// The last of the responses to these frames on a connection of their own.
fn refused(central: &Central, frames: &[Vec<u8>]) -> String {
    let mut conversation = Conversation(central.server.connect());
    for frame in frames {
        conversation.send(frame);
    }
    let mut outcome = conversation.outcome();
    let ending = outcome.pop();
    assert!(ending.is_some_and(|ending| ending == "end"), "{outcome:?}");
    outcome.pop().expect("a response")
}

#[test]
fn each_refusal_is_counted_under_its_cause_once() {
    let central = Central::start(2, &[("SERVER_MAX_LINE_SIZE", "1KiB")]);
    let mut finished = central.agency(2);
    finish(&mut finished, 0);
    let cases = [
        ("unknown_agency", "error UnknownAgency", vec![hello(99)]),
        ("version", "error Version", vec![hello_of_version(9, 1)]),
        ("not_introduced", "error NotIntroduced", vec![batch(0, &BET)]),
        ("already_introduced", "error AlreadyIntroduced", vec![hello(1), hello(1)]),
        ("gap", "error Gap", vec![hello(1), batch(7, &BET)]),
        ("wrong_total", "error WrongTotal", vec![hello(1), end(7)]),
        ("unknown_kind", "error UnknownKind", vec![vec![0xBE, 0x77, 0, 4]]),
        ("oversized", "error Oversized", vec![vec![0xBE, 0x01, 0xFF, 0xFF]]),
        ("finished", "error Finished", vec![hello(2), batch(0, &BET)]),
    ];
    for (cause, response, frames) in cases {
        let name = format!("loteria_refusals_total{{cause=\"{cause}\"}}");
        assert_eq!(central.number(&name), 0, "{cause}");
        assert_eq!(refused(&central, &frames), response, "{cause}");
        assert_eq!(central.number(&name), 1, "{cause}");
    }
    let mut line = central.server.connect();
    line.write_all(&[b'x'; 2048]).expect("sent");
    line.read_to_end(&mut Vec::new()).expect("the end");
    assert_eq!(central.number("loteria_refusals_total{cause=\"line_too_long\"}"), 1);
    let mut secured = central.server.connect();
    secured.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0]).expect("sent");
    secured.read_to_end(&mut Vec::new()).expect("the end");
    assert_eq!(central.number("loteria_refusals_total{cause=\"tls_off\"}"), 1);
    let metrics = central.metrics();
    let counts = metrics.iter().filter(|(name, _)| name.starts_with("loteria_refusals_total"));
    let all: u64 = counts.map(|(_, count)| count.parse::<u64>().expect("a number")).sum();
    // Whoever introduces itself again takes the place of the connection that it had.
    let superseded = central.number("loteria_refusals_total{cause=\"superseded\"}");
    assert_eq!(all - superseded, 11, "nothing else was counted");
    central.server.stop();
}

#[test]
fn connections_are_counted_by_what_they_speak_and_do() {
    let settings = [("SERVER_ECHO_KEEP_ALIVE", "true")];
    let central = Central::start(4, &settings);
    let connections = |protocol: &str, state: &str| {
        central.number(&format!("loteria_connections{{protocol=\"{protocol}\",state=\"{state}\"}}"))
    };
    let _silent: Vec<_> = (0..3).map(|_| central.server.connect()).collect();
    let echoing = [(); 2].map(|()| {
        let mut stream = central.server.connect();
        stream.write_all(b"hola\n").expect("sent");
        stream.read_exact(&mut [0; 5]).expect("echoed");
        stream
    });
    let sending = central.agency(1);
    let waiting = [2, 3, 4].map(|agency| {
        let mut agency = central.agency(agency);
        finish(&mut agency, 0);
        agency.send(&kit::frames::bytes(&Request::Winners));
        agency
    });
    for (protocol, state, count) in [
        ("unknown", "open", 3),
        ("echo", "open", 2),
        ("lottery", "open", 1),
        ("lottery", "awaiting_winners", 3),
        ("lottery", "awaiting_storage", 0),
        ("unknown", "handshake", 0),
        ("admin", "open", 1),
    ] {
        let what = format!("{count} {protocol} {state}");
        wait_until(&what, || connections(protocol, state) == count);
    }
    assert_eq!(central.number("loteria_agencies_connected"), 4);
    drop((echoing, sending));
    wait_until("those that have ended gone", || {
        connections("echo", "open") == 0 && connections("lottery", "open") == 0
    });
    assert_eq!(connections("lottery", "awaiting_winners"), 3);
    drop(waiting);
    central.server.stop();
}

#[test]
fn a_handshake_is_one_until_it_is_complete() {
    let certificates = Certificates::new(1);
    let mut command = command(&[
        ("SERVER_AGENCIES", "1"),
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0"),
    ]);
    command.envs(certificates.server_settings("required"));
    let central = Central::of(Server::start_command(command));
    let config = Arc::new(client_config(certificates.ca(), None));
    let mut client = TlsClient::new(central.server.connect(), &config);
    client.flush().expect("its hello is sent");
    let handshake = "loteria_connections{protocol=\"unknown\",state=\"handshake\"}";
    central.wait_for_metric(handshake, "1");
    let mut client = client.finish().expect("a handshake");
    client.write_all(b"hola\n").expect("sent");
    client.read_exact(&mut [0; 5]).expect("echoed");
    central.wait_for_metric("loteria_connections{protocol=\"echo\",state=\"open\"}", "1");
    assert_eq!(central.metrics()[handshake], "0");
    central.server.stop();
}

/// A connection that counts what comes.
struct Counted<'a>(&'a TcpStream, u64);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1 += count as u64;
        Ok(count)
    }
}

/// What has been read and written of all sockets, as one scrape has it; and how many bytes it has itself.
fn traffic(mut scraper: &TcpStream) -> (u64, u64, u64) {
    scraper.write_all(get("/metrics").as_bytes()).expect("sent");
    let mut counted = Counted(scraper, 0);
    let text = receive(&mut counted).expect("a response").body;
    let number = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}"))
    };
    (number("loteria_received_bytes_total"), number("loteria_sent_bytes_total"), counted.1)
}

#[test]
fn bytes_are_those_that_were_sent_and_received() {
    let central = Central::start(1, &[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let scraper = central.connect();
    let (received, sent, own) = traffic(&scraper);
    let request = get("/metrics").len() as u64;
    let (mut stream, line) = (central.server.connect(), [vec![b'x'; 999], vec![b'\n']].concat());
    for _ in 0..70 {
        stream.write_all(&line).expect("sent");
        stream.read_exact(&mut vec![0; line.len()]).expect("echoed");
    }
    let after = traffic(&scraper);
    assert_eq!(after.0 - received, 70_000 + request);
    // The first scrape's response left behind what it says.
    assert_eq!(after.1 - sent, 70_000 + own);
    central.server.stop();
}

#[test]
fn turns_are_counted_and_measured_and_idle_ones_are_told_apart() {
    // Without a thread for the disk, whose part of a conversation counts as nothing.
    let central = Central::start(1, &[("SERVER_SYNC", "never")]);
    let [turns, measured] = ["loteria_turns_total", "loteria_turn_duration_seconds_count"];
    let before = [turns, measured].map(|name| central.number(name));
    let mut agency = central.agency(1);
    for at in 0..50 {
        send(&mut agency, at, 1, 0);
    }
    // Each batch is answered in a turn of its own.
    assert!(growth(&central, turns, before[0]) >= 50);
    assert!(growth(&central, measured, before[1]) >= 50);
    let metrics = central.metrics();
    let buckets: Vec<u64> = metrics
        .iter()
        .filter(|(name, _)| name.starts_with("loteria_turn_duration_seconds_bucket"))
        .map(|(_, count)| count.parse().expect("a number"))
        .collect();
    let last = &metrics["loteria_turn_duration_seconds_bucket{le=\"+Inf\"}"];
    assert_eq!(*last, metrics[measured]);
    assert_eq!(buckets.iter().max().map(u64::to_string).as_ref(), Some(last));
    assert_ne!(metrics["loteria_turn_duration_seconds_sum"], "0");
    let idle = "loteria_idle_turns_total";
    // What becomes ready may be none of it by then: a few are normal.
    let few = central.number(idle);
    assert!(few < 10, "{few} of them");
    // The kernel wakes a process that was stopped from its wait, and nothing has happened.
    wait_until("idle turns", || {
        central.server.suspend();
        central.server.signal(Signal::CONT);
        growth(&central, idle, few) >= 20
    });
    central.server.stop();
}

/// Bytes of buffers that are kept for the next connection, at most.
const SPARE_MAX: u64 = 11 << 20;

#[test]
fn what_peers_do_not_read_is_buffered_until_they_do() {
    let settings = [
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_SOCKET_BUFFER_SIZE", "16KiB"),
        ("SERVER_WRITE_BUFFER_HIGH", "1MiB"),
    ];
    let central = Central::start(1, &settings);
    let mut peers = [(); 16].map(|()| central.server.connect());
    for peer in &peers {
        peer.set_nonblocking(true).expect("set");
    }
    let lines = [vec![b'x'; 1023], vec![b'\n']].concat().repeat(64);
    let buffered = || central.number("loteria_buffered_bytes");
    assert!(buffered() < SPARE_MAX);
    wait_until("buffered bytes", || {
        for peer in &mut peers {
            // As much as it takes now.
            let _ = peer.write(&lines);
        }
        buffered() > SPARE_MAX
    });
    assert!(buffered() < central.number("loteria_buffered_bytes_limit"));
    let mut scratch = vec![0; 256 << 10];
    wait_until("less of them", || {
        for peer in &mut peers {
            while peer.read(&mut scratch).is_ok_and(|count| count > 0) {}
        }
        buffered() < SPARE_MAX
    });
    central.server.stop();
}

#[test]
fn the_position_in_the_wal_is_the_number_of_commits() {
    let central = Central::start(1, &[]);
    let [position, commits] = ["loteria_wal_position", "loteria_commit_duration_seconds_count"];
    let before = [position, commits].map(|name| central.number(name));
    let mut agency = central.agency(1);
    for at in 0..20 {
        send(&mut agency, at, 1, 0);
    }
    // Each has waited for its own, and none is in two.
    assert_eq!(growth(&central, position, before[0]), 20);
    assert_eq!(growth(&central, commits, before[1]), 20);
    central.server.stop();
}

#[test]
fn lines_that_are_not_logged_are_counted() {
    let limits = [("SERVER_MAX_LOG_LINES", "5"), ("SERVER_ECHO_KEEP_ALIVE", "true")];
    let central = Central::start(1, &limits);
    let counted = "loteria_log_lines_counted_total";
    let before = central.number(counted);
    let mut stream = central.server.connect();
    for _ in 0..105 {
        stream.write_all(b"hola\n").expect("sent");
        stream.read_exact(&mut [0; 5]).expect("echoed");
    }
    assert_eq!(growth(&central, counted, before), 100);
    let log = central.server.stop();
    assert_eq!(log.matches("action: receive_message | result: success | ip:").count(), 5, "{log}");
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
fn an_agency_came_further_last_when_it_did() {
    let central = Central::start(2, &[]);
    let progress = "loteria_agency_last_progress_timestamp_seconds{agency=\"1\"}";
    assert!(!central.metrics().contains_key(progress));
    let mut agency = central.agency(1);
    let mut last = 0.0;
    for at in 0..3 {
        let before = unix_time();
        send(&mut agency, at, 1, 0);
        let after = unix_time();
        let found: f64 = central.metrics()[progress].parse().expect("a number");
        // Both clocks count, but what the loop makes of its own is some microseconds off.
        assert!((before - 0.001..=after + 0.001).contains(&found), "{before} {found} {after}");
        assert!(found > last);
        last = found;
    }
    assert!(!central.metrics().contains_key(&progress.replace('1', "2")), "it has done nothing");
    central.server.stop();
}

#[test]
fn the_version_is_that_of_the_program() {
    let central = Central::start(1, &[]);
    let name = concat!("loteria_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(central.metrics()[name], "1");
    assert_eq!(central.status()["version"], env!("CARGO_PKG_VERSION"));
    central.server.stop();
}

/// Agencies that have metrics of their own.
fn labelled(central: &Central) -> Vec<u32> {
    let metrics = central.metrics();
    let bets = metrics.keys().filter_map(|name| name.strip_prefix("loteria_agency_bets{agency=\""));
    let numbers = bets.map(|rest| rest.trim_end_matches("\"}").parse().expect("a number"));
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn so_many_agencies_have_metrics_of_their_own_and_all_are_in_the_sums() {
    for (agencies, settings, most) in [
        (101, &[][..], 100),
        (3, &[("SERVER_METRICS_AGENCIES", "2")][..], 2),
        (3, &[("SERVER_METRICS_AGENCIES", "0")][..], 0),
    ] {
        let central = Central::start(agencies, settings);
        send(&mut central.agency(agencies), 0, 7, 0);
        assert_eq!(labelled(&central), (1..=most).collect::<Vec<_>>());
        let last = format!("agency=\"{agencies}\"");
        let metrics = central.metrics();
        assert!(!metrics.keys().any(|name| name.contains(&last)), "{agencies}");
        assert_eq!(metrics["loteria_ledger_bets"], "7");
        assert_eq!(metrics["loteria_agencies_by_phase{phase=\"sending\"}"], "1");
        central.server.stop();
    }
}
