//! Every kind of request, and of line, over and over in each phase: nothing that is repeated costs
//! memory per repetition.

use std::io::{Read, Write};
use std::time::Duration;

use wire::{MAGIC, Request};

use crate::attack::{Attack, mebibytes};
use crate::conversation::{HOSTILE, connect_from, introduce};
use crate::flood::{Peer, Reading, Script, repeat, run};
use crate::scale;
use kit::frames::{batch, bytes, end, hello, hello_of_version, responses};

/// Memory that all of it may add to what the server has at its start: a few peers' buffers.
const GROWTH_MAX: usize = 5 << 20;

/// Agencies that repeat themselves.
const REPEATING: std::ops::RangeInclusive<u32> = 2..=9;

/// The agency that the draw waits for.
const LAST: u32 = 10;

/// The bets of each of the others.
const TWO: [(&str, &str); 2] = [("1", "7574"), ("2", "5")];

const UNKNOWN: &[u8] = &[MAGIC, 0x77, 0, 4];

fn winners() -> Vec<u8> {
    bytes(&Request::Winners)
}

/// A batch of one bet, as the request for a single one.
fn single(position: u64) -> Vec<u8> {
    let mut frame = batch(position, &TWO[..1]);
    frame[1] = 0x02;
    frame
}

/// One that introduces itself, stores two bets when there are none yet, and then repeats a request
/// that is answered each time.
fn repeating(attack: &Attack, agency: u32, request: &[u8], times: u64, reads: bool) -> Peer {
    let mut first = Some([hello(agency), batch(0, &TWO)].concat());
    let mut rest = repeat(request, times);
    let script: Script = Box::new(move |out| match first.take() {
        Some(first) => out.extend(first),
        None => rest(out),
    });
    let reading = if reads { Reading::Frames(2 + times) } else { Reading::Never };
    Peer::new(connect_from(&attack.server, HOSTILE), script, reading)
}

fn echoing(attack: &Attack, line: &[u8], times: u64, reads: bool) -> Peer {
    let bytes = line.len() as u64 * times;
    let reading = if reads { Reading::Bytes(bytes) } else { Reading::Never };
    Peer::new(connect_from(&attack.server, HOSTILE), repeat(line, times), reading)
}

/// Lets them repeat; adds how much memory there is more now than `before`, and who wasn't answered.
fn watched(
    attack: &Attack,
    phase: &str,
    mut peers: Vec<Peer>,
    before: usize,
    broken: &mut Vec<String>,
) -> usize {
    run(&mut peers, Duration::from_mins(5));
    let growth = attack.server.anonymous_memory().saturating_sub(before);
    if growth > GROWTH_MAX {
        broken.push(format!("{phase}: {} more", mebibytes(growth)));
    }
    let unanswered = peers.iter().filter(|peer| peer.waits_for_input()).count();
    if unanswered > 0 {
        broken.push(format!("{phase}: {unanswered} of those that read weren't answered in full"));
    }
    growth
}

/// What ends a connection, on one connection after the other, each time with a lot behind it.
fn refused(attack: &Attack, first: &[u8], request: &[u8], broken: &mut Vec<String>) {
    for _ in 0..scale(20, 2_000) {
        let mut stream = connect_from(&attack.server, HOSTILE);
        // It may end before it has taken all of that.
        let _ = stream.write_all(&[first, &request.repeat(1_000)].concat());
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let (found, _) = responses(&response);
        if !found.last().is_some_and(|last| last.starts_with("error ")) {
            return broken.push(format!("{request:x?} was answered: {found:?}"));
        }
    }
}

/// Halves of frames and lines, and connections that end there.
fn halves(attack: &Attack) {
    for half in [&hello(2)[..5], &batch(0, &TWO)[..20], &[MAGIC], b"half a line"] {
        for _ in 0..scale(50, 5_000) {
            connect_from(&attack.server, HOSTILE).write_all(half).expect("taken");
        }
    }
}

/// Ends the input of every agency that repeats, after its first batch.
fn end_inputs(attack: &Attack, first: &[u8]) {
    for agency in REPEATING {
        let (mut conversation, welcome) = introduce(&attack.server, HOSTILE, agency);
        if welcome == "welcome 0 rejected 0 Open" {
            assert_eq!(conversation.ask(first), "stored 2");
        }
        assert_eq!(conversation.ask(&end(2)), "finished 2 0");
    }
}

#[test]
fn no_request_costs_memory_when_it_is_repeated() {
    let times = scale(400_000, 10_000_000);
    let mut attack = Attack::begin(
        "every request in every phase, over and over, read and not read",
        &[("SERVER_AGENCIES", "10"), ("SERVER_MAX_PENDING_REPLIES", "1024")],
    );
    let mut broken = Vec::new();
    let before = attack.server.anonymous_memory();
    let (one, two) = (batch(0, &TWO), single(0));
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();

    let open = vec![
        repeating(&attack, 2, &one, times, true),
        repeating(&attack, 3, &one, times, false),
        repeating(&attack, 4, &two, times, true),
        repeating(&attack, 5, &two, times, false),
        echoing(&attack, b"\n", times, true),
        echoing(&attack, b"\n", times, false),
        echoing(&attack, &line, times / 10, true),
        echoing(&attack, &line, times / 10, false),
    ];
    let mut growth = watched(&attack, "open", open, before, &mut broken);
    for request in [&one, &two, &end(0), &winners(), UNKNOWN] {
        refused(&attack, b"", request, &mut broken);
    }
    let again = hello_of_version(9, 2);
    for request in [&hello(LAST), &again, &end(7), &winners(), UNKNOWN] {
        refused(&attack, &hello(LAST), request, &mut broken);
    }
    halves(&attack);

    end_inputs(&attack, &one);
    for phase in ["finished", "drawn"] {
        // Each list is read from the ledger.
        let questions = if phase == "drawn" { times / 10 } else { times };
        let asks = |agency, reads| repeating(&attack, agency, &winners(), questions, reads);
        let peers = vec![
            repeating(&attack, 2, &one, times, true),
            repeating(&attack, 3, &one, times, false),
            repeating(&attack, 4, &end(2), times, true),
            repeating(&attack, 5, &end(2), times, false),
            // No response comes before the draw.
            asks(6, phase == "drawn"),
            asks(7, false),
        ];
        growth = growth.max(watched(&attack, phase, peers, before, &mut broken));
        let more = batch(2, &TWO);
        for request in [&hello(8), &end(7), &more, UNKNOWN] {
            refused(&attack, &hello(8), request, &mut broken);
        }
        if phase == "finished" {
            let (mut last, _) = introduce(&attack.server, HOSTILE, LAST);
            assert_eq!(last.ask(&end(0)), "finished 0 0");
            attack.draw();
        }
    }
    let measured = format!("{times} of each, {} more at most", mebibytes(growth));
    attack.end("no memory per repetition", &measured, broken);
}
