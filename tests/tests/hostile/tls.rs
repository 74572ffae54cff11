//! Peers that make the server work, or keep something, inside TLS or on the way to it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit::process::raise_descriptors;
use kit::tls_client::{ClientConfig, RECORD_MAX, TlsClient, client_config};
use pki::testing::{Ca, Certified, LeafOptions};
use socket2::{SockRef, Socket};

use crate::attack::{Attack, mebibytes};
use crate::conversation::{HOSTILE, connect_from, connect_with};
use crate::flood::{Peer, Reading, repeat, run, single_bytes};
use crate::scale;

const BUFFERED_BOUND: &str = "`SERVER_MAX_BUFFERED_BYTES` and a half";

/// `SERVER_MAX_BUFFERED_BYTES` here, in MiB. An idle connection is counted with 16 KiB of it.
fn buffered_max() -> usize {
    scale(64, 256)
}

/// An attack on it.
fn begin_bounded(name: &'static str) -> Attack {
    let buffered = format!("{}MiB", buffered_max());
    let attack = Attack::begin_tls(name, &[("SERVER_MAX_BUFFERED_BYTES", &buffered)]);
    attack.forget_peak();
    attack
}

/// What the server has beside its buffers, more than at its start.
const BESIDE: usize = 16 << 20;

/// Threads of an attack that has handshakes to calculate.
const THREADS: usize = 4;

/// How a client of an attack connects.
fn config(attack: &Attack, own: Option<&Certified>) -> Arc<ClientConfig> {
    Arc::new(client_config(attack.certificates().ca(), own))
}

/// A connection whose handshake is complete. It may be cut off before, where too much is held.
fn connect(attack: &Attack, config: &Arc<ClientConfig>) -> io::Result<TlsClient> {
    TlsClient::connect(connect_from(&attack.server, HOSTILE), config)
}

/// With hardly any room for what is sent to it: the server has to keep it.
fn connect_stingily(attack: &Attack, config: &Arc<ClientConfig>) -> io::Result<TlsClient> {
    let few = |socket: &Socket| SockRef::from(socket).set_recv_buffer_size(4 << 10);
    TlsClient::connect(connect_with(&attack.server, HOSTILE, few)?, config)
}

