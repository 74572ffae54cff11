//! Output, pauses and deadlines until the handshake is complete.

use std::time::Duration;

use loop_tests::toy::{End, HELLO, Said, record};
use loop_tests::{Call, Ending, Event, echo};
use reactor::{Context as _, Limits};

use crate::world::{World, at_once};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_sent_before_leaves_after_it() {
    let script = at_once(|cx, call| match call {
        Call::Open(id) => cx.send(id, b"early "),
        Call::Handshake(id) => cx.send(id, b"late"),
        _ => {}
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, id) = world.connect();
    assert_eq!(peer.read_arrived(), b"");
    assert_eq!(world.event_loop.unsent(id), 6);
    peer.write_all(HELLO);
    let said = Said { greeted: true, plain: b"early late".to_vec(), end: End::Open };
    assert_eq!(world.read(&peer).0, said);
    assert_eq!(world.event_loop.unsent(id), 0);
}

/// More is unsent than may be when a connection is read: but what is to be read is what it waits for.
#[test]
fn output_that_waits_for_it_holds_nothing_back() {
    const MUCH: usize = 10_000;
    let script = at_once(|cx, call| match call {
        Call::Open(id) => {
            cx.send(id, &[b'.'; MUCH]);
            cx.set_deadline(id, Some(SECOND));
        }
        call => echo(cx, &call),
    });
    let limits = Limits { write_buffer_high: 1000, write_buffer_low: 100, ..Limits::default() };
    let mut world = World::new(limits, script);
    let (peer, id) = world.connect();
    peer.write_all(&HELLO[..2]);
    world.run();
    world.network.advance(SECOND);
    world.run();
    assert_eq!(world.calls()[2..], [Event::Deadline(id)], "nothing postpones it");
    peer.write_all(&[&HELLO[2..], &record(b"1")].concat());
    let (said, _) = world.read(&peer);
    assert_eq!(said.plain.len(), MUCH + 1);
    let calls = world.calls();
    assert_eq!(calls.iter().filter(|call| **call == Event::Writable(id)).count(), 1);
}

/// The peer takes everything: it isn't stalled.
#[test]
fn output_that_waits_for_it_is_no_stalled_write() {
    let script = at_once(|cx, call| {
        if let Call::Open(id) = call {
            cx.send(id, b"early");
        }
    });
    let limits = Limits { write_timeout: SECOND, ..Limits::default() };
    let mut world = World::new(limits, script);
    let (peer, _) = world.connect();
    for byte in &HELLO[..3] {
        world.network.advance(2 * SECOND);
        peer.write_all(&[*byte]);
        world.run();
    }
    assert_eq!(world.endings(), []);
    peer.write_all(&HELLO[3..]);
    assert_eq!(world.read(&peer).0.plain, b"early");
}

#[test]
fn to_close_before_drops_what_waits_and_says_so() {
    let script = at_once(|cx, call| {
        if let Call::Open(id) = call {
            cx.send(id, b"early");
            cx.close(id);
        }
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, _) = world.connect();
    let said = Said { greeted: false, plain: Vec::new(), end: End::Ended };
    assert_eq!(world.read(&peer), (said, true));
    // Too late.
    peer.write_all(HELLO);
    world.run();
    drop(peer);
    world.run();
    assert_eq!(world.endings(), [Ending::Done]);
}

#[test]
fn to_abort_before_says_nothing() {
    let script = at_once(|cx, call| {
        if let Call::Open(id) = call {
            cx.send(id, b"early");
            cx.abort(id);
        }
    });
    let mut world = World::new(Limits::default(), script);
    let peer = world.network.connect(crate::world::ADDRESS).unwrap();
    world.run();
    assert_eq!(peer.read(1).unwrap(), None);
    assert_eq!(world.endings(), [Ending::Aborted]);
}

#[test]
fn a_deadline_passes_however_often_a_byte_comes() {
    let script = at_once(|cx, call| match call {
        Call::Open(id) => cx.set_deadline(id, Some(4 * SECOND)),
        Call::Deadline(id) => cx.abort(id),
        _ => {}
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, id) = world.connect();
    for byte in &HELLO[..3] {
        world.network.advance(SECOND);
        peer.write_all(&[*byte]);
        world.run();
    }
    assert_eq!(world.calls().len(), 2, "not yet");
    world.network.advance(SECOND);
    world.run();
    assert_eq!(world.calls(), [Event::Deadline(id), Event::Close(id, Ending::Aborted)]);
}

/// It has sent all in time, and waits for its turn.
#[test]
fn no_deadline_passes_before_what_has_arrived_is_served() {
    let script = at_once(|cx, call| match call {
        Call::Open(id) => cx.set_deadline(id, Some(SECOND)),
        Call::Handshake(id) => cx.set_deadline(id, None),
        _ => {}
    });
    let limits = Limits { handshake_budget: 1, ..Limits::default() };
    let mut world = World::new(limits, script);
    let peers = [(); 5].map(|()| world.connect().0);
    world.calls();
    for peer in &peers {
        peer.write_all(HELLO);
    }
    world.network.advance(2 * SECOND);
    world.run();
    let calls = world.calls();
    assert!(calls.iter().all(|call| matches!(call, Event::Handshake(_))), "{calls:?}");
    assert_eq!(calls.len(), 5);
}

#[test]
fn a_handler_that_pauses_when_it_is_complete_gets_nothing_more() {
    let script = at_once(|cx, call| match call {
        Call::Handshake(id) => cx.pause_reading(id),
        call => echo(cx, &call),
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, id) = world.connect();
    peer.write_all(&[&HELLO[..], &record(b"1")].concat());
    world.run();
    assert_eq!(world.calls()[2..], [Event::Handshake(id)]);
    peer.write_all(&record(b"2"));
    world.run();
    assert_eq!(world.calls(), []);
    world.event_loop.context().resume_reading(id);
    assert_eq!(world.read(&peer).0.plain, b"12");
}

#[test]
fn a_handler_may_close_when_it_is_complete() {
    let script = at_once(|cx, call| {
        if let Call::Handshake(id) = call {
            cx.send(id, b"no");
            cx.close(id);
        }
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, id) = world.connect();
    peer.write_all(&[&HELLO[..], &record(b"1")].concat());
    let said = Said { greeted: true, plain: b"no".to_vec(), end: End::Ended };
    assert_eq!(world.read(&peer), (said, true));
    drop(peer);
    world.run();
    assert_eq!(world.calls()[2..], [Event::Handshake(id), Event::Close(id, Ending::Done)]);
}
