//! The same over real sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;

use loop_tests::toy::{self, End, HELLO, Toy, record};
use loop_tests::{
    Call, Ending, Event, HUGE, Script, echo, listening, narrow_peer, pattern, peer, read_all,
    read_exactly, reset, spawn,
};
use reactor::Limits;

use crate::world::{at_once, echo_behind};

#[test]
fn what_comes_is_sent_back_and_both_sides_end() {
    let (event_loop, address) = listening(Limits::default());
    let running = spawn(event_loop, echo_behind(Toy::server).stops_after(1));
    let mut peer = peer(address);
    for byte in HELLO.iter().copied().chain(record(b"12")) {
        peer.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_exactly(&peer, 4), HELLO);
    assert_eq!(read_exactly(&peer, 4), record(b"12"));
    peer.write_all(&toy::end()).unwrap();
    assert_eq!(read_all(&peer), toy::end());
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// Much more comes than is read before the refusal: it arrives nevertheless.
#[test]
fn the_reason_reaches_a_peer_that_has_sent_much() {
    let (event_loop, address) = listening(Limits::default());
    let running = spawn(event_loop, echo_behind(|| Toy::server().refusing()).stops_after(1));
    let mut peer = peer(address);
    peer.write_all(&[&HELLO[..], &pattern(300_000)].concat()).unwrap();
    let said = toy::read(&read_all(&peer));
    assert_eq!((said.greeted, said.end), (false, End::Refused));
    drop(peer);
    assert_eq!(running.join().endings(), [Ending::Layer]);
}

#[test]
fn much_leaves_before_the_end() {
    let (event_loop, address) = listening(Limits::default());
    let script = at_once(|cx, call| {
        if let Call::Handshake(id) = call {
            cx.send(id, &pattern(HUGE));
            cx.close(id);
        }
    });
    let running = spawn(event_loop, script.stops_after(1));
    let mut peer = narrow_peer(address);
    peer.write_all(HELLO).unwrap();
    let said = toy::read(&read_all(&peer));
    assert!(said.plain == pattern(HUGE));
    assert_eq!(said.end, End::Ended);
    drop(peer);
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// Both directions are full at times, and neither side waits for ever.
#[test]
fn much_both_ways() {
    const MUCH: usize = 4 * 1024 * 1024;
    let (event_loop, address) = listening(Limits::default());
    let running = spawn(event_loop, echo_behind(Toy::server).stops_after(1));
    let mut peer = narrow_peer(address);
    let sender = peer.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let mut peer = &sender;
        peer.write_all(HELLO).unwrap();
        for piece in pattern(MUCH).chunks(10_000) {
            peer.write_all(&record(piece)).unwrap();
        }
        peer.write_all(&toy::end()).unwrap();
    });
    let mut wire = Vec::new();
    peer.read_to_end(&mut wire).unwrap();
    sending.join().unwrap();
    let said = toy::read(&wire);
    assert!(said.plain == pattern(MUCH));
    assert_eq!(said.end, End::Ended);
    drop(peer);
    assert_eq!(running.join().endings(), [Ending::Done]);
}

#[test]
fn a_crowd_of_handshakes_one_in_a_turn() {
    const CROWD: usize = 200;
    let (event_loop, address) = listening(Limits { handshake_budget: 1, ..Limits::default() });
    let peers = [(); CROWD].map(|()| {
        let mut peer = peer(address);
        peer.write_all(HELLO).unwrap();
        peer
    });
    let running = spawn(event_loop, at_once(|cx, call| echo(cx, &call)).stops_after(CROWD));
    for peer in &peers {
        assert_eq!(read_exactly(peer, 4), HELLO);
    }
    drop(peers);
    let finished = running.join();
    for turn in finished.turns() {
        let handshakes = turn.iter().filter(|call| matches!(call, Event::Handshake(_))).count();
        assert!(handshakes <= 1, "{turn:?}");
    }
    assert_eq!(finished.count(|call| matches!(call, Event::Handshake(_))), CROWD);
}

#[test]
fn peers_that_break_off() {
    let (event_loop, address) = listening(Limits::default());
    let running = spawn(event_loop, echo_behind(Toy::server).stops_after(4));
    for wire in [&HELLO[..2], &[&HELLO[..], &record(b"12")[..3]].concat()] {
        let mut cut = peer(address);
        cut.write_all(wire).unwrap();
        cut.shutdown(Shutdown::Write).unwrap();
        read_all(&cut);
        let mut broken = peer(address);
        broken.write_all(wire).unwrap();
        reset(broken);
    }
    let mut endings = running.join().endings();
    endings.sort_by_key(|ending| *ending != Ending::Layer);
    let reset = Ending::Failed(ErrorKind::ConnectionReset);
    assert_eq!(endings, [Ending::Layer, Ending::Layer, reset, reset]);
}

/// The loop calls, and is called by itself: both sides have a layer.
#[test]
fn a_loop_that_speaks_with_itself() {
    const MUCH: usize = 1024 * 1024;
    let (event_loop, address) = listening(Limits::default());
    let mut called = None;
    let mut received = 0;
    let script = Script::new(move |cx, call| match call {
        Call::Start => called = Some(cx.connect(address)),
        Call::Open(id) if Some(id) == called => {
            cx.start_layer(id, Box::new(Toy::client()));
            cx.send(id, &pattern(MUCH));
        }
        Call::Open(id) => cx.start_layer(id, Box::new(Toy::server())),
        Call::Data(id, input, _) if Some(id) == called => {
            received += input.len();
            if received == MUCH {
                cx.close(id);
            }
        }
        call => echo(cx, &call),
    });
    assert_eq!(spawn(event_loop, script.stops_after(2)).join().endings(), [Ending::Done; 2]);
}
