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

/// `SERVER_MAX_BUFFERED_BYTES` where lists are asked for, and what the server has beside its buffers:
/// the program, slots of connections, what it holds of one turn.
const LISTS_MAX: usize = 32 << 20;
const LISTS: (&str, &str) = ("SERVER_MAX_BUFFERED_BYTES", "32MiB");
const BESIDE: usize = 8 << 20;

const BOUND: &str = "`SERVER_MAX_BUFFERED_BYTES` and a tenth";

/// `SERVER_MAX_BUFFERED_BYTES` of the other attacks, in full its default: a tenth of it has room for
/// everything beside the buffers.
fn buffered_max() -> usize {
    scale(128, 256) << 20
}

/// An attack on a server with that bound.
fn begin(name: &'static str, setting: (&str, &str)) -> Attack {
    let bytes = buffered_max().to_string();
    Attack::begin_in_turns(name, &[setting, ("SERVER_MAX_BUFFERED_BYTES", &bytes)])
}

fn and_a_tenth(bytes: usize) -> usize {
    bytes + bytes / 10
}

/// Lets them do their worst, and ends the attack: all memory that the server has resident is `most`.
fn flood(attack: Attack, mut peers: Vec<Peer>, what: &str, most: usize) {
    attack.forget_peak();
    run(&mut peers, Duration::from_mins(2));
    let mut broken = Vec::new();
    let peak = attack.peak().unwrap_or(usize::MAX);
    if peak > most {
        broken.push(format!("{} resident, at most {}", mebibytes(peak), mebibytes(most)));
    }
    let cut_off = peers.iter().filter(|peer| peer.is_cut_off()).count();
    let measured = format!(
        "{what}: {} resident of {}; {cut_off} were cut off",
        mebibytes(peak),
        mebibytes(most)
    );
    attack.end(BOUND, &measured, broken);
}

#[test]
fn large_answers_that_a_thousand_ask_for_are_bounded() {
    const AGENCIES: u32 = 1_000;
    raise_descriptors();
    let mut attack = Attack::begin_in_turns(
        "1,000 agencies ask for large lists and don't read them",
        &[("SERVER_AGENCIES", "1000"), LISTS],
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
    let most = and_a_tenth(LISTS_MAX) + BESIDE;
    flood(attack, peers, &format!("{questions} questions each"), most);
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
    let count = scale(3_000, 9_900);
    let attack = begin("half lines of 64 KiB", ("SERVER_FRAME_TIMEOUT", "5m"));
    let half = vec![b'x'; (64 << 10) - 1];
    let peers = (0..count).map(|_| {
        Peer::new(connect_from(&attack.server, HOSTILE), repeat(&half, 1), Reading::Never)
    });
    let peers = peers.collect();
    flood(attack, peers, &format!("{count} connections"), and_a_tenth(buffered_max()));
}

#[test]
fn unread_answers_are_bounded() {
    raise_descriptors();
    let count = scale(1_500, 9_900);
    // The kernel holds little: the server has to keep them.
    let attack = begin("responses that aren't read", ("SERVER_SOCKET_BUFFER_SIZE", "64KiB"));
    let line = [vec![b'x'; (32 << 10) - 1], vec![b'\n']].concat();
    let peers =
        (0..count).map(|_| Peer::new(connect_stingily(&attack), repeat(&line, 16), Reading::Never));
    let peers = peers.collect();
    flood(attack, peers, &format!("{count} connections"), and_a_tenth(buffered_max()));
}
