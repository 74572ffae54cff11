//! Crowds that take all connections there are, from one address and from many: honest newcomers, agencies
//! and the health check get in, and agencies stay.
//!
//! All of 127.0.0.0/8 is this machine, so every peer calls from an address of its choice.

#![expect(clippy::print_stderr, reason = "how many peers there are is printed")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use kit::frames::{self, ask};
use kit::process::output;
use kit::reads;
use kit::server::{Server, command};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Hostile peers, unless `ADDRESSES_PEERS` is set.
const PEERS: usize = 1_000;

const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One that no agency has called from.
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Silence after which a peer makes room.
const DELAY: Duration = Duration::from_millis(100);

/// How many peers there can be: as many descriptors as the system lets this process have, which
/// the server inherits.
fn peers() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
    let wanted = std::env::var("ADDRESSES_PEERS")
        .map_or(PEERS, |text| text.parse().expect("ADDRESSES_PEERS is a number"));
    let possible = maximum.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    // Up to three times as many are open at the same time.
    let peers = wanted.min(possible.saturating_sub(100) / 3);
    eprintln!("{peers} of {wanted} peers");
    peers
}

/// An address for each ten peers.
fn address_of(peer: usize) -> Ipv4Addr {
    let host = u16::try_from(peer / 10).expect("few enough");
    let [high, low] = host.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// One line there and back.
fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hola\n").expect("it takes input");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"hola\n");
}

fn is_refused(stream: &mut TcpStream) -> bool {
    match reads::read(stream, &mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn assert_healthy(server: &Server) {
    let address = server.address();
    let (_, port) = address.rsplit_once(':').expect("a port");
    let output = output(command(&[("SERVER_PORT", port)]).arg("healthcheck"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// With these settings beside those that all tests here have: loopback is limited, but for the
/// health check's address.
fn start(settings: &[(&str, &str)]) -> Server {
    let environment = [
        &[
            ("SERVER_ECHO_KEEP_ALIVE", "true"),
            ("SERVER_LISTEN_BACKLOG", "1024"),
            ("SERVER_UNLIMITED_ADDRESSES", "127.0.0.72"),
            ("SERVER_MAX_CONNECTS_PER_ADDRESS", "1000000"),
            ("SERVER_REFUSAL_LOG_INTERVAL", "1h"),
        ],
        settings,
    ]
    .concat();
    let folder = tempfile::tempdir().expect("a folder");
    Server::start_with_log_file(folder, command(&environment))
}

#[test]
fn one_address_leaves_places_for_others() {
    let peers = peers();
    let (places, share) = (peers.to_string(), (peers / 10).to_string());
    let server = start(&[
        ("SERVER_MAX_CONNECTIONS", &places),
        ("SERVER_MAX_CONNECTIONS_PER_ADDRESS", &share),
        ("SERVER_EVICTION_DELAY", "0s"),
    ]);
    let crowd: Vec<_> = (0..2 * peers).map(|_| server.connect_from(Ipv4Addr::LOCALHOST)).collect();
    let mut honest = server.connect_from(HONEST);
    echo(&mut honest);
    assert_healthy(&server);
    let refused = crowd
        .into_iter()
        .rev()
        .take(peers)
        .filter_map(|mut peer| is_refused(&mut peer).then_some(()));
    assert_eq!(refused.count(), peers);
    echo(&mut honest);
    let log = server.stop();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("of one address")).collect();
    assert_eq!(lines.len(), 2, "logged once, and counted: {lines:?}");
    assert!(
        lines[0].contains("action: accept_connections | result: fail | ip: 127.0.0.1 | error: ")
    );
    let counted =
        format!("| more: {} | total: {}", 2 * peers - peers / 10 - 1, 2 * peers - peers / 10);
    assert!(lines[1].ends_with(&counted), "{lines:?}");
}

#[test]
fn one_address_makes_so_many_connections_in_a_second() {
    let server =
        start(&[("SERVER_MAX_CONNECTS_PER_ADDRESS", "20"), ("SERVER_EVICTION_DELAY", "0s")]);
    for _ in 0..500 {
        drop(server.connect_from(Ipv4Addr::LOCALHOST));
    }
    echo(&mut server.connect_from(HONEST));
    let log = server.stop();
    assert!(log.contains("| ip: 127.0.0.1 | error: connections of one address too fast"), "{log}");
}

#[test]
fn silent_peers_of_many_addresses_make_room_and_an_agency_stays() {
    let peers = peers();
    let places = peers.to_string();
    let delay = format!("{}ms", DELAY.as_millis());
    let server = start(&[
        ("SERVER_MAX_CONNECTIONS", &places),
        ("SERVER_AGENCIES", "1"),
        ("SERVER_EVICTION_DELAY", &delay),
    ]);
    // Silent for longer than any that comes later.
    let mut agency = server.connect_from(HONEST);
    assert_eq!(ask(&mut agency, &frames::hello(1)), "welcome 0 rejected 0 Open");
    let first: Vec<_> = (0..2 * peers).map(|peer| server.connect_from(address_of(peer))).collect();
    // All of them are silent for long enough now.
    std::thread::sleep(2 * DELAY);
    for _ in 0..10 {
        echo(&mut server.connect_from(UNKNOWN));
    }
    assert_healthy(&server);
    let second: Vec<_> = (0..peers).map(|peer| server.connect_from(address_of(peer))).collect();
    std::thread::sleep(2 * DELAY);
    echo(&mut server.connect_from(UNKNOWN));
    assert_eq!(ask(&mut agency, &frames::end(0)), "finished 0 0");
    drop((first, second));
    let log = server.stop();
    assert!(log.contains("| reason: evicted: silent for "), "none was evicted");
}

#[test]
fn the_last_places_are_for_the_health_check_and_known_agencies() {
    let server = start(&[
        ("SERVER_MAX_CONNECTIONS", "40"),
        ("SERVER_RESERVED_CONNECTIONS", "5"),
        ("SERVER_AGENCIES", "1"),
        ("SERVER_EVICTION_DELAY", "0s"),
    ]);
    let mut agency = server.connect_from(HONEST);
    assert_eq!(ask(&mut agency, &frames::hello(1)), "welcome 0 rejected 0 Open");
    drop(agency);
    let mut crowd = Vec::new();
    loop {
        let mut peer = server.connect_from(address_of(crowd.len()));
        // The server may not have noticed yet that the agency is gone.
        if peer.write_all(b"x\n").is_err() || is_refused(&mut peer) {
            break;
        }
        crowd.push(peer);
        assert!(crowd.len() <= 35, "{} are in", crowd.len());
    }
    assert!(crowd.len() >= 34, "{} are in", crowd.len());
    assert_healthy(&server);
    let mut agency = server.connect_from(HONEST);
    assert_eq!(ask(&mut agency, &frames::hello(1)), "welcome 0 rejected 0 Open");
    let log = server.stop();
    assert!(log.contains("| error: only reserved connections left"), "{log}");
}
