//! How input reaches the handler: whole, in order, and fairly.

use std::collections::HashMap;
use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;

use reactor::{Limits, TimerId};

use loop_tests::{
    Call, DynContext, Ending, Event, SOON, Script, echo, listening, pattern, peer, read_all,
    read_exactly, reset, run, spawn,
};

/// Echoes each whole line and leaves the rest.
fn echo_lines(cx: &mut dyn DynContext, call: Call<'_>) {
    match call {
        Call::Data(id, input, consumed) => {
            *consumed = input.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
            cx.send(id, &input[..*consumed]);
        }
        call => echo(cx, &call),
    }
}

fn inputs<'a>(events: &'a [Event]) -> Vec<&'a [u8]> {
    let input = |event: &'a Event| match event {
        Event::Data(_, bytes) => Some(bytes.as_slice()),
        _ => None,
    };
    events.iter().filter_map(input).collect()
}

#[test]
fn a_line_in_one_byte_writes() {
    let (event_loop, address) = listening(Limits::default());
    let mut running = spawn(event_loop, Script::new(echo_lines).stops_after(1));
    let mut peer = peer(address);
    for (position, byte) in b"hola\n".iter().enumerate() {
        peer.write_all(&[*byte]).unwrap();
        let wanted = b"hola\n"[..=position].to_vec();
        running.wait_for(|event| match event {
            Event::Data(_, input) => (*input == wanted).then_some(()),
            _ => None,
        });
    }
    assert_eq!(read_exactly(&peer, 5), b"hola\n");
    drop(peer);
    let finished = running.join();
    assert_eq!(inputs(&finished.events), [&b"h"[..], b"ho", b"hol", b"hola", b"hola\n"]);
}

#[test]
fn several_messages_in_one_packet() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"uno\ndos\ntres\n").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let finished = run(event_loop, Script::new(echo_lines).stops_after(1));
    assert_eq!(read_all(&peer), b"uno\ndos\ntres\n");
    assert_eq!(inputs(&finished.events), [b"uno\ndos\ntres\n"]);
}

#[test]
fn what_is_left_comes_again_with_more_behind_it() {
    let (event_loop, address) = listening(Limits::default());
    let running = spawn(event_loop, Script::new(echo_lines).stops_after(1));
    let mut peer = peer(address);
    peer.write_all(b"uno\ndo").unwrap();
    assert_eq!(read_exactly(&peer, 4), b"uno\n");
    peer.write_all(b"s\n").unwrap();
    assert_eq!(read_exactly(&peer, 4), b"dos\n");
    drop(peer);
    let finished = running.join();
    assert_eq!(inputs(&finished.events), [&b"uno\ndo"[..], b"dos\n"]);
}

#[test]
fn the_end_brings_what_was_never_consumed() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"uno\ndos").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let finished = run(event_loop, Script::new(echo_lines).stops_after(1));
    assert_eq!(read_all(&peer), b"uno\n");
    let ended = |event: &Event| matches!(event, Event::Eof(_, rest) if rest == b"dos");
    assert_eq!(finished.count(ended), 1);
}

#[test]
fn an_end_without_a_byte_is_delivered_once() {
    let (event_loop, address) = listening(Limits::default());
    drop(peer(address));
    let finished = run(event_loop, Script::echo().stops_after(1));
    assert_eq!(finished.count(|event| matches!(event, Event::Eof(_, rest) if rest.is_empty())), 1);
    assert_eq!(inputs(&finished.events).len(), 0);
}

/// The peer has sent everything before the loop begins, so one event reports all of it: a loop that
/// reads its budget and waits for another event never gets the rest.
#[test]
fn the_read_budget_is_kept_and_the_rest_needs_no_event() {
    const SHARE: usize = 100;
    const TOTAL: usize = 20_000;
    let (event_loop, address) = listening(Limits { read_budget: SHARE, ..Limits::default() });
    let mut peer = peer(address);
    peer.write_all(&pattern(TOTAL)).unwrap();
    let mut left = TOTAL;
    let script = Script::new(move |cx, call| {
        if let Call::Data(_, input, _) = call {
            left -= input.len();
            if left == 0 {
                cx.shutdown();
            }
        }
    });
    let finished = run(event_loop, script);
    assert_eq!(inputs(&finished.events).concat(), pattern(TOTAL));
    for turn in finished.turns() {
        assert!(inputs(turn).iter().map(|input| input.len()).sum::<usize>() <= SHARE);
    }
    assert!(finished.counters.turns >= (TOTAL / SHARE) as u64);
}

