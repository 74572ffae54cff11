//! What layers hold.

use loop_tests::toy::{HELLO, Toy, record};
use loop_tests::{Call, Ending, Script, echo};
use reactor::Limits;
use reactor::testing::Peer;

use crate::world::{World, at_once};

/// Bytes that a heavy layer says it holds.
const WEIGHT: usize = 100_000;

fn heavy(cx: &mut dyn loop_tests::DynContext, call: Call<'_>) {
    match call {
        Call::Open(id) => cx.start_layer(id, Box::new(Toy::server().weighing(WEIGHT))),
        call => echo(cx, &call),
    }
}

/// Twice as many layers come and go: nothing is left of them but spare chunks.
#[test]
fn nothing_is_left_of_layers_that_are_gone() {
    let mut world = World::new(Limits::default(), Script::new(heavy));
    let mut left = Vec::new();
    for round in 0..2 {
        let peers = [(); 20].map(|()| world.connect().0);
        assert!(world.event_loop.held() >= 20 * WEIGHT);
        for (index, peer) in peers.iter().enumerate() {
            // Some complete their handshake, some fail, some have much unsent.
            match index % 4 {
                0 => {}
                1 => peer.write_all(b"?"),
                _ => peer.write_all(&[&HELLO[..], &record(&[b'.'; 5000])].concat()),
            }
        }
        world.run();
        for (index, peer) in peers.into_iter().enumerate() {
            if index % 2 == 0 { peer.reset() } else { drop(peer) }
        }
        world.run();
        assert!(world.event_loop.ids().is_empty(), "round {round}");
        left.push(world.event_loop.held());
    }
    assert!(left[0] < WEIGHT, "{left:?}");
    assert_eq!(left[0], left[1]);
}

#[test]
fn what_a_layer_holds_changes_with_what_it_does() {
    let mut world = World::new(Limits::default(), at_once(|_, _| {}));
    let (peer, _) = world.greet();
    let idle = world.event_loop.held();
    let whole = record(&[b'.'; 5000]);
    peer.write_all(&whole[..3000]);
    world.run();
    assert_eq!(world.event_loop.held(), idle + 3000);
    peer.write_all(&whole[3000..]);
    world.run();
    assert_eq!(world.event_loop.held(), idle);
}

/// As those of input and output, the bytes of layers count, and those who hold the most go.
#[test]
fn at_the_buffer_limit_the_heaviest_are_closed() {
    let limits = Limits { max_buffered_bytes: 1024 * 1024, ..Limits::default() };
    let mut count = 0;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => {
            count += 1;
            let weight = if count == 3 { 2 * WEIGHT } else { WEIGHT };
            cx.start_layer(id, Box::new(Toy::server().weighing(weight)));
        }
        call => echo(cx, &call),
    });
    let mut world = World::new(limits, script);
    let mut peers: Vec<Peer> = (0..8).map(|_| world.connect().0).collect();
    assert_eq!(world.endings(), []);
    peers.push(world.network.connect(crate::world::ADDRESS).unwrap());
    world.run();
    let endings = world.endings();
    let [Ending::BufferLimit(held)] = endings[..] else { panic!("{endings:?}") };
    assert!(held >= 2 * WEIGHT, "the heaviest: {held}");
    assert_eq!(world.event_loop.ids().len(), 8);
    assert!(world.event_loop.held() >= 8 * WEIGHT);
    drop(peers);
    world.run();
    assert!(world.event_loop.held() < WEIGHT);
}

#[test]
fn a_crowd_costs_what_its_layers_hold() {
    const CROWD: usize = 1000;
    let mut world = World::new(Limits::default(), Script::new(heavy));
    let peers = [(); 2].map(|()| world.greet().0);
    let spare = world.event_loop.held() - peers.len() * WEIGHT;
    let crowd = [(); CROWD].map(|()| world.greet().0);
    assert_eq!(world.event_loop.held(), (CROWD + peers.len()) * WEIGHT + spare);
    drop((peers, crowd));
}
