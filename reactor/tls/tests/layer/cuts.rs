//! Any cut of both directions, any order of readiness.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use reactor::Layer as _;
use rustls::{ClientConfig, ServerConfig};
use tls::HELD_MAX;

use crate::credentials::Credentials;
use crate::end::End;
use crate::pair::Pair;

static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let credentials = Credentials::new();
    (credentials.server(), credentials.client())
});

/// What happens next, at one side.
#[derive(Debug, Clone)]
enum Op {
    /// Its socket takes so many bytes; none is `WouldBlock`.
    Write(usize),
    /// So many of the bytes for it arrive.
    Arrive(usize),
    Send(usize),
    Close,
}

fn amount() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => Just(0_usize),
        4 => 1..8_usize,
        3 => 8..2000_usize,
        2 => 2000..100_000_usize,
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => amount().prop_map(Op::Write),
        10 => amount().prop_map(Op::Arrive),
        5 => amount().prop_map(Op::Send),
        1 => Just(Op::Close),
    ]
}

/// A side, the bytes on their way to it, and what it has sent.
struct Half {
    end: End,
    incoming: VecDeque<u8>,
    sent: Vec<u8>,
    closed: bool,
    /// A byte that differs from that of the other side, and with each byte.
    next: u8,
}

impl Half {
    fn new(end: End, next: u8) -> Self {
        Self { end, incoming: VecDeque::new(), sent: Vec::new(), closed: false, next }
    }

    fn send(&mut self, count: usize) {
        if self.closed {
            return;
        }
        let text: Vec<u8> = (0..count).map(|index| self.next ^ index.to_le_bytes()[0]).collect();
        let taken = self.end.send(&text);
        assert!(taken == 0 || !self.end.layer.is_handshaking());
        self.sent.extend_from_slice(&text[..taken]);
        self.next = self.next.wrapping_add(17);
    }

    fn arrive(&mut self, count: usize) {
        let count = count.min(self.incoming.len());
        let wire: Vec<u8> = self.incoming.drain(..count).collect();
        self.end.receive(&wire);
    }

    fn check(&self) {
        assert!(self.end.failure.is_none(), "{:?}", self.end.failure);
        let held = self.end.layer.held();
        assert!(held <= HELD_MAX, "{held}");
    }
}

fn act(halves: &mut [Half; 2], side: usize, op: &Op) {
    match *op {
        Op::Write(room) => {
            let wire = halves[side].end.write_once(room);
            halves[1 - side].incoming.extend(wire.into_iter().flatten());
        }
        Op::Arrive(count) => halves[side].arrive(count),
        Op::Send(count) => halves[side].send(count),
        // A close before the handshake is complete ends it, and what follows is another test's.
        Op::Close if halves[side].end.layer.is_handshaking() => {}
        Op::Close => {
            halves[side].end.close();
            halves[side].closed = true;
        }
    }
    halves[side].check();
}

/// Everything that is on its way arrives, in pieces of this size.
fn run(halves: &mut [Half; 2], piece: usize) {
    while halves.iter().any(|half| half.end.layer.unsent() > 0 || !half.incoming.is_empty()) {
        for side in [0, 1] {
            act(halves, side, &Op::Write(piece));
            act(halves, side, &Op::Arrive(piece));
        }
    }
}

proptest! {
    #[test]
    fn what_is_sent_arrives(
        ops in prop::collection::vec((0..2_usize, op()), 0..200),
        piece in 1..20_000_usize,
    ) {
        let (server, client) = &*CONFIGS;
        let Pair { server, client } = Pair::new(server, client);
        let mut halves = [Half::new(server, 0), Half::new(client, 100)];
        for (side, op) in &ops {
            act(&mut halves, *side, op);
        }
        run(&mut halves, piece);
        for (one, other) in [(0, 1), (1, 0)] {
            prop_assert!(halves[one].end.received == halves[other].sent);
            prop_assert!(!halves[one].end.layer.is_handshaking());
            let peer_closed = halves[other].closed;
            prop_assert_eq!(halves[one].end.layer.has_peer_ended(), peer_closed);
            halves[one].end.finish();
            halves[one].check();
        }
    }

    /// The bytes of one direction, whole or cut anywhere and followed by anything, come to the same.
    #[test]
    fn a_cut_changes_nothing(
        lengths in prop::collection::vec(0..3000_usize, 1..5),
        behind in prop::collection::vec(any::<u8>(), 0..100),
        cuts in prop::collection::vec(1..5000_usize, 1..20),
    ) {
        let (server, client) = &*CONFIGS;
        let mut results = Vec::new();
        for cuts in [&[usize::MAX][..], &cuts[..]] {
            let mut pair = Pair::new(server, client);
            pair.run();
            let mut wire = Vec::new();
            for length in &lengths {
                prop_assert_eq!(pair.client.send(&vec![b'.'; *length]), *length);
                wire.extend(pair.client.write());
            }
            wire.extend_from_slice(&behind);
            let mut rest = &wire[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() || pair.server.failure.is_some() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                pair.server.receive(now);
                rest = later;
            }
            if pair.server.failure.is_none() {
                pair.server.finish();
            }
            let failure = pair.server.failure.as_ref().map(ToString::to_string);
            results.push((pair.server.received, failure));
        }
        prop_assert_eq!(&results[0], &results[1]);
        prop_assert_eq!(results[0].0.len(), lengths.iter().sum::<usize>());
        prop_assert_eq!(results[0].1.is_some(), !behind.is_empty());
    }
}

/// Each byte of the whole handshake arrives alone, and each is written alone.
#[test]
fn a_handshake_byte_by_byte() {
    let (server, client) = &*CONFIGS;
    let Pair { server, client } = Pair::new(server, client);
    let mut halves = [Half::new(server, 0), Half::new(client, 100)];
    run(&mut halves, 1);
    assert!(halves.iter().all(|half| !half.end.layer.is_handshaking()));
}

/// The longest record there is, in two pieces that are cut at every byte.
#[test]
fn the_longest_record_split_at_every_byte() {
    const LONGEST: usize = 16 * 1024;
    let mut pair = Pair::established(&Credentials::new());
    let text = vec![b'.'; LONGEST];
    let mut cut = 0;
    loop {
        assert_eq!(pair.client.send(&text), LONGEST);
        let wire = pair.client.write();
        let (first, second) = wire.split_at(cut);
        pair.server.receive(first);
        assert!(pair.server.received.is_empty() || second.is_empty());
        pair.server.receive(second);
        assert!(pair.server.failure.is_none(), "cut at {cut}: {:?}", pair.server.failure);
        assert!(pair.server.received == text, "cut at {cut}");
        pair.server.received.clear();
        if cut == wire.len() {
            break;
        }
        cut += 1;
    }
    assert_eq!(cut, LONGEST + 5 + 17);
}
