//! What the layer says it holds.

use reactor::Layer as _;
use tls::{HELD_MAX, TlsLayer};

use crate::credentials::Credentials;
use crate::forger::{ALERT, DATA, Forger, HANDSHAKE};
use crate::pair::{self, Pair};

/// It holds so much more than before, and a quarter of it for what the heap loses.
pub(crate) fn assert_holds(layer: &TlsLayer, before: usize, more: usize) {
    let held = layer.held() - before;
    assert!((more / 4 * 4..=more + more / 4 + 200).contains(&held), "{held} for {more}");
}

/// An idle connection holds what it held before, whatever has passed.
#[test]
fn nothing_is_left_of_what_has_passed() {
    let mut pair = Pair::established(&Credentials::new());
    let idle = (pair.server.layer.held(), pair.client.layer.held());
    for length in [1, 100, 5000, 16 * 1024, 60_000] {
        assert_eq!(pair.client.send(&vec![b'.'; length]), length);
        assert_holds(&pair.client.layer, idle.1, length);
        pair.run();
        assert_eq!((pair.server.layer.held(), pair.client.layer.held()), idle);
    }
}

#[test]
fn a_part_of_a_record_is_held() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let idle = server.layer.held();
    let record = forger.record(DATA, &[b'.'; 16 * 1024]);
    let mut arrived = 0;
    for piece in record.chunks(1000) {
        server.receive(piece);
        arrived += piece.len();
        assert_holds(&server.layer, idle, arrived % record.len());
    }
    assert_eq!(server.layer.held(), idle);
}

/// It is given back when all of it has left.
#[test]
fn a_record_that_was_written_in_part_is_held_whole() {
    const LONGEST: usize = 16 * 1024;
    let mut pair = Pair::established(&Credentials::new());
    let idle = pair.client.layer.held();
    assert_eq!(pair.client.send(&[b'.'; LONGEST]), LONGEST);
    assert_eq!(pair.client.write_once(LONGEST).map(|wire| wire.len()), Some(LONGEST));
    assert_holds(&pair.client.layer, idle, LONGEST);
    assert!(pair.client.write_once(LONGEST).is_some());
    assert_eq!(pair.client.layer.held(), idle);
}

/// Long messages that never end, before the handshake is complete and after it.
#[test]
fn parts_of_messages_are_held() {
    const PART: usize = 60_000;
    // A hello that says it has 65,535 bytes.
    let mut server = pair::server(&Credentials::new().server());
    let idle = server.layer.held();
    let hello = [&[1, 0, 0xff, 0xff][..], &vec![0; PART - 4]].concat();
    for piece in hello.chunks(10_000) {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        server.receive(&[&[22, 3, 1][..], &length, piece].concat());
    }
    assert!(server.failure.is_none(), "{:?}", server.failure);
    assert!((PART..HELD_MAX).contains(&(server.layer.held() - idle)));

    // Behind something that isn't held, in one piece.
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let idle = server.layer.held();
    let mut wire = forger.record(DATA, &[b'.'; 5000]);
    let update = [&[24, 0, 0xff, 0xff][..], &vec![0; PART - 4]].concat();
    for piece in update.chunks(10_000) {
        wire.extend(forger.record(HANDSHAKE, piece));
    }
    server.receive(&wire);
    assert!(server.failure.is_none(), "{:?}", server.failure);
    let held = server.layer.held() - idle;
    // rustls is given 4 KiB at a time: some of the first may be held beside what was for the handler.
    assert!((PART - 4096..HELD_MAX).contains(&held), "{held}");
}

/// After the peer's end, rustls keeps the buffer that the last record needed.
#[test]
fn the_buffer_that_stays_after_the_end_is_held() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let idle = server.layer.held();
    let wire = [forger.record(DATA, &[b'.'; 16 * 1024]), forger.record(ALERT, &[1, 0])].concat();
    server.receive(&wire);
    assert!(server.layer.has_peer_ended());
    assert!(server.layer.held() >= idle + 16 * 1024);
}

/// They stay as long as the connection does.
#[test]
fn certificates_are_held() {
    let short = Pair::established(&Credentials::new());
    let long = Credentials::with_intermediate();
    let chain: usize = long.agency.chain.iter().skip(1).map(Vec::len).sum();
    let long = Pair::established(&long);
    let more = long.server.layer.held() - short.server.layer.held();
    // The name of who issued the leaf has another length.
    assert!(more.abs_diff(chain) < 50, "{more} of {chain}");
}

/// It takes no more than a bounded number of bytes before they are written.
#[test]
fn it_takes_no_more_than_so_much() {
    let mut pair = Pair::established(&Credentials::new());
    let mut taken = 0;
    loop {
        match pair.client.send(&vec![b'.'; 100_000]) {
            0 => break,
            more => taken += more,
        }
    }
    assert_eq!(taken, 64 * 1024);
    assert!(pair.client.layer.held() <= HELD_MAX);
    // One byte at a time, each a record of its own.
    let mut pair = Pair::established(&Credentials::new());
    while pair.client.send(b".") == 1 {}
    assert!(pair.client.layer.held() <= HELD_MAX, "{}", pair.client.layer.held());
}
