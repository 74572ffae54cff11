//! Ids and events of closed connections: they reach none, least of all the next one in the slot.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::Duration;

use reactor::{ConnectionId, Limits, TimerId};

use loop_tests::{
    Call, DynContext, Ending, Event, SOON, Script, echo, listening, peer, read_all, run, spawn,
};

/// Does everything with an id that can be done.
fn disturb(cx: &mut dyn DynContext, id: ConnectionId) {
    assert_eq!(cx.unsent(id), 0);
    cx.send(id, b"leak");
    cx.send_with(id, &mut |_| panic!("there is no connection to send to"));
    cx.set_deadline(id, Some(Duration::ZERO));
    cx.close(id);
    cx.abort(id);
}

/// Both peers have sent before the loop begins, so both events come in one batch.
#[test]
fn an_event_for_a_connection_that_was_aborted_earlier_in_the_same_batch() {
    let (event_loop, address) = listening(Limits::default());
    let peers = [peer(address), peer(address)];
    for mut peer in &peers {
        peer.write_all(b"x").unwrap();
    }
    let mut open = Vec::new();
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => open.push(id),
        Call::Data(id, ..) => {
            open.iter().filter(|&&other| other != id).for_each(|&other| cx.abort(other));
            cx.close(id);
        }
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(2));
    drop(peers);
    let finished = running.join();
    let mut endings = finished.endings();
    endings.sort_by_key(|ending| *ending == Ending::Aborted);
    assert_eq!(endings, [Ending::Done, Ending::Aborted]);
    assert_eq!(finished.count(|event| matches!(event, Event::Data(..))), 1);
}

#[test]
fn input_for_a_connection_that_was_closed_earlier_in_the_same_batch() {
    let (event_loop, address) = listening(Limits::default());
    let peers = [peer(address), peer(address)];
    for mut peer in &peers {
        peer.write_all(b"x").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
    }
    let mut open = Vec::new();
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => open.push(id),
        Call::Data(..) => open.iter().for_each(|&each| {
            cx.send(each, b"bye");
            cx.close(each);
        }),
        _ => {}
    });
    let finished = run(event_loop, script.stops_after(2));
    assert_eq!(finished.endings(), [Ending::Done, Ending::Done]);
    assert_eq!(finished.count(|event| matches!(event, Event::Data(..))), 1);
    for peer in &peers {
        assert_eq!(read_all(peer), b"bye");
    }
}

/// Deadlines of both have passed in the same turn, and the first call aborts the other connection.
#[test]
fn a_deadline_of_a_connection_that_was_aborted_earlier_in_the_same_turn() {
    let (event_loop, address) = listening(Limits::default());
    let _peers = [peer(address), peer(address)];
    let mut open = Vec::new();
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => {
            open.push(id);
            for &each in &open {
                cx.set_deadline(each, Some(Duration::ZERO));
            }
        }
        Call::Deadline(_) => open.iter().for_each(|&each| cx.abort(each)),
        _ => {}
    });
    let finished = run(event_loop, script.stops_after(2));
    assert_eq!(finished.endings(), [Ending::Aborted, Ending::Aborted]);
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 1);
}

/// The limit is one connection: the second peer gets the slot of the first, while the handler goes on
/// using the first one's id.
#[test]
fn an_id_whose_slot_was_reused_names_no_connection() {
    let (event_loop, address) = listening(Limits { max_connections: 1, ..Limits::default() });
    let (mut first, mut second) = (peer(address), peer(address));
    first.write_all(b"x").unwrap();
    second.write_all(b"hola").unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    let mut gone: Option<ConnectionId> = None;
    let script = Script::new(move |cx, call| {
        match call {
            Call::Open(id) if gone.is_none() => gone = Some(id),
            Call::Open(id) => {
                let gone = gone.unwrap();
                assert_eq!(gone.slot(), id.slot(), "the slot is used again");
                assert_ne!(gone, id);
                disturb(cx, gone);
            }
            Call::Data(_, b"hola", _) | Call::Close(_) => disturb(cx, gone.unwrap()),
            Call::Data(_, b"x", _) => {
                cx.set_deadline(gone.unwrap(), Some(Duration::ZERO));
                cx.abort(gone.unwrap());
                return;
            }
            _ => {}
        }
        echo(cx, &call);
    });
    let finished = run(event_loop, script.stops_after(2));
    assert_eq!(read_all(&second), b"hola");
    assert_eq!(finished.endings(), [Ending::Aborted, Ending::Done]);
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 0);
}

/// The entry of the first one's deadline outlives it, and comes up while the second has its slot.
#[test]
fn a_deadline_of_the_one_before_does_not_expire_the_one_after() {
    let (event_loop, address) = listening(Limits { max_connections: 1, ..Limits::default() });
    let (first, second) = (peer(address), peer(address));
    let mut opened = 0;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => {
            opened += 1;
            if opened == 1 {
                cx.set_deadline(id, Some(SOON / 2));
                cx.abort(id);
            } else {
                cx.set_timer(TimerId(1), Some(SOON));
            }
        }
        Call::Timer(_) => cx.shutdown(),
        _ => {}
    });
    let running = spawn(event_loop, script);
    assert_eq!(read_all(&first), b"");
    assert_eq!(read_all(&second), b"");
    drop(second);
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 0);
}

#[test]
fn an_id_that_never_named_a_connection() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"hola").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let script = Script::new(|cx, call| {
        for id in [
            ConnectionId::new(0, 0),
            ConnectionId::new(7, 1),
            ConnectionId::new(u32::MAX, u32::MAX),
        ] {
            disturb(cx, id);
        }
        echo(cx, &call);
    });
    run(event_loop, script.stops_after(1));
    assert_eq!(read_all(&peer), b"hola");
}
