//! Some signals shut the loop down, a second one at once; some are passed to the handler, and some do
//! nothing. None ends the process without a word.
//!
//! A process of its own: a signal goes to all of it. One that isn't handled ends it, and the test
//! with it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reactor::{EventLoop, Hangup, Limits, Outcome, ShutdownCause, Signal as HandlerSignal};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};

use loop_tests::{
    Call, Ending, Event, Finished, HUGE, NEVER, PATIENCE, Running, Script, echo, listening,
    pattern, peer, read_all, read_exactly, read_some, run, run_all, spawn,
};

/// Those that end it, and their names.
const SIGNALS: [(Signal, &str); 6] = [
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::POWER, "SIGPWR"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::ALARM, "SIGALRM"),
];

fn main() -> ExitCode {
    run_all(&[
        ("a_signal_ends_in_order", a_signal_ends_in_order),
        ("a_signal_ends_a_loop_without_connections", a_signal_ends_a_loop_without_connections),
        ("a_signal_before_the_loop_began", a_signal_before_the_loop_began),
        ("a_signal_during_heavy_traffic", a_signal_during_heavy_traffic),
        ("a_second_signal_ends_at_once", a_second_signal_ends_at_once),
        ("the_same_signal_twice_at_once_is_one", the_same_signal_twice_at_once_is_one),
        (
            "a_signal_after_the_handler_has_requested_the_shutdown",
            a_signal_after_the_handler_has_requested_the_shutdown,
        ),
        ("the_handler_gets_the_others", the_handler_gets_the_others),
        ("many_of_a_kind_are_passed_as_one", many_of_a_kind_are_passed_as_one),
        ("a_hangup_ends_an_interactive_program", a_hangup_ends_an_interactive_program),
        ("a_signal_is_seen_before_the_loop_begins", a_signal_is_seen_before_the_loop_begins),
        ("signals_without_a_meaning_change_nothing", signals_without_a_meaning_change_nothing),
        ("a_file_beyond_the_limit_is_an_error", a_file_beyond_the_limit_is_an_error),
    ])
}

