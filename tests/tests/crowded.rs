//! More connections than a lottery needs, and fewer descriptors than connections: the busy ones are
//! served, nothing spins, and a waiting peer gets in when another leaves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kit::process::raise_descriptors;
use kit::server::Server;

/// Idle connections: what the default limit of 10,000 leaves beside the busy ones.
const IDLE: usize = 9_000;

/// Memory of the server's own that an idle connection may cost, in bytes: a few hundred.
const IDLE_COST_MAX: usize = 300;

/// How long the server is watched while it has nothing to do.
const WATCHED: Duration = Duration::from_secs(1);

/// Processor time that doing nothing may take meanwhile: far less than spinning would.
const NOTHING_MAX: Duration = Duration::from_millis(200);

/// One line there and back.
fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hola\n").expect("it takes input");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"hola\n");
}

#[test]
fn nine_thousand_idle_connections_cost_little_and_a_hundred_busy_ones_are_served() {
    raise_descriptors();
    let server = Server::start(&[
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_LISTEN_BACKLOG", "1024"),
        ("SERVER_FIRST_BYTE_TIMEOUT", "0s"),
    ]);
    let mut busy: Vec<_> = (0..100).map(|_| server.connect()).collect();
    busy.iter_mut().for_each(echo);
    let before = server.anonymous_memory();
    let idle: Vec<_> = (0..IDLE).map(|_| server.connect()).collect();
    // Who came later is served, so all of them were let in.
    echo(&mut server.connect());
    for _ in 0..20 {
        busy.iter_mut().for_each(echo);
    }
    let cost = server.anonymous_memory().saturating_sub(before) / IDLE;
    assert!(cost <= IDLE_COST_MAX, "{cost} bytes for each idle connection");
    drop(idle);
    busy.iter_mut().for_each(echo);
    server.stop();
}

/// Fills the server up, and checks that it waits without spinning until connections are free again.
fn assert_waits_for_places(server: Server, reason: &str) {
    // Far more than its limit; the kernel's backlog takes the rest.
    let mut crowd: Vec<_> = (0..100).map(|_| server.connect()).collect();
    echo(&mut crowd[0]);
    let (start, before) = (Instant::now(), server.processor_time());
    std::thread::sleep(WATCHED);
    let spent = server.processor_time().saturating_sub(before);
    assert!(spent < NOTHING_MAX, "{spent:?} of {:?} for nothing", start.elapsed());
    // Who is in is served as ever, and who waits gets in as the others leave, to the last.
    echo(&mut crowd[0]);
    while let Some(mut first) = (!crowd.is_empty()).then(|| crowd.remove(0)) {
        echo(&mut first);
    }
    let log = server.stop();
    // It happened again for each that left, but it is logged once in a while.
    let count = log.matches(reason).count();
    assert!((1..5).contains(&count), "{count} times: {log}");
}

/// Where none is evicted to let others in.
const CROWDED: [(&str, &str); 3] = [
    ("SERVER_ECHO_KEEP_ALIVE", "true"),
    ("SERVER_LISTEN_BACKLOG", "1024"),
    ("SERVER_EVICTION_DELAY", "0s"),
];

#[test]
fn at_its_limit_of_connections_the_server_waits_for_one_to_end() {
    let environment = [&CROWDED[..], &[("SERVER_MAX_CONNECTIONS", "20")]].concat();
    assert_waits_for_places(Server::start(&environment), "connection limit reached");
}

#[test]
fn without_descriptors_the_server_waits_until_some_are_free() {
    // The server keeps 32 for what isn't a connection; here others have taken most of these.
    let server = Server::start_with_descriptors(64, 26, &CROWDED);
    assert_waits_for_places(server, "Too many open files");
}
