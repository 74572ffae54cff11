//! How a layer begins, and what is its input.

use loop_tests::toy::{self, End, HELLO, Said, Toy, record};
use loop_tests::{Call, Event, Script, echo};
use reactor::{Context as _, Limits};

use crate::world::{ADDRESS, FAR, World, at_once, delivered, echo_behind};

fn echoed(plain: &[u8]) -> Said {
    Said { greeted: true, plain: plain.to_vec(), end: End::Open }
}

#[test]
fn what_the_handler_leaves_is_its_first_input() {
    let mut world = World::new(Limits::default(), echo_behind(Toy::server));
    let (peer, id) = world.connect();
    let wire = [&HELLO[..], &record(b"12"), &record(b"3")].concat();
    peer.write_all(&wire);
    assert_eq!(world.read(&peer).0, echoed(b"123"));
    let expected = [
        Event::Start,
        Event::Open(id),
        Event::Data(id, wire),
        Event::Handshake(id),
        Event::Data(id, b"123".to_vec()),
    ];
    assert_eq!(world.calls(), expected);
}

#[test]
fn it_may_arrive_in_any_two_pieces_or_byte_by_byte() {
    let wire = [&HELLO[..], &record(b"12"), &record(b"3"), &toy::end()].concat();
    for cut in 1..=wire.len() {
        let mut world = World::new(Limits::default(), echo_behind(Toy::server));
        let (peer, id) = world.connect();
        let (first, second) = wire.split_at(cut);
        for piece in [first, second] {
            peer.write_all(piece);
            world.run();
        }
        let calls = world.calls();
        let begins = calls.iter().position(|call| *call == Event::Handshake(id)).unwrap();
        assert_eq!(delivered(&calls[..begins]), first, "once, before it begins");
        assert_eq!(delivered(&calls[begins..]), b"123", "cut at {cut}");
        assert!(calls.contains(&Event::Eof(id, Vec::new())), "cut at {cut}");
    }
    let mut world = World::new(Limits::default(), echo_behind(Toy::server));
    let (peer, _) = world.connect();
    for byte in &wire {
        peer.write_all(&[*byte]);
        world.run();
    }
    assert_eq!(world.read(&peer).0.plain, b"123");
}

#[test]
fn what_is_before_it_may_be_consumed() {
    let script = Script::new(|cx, call| match call {
        Call::Data(id, input, consumed) if input.starts_with(b"GO\n") => {
            cx.start_layer(id, Box::new(Toy::server()));
            *consumed = 3;
        }
        call => echo(cx, &call),
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, _) = world.connect();
    peer.write_all(&[b"GO\n", &HELLO[..], &record(b"1")].concat());
    assert_eq!(world.read(&peer).0, echoed(b"1"));
}

#[test]
fn its_first_input_may_be_longer_than_what_a_handler_may_leave() {
    let limits = Limits { max_unconsumed: 8, ..Limits::default() };
    let mut world = World::new(limits, echo_behind(Toy::server));
    let (peer, _) = world.connect();
    peer.write_all(&[&HELLO[..], &record(&[b'.'; 100])].concat());
    assert_eq!(world.read(&peer).0, echoed(&[b'.'; 100]));
}

#[test]
fn it_may_begin_when_the_connection_opens() {
    let mut world = World::new(Limits::default(), at_once(|cx, call| echo(cx, &call)));
    let (peer, id) = world.connect();
    assert_eq!(world.calls(), [Event::Start, Event::Open(id)]);
    peer.write_all(&[&HELLO[..], &record(b"1")].concat());
    assert_eq!(world.read(&peer).0, echoed(b"1"));
    assert_eq!(world.calls(), [Event::Handshake(id), Event::Data(id, b"1".to_vec())]);
}

#[test]
fn the_side_that_calls_begins_at_once() {
    let script = Script::new(|cx, call| match call {
        Call::Start => drop(cx.connect(FAR)),
        Call::Open(id) => {
            cx.start_layer(id, Box::new(Toy::client()));
            cx.send(id, b"early");
        }
        call => echo(cx, &call),
    });
    let mut world = World::calling(script);
    let peer = world.called();
    world.run();
    assert_eq!(peer.read_arrived(), HELLO);
    peer.write_all(&[&HELLO[..], &record(b"1")].concat());
    world.run();
    let wire = [HELLO, &peer.read_arrived()[..]].concat();
    assert_eq!(toy::read(&wire), echoed(b"early1"));
}

/// It is that of the layer, however often reading pauses meanwhile.
#[test]
fn the_first_input_is_never_delivered_again() {
    for resumes_at_once in [true, false] {
        let script = Script::new(move |cx, call| match call {
            Call::Data(id, _, consumed) if cx.peer_certificates(id).is_empty() => {
                cx.start_layer(id, Box::new(Toy::server()));
                cx.pause_reading(id);
                if resumes_at_once {
                    cx.resume_reading(id);
                }
                *consumed = 0;
            }
            call => echo(cx, &call),
        });
        let mut world = World::new(Limits::default(), script);
        let (peer, id) = world.connect();
        let wire = [&HELLO[..], &record(b"1")].concat();
        peer.write_all(&wire);
        world.run();
        if !resumes_at_once {
            assert_eq!(world.calls(), [Event::Start, Event::Open(id), Event::Data(id, wire)]);
            world.event_loop.context().resume_reading(id);
        }
        assert_eq!(world.read(&peer).0, echoed(b"1"));
        let [.., Event::Handshake(_), Event::Data(_, plain)] = &world.calls()[..] else {
            panic!("something else")
        };
        assert_eq!(plain, b"1");
    }
}

#[test]
fn what_was_queued_before_it_passes_through_it() {
    let script = Script::new(|cx, call| match call {
        Call::Open(id) => {
            cx.send(id, b"before");
            cx.start_layer(id, Box::new(Toy::server()));
        }
        call => echo(cx, &call),
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, _) = world.connect();
    peer.write_all(HELLO);
    assert_eq!(world.read(&peer).0, echoed(b"before"));
}

#[test]
fn a_connection_has_one_layer_and_none_when_it_is_closed_or_has_ended() {
    let script = Script::new(|cx, call| match call {
        Call::Open(id) => {
            cx.start_layer(id, Box::new(Toy::server()));
            cx.start_layer(id, Box::new(Toy::server().refusing()));
        }
        Call::Data(id, input, _) => {
            cx.send(id, input);
            cx.close(id);
            cx.start_layer(id, Box::new(Toy::server().refusing()));
        }
        _ => {}
    });
    let mut world = World::new(Limits::default(), script);
    let (peer, _) = world.connect();
    peer.write_all(&[&HELLO[..], &record(b"1")].concat());
    let said = Said { end: End::Ended, ..echoed(b"1") };
    assert_eq!(world.read(&peer), (said, true));

    let script = Script::new(|cx, call| {
        if let Call::Eof(id, _) = call {
            cx.start_layer(id, Box::new(Toy::server()));
            cx.send(id, b"plain");
            cx.close(id);
        }
    });
    let mut world = World::new(Limits::default(), script);
    let peer = world.network.connect(ADDRESS).unwrap();
    peer.shutdown().unwrap();
    world.run();
    assert_eq!(peer.read_arrived(), b"plain");
}