fn raise(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// A loop that handles signals, and whose shutdown only the peers end.
fn handling() -> (EventLoop, SocketAddr) {
    let patient = Limits {
        shutdown_timeout: NEVER,
        linger_timeout: NEVER,
        write_timeout: NEVER,
        ..Limits::default()
    };
    let (mut event_loop, address) = listening(patient);
    event_loop.handle_signals(Hangup::Notify).unwrap();
    (event_loop, address)
}

fn stopping(event: &Event) -> Option<ShutdownCause> {
    match event {
        Event::Shutdown(cause) => Some(*cause),
        _ => None,
    }
}

fn a_signal_ends_in_order() {
    for (signal, name) in SIGNALS {
        let (event_loop, address) = handling();
        let script = Script::new(|cx, call| match call {
            Call::Data(id, ..) => cx.send(id, &pattern(HUGE)),
            call => echo(cx, &call),
        });
        let mut running = spawn(event_loop, script);
        let (mut busy, idle) = (peer(address), peer(address));
        busy.write_all(b"x").unwrap();
        read_exactly(&busy, 1);
        raise(signal);
        assert_eq!(running.wait_for(stopping), ShutdownCause::Signal(name));
        assert_eq!(read_all(&idle), b"");
        assert!(read_all(&busy) == pattern(HUGE)[1..], "what was queued leaves");
        drop((busy, idle));
        let finished = running.join();
        assert!(matches!(finished.result, Ok(Outcome::Graceful)));
        assert_eq!(finished.endings(), [Ending::Done, Ending::Done]);
        assert_eq!(finished.count(|event| stopping(event).is_some()), 1);
        assert_eq!(finished.count(|event| *event == Event::ListenerClosed), 1);
    }
}

fn a_signal_ends_a_loop_without_connections() {
    let (event_loop, _) = handling();
    let mut running = spawn(event_loop, Script::echo());
    running.wait_for(|event| (*event == Event::Waiting).then_some(()));
    raise(Signal::TERM);
    assert!(matches!(running.join().result, Ok(Outcome::Graceful)));
}

fn a_signal_before_the_loop_began() {
    let (event_loop, _) = handling();
    raise(Signal::INT);
    let finished = run(event_loop, Script::echo());
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    let causes: Vec<_> = finished.events.iter().filter_map(stopping).collect();
    assert_eq!(causes, [ShutdownCause::Signal("SIGINT")]);
}

/// Peers that send as fast as they can until they are closed. None loses a reply: each gets a whole
/// number of them.
fn a_signal_during_heavy_traffic() {
    const PEERS: usize = 8;
    const MESSAGE: &[u8] = &[7; 1000];
    let (event_loop, address) = handling();
    let script = Script::new(|cx, call| match call {
        Call::Data(id, input, consumed) => {
            *consumed = input.len() / MESSAGE.len() * MESSAGE.len();
            cx.send(id, &input[..*consumed]);
        }
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script);
    let talk = move || {
        let mut peer = peer(address);
        let mut answer = [0; MESSAGE.len()];
        loop {
            peer.write_all(MESSAGE).unwrap();
            match read_some(&peer, &mut answer).unwrap() {
                0 => return,
                count => peer.read_exact(&mut answer[count..]).unwrap(),
            }
        }
    };
    let peers = [(); PEERS].map(|()| std::thread::spawn(talk));
    for _ in 0..500 {
        running.wait_for(|event| matches!(event, Event::Data(..)).then_some(()));
    }
    raise(Signal::TERM);
    assert_eq!(running.wait_for(stopping), ShutdownCause::Signal("SIGTERM"));
    for peer in peers {
        peer.join().unwrap();
    }
    let finished = running.join();
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    assert_eq!(finished.endings(), [Ending::Done; PEERS]);
}

/// A peer that doesn't read would hold the shutdown up for ever.
fn a_second_signal_ends_at_once() {
    for (first, _) in SIGNALS {
        for (second, _) in SIGNALS {
            let (event_loop, address) = handling();
            let script = Script::new(|cx, call| {
                if let Call::Data(id, ..) = call {
                    cx.send(id, &pattern(HUGE));
                }
            });
            let mut running = spawn(event_loop, script);
            let mut peer = peer(address);
            peer.write_all(b"x").unwrap();
            read_exactly(&peer, 1);
            raise(first);
            running.wait_for(stopping);
            // The same signal counts as a second one only after a moment.
            let finished = raise_until_it_ends(second, running);
            assert!(matches!(finished.result, Ok(Outcome::Forced)));
            assert_eq!(finished.endings(), []);
        }
    }
}

/// Sends a signal again and again until the loop has ended.
fn raise_until_it_ends(signal: Signal, running: Running) -> Finished {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + PATIENCE;
            while !ended.load(Ordering::Relaxed) && Instant::now() < deadline {
                raise(signal);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let finished = running.join();
        ended.store(true, Ordering::Relaxed);
        finished
    })
}

/// As `timeout` does it: to the process, and to its group. On a busy machine the second may come
/// late, and count: hardly ever many times in a row.
fn the_same_signal_twice_at_once_is_one() {
    let ends_in_order = || {
        let (mut event_loop, _) = handling();
        raise(Signal::TERM);
        assert_eq!(event_loop.shutdown_signal(), Some("SIGTERM"));
        raise(Signal::TERM);
        assert_eq!(event_loop.shutdown_signal(), Some("SIGTERM"));
        matches!(run(event_loop, Script::echo()).result, Ok(Outcome::Graceful))
    };
    assert!((0..50).any(|_| ends_in_order()));
}

fn a_signal_after_the_handler_has_requested_the_shutdown() {
    let (event_loop, address) = handling();
    let script = Script::new(|cx, call| {
        if let Call::Data(..) = call {
            cx.shutdown();
        }
    });
    let mut running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(running.wait_for(stopping), ShutdownCause::Requested);
    raise(Signal::TERM);
    assert!(matches!(running.join().result, Ok(Outcome::Forced)));
}

/// The kernel delivers a process's signals to its main thread first, so each interrupts the poll.
fn in_the_main_thread(
    (mut event_loop, address): (EventLoop, SocketAddr),
    script: Script,
    talk: impl FnOnce(SocketAddr) + Send + 'static,
) -> Vec<Event> {
    let talking = std::thread::spawn(move || talk(address));
    let (mut recorder, events) = script.stops_after(1).recorded();
    assert!(matches!(event_loop.run(&mut recorder), Ok(Outcome::Graceful)));
    talking.join().unwrap();
    events.try_iter().collect()
}

fn passed(events: &[Event]) -> Vec<HandlerSignal> {
    events.iter().filter_map(signaled).collect()
}

fn signaled(event: &Event) -> Option<HandlerSignal> {
    match event {
        Event::Signal(signal) => Some(*signal),
        _ => None,
    }
}

/// The handler replies in the turn of the signal, and the loop goes on.
fn the_handler_gets_the_others() {
    let (event_loop, address) = handling();
    let mut asking = None;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => asking = Some(id),
        Call::Signal => cx.send(asking.unwrap(), b"done"),
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(1));
    let mut peer = peer(address);
    running.wait_for_open();
    let others = [
        (Signal::HUP, HandlerSignal::Hangup),
        (Signal::USR1, HandlerSignal::User1),
        (Signal::USR2, HandlerSignal::User2),
    ];
    for (signal, expected) in others {
        raise(signal);
        assert_eq!(running.wait_for(signaled), expected);
        assert_eq!(read_exactly(&peer, 4), b"done");
    }
    peer.write_all(b"hola").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&peer), b"hola");
    assert!(matches!(running.join().result, Ok(Outcome::Graceful)));
}

