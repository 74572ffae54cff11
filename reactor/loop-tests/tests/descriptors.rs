//! A process without free descriptors: accepting pauses, doesn't spin, and goes on by itself; and
//! no peer that connected meanwhile is forgotten.
//!
//! A process of its own, because it lowers its limit of descriptors for good.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::process::ExitCode;

use reactor::{EventLoop, Limits, ListenerLimits, TimerId};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use loop_tests::{
    Call, Ending, Event, NEVER, SOON, Script, echo, listening, peer, read_all, read_exactly, run,
    run_all, spawn,
};

/// Descriptors that this process may have.
const DESCRIPTORS: u64 = 64;

/// Of them, those that a loop reserves for what isn't a connection.
const RESERVED: usize = 32;

fn main() -> ExitCode {
    let limit = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    run_all(&[
        ("the_limit_of_connections_leaves_room", the_limit_of_connections_leaves_room),
        ("a_further_listener_has_its_own_descriptors", a_further_listener_has_its_own_descriptors),
        ("accepting_goes_on_by_itself", accepting_goes_on_by_itself),
        ("a_closed_connection_frees_a_descriptor", a_closed_connection_frees_a_descriptor),
        ("connecting_without_descriptors_fails", connecting_without_descriptors_fails),
    ])
}

/// Takes every free descriptor but `spared`.
fn hoard(spared: usize) -> Vec<File> {
    let mut hoard = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => hoard.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
    hoard.truncate(hoard.len() - spared);
    hoard
}

fn the_limit_of_connections_leaves_room() {
    let allowed = usize::try_from(DESCRIPTORS).unwrap() - RESERVED;
    for (asked, given) in [(10_000, allowed), (allowed, allowed), (3, 3)] {
        let limits = Limits { max_connections: asked, ..Limits::default() };
        assert_eq!(EventLoop::new(limits).unwrap().limits().max_connections, given);
    }
}

/// A further listener has at most a quarter of them. Beside its connections it needs a descriptor for
/// itself, and sixteen for connections that are evicted.
fn a_further_listener_has_its_own_descriptors() {
    let allowed = usize::try_from(DESCRIPTORS).unwrap() - RESERVED;
    for (asked, given) in [(10_000, allowed / 4), (3, 3)] {
        let (mut event_loop, _) = listening(Limits::default());
        let bound = event_loop.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let limits = ListenerLimits { max_connections: asked, ..ListenerLimits::default() };
        event_loop.listen_apart(bound, 10, limits).unwrap();
        assert_eq!(event_loop.limits().max_connections, allowed - given - 17);
    }
}

/// There is a descriptor for one of three. The kernel doesn't report when there are more: the loop
/// retries from time to time, and does nothing else meanwhile. The handler's timer makes sure that
/// many retries pass before.
fn accepting_goes_on_by_itself() {
    let (event_loop, address) = listening(Limits { accept_retry_delay: SOON, ..Limits::default() });
    let peers = [(); 3].map(|()| peer(address));
    let hoard = hoard(1);
    let script = Script::new(|cx, call| match call {
        Call::Start | Call::Timer(_) => cx.set_timer(TimerId(1), Some(SOON)),
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(peers.len()));
    running.wait_for(|event| match event {
        Event::Paused(connections, error) => {
            assert_eq!((*connections, *error), (1, Some(Errno::MFILE.raw_os_error())));
            Some(())
        }
        _ => None,
    });
    for _ in 0..20 {
        running.wait_for(|event| {
            assert!(!matches!(event, Event::Open(_) | Event::Resumed), "{event:?}");
            matches!(event, Event::Timer(_)).then_some(())
        });
    }
    drop(hoard);
    running.wait_for(|event| (*event == Event::Resumed).then_some(()));
    for mut peer in &peers {
        peer.write_all(b"hola").unwrap();
        assert_eq!(read_exactly(peer, 4), b"hola");
    }
    drop(peers);
    let counters = running.join().counters;
    assert_eq!((counters.accepted, counters.accept_pauses), (3, 1));
    // A turn for each timer; for each peer one to connect, to send, to get its reply, to close.
    assert!(counters.turns <= counters.timers_fired + 12, "{counters:?}");
}

/// The retry delay is an hour.
fn a_closed_connection_frees_a_descriptor() {
    let (event_loop, address) =
        listening(Limits { accept_retry_delay: NEVER, ..Limits::default() });
    let peers = [(); 5].map(|()| peer(address));
    for mut peer in &peers {
        peer.write_all(b"hola").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
    }
    let hoard = hoard(1);
    let finished = run(event_loop, Script::echo().stops_after(peers.len()));
    drop(hoard);
    for peer in &peers {
        assert_eq!(read_all(peer), b"hola");
    }
    let mut connections = 0;
    for event in &finished.events {
        match event {
            Event::Open(_) => connections += 1,
            Event::Close(..) => connections -= 1,
            _ => {}
        }
        assert!(connections <= 1, "there was a descriptor for one only");
    }
    assert_eq!(finished.endings(), [Ending::Done; 5]);
    assert!(finished.counters.turns <= 20, "{:?}", finished.counters);
}

fn connecting_without_descriptors_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let event_loop = EventLoop::new(Limits::default()).unwrap();
    let mut hoard = Some(hoard(0));
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let _ = cx.connect(address);
        }
        Call::Close(_) if hoard.take().is_some() => {
            let _ = cx.connect(address);
        }
        Call::Open(id) => cx.abort(id),
        _ => {}
    });
    let finished = run(event_loop, script.stops_after(2));
    let endings = finished.endings();
    assert!(matches!(endings[..], [Ending::NotConnected(_), Ending::Aborted]), "{endings:?}");
}
