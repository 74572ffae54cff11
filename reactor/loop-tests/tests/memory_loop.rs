//! What a test can do with the loop in memory and with no other: move bytes itself, decide calls, let
//! machines vanish, and let time pass. That the loop is the same is shown by `conformance`.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use loop_tests::{Event, Script, pattern};
use reactor::testing::{Call, Ending, MemoryLoop, MemoryNetwork, Peer, Recorder, Side};
use reactor::{
    CloseReason, ConnectionId, Context, Gauges, Handler, Limits, ListenerId, ListenerLimits,
    Outcome, ShutdownCause, Signal, TimerId,
};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7000);
const MINUTE: Duration = Duration::from_mins(1);

/// Sends back what comes.
struct Echo;

impl Handler for Echo {
    type Fatal = Infallible;

    fn on_open(&mut self, _cx: &mut impl Context, _connection: ConnectionId, _peer: SocketAddr) {}

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        cx.send(connection, input);
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _rest: &[u8]) {
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        cx.abort(connection);
    }

    fn on_close(&mut self, _cx: &mut impl Context, _: ConnectionId, _: &CloseReason) {}

    fn on_shutdown(&mut self, _cx: &mut impl Context, _cause: ShutdownCause) {}
}

type EchoLoop = MemoryLoop<Recorder<Echo>>;

/// A loop that listens, and its network.
fn listening() -> (MemoryNetwork, EchoLoop) {
    let network = MemoryNetwork::new();
    let mut event_loop = MemoryLoop::new(&network, Limits::default(), Recorder::new(Echo));
    event_loop.listen(ADDRESS).expect("nobody else listens");
    let Ok(()) = event_loop.start();
    (network, event_loop)
}

fn run_until_quiescent(event_loop: &mut EchoLoop) {
    let Ok(()) = event_loop.run_until_quiescent();
}

fn endings(event_loop: &EchoLoop) -> Vec<Ending> {
    let ending = |call: &Call| match call {
        Call::Close(_, ending) => Some(*ending),
        _ => None,
    };
    event_loop.handler.calls.iter().filter_map(ending).collect()
}

/// A connection to the loop, and what the loop calls it.
fn connected(network: &MemoryNetwork, event_loop: &mut EchoLoop) -> (Peer, ConnectionId) {
    let peer = network.connect(ADDRESS).expect("the loop listens");
    run_until_quiescent(event_loop);
    let id = event_loop.id(peer.link()).expect("it was accepted");
    (peer, id)
}

#[test]
fn bytes_arrive_when_they_are_moved() {
    let (network, mut event_loop) = listening();
    network.deliver_by_hand();
    let (peer, _) = connected(&network, &mut event_loop);
    peer.write_all(b"12345");
    peer.shutdown().unwrap();
    assert_eq!(network.in_flight(), [(peer.link(), Side::Caller)]);
    network.deliver(peer.link(), Side::Caller, 2);
    run_until_quiescent(&mut event_loop);
    assert_eq!(network.in_flight_len(peer.link(), Side::Callee), 2, "its answer");
    network.truncate_in_flight(peer.link(), Side::Caller, 1);
    network.deliver(peer.link(), Side::Caller, usize::MAX);
    run_until_quiescent(&mut event_loop);
    network.deliver(peer.link(), Side::Callee, usize::MAX);
    assert_eq!(peer.read(usize::MAX).unwrap().unwrap(), b"123", "the others were lost");
    assert_eq!(peer.read(usize::MAX).unwrap(), None);
}