/// A script that sends signals without end fills no log: the first is passed at once, the last is
/// passed too, and a second lies between any two.
fn many_of_a_kind_are_passed_as_one() {
    const ROUNDS: usize = 300;
    let started = Instant::now();
    let events = in_the_main_thread(handling(), Script::echo(), |address| {
        let mut peer = peer(address);
        for _ in 0..ROUNDS {
            raise(Signal::USR1);
            peer.write_all(b"hola").unwrap();
            assert_eq!(read_exactly(&peer, 4), b"hola");
        }
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&peer), b"");
    });
    let count = passed(&events).len();
    assert!(count > 0 && count as u64 <= 1 + started.elapsed().as_secs(), "{count} times");

    // A signal within the period is not forgotten, though nothing else wakes the loop.
    let (event_loop, _) = handling();
    let mut running = spawn(event_loop, Script::echo());
    running.wait_for(|event| (*event == Event::Waiting).then_some(()));
    for _ in 0..2 {
        raise(Signal::USR2);
        assert_eq!(running.wait_for(signaled), HandlerSignal::User2);
    }
    raise(Signal::TERM);
    running.join();
}

fn a_hangup_ends_an_interactive_program() {
    let mut event_loop = EventLoop::new(Limits::default()).unwrap();
    event_loop.handle_signals(Hangup::Shutdown).unwrap();
    raise(Signal::HUP);
    let finished = run(event_loop, Script::echo());
    let causes: Vec<_> = finished.events.iter().filter_map(stopping).collect();
    assert_eq!(causes, [ShutdownCause::Signal("SIGHUP")]);
    assert_eq!(passed(&finished.events), []);
}

/// Long work before the loop begins asks now and then; the other signals are kept for the loop.
fn a_signal_is_seen_before_the_loop_begins() {
    let (mut event_loop, _) = handling();
    assert_eq!(event_loop.shutdown_signal(), None);
    raise(Signal::USR1);
    assert_eq!(event_loop.shutdown_signal(), None);
    raise(Signal::QUIT);
    assert_eq!(event_loop.shutdown_signal(), Some("SIGQUIT"));
    assert_eq!(event_loop.shutdown_signal(), Some("SIGQUIT"), "it stays so");
    let finished = run(event_loop, Script::echo());
    assert!(matches!(finished.result, Ok(Outcome::Graceful)));
    let causes: Vec<_> = finished.events.iter().filter_map(stopping).collect();
    assert_eq!(causes, [ShutdownCause::Signal("SIGQUIT")]);
    let (mut event_loop, _) = handling();
    raise(Signal::TERM);
    event_loop.shutdown_signal();
    raise(Signal::INT);
    event_loop.shutdown_signal();
    assert!(matches!(run(event_loop, Script::echo()).result, Ok(Outcome::Forced)));
}

fn signals_without_a_meaning_change_nothing() {
    const ROUNDS: usize = 100;
    const NONE: [Signal; 5] =
        [Signal::XFSZ, Signal::IO, Signal::PROF, Signal::VTALARM, Signal::STKFLT];
    let events = in_the_main_thread(handling(), Script::echo(), |address| {
        let mut peer = peer(address);
        for round in 0..ROUNDS {
            raise(NONE[round % NONE.len()]);
            peer.write_all(b"hola").unwrap();
            assert_eq!(read_exactly(&peer, 4), b"hola");
        }
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&peer), b"");
    });
    assert_eq!(passed(&events), []);
}

/// A write that goes beyond `ulimit -f` fails instead of ending the process.
fn a_file_beyond_the_limit_is_an_error() {
    let (event_loop, _) = handling();
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(1000), maximum }).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let error = file.write_all(&[0; 2000]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
    drop(event_loop);
}