/// A frame larger than the read budget gathers in the connection's own buffer.
#[test]
fn a_message_larger_than_the_read_budget() {
    const FRAME: usize = 5000;
    let limits = Limits { read_budget: 7, max_unconsumed: FRAME, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let mut peer = peer(address);
    peer.write_all(&pattern(FRAME)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let script = Script::new(|cx, call| match call {
        Call::Data(_, input, consumed) if input.len() < FRAME => *consumed = 0,
        call => echo(cx, &call),
    });
    run(event_loop, script.stops_after(1));
    assert_eq!(read_all(&peer), pattern(FRAME));
}

#[test]
fn a_flood_does_not_starve_another_peer() {
    const SHARE: usize = 64;
    const FLOOD: usize = 30_000;
    let (event_loop, address) = listening(Limits { read_budget: SHARE, ..Limits::default() });
    let (mut flooding, mut modest) = (peer(address), peer(address));
    flooding.write_all(&pattern(FLOOD)).unwrap();
    modest.write_all(b"hola").unwrap();
    flooding.shutdown(Shutdown::Write).unwrap();
    modest.shutdown(Shutdown::Write).unwrap();
    let finished = run(event_loop, Script::echo().stops_after(2));
    assert_eq!(read_all(&modest), b"hola");
    assert_eq!(read_all(&flooding), pattern(FLOOD));
    let first = |wanted: &dyn Fn(&[u8]) -> bool| {
        finished.turns().position(|turn| inputs(turn).into_iter().any(wanted)).unwrap()
    };
    let (modest_turn, flooding_turn) = (first(&|input| input == b"hola"), first(&|_| true));
    assert!(modest_turn <= flooding_turn + 1, "turns {modest_turn} and {flooding_turn}");
}

/// Every peer has sent more than the read budget: each turn reads one budget of each, and never two.
#[test]
fn equal_peers_are_served_in_turns() {
    const SHARE: usize = 50;
    const TURNS: usize = 40;
    let (event_loop, address) = listening(Limits { read_budget: SHARE, ..Limits::default() });
    let peers: Vec<_> = (0..5).map(|_| peer(address)).collect();
    for mut peer in &peers {
        peer.write_all(&pattern(SHARE * TURNS)).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
    }
    let finished = run(event_loop, Script::echo().stops_after(peers.len()));
    let mut received = HashMap::new();
    for turn in finished.turns() {
        let mut seen = Vec::new();
        for event in turn {
            let Event::Data(id, input) = event else { continue };
            assert!(!seen.contains(id), "{id:?} was read twice in one turn");
            seen.push(*id);
            *received.entry(*id).or_insert(0) += input.len();
        }
        // One event later at most: no peer is ever two budgets ahead of another.
        let (least, most) = (received.values().min(), received.values().max());
        assert!(most.copied().unwrap_or(0) <= least.copied().unwrap_or(0) + 2 * SHARE);
    }
    assert_eq!(received.len(), peers.len());
}

/// Pauses at every other delivery, and leaves all but a byte of it.
fn pausing_echo() -> Script {
    let (mut every_other, mut paused) = (false, None);
    Script::new(move |cx, call| match call {
        Call::Data(id, input, consumed) => {
            assert_eq!(paused, None, "nothing is delivered while reading is paused");
            every_other = !every_other;
            if every_other {
                *consumed = 1;
                paused = Some(id);
                cx.pause_reading(id);
                cx.set_timer(TimerId(1), Some(SOON));
            }
            cx.send(id, &input[..*consumed]);
        }
        Call::Eof(..) if paused.is_some() => panic!("its end is delivered while it is paused"),
        Call::Timer(_) => cx.resume_reading(paused.take().expect("it is paused")),
        call => echo(cx, &call),
    })
}

/// More may be kept than a decoder's maximum, and it comes again even if nothing more arrives.
#[test]
fn what_a_paused_connection_left_comes_again() {
    let (event_loop, address) =
        listening(Limits { read_budget: 1000, max_unconsumed: 10, ..Limits::default() });
    let mut peer = peer(address);
    peer.write_all(&pattern(5000)).unwrap();
    let running = spawn(event_loop, pausing_echo().stops_after(1));
    assert_eq!(read_exactly(&peer, 5000), pattern(5000));
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&peer), b"");
    let finished = running.join();
    assert!(finished.count(|event| matches!(event, Event::Data(_, bytes) if bytes.len() > 10)) > 4);
}

#[test]
fn the_end_of_a_paused_connection_comes_behind_its_input() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"uno").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let finished = run(event_loop, pausing_echo().stops_after(1));
    assert_eq!(read_all(&peer), b"uno");
    assert_eq!(inputs(&finished.events), [&b"uno"[..], b"no"]);
    assert_eq!(finished.endings(), [Ending::Done]);
}

/// The loop doesn't read from it, so only an event reports the failure: one that comes while it is
/// paused, or came with the last bytes.
#[test]
fn a_paused_connection_that_fails_is_closed() {
    for paused_before in [true, false] {
        let (event_loop, address) = listening(Limits::default());
        let mut running = None;
        let mut peer = peer(address);
        let script = Script::new(|cx, call| {
            if let Call::Data(id, _, consumed) = call {
                *consumed = 0;
                cx.pause_reading(id);
            }
        });
        peer.write_all(b"uno").unwrap();
        let script = script.stops_after(1);
        if paused_before {
            let spawned = running.insert(spawn(event_loop, script));
            spawned.wait_for(|event| matches!(event, Event::Data(..)).then_some(()));
            reset(peer);
        } else {
            reset(peer);
            running = Some(spawn(event_loop, script));
        }
        let finished = running.expect("it was spawned").join();
        assert_eq!(finished.endings(), [Ending::Failed(ErrorKind::ConnectionReset)]);
    }
}