#[test]
fn a_reset_loses_what_is_in_flight_and_both_ends_learn_of_it() {
    let (network, mut event_loop) = listening();
    let (peer, _) = connected(&network, &mut event_loop);
    network.deliver_by_hand();
    peer.write_all(b"1");
    network.break_off(peer.link());
    run_until_quiescent(&mut event_loop);
    assert_eq!(endings(&event_loop), [Ending::Failed(ErrorKind::ConnectionReset)]);
    assert_eq!(peer.read(1).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(network.in_flight().is_empty() && network.intact().is_empty());
}

/// A socket that is closed with something unread resets the connection: the end that it had sent is lost
/// with the bytes before it.
#[test]
fn an_end_in_flight_is_lost_with_a_reset() {
    let (network, mut event_loop) = listening();
    let (peer, _) = connected(&network, &mut event_loop);
    peer.write_all(b"1");
    run_until_quiescent(&mut event_loop);
    network.deliver_by_hand();
    let link = peer.link();
    peer.write_all(b"2");
    peer.shutdown().unwrap();
    drop(peer);
    network.deliver(link, Side::Caller, usize::MAX);
    run_until_quiescent(&mut event_loop);
    assert_eq!(endings(&event_loop), [Ending::Failed(ErrorKind::ConnectionReset)]);
}

#[test]
fn a_machine_that_vanishes_is_noticed_by_keepalive() {
    let (network, mut event_loop) = listening();
    let (peer, _) = connected(&network, &mut event_loop);
    network.vanish(peer.link());
    peer.write_all(b"1");
    peer.reset();
    run_until_quiescent(&mut event_loop);
    assert_eq!(endings(&event_loop), [], "nothing arrives");
    assert!(network.time_out_vanished());
    run_until_quiescent(&mut event_loop);
    assert_eq!(endings(&event_loop), [Ending::Failed(ErrorKind::TimedOut)]);
    assert!(!network.time_out_vanished());
}

#[test]
fn a_call_is_held_until_it_is_decided() {
    let (network, mut event_loop) = listening();
    network.hold_connects();
    let far = SocketAddr::from(([10, 0, 0, 1], 1));
    for _ in 0..3 {
        let id = event_loop.context().connect(far);
        event_loop.context().set_deadline(id, Some(MINUTE));
    }
    run_until_quiescent(&mut event_loop);
    let pending = network.pending();
    assert_eq!(pending.iter().map(|(_, address)| *address).collect::<Vec<_>>(), [far; 3]);
    network.refuse(pending[0].0);
    let peer = network.establish(pending[1].0);
    peer.write_all(b"1");
    run_until_quiescent(&mut event_loop);
    assert_eq!(peer.read_arrived(), b"1");
    assert_eq!(endings(&event_loop), [Ending::NotConnected(ErrorKind::ConnectionRefused)]);
    // The third is neither, and its deadline passes. So does that of the second.
    network.advance(MINUTE);
    run_until_quiescent(&mut event_loop);
    assert_eq!(endings(&event_loop)[1..], [Ending::Aborted; 2]);
    assert!(network.pending().is_empty());
}

#[test]
fn accepting_fails_as_it_is_told() {
    let (network, mut event_loop) = listening();
    network.fail_accept(ADDRESS, io::Error::from_raw_os_error(24));
    let _peer = network.connect(ADDRESS).unwrap();
    run_until_quiescent(&mut event_loop);
    let paused = |call: &Call| matches!(call, Call::Paused(0, Some(_)));
    assert!(event_loop.handler.calls.iter().any(paused), "EMFILE");
    assert!(event_loop.ids().is_empty());
    network.advance(Limits::default().accept_retry_delay);
    run_until_quiescent(&mut event_loop);
    assert_eq!(event_loop.ids().len(), 1);
    assert_eq!(event_loop.counters().accept_pauses, 1);
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let (network, mut event_loop) = listening();
    let (_peer, id) = connected(&network, &mut event_loop);
    let (now, cx) = (network.now(), event_loop.context());
    assert_eq!(cx.now(), now);
    cx.set_deadline(id, Some(2 * MINUTE));
    cx.set_timer(TimerId(1), Some(MINUTE));
    assert_eq!(event_loop.deadline(id), Some(2 * MINUTE));
    assert_eq!(event_loop.timers(), [(TimerId(1), MINUTE)].into());
    assert_eq!(event_loop.next_wakeup(), Some(now + MINUTE));
    network.advance(MINUTE / 2);
    assert!(event_loop.is_quiescent());
    let Ok(()) = event_loop.turn();
    assert!(!event_loop.handler.calls.contains(&Call::Timer(TimerId(1))), "a turn for nothing");
    network.advance(MINUTE / 2);
    run_until_quiescent(&mut event_loop);
    assert_eq!(event_loop.handler.calls.last(), Some(&Call::BeforeFlush));
    assert!(event_loop.handler.calls.contains(&Call::Timer(TimerId(1))));
    assert_eq!((event_loop.deadline(id), event_loop.timers().len()), (Some(MINUTE), 0));
}

/// As in a process that was stopped for a while: what has arrived meanwhile comes first, and what is
/// due fires when a poll has found nothing more.
#[test]
fn what_has_arrived_comes_before_what_is_due() {
    let (network, mut event_loop) = listening();
    let (peer, id) = connected(&network, &mut event_loop);
    event_loop.context().set_deadline(id, Some(MINUTE));
    event_loop.handler.calls.clear();
    network.advance(2 * MINUTE);
    peer.write_all(b"1");
    run_until_quiescent(&mut event_loop);
    let calls = &event_loop.handler.calls[..];
    assert!(
        matches!(
            calls,
            [Call::Data(..), Call::BeforeFlush, Call::Deadline(_), Call::BeforeFlush, ..]
        ),
        "{calls:?}"
    );
}

/// A peer wasn't read because it hadn't taken its responses. Now it has, after its deadline, because the
/// process was stopped for a while: what it had sent in time is read before the deadline counts.
#[test]
fn no_deadline_passes_before_a_peer_is_read_that_takes_its_responses() {
    const SECOND: Duration = Duration::from_secs(1);
    const MUCH: usize = 100_000;
    for takes_them in [true, false] {
        let script = Script::new(|cx, call| match call {
            loop_tests::Call::Data(id, input, _) => {
                cx.set_deadline(id, Some(SECOND));
                if input == b"S" {
                    cx.send(id, &pattern(MUCH));
                }
            }
            loop_tests::Call::Deadline(id) => cx.abort(id),
            _ => {}
        });
        let network = MemoryNetwork::new();
        network.set_capacity(MUCH / 2);
        let limits =
            Limits { write_buffer_high: MUCH / 4, write_buffer_low: MUCH / 4, ..Limits::default() };
        let (recorder, events) = script.recorded();
        let mut event_loop = MemoryLoop::new(&network, limits, recorder);
        event_loop.listen(ADDRESS).expect("nobody else listens");
        event_loop.start().expect("it isn't made to fail");
        let (peer, other) = (network.connect(ADDRESS).unwrap(), network.connect(ADDRESS).unwrap());
        peer.write_all(b"S");
        event_loop.run_until_quiescent().expect("it isn't made to fail");
        peer.write_all(b"1");
        event_loop.run_until_quiescent().expect("it isn't made to fail");
        let before: Vec<_> = events.try_iter().collect();
        assert!(!before.iter().any(|call| matches!(call, Event::Data(_, input) if input == b"1")));

        network.advance(2 * SECOND);
        other.write_all(b"2");
        event_loop.turn().expect("it isn't made to fail");
        if takes_them {
            peer.read(usize::MAX).unwrap();
        }
        event_loop.run_until_quiescent().expect("it isn't made to fail");
        let after: Vec<_> = events.try_iter().collect();
        assert_eq!(event_loop.id(peer.link()).is_some(), takes_them, "{after:?}");
    }
}

/// Two peers take nothing of a mebibyte each, and one takes two, piece by piece, as a second ago it did or
/// still does. All together it is too much: who takes nothing goes first, though the other one holds more.
#[test]
fn whose_output_moves_is_not_the_first_to_be_closed_for_its_memory() {
    const MEBIBYTE: usize = 1 << 20;
    for stops in [false, true] {
        let limits = Limits { max_buffered_bytes: 4 * MEBIBYTE, ..Limits::default() };
        let network = MemoryNetwork::new();
        network.set_capacity(1_000);
        let mut event_loop = MemoryLoop::new(&network, limits, Recorder::new(Echo));
        event_loop.listen(ADDRESS).expect("nobody else listens");
        let Ok(()) = event_loop.start();
        let (_idle, idle) = connected(&network, &mut event_loop);
        let (moving, id) = connected(&network, &mut event_loop);
        let (_late, late) = connected(&network, &mut event_loop);
        for (id, len) in [(idle, MEBIBYTE), (id, 2 * MEBIBYTE)] {
            event_loop.context().send(id, &pattern(len));
            run_until_quiescent(&mut event_loop);
        }
        network.advance(Duration::from_secs(1));
        if !stops {
            assert_eq!(moving.read(1_000).unwrap().map(|bytes| bytes.len()), Some(1_000));
            run_until_quiescent(&mut event_loop);
        }
        assert_eq!(endings(&event_loop), []);
        event_loop.context().send(late, &pattern(MEBIBYTE));
        run_until_quiescent(&mut event_loop);
        let there = [idle, id, late].map(|id| event_loop.ids().contains(&id));
        assert_eq!(there, [stops, !stops, true], "stops: {stops}");
    }
}

#[test]
fn signals_end_it_and_a_second_one_at_once() {
    let (network, mut event_loop) = listening();
    let (_peer, id) = connected(&network, &mut event_loop);
    event_loop.notify(Signal::User1);
    run_until_quiescent(&mut event_loop);
    assert!(event_loop.handler.calls.contains(&Call::Signal(Signal::User1)));
    event_loop.signal("SIGTERM");
    run_until_quiescent(&mut event_loop);
    assert!(event_loop.is_shutting_down() && !event_loop.is_open(id) && !event_loop.is_over());
    event_loop.signal("SIGINT");
    run_until_quiescent(&mut event_loop);
    assert!(event_loop.is_over());
    assert_eq!(event_loop.outcome(), Outcome::Forced);
}

/// A process is killed between the two parts of a turn: what it had sent never left, and the kernel
/// closes its sockets.
#[test]
fn a_loop_that_is_dropped_in_the_middle_of_a_turn() {
    let (network, mut event_loop) = listening();
    let (peer, _) = connected(&network, &mut event_loop);
    let waiting = network.connect(ADDRESS).unwrap();
    peer.write_all(b"1");
    let Ok(()) = event_loop.serve();
    drop(event_loop);
    assert_eq!(peer.read(1).unwrap(), None);
    assert_eq!(network.connect(ADDRESS).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop((peer, waiting));
}

#[test]
fn a_thread_is_played_by_the_test_or_heard() {
    let (_network, mut event_loop) = listening();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    event_loop.context().attach(ours).unwrap();
    theirs.write_all(b"from a thread").unwrap();
    drop(theirs);
    let mut attached = event_loop.take_attached().unwrap();
    let mut said = Vec::new();
    attached.stream.read_to_end(&mut said).unwrap();
    attached.peer.write_all(&said);
    run_until_quiescent(&mut event_loop);
    assert_eq!(attached.peer.read_arrived(), b"from a thread");
    assert!(event_loop.take_attached().is_none());
}

/// Loops reach each other, with no end in the test's hands.
#[test]
fn two_loops_in_one_network() {
    let (network, mut server) = listening();
    let mut client = MemoryLoop::new(&network, Limits::default(), Recorder::new(Echo));
    client = client.at([10, 0, 0, 7].into());
    let Ok(()) = client.start();
    let id = client.context().connect(ADDRESS);
    run_until_quiescent(&mut client);
    run_until_quiescent(&mut server);
    client.context().send(id, b"1");
    // Each sends back what the other does, for ever: some turns of it.
    for _ in 0..10 {
        let (Ok(()), Ok(())) = (client.turn(), server.turn());
    }
    let received = |event_loop: &EchoLoop| {
        event_loop.handler.calls.iter().filter(|call| matches!(call, Call::Data(..))).count()
    };
    assert!(received(&server) > 3 && received(&client) > 3);
    let [from, to] = client.addresses(id).unwrap();
    assert_eq!((from.ip(), to), ([10, 0, 0, 7].into(), ADDRESS));
}

#[test]
fn gauges_say_what_each_listener_takes() {
    let (network, mut event_loop) = listening();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7001));
    let limits = ListenerLimits { max_connections: 7, ..ListenerLimits::default() };
    let apart = event_loop.listen_apart(address, limits.clone()).expect("nobody else listens");
    network.set_capacity(0);
    network.hold_connects();
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 7002));
    let calling = event_loop.context().connect(nowhere);
    let _main = connected(&network, &mut event_loop);
    let _apart = network.connect(address).expect("the loop listens");
    run_until_quiescent(&mut event_loop);
    let id = event_loop.ids()[2];
    event_loop.context().send(id, b"hola");

    let gauges = |event_loop: &mut EchoLoop, listener| event_loop.context().gauges(listener);
    let main = gauges(&mut event_loop, ListenerId::MAIN);
    assert_eq!((main.connections, main.connecting, main.handshakes), (2, 1, 0));
    assert_eq!(main.connections_limit, Limits::default().max_connections);
    assert_eq!(main.buffered_bytes, 0);
    let own = gauges(&mut event_loop, apart);
    assert_eq!((own.connections, own.connecting, own.connections_limit), (1, 0, 7));
    assert!(own.buffered_bytes >= 4, "{own:?}");
    assert_eq!(own.buffered_bytes_limit, limits.max_buffered_bytes);

    event_loop.context().abort(calling);
    event_loop.context().abort(id);
    run_until_quiescent(&mut event_loop);
    let main = gauges(&mut event_loop, ListenerId::MAIN);
    assert_eq!((main.connections, main.connecting), (1, 0));
    assert_eq!(gauges(&mut event_loop, apart).connections, 0);
    let mut other = MemoryLoop::new(&MemoryNetwork::new(), Limits::default(), Echo);
    assert_eq!(other.context().gauges(apart), Gauges::default(), "it has no such listener");
}

/// No time passes in a turn in memory: all of them are in the first bucket.
#[test]
fn every_turn_but_the_last_is_observed() {
    let (network, mut event_loop) = listening();
    let _peer = connected(&network, &mut event_loop);
    let turns = event_loop.counters().turns;
    let durations = event_loop.context().turn_durations();
    assert_eq!(durations.count(), turns);
    assert_eq!(durations.sum(), Duration::ZERO);
}
