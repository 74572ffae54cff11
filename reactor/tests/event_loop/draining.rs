//! How the loop ends: what is queued still leaves, nobody can hold it up, and the run is over.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::Duration;

use reactor::{Limits, Outcome, ShutdownCause, TimerId};

use crate::support::{
    Call, Ending, Event, HUGE, NEVER, SOON, Script, echo, listening, pattern, peer, read_all,
    read_exactly, run, spawn,
};

/// Limits under which only the peers end a drain.
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
        if let Call::Received(id, ..) = call {
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
fn peers_that_do_not_read_or_do_not_go_are_cut_off() {
    let (event_loop, address) = listening(Limits { shutdown_timeout: SOON, ..patient() });
    let mut opened = 0;
    let script = Script::new(move |cx, call| {
        if let Call::Opened(id) = call {
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
    // The lazy one has everything: only its own end is missing.
    assert_eq!(finished.endings(), [Ending::ShutdownTimeout(waiting), Ending::Done]);
}

/// What was received in the turn of the stop, and what waits for the turn's end, is still answered.
#[test]
fn answers_of_the_last_turn_leave() {
    let (event_loop, address) = listening(patient());
    let (mut stopping, mut asked) = (false, None);
    let script = Script::new(move |cx, call| match call {
        Call::Received(id, ..) => {
            asked = Some(id);
            cx.shutdown();
            cx.send(id, b"received ");
        }
        Call::Stopping => {
            stopping = true;
            cx.send(asked.unwrap(), b"stopping ");
        }
        Call::TurnEnded(_) if std::mem::take(&mut stopping) => {
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

/// The peer goes on talking while its answer drains: nobody listens any more.
#[test]
fn no_input_after_stopping() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| {
        if let Call::Received(id, ..) = call {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
    });
    let mut running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    running.wait_for(|event| matches!(event, Event::Stopping(_)).then_some(()));
    peer.write_all(b"more").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&peer) == pattern(HUGE));
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Received(..))), 1);
    assert_eq!(finished.count(|event| matches!(event, Event::Ended(..))), 0);
    assert_eq!(finished.counters.bytes_read, 5);
}

#[test]
fn many_peers_at_once() {
    const PEERS: usize = 100;
    let (event_loop, address) = listening(patient());
    let script = Script::new(move |cx, call| match call {
        Call::Received(_, b"stop", _) => cx.shutdown(),
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
fn a_loop_with_nobody_ends_at_once() {
    // Stopped as it begins, and by a timer.
    for by_timer in [false, true] {
        let (event_loop, _) = listening(patient());
        let script = Script::new(move |cx, call| match call {
            Call::Started if by_timer => cx.set_timer(TimerId(1), Some(Duration::ZERO)),
            Call::Started | Call::Fired(_) => cx.shutdown(),
            _ => {}
        });
        let finished = run(event_loop, script);
        assert!(matches!(finished.result, Ok(Outcome::Graceful)));
        assert!(finished.counters.turns <= 2, "{:?}", finished.counters);
    }
}

/// A stop out of any call, those at the very end of a turn included, is not forgotten.
#[test]
fn a_stop_out_of_any_call() {
    type Wanted = fn(&Call<'_>) -> bool;
    let calls: [(&str, Wanted); 8] = [
        ("opened", |call| matches!(call, Call::Opened(_))),
        ("received", |call| matches!(call, Call::Received(..))),
        ("ended", |call| matches!(call, Call::Ended(..))),
        ("drained", |call| matches!(call, Call::Drained(_))),
        ("expired", |call| matches!(call, Call::Expired(_))),
        ("fired", |call| matches!(call, Call::Fired(_))),
        ("closed", |call| matches!(call, Call::Closed(_))),
        ("turn_ended", |call| matches!(call, Call::TurnEnded(_))),
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
                Call::Opened(id) => cx.set_deadline(id, Some(Duration::ZERO)),
                Call::Expired(_) => cx.set_timer(TimerId(1), Some(Duration::ZERO)),
                Call::Fired(_) => {}
                // Stays until the drain has been told, with a backlog until it is.
                Call::Ended(id, _) => cx.send(id, b"end"),
                Call::Drained(id) => cx.close(id),
                call => echo(cx, &call),
            }
        });
        let finished = run(event_loop, script);
        assert!(matches!(finished.result, Ok(Outcome::Graceful)), "stopped by {name}");
        let stopping = Event::Stopping(ShutdownCause::Requested);
        assert_eq!(finished.count(|event| *event == stopping), 1, "stopped by {name}");
    }
}

/// Timers go on: a handler may have something to do until the last peer is gone.
#[test]
fn timers_fire_while_draining() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| match call {
        Call::Received(id, ..) => {
            cx.send(id, &pattern(HUGE));
            cx.shutdown();
        }
        Call::Stopping => cx.set_timer(TimerId(1), Some(SOON)),
        _ => {}
    });
    let mut running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    running.wait_for(|event| (*event == Event::Fired(TimerId(1))).then_some(()));
    assert!(read_all(&peer) == pattern(HUGE));
    drop(peer);
    running.join();
}

/// Those that were closing before the stop are waited for like the others.
#[test]
fn connections_that_are_closing_already() {
    let (event_loop, address) = listening(patient());
    let script = Script::new(|cx, call| match call {
        Call::Received(id, b"big", _) => {
            cx.send(id, &pattern(HUGE));
            cx.close(id);
        }
        Call::Received(id, b"small", _) => cx.close(id),
        Call::Received(..) => cx.shutdown(),
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
