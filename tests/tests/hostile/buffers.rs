//! Very many peers that each make the server keep something for them, at the same time.

use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;
use wire::Request;

use crate::attack::{Attack, mebibytes};
use crate::conversation::{HOSTILE, connect_from, connect_with};
use crate::flood::{Peer, Reading, Script, repeat, run};
use crate::scale;
use kit::frames::{batch, bytes, end, hello};
use kit::process::raise_descriptors;

/// `SERVER_MAX_BUFFERED_BYTES` here.
const BUFFERED_MAX: usize = 32 << 20;
const BUFFERED: (&str, &str) = ("SERVER_MAX_BUFFERED_BYTES", "32MiB");

/// What the server has beside its buffers, more than at its start: slots of connections, and what
/// it holds of one turn.
const BESIDE: usize = 8 << 20;

const BOUND: &str = "`SERVER_MAX_BUFFERED_BYTES` and a tenth";

/// Lets them do their worst, and ends the attack: the memory that it has taken must be bounded.
fn flood(attack: Attack, mut peers: Vec<Peer>, what: &str) {
    attack.forget_peak();
    let before = attack.server.anonymous_memory();
    run(&mut peers, Duration::from_mins(2));
    let mut broken = Vec::new();
    let taken = attack.peak().map_or(usize::MAX, |peak| peak.saturating_sub(before));
    if taken > BUFFERED_MAX + BUFFERED_MAX / 10 + BESIDE {
        broken.push(format!("{} more", mebibytes(taken)));
    }
    let cut_off = peers.iter().filter(|peer| peer.is_cut_off()).count();
    let measured = format!("{what}: {} more; {cut_off} were cut off", mebibytes(taken));
    attack.end(BOUND, &measured, broken);
}

#[test]
fn large_answers_that_a_thousand_ask_for_are_bounded() {
    const AGENCIES: u32 = 1_000;
    raise_descriptors();
    let mut attack = Attack::begin(
        "1,000 agencies ask for large lists and don't read them",
        &[("SERVER_AGENCIES", "1000"), BUFFERED],
    );
    let winners: Vec<_> = (0..150).map(|index| format!("{index:020}")).collect();
    let winners: Vec<_> = winners.iter().map(|document| (&document[..], "7574")).collect();
    let mut peers: Vec<_> = (2..=AGENCIES)
        .map(|agency| {
            let requests = [hello(agency), batch(0, &winners), end(150)].concat();
            Peer::new(
                connect_from(&attack.server, HOSTILE),
                repeat(&requests, 1),
                Reading::Frames(3),
            )
        })
        .collect();
    run(&mut peers, Duration::from_mins(1));
    assert!(peers.iter().all(Peer::is_done), "their bets are stored");
    drop(peers);
    attack.draw();
    let questions = scale(64 << 10, 1 << 20) / 4;
    let peers = (2..=AGENCIES).map(|agency| {
        let (mut first, mut rest) =
            (Some(hello(agency)), repeat(&bytes(&Request::Winners), questions));
        let script: Script = Box::new(move |out| {
            out.extend(first.take().unwrap_or_default());
            rest(out);
        });
        Peer::new(connect_stingily(&attack), script, Reading::Never)
    });
    let peers = peers.collect();
    flood(attack, peers, &format!("{questions} questions each"));
}

/// With hardly any room for what is sent to it: the server has to keep it.
fn connect_stingily(attack: &Attack) -> TcpStream {
    connect_with(&attack.server, HOSTILE, |socket| {
        SockRef::from(socket).set_recv_buffer_size(4 << 10)
    })
    .expect("it listens")
}

#[test]
fn half_lines_of_64_kib_are_bounded() {
    raise_descriptors();
    let count = scale(1_500, 9_900);
    let attack = Attack::begin("half lines of 64 KiB", &[("SERVER_FRAME_TIMEOUT", "5m"), BUFFERED]);
    let half = vec![b'x'; (64 << 10) - 1];
    let peers = (0..count).map(|_| {
        Peer::new(connect_from(&attack.server, HOSTILE), repeat(&half, 1), Reading::Never)
    });
    let peers = peers.collect();
    flood(attack, peers, &format!("{count} connections"));
}

#[test]
fn unread_answers_are_bounded() {
    raise_descriptors();
    let count = scale(1_500, 9_900);
    let attack = Attack::begin("responses that aren't read", &[BUFFERED]);
    let line = [vec![b'x'; (32 << 10) - 1], vec![b'\n']].concat();
    let peers =
        (0..count).map(|_| Peer::new(connect_stingily(&attack), repeat(&line, 32), Reading::Never));
    let peers = peers.collect();
    flood(attack, peers, &format!("{count} connections"));
}
