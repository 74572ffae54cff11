//! Records, pauses, ends.

use loop_tests::toy::{self, End, HELLO, RECORD_MAX, Toy, record};
use loop_tests::{Call, DynContext, Ending, Event, Script};
use reactor::{Context as _, Limits};

use crate::world::{World, delivered, echo_behind, serve};

/// Behind a layer: `p` pauses with what follows unconsumed, `k` leaves everything from there on, and at
/// the end the connection stays.
fn script() -> Script {
    Script::new(|cx, call| match call {
        Call::Data(id, input, consumed) if !cx.peer_certificates(id).is_empty() => {
            if let Some(at) = input.iter().position(|byte| *byte == b'p') {
                cx.pause_reading(id);
                *consumed = at + 1;
            } else if let Some(at) = input.iter().position(|byte| *byte == b'k') {
                *consumed = at;
            }
        }
        call => serve(cx, call, Toy::server, |_: &mut dyn DynContext, _: &Call<'_>| {}),
    })
}

fn world() -> World {
    World::new(Limits::default(), script())
}

#[test]
fn a_record_comes_when_it_is_whole() {
    let mut world = world();
    let (peer, id) = world.greet();
    let whole = record(&vec![b'.'; RECORD_MAX]);
    for piece in whole.chunks(1000) {
        assert_eq!(world.calls(), []);
        peer.write_all(piece);
        world.run();
    }
    assert_eq!(world.calls(), [Event::Data(id, vec![b'.'; RECORD_MAX])]);
}

#[test]
fn what_is_not_consumed_comes_again_with_more_behind_it() {
    let mut world = world();
    let (peer, id) = world.greet();
    for (plain, expected) in [("1k", "1k"), ("2", "k2"), ("3", "k23")] {
        peer.write_all(&record(plain.as_bytes()));
        world.run();
        assert_eq!(world.calls(), [Event::Data(id, expected.as_bytes().to_vec())]);
    }
    peer.write_all(&toy::end());
    world.run();
    assert_eq!(world.calls(), [Event::Eof(id, b"k23".to_vec())]);
}

#[test]
fn too_much_left_over() {
    let limits = Limits { max_unconsumed: 3, ..Limits::default() };
    let mut world = World::new(limits, script());
    let (peer, _) = world.greet();
    peer.write_all(&record(b"k12"));
    world.run();
    assert_eq!(world.endings(), []);
    peer.write_all(&record(b"3"));
    world.run();
    assert_eq!(world.endings(), [Ending::InputOverflow(4)]);
}

/// Half of a record is with the layer, half with the socket, and the end behind it.
#[test]
fn a_pause_within_a_record_holds_the_rest_and_the_end() {
    let rest = [record(b"12"), toy::end()].concat();
    for cut in 0..=rest.len() {
        for closes in [false, true] {
            let mut world = world();
            let (peer, id) = world.greet();
            peer.write_all(&[&record(b"p")[..], &rest[..cut]].concat());
            world.run();
            assert_eq!(delivered(&world.calls())[..1], *b"p");
            peer.write_all(&rest[cut..]);
            if closes {
                peer.shutdown().unwrap();
            }
            world.run();
            assert_eq!(world.calls(), [], "cut at {cut}");
            world.event_loop.context().resume_reading(id);
            world.run();
            let calls = world.calls();
            assert_eq!(delivered(&calls), b"12", "cut at {cut}");
            let ends = calls.iter().filter(|call| **call == Event::Eof(id, Vec::new())).count();
            assert_eq!((ends, calls.last()), (1, Some(&Event::Eof(id, Vec::new()))));
        }
    }
}

/// The peer says that nothing follows, and reads on.
#[test]
fn replies_reach_a_peer_that_has_ended() {
    let mut world = world();
    let (peer, id) = world.greet();
    peer.write_all(&toy::end());
    world.run();
    assert_eq!(world.calls(), [Event::Eof(id, Vec::new())]);
    world.event_loop.context().send(id, b"late");
    let (said, ended) = world.read(&peer);
    assert_eq!((&said.plain[..], said.end, ended), (&b"late"[..], End::Open, false));
    world.event_loop.context().close(id);
    let (said, ended) = world.read(&peer);
    assert_eq!((said.end, ended), (End::Ended, true));
    assert_eq!(world.endings(), [Ending::Done]);
}

#[test]
fn what_follows_the_end_is_ignored() {
    for at_once in [true, false] {
        let mut world = world();
        let (peer, id) = world.greet();
        peer.write_all(&toy::end());
        if !at_once {
            world.run();
        }
        peer.write_all(&[record(b"1"), vec![255; 10]].concat());
        peer.shutdown().unwrap();
        world.run();
        assert_eq!(world.calls(), [Event::Eof(id, Vec::new())]);
        assert!(world.event_loop.is_open(id));
    }
}

/// Bytes that end between two records are like those of a connection without a layer.
#[test]
fn an_end_of_the_bytes_between_records() {
    let mut world = world();
    let (peer, id) = world.greet();
    peer.write_all(&record(b"1k"));
    peer.shutdown().unwrap();
    world.run();
    let calls = world.calls();
    assert_eq!(calls, [Event::Data(id, b"1k".to_vec()), Event::Eof(id, b"k".to_vec())]);
    assert!(world.event_loop.is_open(id));
}

/// What is kept is copied, and counts, when a record comes behind it: not with each byte of one.
#[test]
fn parts_of_records_bring_nothing_again() {
    const KEPT: usize = 5000;
    let limits = Limits { turn_budget: 100, ..Limits::default() };
    let mut world = World::new(limits, script());
    let (peer, _) = world.greet();
    let (other, _) = world.greet();
    peer.write_all(&record(&[b'k'; KEPT]));
    world.run();
    world.calls();
    let (first, second) = (record(b"1"), record(b"2"));
    for (one, two) in first[..2].iter().zip(&second) {
        peer.write_all(&[*one]);
        other.write_all(&[*two]);
        world.turn();
        assert!(world.event_loop.is_quiescent(), "both were served");
    }
    peer.write_all(&first[2..]);
    other.write_all(&second[2..]);
    world.turn();
    assert_eq!(delivered(&world.calls()).len(), KEPT + 1, "the turn may read nothing more");
    world.turn();
    assert_eq!(delivered(&world.calls()), b"2");
}

#[test]
fn who_sends_nothing_but_the_layer_itself() {
    let mut world = World::new(Limits::default(), echo_behind(Toy::server));
    let (peer, id) = world.connect();
    peer.write_all(&[&HELLO[..], &toy::end()].concat());
    let (said, ended) = world.read(&peer);
    assert_eq!((said.greeted, said.end, ended), (true, End::Ended, true));
    let calls = world.calls();
    let [.., Event::Handshake(_), Event::Eof(_, rest), Event::Close(closed, Ending::Done)] =
        &calls[..]
    else {
        panic!("{calls:?}")
    };
    assert_eq!((&rest[..], *closed), (&b""[..], id));
}