/// Many handshakes one after the other, on several threads, each connection closed at once.
fn handshakes(name: &'static str, own: impl FnOnce(&Attack) -> Option<Certified>, is_good: bool) {
    let count = scale(1_000, 20_000) / THREADS;
    let attack = Attack::begin_tls(name, &[]);
    let config = config(&attack, own(&attack).as_ref());
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..count {
                    let mut client = connect(&attack, &config).expect("a handshake");
                    // A client's part is done before the server has looked at its certificate.
                    let bytes = [client.seal(b"x\n"), client.seal_end()].concat();
                    let sent = client.send_raw(&bytes);
                    let mut response = Vec::new();
                    let read = client.read_to_end(&mut response);
                    assert!(response.is_empty() || is_good, "a bad certificate is echoed");
                    done.fetch_add(u64::from(sent.is_ok() && read.is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    let (done, count) = (done.load(Ordering::Relaxed), (count * THREADS) as u64);
    let served = if is_good { count } else { 0 };
    let broken = (done != served).then(|| format!("{done} of {count} were served"));
    let measured = format!("{count} handshakes, {done} echoes");
    attack.end("`SERVER_HANDSHAKE_BUDGET`", &measured, broken.into_iter().collect());
}

#[test]
fn handshakes_without_a_certificate() {
    handshakes("handshakes without a certificate", |_| None, true);
}

#[test]
fn handshakes_with_an_agencys_certificate() {
    let second = |attack: &Attack| Some(attack.certificates().agency(2).clone());
    handshakes("handshakes with an agency's certificate", second, true);
}

#[test]
fn handshakes_with_a_certificate_of_another_authority() {
    let other = |_: &Attack| Some(Ca::default().issue(&LeafOptions::agency(2)));
    handshakes("handshakes with a certificate of another authority", other, false);
}

/// Ends the attack: the memory that it has taken must be bounded.
fn end_bounded(attack: Attack, before: usize, what: &str, cut_off: usize, broken: Vec<String>) {
    let taken = attack.peak().map_or(usize::MAX, |peak| peak.saturating_sub(before));
    let mut broken = broken;
    let most = buffered_max() << 20;
    if taken > most + most / 2 + BESIDE {
        broken.push(format!("{} more", mebibytes(taken)));
    }
    let measured = format!("{what}: {} more; {cut_off} were cut off", mebibytes(taken));
    attack.end(BUFFERED_BOUND, &measured, broken);
}

/// How many of these the server has ended.
fn cut_off(sockets: &[TcpStream]) -> usize {
    let is_open = |socket: &&TcpStream| {
        socket.set_nonblocking(true).expect("set");
        let mut socket: &TcpStream = socket;
        // What has come of the handshake is read first.
        loop {
            match socket.read(&mut [0; 4096]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    };
    sockets.len() - sockets.iter().filter(is_open).count()
}

#[test]
fn half_handshakes_that_are_held() {
    raise_descriptors();
    let count = scale(1_500, 9_900);
    let attack = Attack::begin_tls("half handshakes that are held", &[]);
    let config = config(&attack, None);
    let begun: Vec<_> = (0..count)
        .map(|_| {
            let mut client = TlsClient::new(connect_from(&attack.server, HOSTILE), &config);
            let hello = client.take_unsent();
            client.send_raw(&hello).expect("sent");
            client.into_socket()
        })
        .collect();
    // The last of them has been answered, so all before it have had their turn.
    begun.last().expect("one").peek(&mut [0]).expect("an answer");
    attack.wait_for(|progress| &progress.stored, 10);
    let open = count - cut_off(&begun);
    let broken = (open > 1024).then(|| format!("{open} are held"));
    let measured = format!("{count} handshakes begun, {open} stay open");
    attack.end("`SERVER_MAX_HANDSHAKES`", &measured, broken.into_iter().collect());
}

#[test]
fn client_hellos_byte_by_byte() {
    raise_descriptors();
    let count = scale(200, 1_000);
    let attack = Attack::begin_tls("ClientHellos byte by byte", &[]);
    let config = config(&attack, None);
    let peers = (0..count).map(|_| {
        let mut client = TlsClient::new(connect_from(&attack.server, HOSTILE), &config);
        let hello = client.take_unsent();
        Peer::new(client.into_socket(), single_bytes(hello), Reading::Bytes(1))
    });
    let mut peers: Vec<_> = peers.collect();
    run(&mut peers, Duration::from_mins(2));
    let answered = peers.iter().filter(|peer| peer.is_done()).count();
    let broken = (answered < count).then(|| format!("{answered} were answered"));
    let measured = format!("{count} ClientHellos, {answered} were answered");
    attack.end("`SERVER_TURN_BUDGET`", &measured, broken.into_iter().collect());
}

#[test]
fn slow_readers() {
    let lines = scale(64, 512);
    let attack = begin_bounded("slow readers inside TLS");
    let config = config(&attack, None);
    let before = attack.server.anonymous_memory();
    let line = [vec![b'x'; (32 << 10) - 1], vec![b'\n']].concat();
    let bytes = usize::try_from(lines).expect("few") * line.len();
    let peers = (0..100).map(|_| {
        let client = connect_stingily(&attack, &config).expect("a handshake");
        Peer::new(client, repeat(&line, lines), Reading::Bytes(bytes as u64))
    });
    let mut peers: Vec<_> = peers.collect();
    run(&mut peers, Duration::from_mins(2));
    let served = peers.iter().filter(|peer| peer.is_done()).count();
    let broken = (served < peers.len()).then(|| format!("{served} were served"));
    let what = format!("{} connections, {} each", peers.len(), mebibytes(bytes));
    end_bounded(attack, before, &what, 0, broken.into_iter().collect());
}

#[test]
fn unread_answers() {
    raise_descriptors();
    let count = scale(1_500, 9_900);
    let attack = begin_bounded("responses inside TLS that aren't read");
    let config = config(&attack, None);
    let before = attack.server.anonymous_memory();
    let line = [vec![b'x'; (32 << 10) - 1], vec![b'\n']].concat();
    let clients = (0..count).filter_map(|_| connect_stingily(&attack, &config).ok());
    let peers = clients.map(|client| Peer::new(client, repeat(&line, 8), Reading::Never));
    let mut peers: Vec<_> = peers.collect();
    run(&mut peers, Duration::from_mins(2));
    let open = peers.iter().filter(|peer| !peer.is_cut_off()).count();
    let cut_off = count - open;
    end_bounded(attack, before, &format!("{count} connections"), cut_off, Vec::new());
}

/// Sends the bytes that `half` makes of many connections, which then stay: the memory that the server
/// holds for them must be bounded.
fn held(name: &'static str, half: impl Fn(&mut TlsClient) -> Vec<u8>) {
    raise_descriptors();
    let count = scale(2_500, 9_900);
    let attack = begin_bounded(name);
    let config = config(&attack, None);
    let before = attack.server.anonymous_memory();
    let half: Vec<_> = (0..count)
        .filter_map(|_| connect(&attack, &config).ok())
        .map(|mut client| {
            // It may be cut off while others come.
            let bytes = half(&mut client);
            let _ = client.send_raw(&bytes);
            client.into_socket()
        })
        .collect();
    // What follows ends with an answer: then everything before it has been read.
    let mut last = connect(&attack, &config).expect("a handshake");
    last.write_all(b"hola\n").expect("sent");
    last.socket().shutdown(Shutdown::Write).expect("half-closed");
    last.read_to_end(&mut Vec::new()).expect("an end in order");
    let cut_off = count - half.len() + cut_off(&half);
    end_bounded(attack, before, &format!("{count} connections"), cut_off, Vec::new());
}

#[test]
fn large_records_that_are_never_complete() {
    held("records of 16 KiB that lack a byte", |client| {
        let mut record = client.seal(&[b'x'; RECORD_MAX]);
        record.pop();
        record
    });
}

#[test]
fn a_byte_behind_large_records() {
    held("a byte behind a record of 16 KiB", |client| {
        let line = [&[b'x'; RECORD_MAX - 1][..], b"\n"].concat();
        [&client.seal(&line)[..], &[23]].concat()
    });
}
