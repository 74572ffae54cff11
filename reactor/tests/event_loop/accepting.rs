//! How peers are let in: so many in a turn, so many in all, and nobody is forgotten outside.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use reactor::{EventLoop, Limits, ShutdownCause};

use crate::support::{
    Call, Event, SOON, Script, echo, listening, peer, read_all, read_exactly, run, spawn,
};

/// Peers that have said everything, and wait to be let in.
fn waiting_peers(address: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
    let speak = |_| {
        let mut peer = peer(address);
        peer.write_all(b"hola").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        peer
    };
    (0..count).map(speak).collect()
}

fn opened(event: &Event) -> bool {
    matches!(event, Event::Opened(_))
}

#[test]
fn never_more_connections_than_the_limit_and_everybody_is_served() {
    const LIMIT: usize = 3;
    const PEERS: usize = 20;
    let (event_loop, address) = listening(Limits { max_connections: LIMIT, ..Limits::default() });
    let peers = waiting_peers(address, PEERS);
    let finished = run(event_loop, Script::echo().stops_after(PEERS));
    for peer in &peers {
        assert_eq!(read_all(peer), b"hola");
    }
    let mut connections = 0;
    for event in &finished.events {
        match event {
            Event::Opened(_) => connections += 1,
            Event::Closed(..) => connections -= 1,
            Event::Paused(told, error) => {
                assert_eq!((*told, *error, connections), (LIMIT, None, LIMIT));
            }
            _ => {}
        }
        assert!(connections <= LIMIT);
    }
    assert_eq!(finished.counters.accepted, PEERS as u64);
    let pauses = finished.count(|event| matches!(event, Event::Paused(..)));
    let resumed = finished.count(|event| *event == Event::Resumed);
    assert!(pauses > 0);
    assert_eq!(finished.counters.accept_pauses, pauses as u64);
    assert!(resumed == pauses || resumed + 1 == pauses, "{pauses} pauses, {resumed} ends of them");
}

/// The one outside is let in when somebody leaves, without any other event at the listener.
#[test]
fn a_peer_beyond_the_limit_waits_for_a_place() {
    let (event_loop, address) = listening(Limits { max_connections: 2, ..Limits::default() });
    let mut running = spawn(event_loop, Script::echo().stops_after(3));
    let (mut first, second) = (peer(address), peer(address));
    running.wait_for_opened();
    running.wait_for_opened();
    let mut third = peer(address);
    third.write_all(b"hola").unwrap();
    for _ in 0..20 {
        first.write_all(b"x").unwrap();
        read_exactly(&first, 1);
        running.wait_for(|event| {
            assert!(!opened(event), "the third was let in");
            matches!(event, Event::Received(..)).then_some(())
        });
    }
    drop(second);
    running.wait_for_opened();
    assert_eq!(read_exactly(&third, 4), b"hola");
    drop((first, third));
    let finished = running.join();
    // Once before the third, and once when it was in and the place was taken again.
    assert_eq!(finished.counters.accept_pauses, 2);
}

#[test]
fn so_many_in_a_turn_and_the_rest_without_another_event() {
    const PEERS: usize = 10;
    let (event_loop, address) = listening(Limits { accept_budget: 3, ..Limits::default() });
    let peers = waiting_peers(address, PEERS);
    let finished = run(event_loop, Script::echo().stops_after(PEERS));
    let per_turn: Vec<_> = finished
        .turns()
        .map(|turn| turn.iter().filter(|event| opened(event)).count())
        .filter(|&count| count > 0)
        .collect();
    assert_eq!(per_turn, [3, 3, 3, 1]);
    for peer in &peers {
        assert_eq!(read_all(peer), b"hola");
    }
}

/// A limit of none would leave the peers outside and the loop awake for ever.
#[test]
fn at_least_one_is_let_in_per_turn() {
    let (event_loop, address) = listening(Limits { accept_budget: 0, ..Limits::default() });
    assert_eq!(event_loop.limits().accept_budget, 1);
    let peers = waiting_peers(address, 3);
    run(event_loop, Script::echo().stops_after(3));
    for peer in &peers {
        assert_eq!(read_all(peer), b"hola");
    }
}

#[test]
fn a_limit_of_no_connections_lets_nobody_in_and_does_not_spin() {
    let (event_loop, address) = listening(Limits { max_connections: 0, ..Limits::default() });
    let _peers = waiting_peers(address, 3);
    let script = Script::new(|cx, call| match call {
        Call::Started => cx.set_timer(reactor::TimerId(1), Some(SOON)),
        Call::Fired(_) => cx.shutdown(),
        _ => {}
    });
    let finished = run(event_loop, script);
    assert_eq!(finished.counters.accepted, 0);
    assert!(finished.counters.turns < 10, "{:?}", finished.counters);
}

#[test]
fn a_storm_of_peers() {
    const PEERS: usize = 300;
    let (event_loop, address) = listening(Limits::default());
    let peers = waiting_peers(address, PEERS);
    let finished = run(event_loop, Script::echo().stops_after(PEERS));
    for peer in &peers {
        assert_eq!(read_all(peer), b"hola");
    }
    assert_eq!((finished.counters.accepted, finished.counters.closed), (300, 300));
}

#[test]
fn waiting_is_told_when_everybody_is_in() {
    let (event_loop, address) = listening(Limits::default());
    let mut running = spawn(event_loop, Script::echo().stops_after(4));
    let waiting = |event: &Event| (*event == Event::Waiting).then_some(());
    running.wait_for(waiting);
    drop(waiting_peers(address, 1));
    running.wait_for(waiting);
    drop(waiting_peers(address, 3));
    running.wait_for(waiting);
    let finished = running.join();
    let (opened, waiting) =
        (finished.count(opened), finished.count(|event| *event == Event::Waiting));
    assert!(waiting <= opened + 1, "told {waiting} times for {opened} peers");
}

#[test]
fn a_stopped_loop_listens_no_more() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| match call {
        Call::Received(..) => cx.shutdown(),
        call => echo(cx, &call),
    });
    let running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(read_all(&peer), b"");
    // Its own connection is still draining: what refuses is the listener's absence.
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(peer);
    let finished = running.join();
    let position = |wanted: &Event| finished.events.iter().position(|event| event == wanted);
    assert!(
        position(&Event::ListenerClosed) < position(&Event::Stopping(ShutdownCause::Requested))
    );
    assert_eq!(finished.count(|event| *event == Event::ListenerClosed), 1);
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let (_first, address) = listening(Limits::default());
    let error = EventLoop::new(Limits::default()).unwrap().listen(address, 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

/// The kernel counts whole seconds, from one to 32,767.
#[test]
fn any_keepalive_can_be_listened_with() {
    for keepalive in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
        let mut event_loop =
            EventLoop::new(Limits { tcp_keepalive: keepalive, ..Limits::default() }).unwrap();
        let result = event_loop.listen((Ipv4Addr::LOCALHOST, 0).into(), 5);
        assert!(result.is_ok(), "{keepalive:?}: {result:?}");
    }
}
