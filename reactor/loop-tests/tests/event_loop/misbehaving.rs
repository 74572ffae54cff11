//! A handler that does everything wrong: the loop and the other connections go on.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use proptest::prelude::*;
use reactor::{ConnectionId, Limits, TimerId};

use loop_tests::{
    Call, DynContext, Ending, Event, SOON, Script, echo, listening, peer, read_all, read_exactly,
    reset, run, spawn,
};

/// What a peer sends to be spared by a handler that harms all the others.
const STEADY: &[u8] = b"steady";

/// Sends something and gets a reply, several times.
fn converse(mut peer: &TcpStream) {
    for _ in 0..10 {
        peer.write_all(STEADY).unwrap();
        assert_eq!(read_exactly(peer, STEADY.len()), STEADY);
    }
}

#[test]
fn more_consumed_than_there_was() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| match call {
        Call::Data(id, input, consumed) => {
            cx.send(id, input);
            *consumed = usize::MAX;
        }
        call => echo(cx, &call),
    });
    let running = spawn(event_loop, script.stops_after(1));
    let peer = peer(address);
    converse(&peer);
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&peer), b"");
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// The peer never stops sending, the handler never consumes: the connection is closed at the limit.
#[test]
fn nothing_consumed_for_ever() {
    let limits = Limits { max_unconsumed: 1000, read_budget: 64, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let mut first = None;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => drop(first.get_or_insert(id)),
        Call::Data(id, _, consumed) if Some(id) == first => *consumed = 0,
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(2));
    let mut ignored = peer(address);
    running.wait_for_open();
    let steady = peer(address);
    converse(&steady);
    while ignored.write_all(&[0; 100]).is_ok() {}
    let (_, ending) = running.wait_for_close();
    assert!(matches!(ending, Ending::InputOverflow(1001..=1064)), "{ending:?}");
    converse(&steady);
    drop(steady);
    running.join();
}

type Harm = fn(&mut dyn DynContext, ConnectionId);

/// What a handler does, how its connection ends, and what the peer receives.
const HARMS: [(Harm, Ending, &[u8]); 5] = [
    (
        |cx, id| {
            cx.close(id);
            cx.close(id);
        },
        Ending::Done,
        b"sent",
    ),
    (
        |cx, id| {
            cx.close(id);
            cx.send(id, b"more");
            cx.close(id);
        },
        Ending::Done,
        b"sent",
    ),
    (
        |cx, id| {
            cx.close(id);
            cx.abort(id);
        },
        Ending::Aborted,
        b"",
    ),
    (
        |cx, id| {
            cx.abort(id);
            cx.close(id);
            cx.send(id, b"more");
        },
        Ending::Aborted,
        b"",
    ),
    (
        |cx, id| {
            cx.abort(id);
            cx.abort(id);
            cx.set_deadline(id, Some(Duration::ZERO));
        },
        Ending::Aborted,
        b"",
    ),
];

#[test]
fn closed_aborted_and_sent_to_in_any_order() {
    for (harm, ending, received) in HARMS {
        let (event_loop, address) = listening(Limits::default());
        let mut peer = peer(address);
        peer.write_all(b"x").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let script = Script::new(move |cx, call| {
            if let Call::Data(id, ..) = call {
                cx.send(id, b"sent");
                harm(cx, id);
            }
        });
        assert_eq!(run(event_loop, script.stops_after(1)).endings(), [ending]);
        assert_eq!(read_all(&peer), received);
    }
}

