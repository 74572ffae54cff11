//! How the loop shuts down: what is queued still leaves, no peer can hold it up, and the run ends.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::Duration;

use reactor::{Limits, Outcome, ShutdownCause, TimerId};

use loop_tests::{
    Call, Ending, Event, HUGE, NEVER, SOON, Script, echo, listening, pattern, peer, read_all,
    read_exactly, run, spawn,
};

/// Limits under which only the peers end a shutdown.
fn patient() -> Limits {
    Limits {
        shutdown_timeout: NEVER,
        linger_timeout: NEVER,
        write_timeout: NEVER,
        ..Limits::default()
    }
}

#[test]
fn what_is_queued_leaves_and_the_run_ends_with_the_last_peer() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
    });
    let running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert!(read_all(&peer) == pattern(HUGE));
    drop(peer);
    let finished = running.join();
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    assert_eq!(finished.endings(), [Ending::Done]);
}

#[test]
fn peers_that_do_not_read_or_do_not_close_are_dropped() {
    let (event_loop, address) = listening(Limits { shutdown_timeout: SOON, ..patient() });
    let mut opened = 0;
    let script = Script::new(move |cx, call| {
        if let Call::Open(id) = call {
            opened += 1;
            if opened == 1 {
                cx.send(id, &pattern(HUGE));
            } else {
                cx.send(id, b"bye");
                cx.shutdown();
            }
        }
    });
    let running = spawn(event_loop, script);
    let (_deaf, lazy) = (peer(address), peer(address));
    assert_eq!(read_all(&lazy), b"bye");
    let finished = running.join();
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    let waiting = HUGE + 3 - usize::try_from(finished.counters.bytes_written).unwrap();
    // The lazy one has received everything: only its own end is missing.
    assert_eq!(finished.endings(), [Ending::ShutdownTimeout(waiting), Ending::Done]);
}

/// What was received in the turn of the shutdown, and what waits for the flush, still gets replies.
#[test]
fn replies_of_the_last_turn_leave() {
    let (event_loop, address) = listening(patient());
    let (mut stopping, mut asked) = (false, None);
    let script = Script::new(move |cx, call| match call {
        Call::Data(id, ..) => {
            asked = Some(id);
            cx.shutdown();
            cx.send(id, b"received ");
        }
        Call::Shutdown => {
            stopping = true;
            cx.send(asked.unwrap(), b"stopping ");
        }
        Call::BeforeFlush(_) if std::mem::take(&mut stopping) => {
            cx.send(asked.unwrap(), b"committed");
        }
        _ => {}
    });
    let running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(read_all(&peer), b"received stopping committed");
    drop(peer);
    running.join();
}

/// The peer goes on sending while its reply leaves: its input is discarded.
#[test]
fn no_input_after_the_shutdown() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
    });
    let mut running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    running.wait_for(|event| matches!(event, Event::Shutdown(_)).then_some(()));
    peer.write_all(b"more").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&peer) == pattern(HUGE));
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Data(..))), 1);
    assert_eq!(finished.count(|event| matches!(event, Event::Eof(..))), 0);
    assert_eq!(finished.counters.bytes_read, 5);
}

#[test]
fn many_peers_at_once() {
    const PEERS: usize = 100;
    let (event_loop, address) = listening(patient());
    let script = Script::new(move |cx, call| match call {
        Call::Data(_, b"stop", _) => cx.shutdown(),
        call => echo(cx, &call),
    });
    let running = spawn(event_loop, script);
    let peers: Vec<_> = (0..PEERS).map(|_| peer(address)).collect();
    for mut peer in &peers {
        peer.write_all(b"hola").unwrap();
    }
    for peer in &peers {
        assert_eq!(read_exactly(peer, 4), b"hola");
    }
    (&peers[PEERS / 2]).write_all(b"stop").unwrap();
    for peer in &peers {
        assert_eq!(read_all(peer), b"");
    }
    drop(peers);
    assert_eq!(running.join().endings(), [Ending::Done; PEERS]);
}

