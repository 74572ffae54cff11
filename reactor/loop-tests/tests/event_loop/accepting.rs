//! How peers are accepted: up to the budget of a turn and the limit of connections, and none is forgotten.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use reactor::{EventLoop, Limits, ShutdownCause};

use loop_tests::{
    Call, Event, SOON, Script, echo, listening, peer, read_all, read_exactly, run, spawn,
};

/// Peers that have sent everything, and wait to be accepted.
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
    matches!(event, Event::Open(_))
}

#[test]
fn never_more_connections_than_the_limit_and_every_peer_is_served() {
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
            Event::Open(_) => connections += 1,
            Event::Close(..) => connections -= 1,
            Event::Paused(limit, error) => {
                assert_eq!((*limit, *error, connections), (LIMIT, None, LIMIT));
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

/// The peer in the backlog is accepted when a connection is closed, without an event of the listener.
#[test]
fn a_peer_beyond_the_limit_waits_for_a_free_slot() {
    let (event_loop, address) = listening(Limits { max_connections: 2, ..Limits::default() });
    let mut running = spawn(event_loop, Script::echo().stops_after(3));
    let (mut first, second) = (peer(address), peer(address));
    running.wait_for_open();
    running.wait_for_open();
    let mut third = peer(address);
    third.write_all(b"hola").unwrap();
    for _ in 0..20 {
        first.write_all(b"x").unwrap();
        read_exactly(&first, 1);
        running.wait_for(|event| {
            assert!(!opened(event), "the third was let in");
            matches!(event, Event::Data(..)).then_some(())
        });
    }
    drop(second);
    running.wait_for_open();
    assert_eq!(read_exactly(&third, 4), b"hola");
    drop((first, third));
    let finished = running.join();
    // Once before the third, and once when it was accepted and the limit reached again.
    assert_eq!(finished.counters.accept_pauses, 2);
}

#[test]
fn a_turn_accepts_its_budget_and_the_next_needs_no_event() {
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

/// A budget of none would leave the peers in the backlog and the loop spinning.
#[test]
fn at_least_one_is_accepted_per_turn() {
    let (event_loop, address) = listening(Limits { accept_budget: 0, ..Limits::default() });
    assert_eq!(event_loop.limits().accept_budget, 1);
    let peers = waiting_peers(address, 3);
    run(event_loop, Script::echo().stops_after(3));
    for peer in &peers {
        assert_eq!(read_all(peer), b"hola");
    }
}

#[test]
fn a_limit_of_no_connections_accepts_none_and_does_not_spin() {
    let (event_loop, address) = listening(Limits { max_connections: 0, ..Limits::default() });
    let _peers = waiting_peers(address, 3);
    let script = Script::new(|cx, call| match call {
        Call::Start => cx.set_timer(reactor::TimerId(1), Some(SOON)),
        Call::Timer(_) => cx.shutdown(),
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
fn waiting_is_reported_when_every_peer_was_accepted() {
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
    assert!(waiting <= opened + 1, "{waiting} events for {opened} peers");
}

#[test]
fn a_loop_that_shuts_down_refuses_connections() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| match call {
        Call::Data(..) => cx.shutdown(),
        call => echo(cx, &call),
    });
    let running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(read_all(&peer), b"");
    // Its own connection is still open: what refuses is the listener's absence.
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(peer);
    let finished = running.join();
    let position = |wanted: &Event| finished.events.iter().position(|event| event == wanted);
    assert!(
        position(&Event::ListenerClosed) < position(&Event::Shutdown(ShutdownCause::Requested))
    );
    assert_eq!(finished.count(|event| *event == Event::ListenerClosed), 1);
}

#[test]
fn an_address_in_use_is_an_error() {
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