/// Peers that do various things, to a handler that does the same harm to all of them in every call.
fn harmed_in_every_call(harm: fn(&mut dyn DynContext, ConnectionId)) {
    const HARMED: usize = 5;
    let limits = Limits { shutdown_timeout: SOON, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let mut open = Vec::new();
    let script = Script::new(move |cx, call| {
        if let Call::Open(id) = call {
            open.push(id);
        }
        for &id in &open {
            harm(cx, id);
        }
    });
    let running = spawn(event_loop, script.stops_after(HARMED));
    let peers: Vec<_> = (0..HARMED).map(|_| peer(address)).collect();
    for mut peer in &peers {
        // The handler may have closed it already.
        let _ = peer.write_all(b"hola").and_then(|()| peer.shutdown(Shutdown::Write));
    }
    assert_eq!(running.join().endings().len(), HARMED);
}

#[test]
fn everything_aborted_in_every_call() {
    harmed_in_every_call(|cx, id| cx.abort(id));
}

#[test]
fn everything_closed_in_every_call() {
    harmed_in_every_call(|cx, id| cx.close(id));
}

#[test]
fn everything_closed_and_shut_down_and_timed_in_every_call() {
    harmed_in_every_call(|cx, id| {
        cx.set_deadline(id, Some(Duration::ZERO));
        cx.set_timer(TimerId(1), Some(Duration::ZERO));
        cx.send(id, b"x");
        cx.close(id);
        cx.abort(id);
    });
}

#[test]
fn shut_down_in_every_call() {
    let limits = Limits { shutdown_timeout: SOON, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let _peer = peer(address);
    let finished = run(event_loop, Script::new(|cx, _| cx.shutdown()));
    assert_eq!(finished.count(|event| matches!(event, Event::Shutdown(_))), 1);
}

/// One thing that a handler without sense may do with an id, of an open connection or not.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Send(usize),
    Close,
    Abort,
    Deadline(Option<u64>),
    TimerId(Option<u64>),
    Connect,
    ConsumeNothing,
    ConsumeTooMuch,
}

impl Deed {
    fn any() -> impl Strategy<Value = Self> {
        let millis = || prop::option::of(0..3_u64);
        prop_oneof![
            4 => (0..5000_usize).prop_map(Self::Send),
            1 => Just(Self::Close),
            1 => Just(Self::Abort),
            2 => millis().prop_map(Self::Deadline),
            1 => millis().prop_map(Self::TimerId),
            1 => Just(Self::Connect),
            2 => Just(Self::ConsumeNothing),
            1 => Just(Self::ConsumeTooMuch),
        ]
    }

    fn is_done(self, cx: &mut dyn DynContext, id: ConnectionId, unreachable: SocketAddr) {
        let after = |millis: Option<u64>| millis.map(Duration::from_millis);
        match self {
            Self::Send(length) => cx.send(id, &vec![0; length]),
            Self::Close => cx.close(id),
            Self::Abort => cx.abort(id),
            Self::Deadline(millis) => cx.set_deadline(id, after(millis)),
            Self::TimerId(millis) => cx.set_timer(TimerId(1), after(millis)),
            Self::Connect => {
                let _ = cx.connect(unreachable);
            }
            Self::ConsumeNothing | Self::ConsumeTooMuch => {}
        }
    }
}

/// Does the next deed in every call, to one id after the other, except to the steady peer's:
/// the first, which it echoes.
fn without_sense(deeds: Vec<Deed>, unreachable: SocketAddr) -> Script {
    let (mut ids, mut steps): (Vec<ConnectionId>, usize) = (Vec::new(), 0);
    Script::new(move |cx, call| {
        let steady = ids.first() == call.connection().as_ref();
        if steady && !ids.is_empty() {
            if let Call::Close(_) = call {
                cx.shutdown();
            }
            return echo(cx, &call);
        }
        steps += 1;
        let deed = deeds[steps % deeds.len()];
        if let Some(&id) = ids.get(1 + steps % ids.len().max(1)) {
            deed.is_done(cx, id, unreachable);
        }
        match (call, deed) {
            (Call::Open(id), _) => ids.push(id),
            (Call::Data(_, _, consumed), Deed::ConsumeNothing) => *consumed = 0,
            (Call::Data(_, _, consumed), Deed::ConsumeTooMuch) => *consumed += 1,
            (Call::Eof(id, _), _) => cx.close(id),
            _ => {}
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever such a handler does to the others and with stale ids, the steady peer is served, and
    /// everything is closed in the end.
    #[test]
    fn a_handler_without_sense(
        deeds in prop::collection::vec(Deed::any(), 1..40),
        endings in prop::collection::vec(0..3_u8, 1..8),
    ) {
        let unreachable = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let limits = Limits {
            max_connections: 6,
            accept_budget: 2,
            read_budget: 64,
            max_unconsumed: 200,
            write_buffer_high: 1000,
            write_buffer_low: 100,
            linger_timeout: Duration::from_millis(5),
            shutdown_timeout: SOON,
            write_timeout: Duration::from_millis(5),
            ..Limits::default()
        };
        let (event_loop, address) = listening(limits);
        let mut running = spawn(event_loop, without_sense(deeds, unreachable));
        let steady = peer(address);
        running.wait_for_open();
        for ending in endings {
            let mut other = peer(address);
            // It may be closed in the middle of that, or before.
            let _ = other.write_all(&[1; 150]);
            match ending {
                0 => reset(other),
                1 => drop(other),
                _ => drop(other.shutdown(Shutdown::Write)),
            }
            converse(&steady);
        }
        drop(steady);
        running.join();
    }
}
