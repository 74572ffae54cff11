//! Peers that are slow, silent or confused.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use fastrand::Rng;
use rustix::process::Signal;
use wire::MAGIC;

use crate::attack::{Attack, mebibytes};
use crate::conversation::{HOSTILE, connect_from};
use crate::scale;
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
    let mut stream = connect_from(server, HOSTILE);
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
    let each = scale(100, 2_000);
    let settings = [("SERVER_FIRST_BYTE_TIMEOUT", "1s"), ("SERVER_FRAME_TIMEOUT", "1s")];
    let attack = Attack::begin("silent peers and half frames and lines", &settings);
    // Silent, with the beginning of a frame, with that of a line, and with one that goes on.
    let beginnings: [&[u8]; 4] = [b"", &[MAGIC, 3, 0x1F], b"half a li", b"a byte at a time: "];
    let mut slow = Vec::new();
    for beginning in beginnings.iter().cycle().take(beginnings.len() * each) {
        let mut stream = connect_from(&attack.server, HOSTILE);
        stream.write_all(beginning).expect("sent");
        slow.push(stream);
    }
    let response = responses_to(&attack.server, &conversation(2, 20));
    let (received, _) = responses(&response);
    assert_eq!(received[1], "stored 20", "{received:?}");
    // The clock of a line runs from its first byte: another one now and then doesn't help.
    let droppers: Vec<_> = slow.iter_mut().skip(3).step_by(beginnings.len()).collect();
    drop_bytes(droppers);
    for stream in &mut slow {
        wait_for_end(stream);
    }
    let log = attack.end("deadlines", &format!("{} connections, all ended", slow.len()), vec![]);
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
    let count = scale(1_000, 20_000);
    let attack = Attack::begin("connections that are closed as soon as they are made", &[]);
    for _ in 0..count {
        drop(connect_from(&attack.server, HOSTILE));
    }
    assert_serves(&attack.server);
    attack.end("each leaves nothing behind", &format!("{count} connections"), vec![]);
}

#[test]
fn a_peer_that_reads_nothing_costs_its_high_water_mark_and_is_cut_off() {
    /// More than all buffers between here and there hold.
    const SENT_MAX: usize = 64 << 20;
    let settings = [("SERVER_WRITE_TIMEOUT", "1s")];
    let attack = Attack::begin("a peer that reads nothing", &settings);
    let mut stream = connect_from(&attack.server, HOSTILE);
    let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
    // The server stops reading, and so writing stops; then it gives the connection up, and writing
    // fails.
    let mut sent = 0;
    while sent < SENT_MAX && stream.write_all(&line).is_ok() {
        sent += line.len();
    }
    let broken = (sent >= SENT_MAX).then(|| "it takes everything and gives nothing up".to_owned());
    assert_serves(&attack.server);
    let measured = format!("cut off after {}", mebibytes(sent));
    attack.end("`SERVER_WRITE_BUFFER_HIGH`", &measured, broken.into_iter().collect());
}

/// Agencies of the lottery. The first is the honest one's, and no other address may speak for it:
/// chance could make its number of another.
const AGENCIES: (&str, &str) = ("SERVER_AGENCIES", "50");
const ADDRESSES: (&str, &str) = ("SERVER_AGENCY_ADDRESSES", "1=127.0.0.2/32,*=127.0.0.0/8");

/// Bytes that are wrong somewhere: cut off, changed, with a gap, or at random from the beginning.
fn broken_stream(random: &mut Rng) -> Vec<u8> {
    let mut bytes = conversation(random.u32(2..=50), random.u16(1..100));
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
    bytes
}

/// The ledger's files as a kill at this moment would leave them.
fn copy_ledger(server: &Server) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    server.suspend();
    for name in ["bets.csv", "bets.csv.wal"] {
        fs::copy(server.folder().join(name), copy.path().join(name)).expect("copied");
    }
    server.signal(Signal::CONT);
    copy
}

#[test]
fn random_and_broken_streams_are_refused_and_harm_no_peer() {
    let settings = [AGENCIES, ADDRESSES, ("SERVER_LINGER_TIMEOUT", "100ms")];
    let attack = Attack::begin("random and broken streams", &settings);
    let count = scale(300, 10_000);
    let seed = std::env::var("HOSTILE_SEED")
        .map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("HOSTILE_SEED is a number"));
    eprintln!("HOSTILE_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    for _ in 0..count {
        responses_to(&attack.server, &broken_stream(&mut random));
    }
    assert_serves(&attack.server);
    let copy = copy_ledger(&attack.server);
    attack.end("each costs its own connection", &format!("{count} streams"), vec![]);
    // Whatever the server has stored of all that, it takes back.
    let server = Server::start_in(copy, &[AGENCIES]);
    assert_serves(&server);
    server.stop();
}
