//! Ends of pairs that the handler has attached: served like connections, and not counted as such.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use reactor::{ConnectionId, EventLoop, Limits, Outcome, TimerId};

use loop_tests::{
    Call, DynContext, Ending, Event, HUGE, NEVER, PATIENCE, SOON, Script, listening, pattern, peer,
    read_all, read_exactly, run, spawn,
};

/// More than a pair of sockets holds, in bytes; few enough for few events: each read at the other end
/// makes one, whether or not there is room for another write.
const MUCH: usize = 1024 * 1024;

/// A pair: for the loop, and for the test in place of the thread.
fn pair() -> (Option<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    theirs.set_write_timeout(Some(PATIENCE)).unwrap();
    (Some(ours), theirs)
}

/// A loop that doesn't listen.
fn not_listening() -> EventLoop {
    EventLoop::new(Limits::default()).unwrap()
}

fn attach(cx: &mut dyn DynContext, stream: &mut Option<UnixStream>) -> ConnectionId {
    cx.attach(stream.take().unwrap()).unwrap()
}

#[test]
fn bytes_go_both_ways() {
    let (mut ours, mut theirs) = pair();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let id = attach(cx, &mut ours);
            cx.send(id, b"hola ");
        }
        Call::Data(id, input, _) => cx.send(id, input),
        Call::Eof(id, _) => cx.close(id),
        _ => {}
    });
    let running = spawn(not_listening(), script.stops_after(1));
    theirs.write_all(b"mundo").unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    theirs.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hola mundo");
    let finished = running.join();
    assert_eq!(finished.endings(), [Ending::Done]);
    assert_eq!(finished.count(|event| matches!(event, Event::Open(_))), 0);
}

/// More than the sockets hold goes through, and what isn't consumed comes again, as always.
#[test]
fn much_goes_through() {
    let (mut ours, mut theirs) = pair();
    let mut seen = Vec::new();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let id = attach(cx, &mut ours);
            cx.send(id, &pattern(MUCH));
        }
        Call::Data(_, input, consumed) => {
            *consumed = input.len() / 2;
            seen.extend_from_slice(&input[..*consumed]);
        }
        Call::Eof(id, rest) => {
            seen.extend_from_slice(rest);
            assert!(seen == pattern(MUCH));
            cx.close(id);
        }
        _ => {}
    });
    let running = spawn(not_listening(), script.stops_after(1));
    let mut bytes = vec![0; MUCH];
    theirs.read_exact(&mut bytes).unwrap();
    assert!(bytes == pattern(MUCH));
    theirs.write_all(&bytes).unwrap();
    drop(theirs);
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// The other end is dropped with the thread that holds it.
#[test]
fn the_other_end_goes_away() {
    let (mut ours, theirs) = pair();
    drop(theirs);
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            attach(cx, &mut ours);
        }
        Call::Eof(id, _) => {
            cx.send(id, b"are you there?");
            cx.close(id);
        }
        _ => {}
    });
    let finished = run(not_listening(), script.stops_after(1));
    assert_eq!(finished.endings(), [Ending::Failed(ErrorKind::BrokenPipe)]);
    assert_eq!(finished.count(|event| matches!(event, Event::Eof(..))), 1);
}

#[test]
fn a_deadline_like_any_connection() {
    let (mut ours, theirs) = pair();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let id = attach(cx, &mut ours);
            cx.set_deadline(id, Some(SOON / 2));
        }
        Call::Deadline(id) => cx.abort(id),
        _ => {}
    });
    let finished = run(not_listening(), script.stops_after(1));
    assert_eq!(finished.endings(), [Ending::Aborted]);
    drop(theirs);
}

/// It takes no peer's slot.
#[test]
fn it_does_not_count_towards_the_limit() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let (mut ours, theirs) = pair();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            attach(cx, &mut ours);
        }
        Call::Open(id) => {
            cx.send(id, b"hola");
            cx.close(id);
        }
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(2));
    for _ in 0..2 {
        assert_eq!(read_all(&peer(address)), b"hola");
    }
    running.join();
    drop(theirs);
}

