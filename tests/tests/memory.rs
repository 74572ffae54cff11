//! Memory that peers can make the server hold, each within its own limits: together they stay below
//! the bound that is set, whatever they do, and honest peers are served beside them.

#![expect(clippy::print_stderr, reason = "how many peers, and how much memory, is printed")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use kit::process::memory;
use kit::server::{Server, command};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

/// Memory for buffers of all connections, in bytes.
const BOUND: usize = 64 << 20;

/// Hostile peers, unless `MEMORY_PEERS` is set.
const PEERS: usize = 2_000;

/// How many peers there can be: as many descriptors as the system lets this process have, which
/// the server inherits.
fn peers() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
    let wanted = std::env::var("MEMORY_PEERS")
        .map_or(PEERS, |text| text.parse().expect("MEMORY_PEERS is a number"));
    let possible = maximum
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
        .saturating_sub(100);
    eprintln!("{} of {wanted} peers", wanted.min(possible));
    wanted.min(possible)
}

fn start() -> Server {
    let bound = BOUND.to_string();
    let environment = [
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_LISTEN_BACKLOG", "1024"),
        ("SERVER_MAX_CONNECTIONS", "20000"),
        ("SERVER_MAX_BUFFERED_BYTES", &bound),
        // What lies in the kernel isn't in the server.
        ("SERVER_SOCKET_BUFFER_SIZE", "16KiB"),
        // Longer than it takes.
        ("SERVER_FRAME_TIMEOUT", "5m"),
        ("SERVER_WRITE_TIMEOUT", "5m"),
    ];
    // A log that isn't read would miss lines.
    Server::start_with_log_file(tempfile::tempdir().expect("a folder"), command(&environment))
}

/// One line there and back.
fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hola\n").expect("it takes input");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"hola\n");
}

/// The most memory that the server has had is within the bound, and enough to show that the bound
/// was needed; and it has logged that it cut peers off.
fn assert_bounded(server: Server, before: usize) {
    let most = memory(server.pid(), "VmHWM:") - before;
    eprintln!("{} of {} KiB", most / 1024, BOUND / 1024);
    assert!(most > BOUND / 2, "{most} bytes of {BOUND}: too few peers");
    assert!(most <= BOUND + BOUND / 10, "{most} bytes of {BOUND}");
    let log = server.stop();
    assert!(log.contains("| reason: buffer limit reached: "), "none was cut off");
}

#[test]
fn half_lines_of_any_number_of_peers_stay_within_the_bound() {
    let server = start();
    let mut honest = server.connect();
    echo(&mut honest);
    let before = memory(server.pid(), "VmRSS:");
    let part = [b'x'; 8 << 10];
    let mut peers: Vec<_> = (0..peers()).map(|_| server.connect()).collect();
    // Each line grows in parts, as those of all others do meanwhile; eight are as long as one may be.
    for _ in 0..8 {
        // It may have been cut off before.
        peers.retain_mut(|peer| peer.write_all(&part).is_ok());
        echo(&mut honest);
    }
    assert_bounded(server, before);
}

#[test]
fn answers_that_any_number_of_peers_do_not_read_stay_within_the_bound() {
    let server = start();
    let mut honest = server.connect();
    echo(&mut honest);
    let before = memory(server.pid(), "VmRSS:");
    let lines = [b"x".repeat(1023), b"\n".to_vec()].concat().repeat(16);
    let mut peers: Vec<_> = (0..peers()).map(|_| server.connect()).collect();
    for peer in &mut peers {
        SockRef::from(&*peer).set_recv_buffer_size(4096).expect("set");
        peer.set_nonblocking(true).expect("set");
    }
    // Until none can send any more: cut off, or not read because it doesn't read.
    let mut waits = 0;
    while waits < 3 {
        let before = peers.len();
        let mut sent = 0;
        peers.retain_mut(|peer| match peer.write(&lines) {
            Ok(count) => {
                sent += count;
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        echo(&mut honest);
        waits = if sent == 0 && before == peers.len() { waits + 1 } else { 0 };
    }
    assert_bounded(server, before);
}
