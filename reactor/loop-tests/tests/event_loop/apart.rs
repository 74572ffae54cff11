//! A further listener: its connections have limits of their own, and come before those of the main one.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use reactor::{EventLoop, Limits, ListenerId, ListenerLimits, RefuseReason};

use loop_tests::{
    Call, Ending, Event, NEVER, Script, listening, peer, peer_from, read_all, read_exactly, run,
    spawn,
};

/// A loop that listens at two addresses.
fn listening_twice(
    limits: Limits,
    apart: ListenerLimits,
) -> (EventLoop, SocketAddr, (ListenerId, SocketAddr)) {
    let (mut event_loop, address) = listening(limits);
    let bound = event_loop.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let second = event_loop.listen_apart(bound, 100, apart).unwrap();
    (event_loop, address, second)
}

/// Sends a byte and reads it back.
fn speak(mut peer: &TcpStream) {
    peer.write_all(b"x").unwrap();
    assert_eq!(read_exactly(peer, 1), b"x");
}

/// Sends the name of the listener that has accepted it.
fn name() -> Script {
    Script::new(|cx, call| match call {
        Call::Open(id) => {
            let name = format!("{:?}", cx.listener(id));
            cx.send(id, name.as_bytes());
            cx.close(id);
        }
        Call::Close(id) => assert_eq!(cx.listener(id), None),
        _ => {}
    })
}

#[test]
fn a_connection_knows_its_listener() {
    let (event_loop, main, (second, apart)) =
        listening_twice(Limits::default(), ListenerLimits::default());
    assert_ne!(second, ListenerId::MAIN);
    let running = spawn(event_loop, name().stops_after(2));
    assert_eq!(read_all(&peer(main)), format!("{:?}", Some(ListenerId::MAIN)).as_bytes());
    assert_eq!(read_all(&peer(apart)), format!("{:?}", Some(second)).as_bytes());
    let finished = running.join();
    let closed = Event::Apart(second, Box::new(Event::ListenerClosed));
    assert_eq!(finished.count(|event| *event == Event::ListenerClosed), 1);
    assert_eq!(finished.count(|event| *event == closed), 1);
}

/// Each is full, and the other serves as if nothing was.
#[test]
fn neither_takes_the_others_connections() {
    let limits = Limits { max_connections: 2, eviction_delay: NEVER, ..Limits::default() };
    let own =
        ListenerLimits { max_connections: 1, eviction_delay: NEVER, ..ListenerLimits::default() };
    let (event_loop, main, (second, apart)) = listening_twice(limits, own);
    let running = spawn(event_loop, Script::echo().stops_after(6));
    let mains = [(); 2].map(|()| peer(main));
    let own = peer(apart);
    mains.iter().for_each(speak);
    speak(&own);
    let waiting = [main, main, apart].map(peer);
    drop((mains, own));
    waiting.iter().for_each(speak);
    drop(waiting);
    let finished = running.join();
    assert_eq!(finished.endings(), [Ending::Done; 6]);
    let most = |event: &Event| match event {
        Event::Paused(connections, None) => assert_eq!(*connections, 2),
        Event::Apart(listener, paused) if matches!(**paused, Event::Paused(..)) => {
            assert_eq!((*listener, &**paused), (second, &Event::Paused(1, None)));
        }
        _ => {}
    };
    finished.events.iter().for_each(most);
}

/// One address has its share of a further listener, and the last connections are for peers that the
/// handler trusts; the main listener knows nothing of either.
#[test]
fn an_address_has_its_share_and_the_last_ones_are_for_trusted_peers() {
    const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
    const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const TRUSTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
    let own = ListenerLimits {
        max_connections: 8,
        reserved_connections: 100,
        max_connections_per_address: 4,
        eviction_delay: NEVER,
        ..ListenerLimits::default()
    };
    let (event_loop, main, (second, apart)) = listening_twice(Limits::default(), own);
    let limits = event_loop.listener_limits(second).unwrap();
    assert_eq!(limits.reserved_connections, 2, "at most a quarter");
    let mut running = spawn(event_loop, Script::echo().trusts(TRUSTED.into()).stops_after(11));
    let crowd = |from, count: usize| -> Vec<_> {
        let crowd: Vec<_> = (0..count).map(|_| peer_from(from, apart)).collect();
        crowd.iter().for_each(speak);
        crowd
    };
    let refused = |event: &Event| match event {
        Event::Apart(listener, refused) if *listener == second => match **refused {
            Event::Refused(reason) => Some(reason),
            _ => None,
        },
        _ => None,
    };
    let one = crowd(ONE, 4);
    assert_eq!(read_all(&peer_from(ONE, apart)), b"");
    assert_eq!(running.wait_for(refused), RefuseReason::AddressConnections);
    let others = crowd(OTHER, 2);
    assert_eq!(read_all(&peer_from(OTHER, apart)), b"");
    assert_eq!(running.wait_for(refused), RefuseReason::Reserved);
    let trusted = crowd(TRUSTED, 2);
    let mains = [(); 3].map(|()| peer_from(ONE, main));
    mains.iter().for_each(speak);
    drop((one, others, trusted, mains));
    running.join();
}

/// Peers have sent before, and a turn has room for one of them at each listener.
#[test]
fn it_is_served_before_the_main_listener() {
    const PEERS: usize = 5;
    let own = ListenerLimits { turn_budget: 1, ..ListenerLimits::default() };
    let (event_loop, main, (_, apart)) =
        listening_twice(Limits { turn_budget: 1, ..Limits::default() }, own);
    let mut peers: Vec<_> = (0..2 * PEERS).map(|n| peer([main, apart][n / PEERS])).collect();
    let (mut opened, mut received, mut serves_main) = (0, 0, false);
    let script = Script::new(move |cx, call| match call {
        Call::Open(_) => {
            opened += 1;
            if opened == 2 * PEERS {
                for peer in &mut peers {
                    peer.write_all(b"x").unwrap();
                }
            }
        }
        Call::Data(id, ..) => {
            let is_main = cx.listener(id) == Some(ListenerId::MAIN);
            assert!(is_main || !serves_main, "{id:?} is late");
            serves_main = is_main;
            received += 1;
            if received == 2 * PEERS {
                cx.shutdown();
            }
        }
        Call::BeforeFlush(_) => serves_main = false,
        _ => {}
    });
    let finished = run(event_loop, script);
    for turn in finished.turns() {
        let served = turn.iter().filter(|event| matches!(event, Event::Data(..))).count();
        assert!(served <= 2, "{turn:?}");
    }
}