/// Peers have sent before, and a turn has room for one of them: what a thread sends comes first, all
/// of it.
#[test]
fn it_is_served_before_all_peers() {
    const PEERS: usize = 20;
    let (event_loop, address) = listening(Limits { turn_budget: 1, ..Limits::default() });
    let (mut ours, mut theirs) = pair();
    let mut peers = [(); PEERS].map(|()| peer(address));
    let (mut opened, mut received) = (0, 0);
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            attach(cx, &mut ours);
        }
        Call::Open(_) => {
            opened += 1;
            if opened == PEERS {
                for peer in &mut peers {
                    peer.write_all(b"x").unwrap();
                }
                theirs.write_all(b"own").unwrap();
            }
        }
        Call::Data(..) => {
            received += 1;
            if received == PEERS + 3 {
                cx.shutdown();
            }
        }
        _ => {}
    });
    let events = run(event_loop, script).events;
    let input = |event: &Event| match event {
        Event::Data(_, input) => Some(input.clone()),
        _ => None,
    };
    let first: Vec<_> = events.iter().filter_map(input).take(3).collect();
    assert_eq!(first.concat(), b"own");
}

/// A thread that takes nothing isn't a peer that holds memory on purpose: a disk may be slow.
#[test]
fn it_is_not_closed_for_taking_nothing() {
    let limits = Limits { write_timeout: SOON / 4, ..Limits::default() };
    let (mut ours, mut theirs) = pair();
    let (fired, when) = mpsc::channel();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let id = attach(cx, &mut ours);
            cx.send(id, &pattern(MUCH));
            cx.set_timer(TimerId(1), Some(SOON));
        }
        Call::Timer(_) => fired.send(()).unwrap(),
        Call::Eof(id, _) => cx.close(id),
        _ => {}
    });
    let running = spawn(EventLoop::new(limits).unwrap(), script.stops_after(1));
    when.recv_timeout(PATIENCE).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).unwrap();
    assert!(bytes == pattern(MUCH));
    drop(theirs);
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// While the last peer's reply still leaves, the thread's results arrive; the loop waits for no more.
#[test]
fn a_shutdown_neither_closes_it_nor_waits_for_it() {
    let limits = Limits {
        shutdown_timeout: NEVER,
        linger_timeout: NEVER,
        write_timeout: NEVER,
        ..Limits::default()
    };
    let (event_loop, address) = listening(limits);
    let (mut ours, mut theirs) = pair();
    let mut attached = None;
    let script = Script::new(move |cx, call| match call {
        Call::Start => attached = Some(attach(cx, &mut ours)),
        Call::Open(id) => {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
        Call::Data(id, input, _) if attached == Some(id) => cx.send(id, input),
        _ => {}
    });
    let mut running = spawn(event_loop, script);
    let peer = peer(address);
    running.wait_for(|event| matches!(event, Event::Shutdown(_)).then_some(()));
    let mut echoed = [0; 4];
    theirs.write_all(b"hola").unwrap();
    theirs.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hola");
    assert!(read_exactly(&peer, HUGE) == pattern(HUGE));
    drop(peer);
    let finished = running.join();
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    // The peer alone: the attached one is still open.
    assert_eq!(finished.endings(), [Ending::Done]);
}

/// Nor does the shutdown timeout.
#[test]
fn the_shutdown_timeout_does_not_close_it() {
    let (event_loop, address) = listening(Limits { shutdown_timeout: SOON, ..Limits::default() });
    let (mut ours, theirs) = pair();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            attach(cx, &mut ours);
        }
        Call::Open(id) => {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
        _ => {}
    });
    let running = spawn(event_loop, script);
    let _deaf = peer(address);
    let endings = running.join().endings();
    assert!(matches!(endings[..], [Ending::ShutdownTimeout(1..)]), "{endings:?}");
    drop(theirs);
}

#[test]
fn a_loop_with_nothing_else_ends_at_once() {
    let (mut ours, theirs) = pair();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            attach(cx, &mut ours);
            cx.set_timer(TimerId(1), Some(Duration::ZERO));
        }
        Call::Timer(_) => cx.shutdown(),
        _ => {}
    });
    let finished = run(not_listening(), script);
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    assert!(finished.counters.turns <= 3, "{:?}", finished.counters);
    drop(theirs);
}
