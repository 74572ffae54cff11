//! The limits of connections: of each address, those reserved for trusted peers, and eviction of the
//! most silent.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use reactor::{Limits, RefuseReason};

use loop_tests::{
    Call, Ending, Event, HUGE, NEVER, SOON, Script, echo, listening, pattern, peer, peer_from,
    read_all, read_exactly, spawn,
};

const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Sends a byte and reads it back.
fn speak(mut peer: &TcpStream) {
    peer.write_all(b"x").unwrap();
    assert_eq!(read_exactly(peer, 1), b"x");
}

fn crowd<const N: usize>(from: Ipv4Addr, address: SocketAddr) -> [TcpStream; N] {
    let crowd = [(); N].map(|()| peer_from(from, address));
    crowd.iter().for_each(speak);
    crowd
}

fn refused(event: &Event) -> Option<RefuseReason> {
    match event {
        Event::Refused(reason) => Some(*reason),
        _ => None,
    }
}

#[test]
fn an_address_has_its_limit_of_connections_and_others_have_theirs() {
    let (event_loop, address) =
        listening(Limits { max_connections_per_address: 3, ..Limits::default() });
    let mut running = spawn(event_loop, Script::echo().stops_after(8));
    let first: [_; 3] = crowd(ONE, address);
    assert_eq!(read_all(&peer_from(ONE, address)), b"");
    assert_eq!(running.wait_for(refused), RefuseReason::AddressConnections);
    let other: [_; 3] = crowd(OTHER, address);
    // As many again as were closed.
    let [one, two, three] = first;
    drop(one);
    running.wait_for_close();
    let again: [_; 1] = crowd(ONE, address);
    drop((two, three, other, again));
    for _ in 0..6 {
        running.wait_for_close();
    }
    let last: [_; 1] = crowd(ONE, address);
    drop(last);
    let finished = running.join();
    assert_eq!((finished.counters.accepted, finished.counters.refused), (8, 1));
}

#[test]
fn an_address_has_its_limit_of_connects_unless_it_is_exempted() {
    let limits = Limits {
        max_connects_per_address: 3,
        unlimited_addresses: vec!["127.0.0.2/32".parse().unwrap()],
        ..Limits::default()
    };
    let (event_loop, address) = listening(limits);
    let mut running = spawn(event_loop, Script::echo().stops_after(23));
    for _ in 0..20 {
        drop(crowd::<1>(OTHER, address));
    }
    // More of the loop's time may have passed than it seems: some are accepted, and not all.
    let mut peers: Vec<_> = (0..100).map(|_| peer_from(ONE, address)).collect();
    assert_eq!(running.wait_for(refused), RefuseReason::AddressConnects);
    peers.clear();
    running.join();
}

#[test]
fn the_reserved_connections_are_for_trusted_peers() {
    let limits = Limits {
        max_connections: 8,
        reserved_connections: 100,
        unlimited_addresses: vec!["127.0.0.2/32".parse().unwrap()],
        ..Limits::default()
    };
    let (event_loop, address) = listening(limits);
    assert_eq!(event_loop.limits().reserved_connections, 2, "at most a quarter");
    let mut running = spawn(event_loop, Script::echo().stops_after(8));
    let others: [_; 6] = crowd(ONE, address);
    assert_eq!(read_all(&peer_from(ONE, address)), b"");
    assert_eq!(running.wait_for(refused), RefuseReason::Reserved);
    let trusted: [_; 2] = crowd(OTHER, address);
    drop((others, trusted));
    running.join();
}

#[test]
fn the_most_silent_connection_is_evicted() {
    let (event_loop, address) =
        listening(Limits { max_connections: 3, eviction_delay: SOON, ..Limits::default() });
    let mut running = spawn(event_loop, Script::echo().stops_after(4));
    let peers = [(); 3].map(|()| {
        let peer = peer(address);
        (running.wait_for_open(), peer)
    });
    let [(_, first), (silent, second), (_, third)] = &peers;
    // All three have been silent for as long, by the loop's clock; then two send.
    std::thread::sleep(5 * SOON);
    speak(first);
    speak(third);
    let newcomer = peer(address);
    speak(&newcomer);
    assert_eq!(read_all(second), b"");
    assert_eq!(running.wait_for_close(), (*silent, Ending::Evicted));
    speak(first);
    speak(third);
    drop((peers, newcomer));
    running.join();
}

#[test]
fn a_protected_connection_is_never_evicted() {
    let (event_loop, address) =
        listening(Limits { max_connections: 2, eviction_delay: SOON, ..Limits::default() });
    let script = Script::new(|cx, call| {
        if let Call::Data(id, b"p", _) = call {
            cx.protect(id);
        }
        echo(cx, &call);
    });
    let mut running = spawn(event_loop, script.stops_after(4));
    let peers = [(); 2].map(|()| peer(address));
    for mut peer in &peers {
        peer.write_all(b"p").unwrap();
        assert_eq!(read_exactly(peer, 1), b"p");
    }
    let newcomers = [(); 2].map(|()| peer(address));
    running.wait_for(|event| matches!(event, Event::Paused(..)).then_some(()));
    std::thread::sleep(5 * SOON);
    peers.iter().for_each(speak);
    let [first, second] = peers;
    drop(first);
    speak(&newcomers[0]);
    drop(second);
    speak(&newcomers[1]);
    newcomers.iter().for_each(speak);
    drop(newcomers);
    let endings = running.join().endings();
    assert_eq!(endings, [Ending::Done; 4]);
}

/// A protected connection may stay for ever while it is open, but not while it closes.
#[test]
fn a_protected_connection_is_evictable_once_it_is_closed() {
    let (event_loop, address) = listening(Limits {
        max_connections: 2,
        eviction_delay: SOON,
        linger_timeout: NEVER,
        write_timeout: NEVER,
        ..Limits::default()
    });
    let script = Script::new(|cx, call| match call {
        Call::Open(id) => cx.protect(id),
        Call::Data(id, input, _) => {
            let closes = input == b"c";
            cx.send(id, &if closes { pattern(HUGE) } else { input.to_vec() });
            if closes || input == b"l" {
                cx.close(id);
            }
        }
        Call::Eof(id, _) => cx.close(id),
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(4));
    let (mut closing, mut lingering) = (peer(address), peer(address));
    closing.write_all(b"c").unwrap();
    lingering.write_all(b"l").unwrap();
    assert_eq!(read_all(&lingering), b"l");
    let newcomers = [(); 2].map(|()| peer(address));
    newcomers.iter().for_each(speak);
    drop((closing, lingering, newcomers));
    let endings = running.join().endings();
    assert_eq!(endings, [Ending::Evicted, Ending::Evicted, Ending::Done, Ending::Done]);
}

/// Many more than the limit, all silent: each is accepted.
#[test]
fn a_storm_of_silent_peers_keeps_no_peer_out() {
    const SLOTS: usize = 50;
    let (event_loop, address) =
        listening(Limits { max_connections: SLOTS, eviction_delay: SOON, ..Limits::default() });
    let running = spawn(event_loop, Script::echo().stops_after(6 * SLOTS));
    let silent: Vec<_> = (0..5 * SLOTS).map(|_| peer(address)).collect();
    for _ in 0..SLOTS {
        speak(&peer(address));
    }
    drop(silent);
    let endings = running.join().endings();
    let evicted = endings.iter().filter(|ending| **ending == Ending::Evicted).count();
    assert!(evicted >= 4 * SLOTS, "{evicted}");
}
