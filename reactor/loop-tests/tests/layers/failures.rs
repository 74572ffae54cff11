//! What breaks, in each state.

use std::io::ErrorKind;
use std::time::Duration;

use loop_tests::toy::{self, End, HELLO, Toy, record};
use loop_tests::{Call, DynContext, Ending, Event, Script, echo, pattern};
use reactor::testing::Peer;
use reactor::{Context as _, Limits};

use crate::world::{World, at_once, delivered, echo_behind, serve};

fn world() -> World {
    World::new(Limits::default(), echo_behind(Toy::server))
}

/// It sends on while it is refused, and must read why: to close a socket with unread input resets it.
#[test]
fn the_reason_reaches_a_peer_that_goes_on_sending() {
    let mut world = World::new(Limits::default(), echo_behind(|| Toy::server().refusing()));
    let (peer, id) = world.connect();
    peer.write_all(HELLO);
    world.run();
    peer.write_all(&record(&[b'.'; 1000]));
    let (said, ended) = world.read(&peer);
    assert_eq!((said.greeted, said.end, ended), (false, End::Refused, true));
    peer.write_all(&record(&[b'.'; 1000]));
    world.run();
    assert_eq!(world.endings(), [], "it lingers");
    drop(peer);
    world.run();
    assert_eq!(world.calls(), [Event::Close(id, Ending::Layer)]);
}

#[test]
fn a_peer_that_is_refused_and_does_not_go_is_waited_for_so_long() {
    let mut world = World::new(Limits::default(), echo_behind(|| Toy::server().refusing()));
    let (peer, _) = world.connect();
    peer.write_all(HELLO);
    world.run();
    world.network.advance(Limits::default().linger_timeout);
    world.run();
    assert_eq!(world.endings(), [Ending::Layer]);
    assert_eq!(world.read(&peer).0.end, End::Refused);
}

/// The handler has answered and closed the connection when its layer fails, in one piece of input: the
/// answer can't leave any more, and nothing else would end the connection.
#[test]
fn a_failure_behind_a_close_ends_it_too() {
    let script = Script::new(|cx, call| match call {
        Call::Data(id, ..) if !cx.peer_certificates(id).is_empty() => {
            cx.send(id, b"answer");
            cx.close(id);
        }
        call => serve(cx, call, Toy::server, |_: &mut dyn DynContext, _: &Call<'_>| {}),
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, _) = world.connect();
    peer.write_all(&[&HELLO[..], &record(b"1"), &[0xff; 8]].concat());
    world.run();
    drop(peer);
    world.run();
    assert_eq!(world.endings(), [Ending::Layer]);
}

/// What the peer had sent before is delivered, wherever its bytes are cut.
#[test]
fn what_came_before_is_delivered() {
    let broken = [&HELLO[..], &record(b"12"), &record(b"3"), &[0xff; 8]].concat();
    for cut in 1..=broken.len() {
        let mut world = world();
        let (peer, id) = world.connect();
        let (first, second) = broken.split_at(cut);
        peer.write_all(first);
        world.run();
        peer.write_all(second);
        world.run();
        drop(peer);
        world.run();
        let calls = world.calls();
        let begins = calls.iter().position(|call| *call == Event::Handshake(id)).unwrap();
        assert_eq!(delivered(&calls[begins..]), b"123", "cut at {cut}");
        assert_eq!(calls.last(), Some(&Event::Close(id, Ending::Layer)), "cut at {cut}");
        let ends = calls.iter().filter(|call| matches!(call, Event::Eof(..))).count();
        assert_eq!(ends, 0, "cut at {cut}");
    }
}

#[test]
fn nonsense_instead_of_a_handshake() {
    for wire in [&b"t"[..], b"to", b"toy"] {
        let mut world = world();
        let (peer, _) = world.connect();
        peer.write_all(&[wire, b"?????"].concat());
        let (said, ended) = world.read(&peer);
        assert_eq!((said.greeted, said.end, ended), (false, End::Refused, true));
        drop(peer);
        world.run();
        let calls = world.calls();
        assert!(!calls.iter().any(|call| matches!(call, Event::Handshake(_))), "{calls:?}");
        assert!(matches!(calls.last(), Some(Event::Close(_, Ending::Layer))), "{calls:?}");
    }
}

#[test]
fn the_bytes_end_too_early() {
    let hello = &HELLO[..];
    let within_a_record = [hello, &record(b"12")[..3]].concat();
    for wire in [&hello[..1], &hello[..3], &within_a_record] {
        let mut world = world();
        let (peer, _) = world.connect();
        peer.write_all(wire);
        world.run();
        peer.shutdown().unwrap();
        world.run();
        let calls = world.calls();
        assert!(matches!(calls.last(), Some(Event::Close(_, Ending::Layer))), "{calls:?}");
        assert!(!calls.iter().any(|call| matches!(call, Event::Eof(..))), "{calls:?}");
    }
}

/// Much waits for the peer when it breaks off: no more than what the layer has already leaves.
#[test]
fn output_that_waits_is_dropped() {
    const MUCH: usize = 100_000;
    let script = at_once(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(MUCH));
        }
    });
    let mut world = World::new(Limits::default(), script);
    world.network.set_capacity(3000);
    let (peer, _) = world.greet();
    peer.write_all(&record(b"1"));
    world.run();
    peer.write_all(&[0xfe; 2]);
    let (said, ended) = world.read(&peer);
    assert!(said.plain.len() < 10_000 && pattern(MUCH).starts_with(&said.plain));
    assert_eq!((said.end, ended), (End::Refused, true));
    drop(peer);
    world.run();
    assert_eq!(world.endings(), [Ending::Layer]);
}

