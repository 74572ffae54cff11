//! Budgets and limits of all handshakes together.

use loop_tests::toy::{HELLO, Toy};
use loop_tests::{Call, Ending, Event, echo};
use reactor::testing::Peer;
use reactor::{ConnectionId, Context as _, Limits, Outcome};

use crate::world::{World, at_once, delivered, echo_behind};

fn handshakes(calls: &[Event]) -> Vec<ConnectionId> {
    let handshake = |call: &Event| match call {
        Event::Handshake(id) => Some(*id),
        _ => None,
    };
    calls.iter().filter_map(handshake).collect()
}

fn connect(world: &mut World, count: usize) -> (Vec<Peer>, Vec<ConnectionId>) {
    (0..count).map(|_| world.connect()).unzip()
}

#[test]
fn few_are_served_in_a_turn_and_the_others_meanwhile() {
    let limits = Limits { handshake_budget: 2, ..Limits::default() };
    let mut world = World::new(limits, echo_behind(Toy::server));
    let (live, _) = world.connect();
    let (peers, ids) = connect(&mut world, 10);
    for peer in &peers {
        peer.write_all(&HELLO[..1]);
    }
    world.run();
    world.calls();
    for peer in &peers {
        peer.write_all(&HELLO[1..]);
    }
    let mut completed = Vec::new();
    for turn in 0..5 {
        live.write_all(b"1");
        world.turn();
        let calls = world.calls();
        assert_eq!(delivered(&calls), b"1", "in turn {turn}");
        assert_eq!(handshakes(&calls).len(), 2, "in turn {turn}");
        completed.extend(handshakes(&calls));
    }
    assert_eq!(completed, ids, "in the order of their arrival");
    assert!(world.event_loop.is_quiescent());
}

/// Those that have more left come last.
#[test]
fn each_has_its_turn() {
    let limits = Limits { handshake_budget: 1, read_budget: 1, ..Limits::default() };
    let mut world = World::new(limits, at_once(|_, _| {}));
    let (peers, ids) = connect(&mut world, 4);
    world.calls();
    for peer in &peers {
        peer.write_all(HELLO);
    }
    for _ in 0..4 * (HELLO.len() - 1) {
        world.turn();
        assert_eq!(world.calls(), []);
    }
    for id in ids {
        world.turn();
        assert_eq!(world.calls(), [Event::Handshake(id)]);
    }
}

/// Others have more to read than a turn may.
#[test]
fn they_are_served_beside_a_flood() {
    const FLOOD: usize = 10_000;
    let limits = Limits { read_budget: 100, turn_budget: 100, ..Limits::default() };
    let mut world = World::new(limits, echo_behind(Toy::server));
    let (flood, _) = world.connect();
    let (peers, _) = connect(&mut world, 4);
    world.calls();
    flood.write_all(&[b'.'; FLOOD]);
    for peer in &peers {
        peer.write_all(&HELLO[..1]);
    }
    for _ in 0..4 {
        world.turn();
    }
    for peer in &peers {
        peer.write_all(&HELLO[1..]);
    }
    world.turn();
    assert_eq!(handshakes(&world.calls()).len(), 4);
    assert!(!world.event_loop.is_quiescent(), "the flood goes on");
}

#[test]
fn the_oldest_makes_room() {
    let limits = Limits { max_handshakes: 2, ..Limits::default() };
    let mut world = World::new(limits, at_once(|_, _| {}));
    let (complete, _) = world.greet();
    let (peers, ids) = connect(&mut world, 2);
    assert_eq!(world.endings(), [], "one that is complete counts no longer");
    let third = world.connect();
    let [.., Event::Close(evicted, Ending::HandshakeEvicted)] = world.calls()[..] else {
        panic!("none is evicted")
    };
    assert_eq!(evicted, ids[0]);
    assert_eq!(peers[0].read(1).unwrap(), None);
    peers[1].write_all(HELLO);
    world.run();
    assert_eq!(handshakes(&world.calls()), [ids[1]]);
    let fourth = world.connect();
    assert_eq!(world.endings(), [], "two again");
    let fifth = world.connect();
    assert_eq!(world.endings(), [Ending::HandshakeEvicted]);
    assert_eq!(third.0.read(1).unwrap(), None);
    drop((complete, fourth, fifth));
}

#[test]
fn those_that_are_over_count_no_longer() {
    let limits = Limits { max_handshakes: 1, ..Limits::default() };
    let mut world = World::new(limits, at_once(|_, _| {}));
    // One is closed by the handler and lingers, one aborted, one reset, one fails.
    let (lingering, closed) = world.connect();
    world.event_loop.context().close(closed);
    world.run();
    let (_aborted, id) = world.connect();
    world.event_loop.context().abort(id);
    world.run();
    let (reset, _) = world.connect();
    reset.reset();
    world.run();
    let (failing, _) = world.connect();
    failing.write_all(b"nonsense");
    world.run();
    let (ended, _) = world.connect();
    ended.shutdown().unwrap();
    world.run();
    let (peer, id) = world.connect();
    let endings = world.endings();
    assert!(!endings.contains(&Ending::HandshakeEvicted), "{endings:?}");
    peer.write_all(HELLO);
    world.run();
    assert_eq!(world.calls(), [Event::Handshake(id)]);
    drop(lingering);
}

/// One that is evicted while it waits for its turn.
#[test]
fn a_storm_of_them_is_served_to_the_end() {
    const STORM: usize = 300;
    let limits =
        Limits { max_handshakes: 20, handshake_budget: 1, accept_budget: 7, ..Limits::default() };
    let mut world = World::new(limits, at_once(|cx, call| echo(cx, &call)));
    let peers = [(); STORM].map(|()| {
        let peer = world.network.connect(crate::world::ADDRESS).unwrap();
        peer.write_all(HELLO);
        peer
    });
    world.run();
    let calls = world.calls();
    let evicted = |call: &&Event| matches!(call, Event::Close(_, Ending::HandshakeEvicted));
    let evicted = calls.iter().filter(evicted).count();
    assert_eq!(handshakes(&calls).len() + evicted, STORM);
    assert!(handshakes(&calls).len() >= 20);
    assert_eq!(world.event_loop.ids().len(), STORM - evicted);
    drop(peers);
    world.run();
    assert!(world.event_loop.ids().is_empty());
}

#[test]
fn a_shutdown_waits_for_none_of_them() {
    let mut world = World::new(
        Limits::default(),
        at_once(|cx, call| {
            if let Call::Handshake(id) = call {
                cx.send(id, b"sent");
            }
        }),
    );
    let (silent, _) = world.connect();
    let (half, _) = world.connect();
    half.write_all(&HELLO[..2]);
    let (complete, _) = world.connect();
    complete.write_all(HELLO);
    world.run();
    world.event_loop.signal("SIGTERM");
    world.run();
    for (peer, sent) in [(silent, &b""[..]), (half, b""), (complete, b"sent")] {
        let (said, ended) = world.read(&peer);
        assert_eq!((&said.plain[..], said.end, ended), (sent, loop_tests::toy::End::Ended, true));
    }
    world.run();
    assert_eq!(world.endings(), [Ending::Done; 3]);
    assert!(world.event_loop.is_over());
    assert_eq!(world.event_loop.outcome(), Outcome::Graceful);
}
