//! SIGTERM and SIGINT end the loop in order, a second one at once.
//!
//! A process of its own: a signal goes to all of it. One that isn't handled ends it, and the test
//! with it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

#[path = "support/harness.rs"]
mod harness;
#[expect(dead_code, unused_imports, reason = "other tests use the rest")]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reactor::{EventLoop, Limits, Outcome, StopCause};
use rustix::process::{Signal, getpid, kill_process};

use support::{
    Call, Ending, Event, HUGE, NEVER, Script, echo, listening, pattern, peer, read_all,
    read_exactly, run, spawn,
};

const SIGNALS: [(Signal, &str); 2] = [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")];

fn main() -> ExitCode {
    harness::run_all(&[
        ("a_signal_ends_in_order", a_signal_ends_in_order),
        ("a_signal_ends_a_loop_with_nobody", a_signal_ends_a_loop_with_nobody),
        ("a_signal_before_the_loop_began", a_signal_before_the_loop_began),
        ("a_signal_during_heavy_traffic", a_signal_during_heavy_traffic),
        ("a_second_signal_ends_at_once", a_second_signal_ends_at_once),
        ("a_signal_while_the_service_stops", a_signal_while_the_service_stops),
        ("other_signals_change_nothing", other_signals_change_nothing),
    ])
}

fn raise(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// A loop that handles signals, and whose drain only the peers end.
fn handling() -> (EventLoop, SocketAddr) {
    let patient = Limits { drain: NEVER, linger: NEVER, write_stall: NEVER, ..Limits::default() };
    let (mut event_loop, address) = listening(patient);
    event_loop.handle_signals().unwrap();
    (event_loop, address)
}

fn stopping(event: &Event) -> Option<StopCause> {
    match event {
        Event::Stopping(cause) => Some(*cause),
        _ => None,
    }
}

fn a_signal_ends_in_order() {
    for (signal, name) in SIGNALS {
        let (event_loop, address) = handling();
        let script = Script::new(|io, call| match call {
            Call::Received(token, ..) => io.send(token, &pattern(HUGE)),
            call => echo(io, &call),
        });
        let mut running = spawn(event_loop, script);
        let (mut busy, idle) = (peer(address), peer(address));
        busy.write_all(b"x").unwrap();
        read_exactly(&busy, 1);
        raise(signal);
        assert_eq!(running.wait_for(stopping), StopCause::Signal(name));
        assert_eq!(read_all(&idle), b"");
        assert!(read_all(&busy) == pattern(HUGE)[1..], "what was queued leaves");
        drop((busy, idle));
        let finished = running.join();
        assert!(matches!(finished.result, Ok(Outcome::Drained)));
        assert_eq!(finished.endings(), [Ending::Done, Ending::Done]);
        assert_eq!(finished.count(|event| stopping(event).is_some()), 1);
        assert_eq!(finished.count(|event| *event == Event::ListenerClosed), 1);
    }
}

fn a_signal_ends_a_loop_with_nobody() {
    let (event_loop, _) = handling();
    let mut running = spawn(event_loop, Script::echo());
    running.wait_for(|event| (*event == Event::Waiting).then_some(()));
    raise(Signal::TERM);
    assert!(matches!(running.join().result, Ok(Outcome::Drained)));
}

fn a_signal_before_the_loop_began() {
    let (event_loop, _) = handling();
    raise(Signal::INT);
    let finished = run(event_loop, Script::echo());
    assert!(matches!(finished.result, Ok(Outcome::Drained)));
    let causes: Vec<_> = finished.events.iter().filter_map(stopping).collect();
    assert_eq!(causes, [StopCause::Signal("SIGINT")]);
}

/// Peers that talk as fast as they can until they are told to go. None loses an answer: each gets
/// a whole number of them.
fn a_signal_during_heavy_traffic() {
    const PEERS: usize = 8;
    const MESSAGE: &[u8] = &[7; 1000];
    let (event_loop, address) = handling();
    let script = Script::new(|io, call| match call {
        Call::Received(token, input, consumed) => {
            *consumed = input.len() / MESSAGE.len() * MESSAGE.len();
            io.send(token, &input[..*consumed]);
        }
        call => echo(io, &call),
    });
    let mut running = spawn(event_loop, script);
    let talk = move || {
        let mut peer = peer(address);
        let mut answer = [0; MESSAGE.len()];
        loop {
            peer.write_all(MESSAGE).unwrap();
            match peer.read(&mut answer).unwrap() {
                0 => return,
                count => peer.read_exact(&mut answer[count..]).unwrap(),
            }
        }
    };
    let peers = [(); PEERS].map(|()| std::thread::spawn(talk));
    for _ in 0..500 {
        running.wait_for(|event| matches!(event, Event::Received(..)).then_some(()));
    }
    raise(Signal::TERM);
    assert_eq!(running.wait_for(stopping), StopCause::Signal("SIGTERM"));
    for peer in peers {
        peer.join().unwrap();
    }
    let finished = running.join();
    assert!(matches!(finished.result, Ok(Outcome::Drained)));
    assert_eq!(finished.endings(), [Ending::Done; PEERS]);
}

/// A peer that doesn't read would hold the drain up for ever.
fn a_second_signal_ends_at_once() {
    for (first, _) in SIGNALS {
        for (second, _) in SIGNALS {
            let (event_loop, address) = handling();
            let script = Script::new(|io, call| {
                if let Call::Received(token, ..) = call {
                    io.send(token, &pattern(HUGE));
                }
            });
            let mut running = spawn(event_loop, script);
            let mut peer = peer(address);
            peer.write_all(b"x").unwrap();
            read_exactly(&peer, 1);
            raise(first);
            running.wait_for(stopping);
            raise(second);
            let finished = running.join();
            assert!(matches!(finished.result, Ok(Outcome::CutShort)));
            assert_eq!(finished.endings(), []);
        }
    }
}

fn a_signal_while_the_service_stops() {
    let (event_loop, address) = handling();
    let script = Script::new(|io, call| {
        if let Call::Received(..) = call {
            io.stop();
        }
    });
    let mut running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(running.wait_for(stopping), StopCause::Asked);
    raise(Signal::TERM);
    assert!(matches!(running.join().result, Ok(Outcome::CutShort)));
}

/// The loop runs in the main thread here, to which the kernel gives a process's signals: each
/// interrupts the loop's wait.
fn other_signals_change_nothing() {
    const ROUNDS: usize = 300;
    signal_hook::flag::register(Signal::USR1.as_raw(), Arc::new(AtomicBool::new(false))).unwrap();
    let (mut event_loop, address) = handling();
    let talking = std::thread::spawn(move || {
        let mut peer = peer(address);
        for _ in 0..ROUNDS {
            raise(Signal::USR1);
            peer.write_all(b"hola").unwrap();
            assert_eq!(read_exactly(&peer, 4), b"hola");
        }
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&peer), b"");
    });
    let (mut recorder, _events) = Script::echo().stops_after(1).recorded();
    assert!(matches!(event_loop.run(&mut recorder), Ok(Outcome::Drained)));
    talking.join().unwrap();
}
