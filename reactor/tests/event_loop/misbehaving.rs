//! A service that does everything wrong: the loop and the other connections go on.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use proptest::prelude::*;
use reactor::{Limits, Timer, Token};

use crate::support::{
    Call, DynIo, Ending, Event, SOON, Script, echo, listening, peer, read_all, read_exactly, reset,
    run, spawn,
};

/// What a peer says to be left alone by a service that harms all the others.
const STEADY: &[u8] = b"steady";

/// Says something and is answered, several times.
fn converse(mut peer: &TcpStream) {
    for _ in 0..10 {
        peer.write_all(STEADY).unwrap();
        assert_eq!(read_exactly(peer, STEADY.len()), STEADY);
    }
}

#[test]
fn more_consumed_than_there_was() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|io, call| match call {
        Call::Received(token, input, consumed) => {
            io.send(token, input);
            *consumed = usize::MAX;
        }
        call => echo(io, &call),
    });
    let running = spawn(event_loop, script.stops_after(1));
    let peer = peer(address);
    converse(&peer);
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&peer), b"");
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// The peer never stops sending, the service never consumes: it ends at the limit.
#[test]
fn nothing_consumed_for_ever() {
    let limits = Limits { input_rest: 1000, read_per_turn: 64, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let mut first = None;
    let script = Script::new(move |io, call| match call {
        Call::Opened(token) => drop(first.get_or_insert(token)),
        Call::Received(token, _, consumed) if Some(token) == first => *consumed = 0,
        call => echo(io, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(2));
    let mut ignored = peer(address);
    running.wait_for_opened();
    let steady = peer(address);
    converse(&steady);
    while ignored.write_all(&[0; 100]).is_ok() {}
    let (_, ending) = running.wait_for_closed();
    assert!(matches!(ending, Ending::InputOverflow(1001..=1064)), "{ending:?}");
    converse(&steady);
    drop(steady);
    running.join();
}

#[test]
fn closed_aborted_and_sent_to_in_any_order() {
    type Harm = fn(&mut dyn DynIo, Token);
    let harms: [(Harm, Ending, &[u8]); 5] = [
        (
            |io, token| {
                io.close(token);
                io.close(token);
            },
            Ending::Done,
            b"sent",
        ),
        (
            |io, token| {
                io.close(token);
                io.send(token, b"more");
                io.close(token);
            },
            Ending::Done,
            b"sent",
        ),
        (
            |io, token| {
                io.close(token);
                io.abort(token);
            },
            Ending::Aborted,
            b"",
        ),
        (
            |io, token| {
                io.abort(token);
                io.close(token);
                io.send(token, b"more");
            },
            Ending::Aborted,
            b"",
        ),
        (
            |io, token| {
                io.abort(token);
                io.abort(token);
                io.set_deadline(token, Some(Duration::ZERO));
            },
            Ending::Aborted,
            b"",
        ),
    ];
    for (harm, ending, received) in harms {
        let (event_loop, address) = listening(Limits::default());
        let mut peer = peer(address);
        peer.write_all(b"x").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let script = Script::new(move |io, call| {
            if let Call::Received(token, ..) = call {
                io.send(token, b"sent");
                harm(io, token);
            }
        });
        assert_eq!(run(event_loop, script.stops_after(1)).endings(), [ending]);
        assert_eq!(read_all(&peer), received);
    }
}

/// Peers that do various things, to a service that does the same harm to all of them in every call.
fn harmed_in_every_call(harm: fn(&mut dyn DynIo, Token)) {
    const HARMED: usize = 5;
    let limits = Limits { drain: SOON, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let mut open = Vec::new();
    let script = Script::new(move |io, call| {
        if let Call::Opened(token) = call {
            open.push(token);
        }
        for &token in &open {
            harm(io, token);
        }
    });
    let running = spawn(event_loop, script.stops_after(HARMED));
    let peers: Vec<_> = (0..HARMED).map(|_| peer(address)).collect();
    for mut peer in &peers {
        // The service may have ended it already.
        let _ = peer.write_all(b"hola").and_then(|()| peer.shutdown(Shutdown::Write));
    }
    assert_eq!(running.join().endings().len(), HARMED);
}

#[test]
fn everything_aborted_in_every_call() {
    harmed_in_every_call(|io, token| io.abort(token));
}

#[test]
fn everything_closed_in_every_call() {
    harmed_in_every_call(|io, token| io.close(token));
}

#[test]
fn everything_closed_and_stopped_and_timed_in_every_call() {
    harmed_in_every_call(|io, token| {
        io.set_deadline(token, Some(Duration::ZERO));
        io.set_timer(Timer(1), Some(Duration::ZERO));
        io.send(token, b"x");
        io.close(token);
        io.abort(token);
    });
}

#[test]
fn stopped_in_every_call() {
    let limits = Limits { drain: SOON, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let _peer = peer(address);
    let finished = run(event_loop, Script::new(|io, _| io.stop()));
    assert_eq!(finished.count(|event| matches!(event, Event::Stopping(_))), 1);
}

/// One thing that a service without sense may do with a token, dead or alive.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Send(usize),
    Close,
    Abort,
    Deadline(Option<u64>),
    Timer(Option<u64>),
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
            1 => millis().prop_map(Self::Timer),
            1 => Just(Self::Connect),
            2 => Just(Self::ConsumeNothing),
            1 => Just(Self::ConsumeTooMuch),
        ]
    }

    fn is_done(self, io: &mut dyn DynIo, token: Token, nobody: SocketAddr) {
        let after = |millis: Option<u64>| millis.map(Duration::from_millis);
        match self {
            Self::Send(length) => io.send(token, &vec![0; length]),
            Self::Close => io.close(token),
            Self::Abort => io.abort(token),
            Self::Deadline(millis) => io.set_deadline(token, after(millis)),
            Self::Timer(millis) => io.set_timer(Timer(1), after(millis)),
            Self::Connect => {
                let _ = io.connect(nobody);
            }
            Self::ConsumeNothing | Self::ConsumeTooMuch => {}
        }
    }
}

/// Does the next deed in every call, to one token after the other, except to the steady peer's:
/// the first, which it echoes.
fn without_sense(deeds: Vec<Deed>, nobody: SocketAddr) -> Script {
    let (mut tokens, mut steps): (Vec<Token>, usize) = (Vec::new(), 0);
    Script::new(move |io, call| {
        let steady = tokens.first() == call.connection().as_ref();
        if steady && !tokens.is_empty() {
            if let Call::Closed(_) = call {
                io.stop();
            }
            return echo(io, &call);
        }
        steps += 1;
        let deed = deeds[steps % deeds.len()];
        if let Some(&token) = tokens.get(1 + steps % tokens.len().max(1)) {
            deed.is_done(io, token, nobody);
        }
        match (call, deed) {
            (Call::Opened(token), _) => tokens.push(token),
            (Call::Received(_, _, consumed), Deed::ConsumeNothing) => *consumed = 0,
            (Call::Received(_, _, consumed), Deed::ConsumeTooMuch) => *consumed += 1,
            (Call::Ended(token, _), _) => io.close(token),
            _ => {}
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever such a service does to the others and with tokens of the dead, the steady peer is
    /// served, and everything comes to its end.
    #[test]
    fn a_service_without_sense(
        deeds in prop::collection::vec(Deed::any(), 1..40),
        endings in prop::collection::vec(0..3_u8, 1..8),
    ) {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let limits = Limits {
            connections: 6,
            accepts_per_turn: 2,
            read_per_turn: 64,
            input_rest: 200,
            high_water: 1000,
            low_water: 100,
            linger: Duration::from_millis(5),
            drain: SOON,
            write_stall: Duration::from_millis(5),
            ..Limits::default()
        };
        let (event_loop, address) = listening(limits);
        let mut running = spawn(event_loop, without_sense(deeds, nobody));
        let steady = peer(address);
        running.wait_for_opened();
        for ending in endings {
            let mut other = peer(address);
            // It may be gone in the middle of that, or before.
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