/// It failed, and what it says of that can't leave.
#[test]
fn a_peer_that_is_refused_and_takes_nothing() {
    let script = at_once(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(100_000));
        }
    });
    let write_timeout = Duration::from_secs(1);
    let mut world = World::new(Limits { write_timeout, ..Limits::default() }, script);
    world.network.set_capacity(3000);
    let (peer, _) = world.greet();
    peer.write_all(&record(b"1"));
    world.run();
    peer.write_all(&[0xfe; 2]);
    world.run();
    assert_eq!(world.endings(), []);
    world.network.advance(write_timeout);
    world.run();
    assert_eq!(world.endings(), [Ending::Layer], "why it stalled is that it had failed");
    drop(peer);
}

#[test]
fn the_peer_refuses() {
    let mut world = world();
    let (peer, id) = world.greet();
    peer.write_all(&[record(b"1"), vec![0xff; 2]].concat());
    let (said, ended) = world.read(&peer);
    assert_eq!((&said.plain[..], said.end, ended), (&b""[..], End::Open, true));
    drop(peer);
    world.run();
    assert_eq!(world.calls(), [Event::Data(id, b"1".to_vec()), Event::Close(id, Ending::Layer)]);
}

#[test]
fn a_pause_hides_no_failure() {
    let script = Script::new(|cx, call| match call {
        Call::Open(id) => cx.start_layer(id, Box::new(Toy::server())),
        Call::Data(id, _, consumed) => {
            cx.pause_reading(id);
            *consumed = 0;
        }
        _ => {}
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, id) = world.greet();
    peer.write_all(&[record(b"1"), vec![0xff; 2]].concat());
    world.run();
    drop(peer);
    world.run();
    assert_eq!(world.calls(), [Event::Data(id, b"1".to_vec()), Event::Close(id, Ending::Layer)]);
}

/// The peer is reset in each state.
#[test]
fn the_connection_fails() {
    let reset = Ending::Failed(ErrorKind::ConnectionReset);
    for (state, expected) in [
        (silent as fn(&mut World) -> Peer, reset),
        (half, reset),
        (complete, reset),
        (within_a_record, reset),
        (paused, reset),
        (full, reset),
        (closing, reset),
        (closed_early, reset),
        (refused, Ending::Layer),
    ] {
        let mut world = World::new(Limits::default(), at_once(|cx, call| echo(cx, &call)));
        world.network.set_capacity(3000);
        let peer = state(&mut world);
        peer.reset();
        world.run();
        assert_eq!(world.endings(), [expected]);
        assert!(world.event_loop.ids().is_empty());
    }
}

fn silent(world: &mut World) -> Peer {
    world.connect().0
}

fn half(world: &mut World) -> Peer {
    let (peer, _) = world.connect();
    peer.write_all(&HELLO[..2]);
    world.run();
    peer
}

fn complete(world: &mut World) -> Peer {
    world.greet().0
}

fn within_a_record(world: &mut World) -> Peer {
    let (peer, _) = world.greet();
    peer.write_all(&record(b"123")[..4]);
    world.run();
    peer
}

fn paused(world: &mut World) -> Peer {
    let (peer, id) = world.greet();
    world.event_loop.context().pause_reading(id);
    peer.write_all(&record(b"1"));
    world.run();
    peer
}

fn full(world: &mut World) -> Peer {
    let (peer, id) = world.greet();
    world.event_loop.context().send(id, &pattern(100_000));
    world.run();
    peer
}

fn closing(world: &mut World) -> Peer {
    let (peer, id) = world.greet();
    world.event_loop.context().send(id, &pattern(100_000));
    world.event_loop.context().close(id);
    world.run();
    peer
}

fn closed_early(world: &mut World) -> Peer {
    let (peer, id) = world.connect();
    world.event_loop.context().close(id);
    world.run();
    peer
}

fn refused(world: &mut World) -> Peer {
    let (peer, _) = world.connect();
    peer.write_all(b"?");
    world.run();
    assert_eq!(toy::read(&peer.read_arrived()).end, End::Refused);
    peer
}
