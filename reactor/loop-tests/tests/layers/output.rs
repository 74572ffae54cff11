//! Backpressure and closing.

use std::time::Duration;

use loop_tests::toy::{End, HELLO, record};
use loop_tests::{Call, Ending, Event, Script, pattern};
use reactor::{ConnectionId, Context as _, Limits};

use crate::world::{World, at_once};

/// Far more than sockets, layer and buffers hold.
const MUCH: usize = 100_000;

/// Bytes that a direction of a connection holds.
const NARROW: usize = 3000;

/// `S` asks for much, `c` closes.
fn script() -> Script {
    at_once(|cx, call| {
        if let Call::Data(id, input, _) = call {
            for byte in input {
                match byte {
                    b'S' => cx.send(id, &pattern(MUCH)),
                    b'c' => cx.close(id),
                    _ => {}
                }
            }
        }
    })
}

fn world(limits: Limits) -> World {
    let world = World::new(limits, script());
    world.network.set_capacity(NARROW);
    world
}

fn narrow() -> Limits {
    Limits { write_buffer_high: 2000, write_buffer_low: 500, ..Limits::default() }
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    let mut world = world(narrow());
    let (peer, id) = world.greet();
    peer.write_all(&record(b"S"));
    world.run();
    peer.write_all(&record(b"1"));
    world.run();
    assert_eq!(world.calls(), [Event::Data(id, b"S".to_vec())]);
    assert!(world.event_loop.unsent(id) > MUCH - NARROW - 1000);
    let (said, _) = world.read(&peer);
    assert!(said.plain == pattern(MUCH));
    assert_eq!(world.calls(), [Event::Writable(id), Event::Data(id, b"1".to_vec())]);
}

/// Its end is in the layer, and is delivered when the connection is read again.
#[test]
fn the_end_of_a_peer_that_does_not_read() {
    let mut world = world(narrow());
    let (peer, id) = world.greet();
    peer.write_all(&[record(b"S"), record(b"1")].concat());
    world.turn();
    peer.write_all(&[record(b"2"), loop_tests::toy::end()].concat());
    world.run();
    assert_eq!(world.calls(), [Event::Data(id, b"S1".to_vec())]);
    assert!(world.read(&peer).0.plain == pattern(MUCH));
    let expected =
        [Event::Writable(id), Event::Data(id, b"2".to_vec()), Event::Eof(id, Vec::new())];
    assert_eq!(world.calls(), expected);
}

#[test]
fn much_leaves_before_the_end() {
    let mut world = world(Limits::default());
    let (peer, _) = world.greet();
    peer.write_all(&record(b"Sc"));
    let (said, ended) = world.read(&peer);
    assert!(said.plain == pattern(MUCH));
    assert_eq!((said.end, ended), (End::Ended, true));
    assert_eq!(world.endings(), []);
    drop(peer);
    world.run();
    assert_eq!(world.endings(), [Ending::Done]);
}

#[test]
fn a_peer_that_takes_nothing() {
    const SOON: Duration = Duration::from_secs(1);
    for text in ["S", "Sc"] {
        let mut world = world(Limits { write_timeout: SOON, ..Limits::default() });
        let (peer, _) = world.greet();
        peer.write_all(&record(text.as_bytes()));
        world.run();
        world.network.advance(SOON);
        world.run();
        let endings = world.endings();
        let [Ending::WriteStalled(unsent)] = endings[..] else { panic!("{endings:?}") };
        assert!(unsent > MUCH - NARROW - 1000, "{unsent}");
    }
}

/// A peer that reads slowly isn't stalled.
#[test]
fn a_peer_that_takes_a_little_now_and_then() {
    const SOON: Duration = Duration::from_secs(1);
    let mut world = world(Limits { write_timeout: 2 * SOON, ..Limits::default() });
    let (peer, _) = world.greet();
    peer.write_all(&record(b"Sc"));
    world.run();
    for _ in 0..15 {
        world.network.advance(SOON);
        peer.read(NARROW).unwrap();
        world.run();
    }
    assert_eq!(world.endings(), []);
}

/// The socket takes a byte at a time.
#[test]
fn a_socket_that_takes_hardly_anything() {
    let mut world = World::new(Limits::default(), at_once(|cx, call| reply(cx, &call)));
    world.network.set_capacity(1);
    let peer = world.network.connect(crate::world::ADDRESS).unwrap();
    let mut wire = Vec::new();
    let mut sends = HELLO.iter().copied().chain(record(b"1")).chain(loop_tests::toy::end());
    loop {
        world.run();
        match peer.read(1).unwrap() {
            None => break,
            Some(bytes) => wire.extend(bytes),
        }
        if peer.write(&sends.clone().take(1).collect::<Vec<_>>()).unwrap() == 1 {
            sends.next();
        }
    }
    let said = loop_tests::toy::read(&wire);
    assert_eq!((said.greeted, &said.plain[..], said.end), (true, &b"reply"[..], End::Ended));
}

fn reply(cx: &mut dyn loop_tests::DynContext, call: &Call<'_>) {
    match call {
        Call::Data(id, ..) => cx.send(*id, b"reply"),
        Call::Eof(id, _) => cx.close(*id),
        _ => {}
    }
}

/// A handler that stops at the high mark and goes on when it is told.
#[test]
fn a_handler_resumes_when_there_is_room() {
    const PIECES: usize = 40;
    let mut left = PIECES;
    let mut send = move |cx: &mut dyn loop_tests::DynContext, id: ConnectionId| {
        while left > 0 && cx.unsent(id) <= 2000 {
            cx.send(id, &[b'.'; 1000]);
            left -= 1;
        }
    };
    let script = at_once(move |cx, call| match call {
        Call::Handshake(id) | Call::Writable(id) => send(cx, id),
        _ => {}
    });
    let mut world = World::new(narrow(), script);
    world.network.set_capacity(NARROW);
    let (peer, _) = world.connect();
    peer.write_all(HELLO);
    assert_eq!(world.read(&peer).0.plain.len(), PIECES * 1000);
}

#[test]
fn a_shutdown_sends_the_rest() {
    let mut world = world(Limits::default());
    let (peer, _) = world.greet();
    peer.write_all(&record(b"S"));
    world.run();
    world.event_loop.context().shutdown();
    let (said, ended) = world.read(&peer);
    assert!(said.plain == pattern(MUCH));
    assert_eq!((said.end, ended), (End::Ended, true));
    drop(peer);
    world.run();
    assert!(world.event_loop.is_over());
}
