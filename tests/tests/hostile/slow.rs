//! Peers that are slow, silent or confused.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use fastrand::Rng;
use wire::MAGIC;

use kit::frames::{batch, end, hello, responses};
use kit::process::TIMEOUT;
use kit::server::Server;

/// What an agency sends that introduces itself, sends a batch of so many bets, and ends.
fn conversation(agency: u32, bets: u16) -> Vec<u8> {
    let documents: Vec<_> =
        (0..bets).map(|index| format!("{:08}", 10_000_000 + u32::from(index))).collect();
    let bets: Vec<_> = documents.iter().map(|document| (&document[..], "7574")).collect();
    [hello(agency), batch(0, &bets), end(bets.len() as u64)].concat()
}

/// Everything that is answered to these bytes, up to the end of the connection.
fn responses_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = server.connect();
    // The server may have refused the beginning while the rest is on its way.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    response
}

fn assert_serves(server: &Server) {
    assert_eq!(responses_to(server, b"still there\n"), b"still there\n");
}

/// Waits for the server to end a connection.
fn wait_for_end(stream: &mut TcpStream) {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        // It went on sending after the end.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not ended within the harness's patience: {error}"),
    }
}

#[test]
fn slow_peers_are_cut_off_and_an_agency_beside_them_is_served() {
    const EACH: usize = 250;
    let server = Server::start(&[
        ("SERVER_FIRST_BYTE_TIMEOUT", "1s"),
        ("SERVER_FRAME_TIMEOUT", "1s"),
        ("SERVER_LISTEN_BACKLOG", "1024"),
        ("SERVER_AGENCIES", "1"),
    ]);
    // Silent, with the beginning of a frame, with that of a line, and with one that goes on.
    let beginnings: [&[u8]; 4] = [b"", &[MAGIC, 3, 0x1F], b"half a li", b"a byte at a time: "];
    let mut slow = Vec::new();
    for beginning in beginnings.iter().cycle().take(beginnings.len() * EACH) {
        let mut stream = server.connect();
        stream.write_all(beginning).expect("sent");
        slow.push(stream);
    }
    let response = responses_to(&server, &conversation(1, 20));
    let (received, _) = responses(&response);
    assert_eq!(received[1], "stored 20", "{received:?}");
    // The clock of a line runs from its first byte: another one now and then doesn't help.
    let droppers: Vec<_> = slow.iter_mut().skip(3).step_by(beginnings.len()).collect();
    drop_bytes(droppers);
    for mut stream in slow {
        wait_for_end(&mut stream);
    }
    assert_serves(&server);
    let log = server.stop();
    assert!(
        log.contains("| error: silent for too long | more: "),
        "logged once, and counted: {log}"
    );
}

/// Sends a byte on each of these every tenth of a second until the server takes no more of any.
fn drop_bytes(mut streams: Vec<&mut TcpStream>) {
    let deadline = std::time::Instant::now() + TIMEOUT;
    while !streams.is_empty() {
        assert!(std::time::Instant::now() < deadline, "{} go on", streams.len());
        streams.retain_mut(|stream| stream.write_all(b"x").is_ok());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_storm_of_connections_leaves_nothing_behind() {
    let server = Server::start(&[("SERVER_LISTEN_BACKLOG", "1024")]);
    for _ in 0..2000 {
        drop(server.connect());
    }
    assert_serves(&server);
    server.stop();
}

#[test]
fn a_peer_that_reads_nothing_costs_its_high_water_mark_and_is_cut_off() {
    let server =
        Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true"), ("SERVER_WRITE_TIMEOUT", "1s")]);
    let mut stream = server.connect();
    let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
    // More than all buffers between here and there hold: the server stops reading, and so
    // writing stops; then it gives the connection up, and writing fails.
    let mut sent = 0_usize;
    while stream.write_all(&line).is_ok() {
        sent += line.len();
        assert!(sent < 64 << 20, "the server takes everything and gives nothing up");
    }
    assert_serves(&server);
}

#[test]
fn random_and_broken_streams_are_refused_and_harm_no_peer() {
    let server = Server::start(&[("SERVER_AGENCIES", "50"), ("SERVER_LINGER_TIMEOUT", "100ms")]);
    let seed = std::env::var("HOSTILE_SEED")
        .map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("HOSTILE_SEED is a number"));
    eprintln!("HOSTILE_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    for _ in 0..1000 {
        let mut bytes = conversation(random.u32(1..=50), random.u16(1..100));
        match random.u8(..4) {
            0 => bytes.truncate(random.usize(..bytes.len())),
            1 => {
                for _ in 0..random.usize(1..5) {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
            }
            2 => {
                let from = random.usize(..bytes.len());
                let to = random.usize(from..bytes.len());
                bytes.drain(from..to);
            }
            _ => {
                bytes = (0..random.usize(1..2000)).map(|_| random.u8(..)).collect();
                bytes[0] = if random.bool() { MAGIC } else { bytes[0] };
            }
        }
        responses_to(&server, &bytes);
    }
    assert_serves(&server);
    // Whatever it has stored of all that, it takes back.
    assert_serves(&server.kill_and_restart(&[("SERVER_AGENCIES", "50")]));
}