#[test]
fn a_loop_without_connections_ends_at_once() {
    // Shut down as it begins, and by a timer.
    for by_timer in [false, true] {
        let (event_loop, _) = listening(patient());
        let script = Script::new(move |cx, call| match call {
            Call::Start if by_timer => cx.set_timer(TimerId(1), Some(Duration::ZERO)),
            Call::Start | Call::Timer(_) => cx.shutdown(),
            _ => {}
        });
        let finished = run(event_loop, script);
        assert!(matches!(finished.result, Ok(Outcome::Graceful)));
        assert!(finished.counters.turns <= 2, "{:?}", finished.counters);
    }
}

/// A shutdown from any call, those at the very end of a turn included, is not forgotten.
#[test]
fn a_shutdown_from_any_call() {
    type Wanted = fn(&Call<'_>) -> bool;
    let calls: [(&str, Wanted); 8] = [
        ("on_open", |call| matches!(call, Call::Open(_))),
        ("on_data", |call| matches!(call, Call::Data(..))),
        ("on_eof", |call| matches!(call, Call::Eof(..))),
        ("on_writable", |call| matches!(call, Call::Writable(_))),
        ("on_deadline", |call| matches!(call, Call::Deadline(_))),
        ("on_timer", |call| matches!(call, Call::Timer(_))),
        ("on_close", |call| matches!(call, Call::Close(_))),
        ("before_flush", |call| matches!(call, Call::BeforeFlush(_))),
    ];
    for (name, wanted) in calls {
        let limits = Limits { write_buffer_high: 1, write_buffer_low: 0, ..patient() };
        let (event_loop, address) = listening(limits);
        let mut peer = peer(address);
        peer.write_all(b"hola").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let script = Script::new(move |cx, call| {
            if wanted(&call) {
                cx.shutdown();
            }
            match call {
                Call::Open(id) => cx.set_deadline(id, Some(Duration::ZERO)),
                Call::Deadline(_) => cx.set_timer(TimerId(1), Some(Duration::ZERO)),
                Call::Timer(_) => {}
                // Stays until the shutdown begins, with unsent output until then.
                Call::Eof(id, _) => cx.send(id, b"end"),
                Call::Writable(id) => cx.close(id),
                call => echo(cx, &call),
            }
        });
        let finished = run(event_loop, script);
        assert!(matches!(finished.result, Ok(Outcome::Graceful)), "shut down by {name}");
        let shutdown = Event::Shutdown(ShutdownCause::Requested);
        assert_eq!(finished.count(|event| *event == shutdown), 1, "shut down by {name}");
    }
}

/// Timers go on: a handler may have something to do until the last connection is closed.
#[test]
fn timers_fire_during_the_shutdown() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| match call {
        Call::Data(id, ..) => {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
        Call::Shutdown => cx.set_timer(TimerId(1), Some(SOON)),
        _ => {}
    });
    let mut running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    running.wait_for(|event| (*event == Event::Timer(TimerId(1))).then_some(()));
    assert!(read_all(&peer) == pattern(HUGE));
    drop(peer);
    running.join();
}

/// Connections that were closing before the shutdown are waited for like the others.
#[test]
fn connections_that_are_closing_already() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| match call {
        Call::Data(id, b"big", _) => {
            cx.send(id, &pattern(HUGE));
            cx.close(id);
        }
        Call::Data(id, b"small", _) => cx.close(id),
        Call::Data(..) => cx.shutdown(),
        _ => {}
    });
    let running = spawn(event_loop, script);
    let (mut big, mut small, mut last) = (peer(address), peer(address), peer(address));
    small.write_all(b"small").unwrap();
    assert_eq!(read_all(&small), b"");
    big.write_all(b"big").unwrap();
    read_exactly(&big, 1);
    last.write_all(b"stop").unwrap();
    assert_eq!(read_all(&last), b"");
    assert!(read_all(&big) == pattern(HUGE)[1..]);
    drop((big, small, last));
    assert_eq!(running.join().endings(), [Ending::Done; 3]);
}
