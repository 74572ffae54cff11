//! Connections that the handler requests: established or failed, it gets exactly one call.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use reactor::{EventLoop, Limits, TimerId};
use socket2::{Domain, Socket, Type};

use loop_tests::{Call, Ending, Event, PATIENCE, SOON, Script, echo, read_exactly, run, spawn};

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A loop that doesn't listen.
fn connecting() -> EventLoop {
    EventLoop::new(Limits { shutdown_timeout: SOON, ..Limits::default() }).unwrap()
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// An address without a listener.
fn refusing() -> SocketAddr {
    TcpListener::bind(LOCALHOST).unwrap().local_addr().unwrap()
}

/// An address at which a connection is neither established nor refused, as long as what comes with
/// it lives: the listener's queue is full.
fn silent() -> (SocketAddr, Socket, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&LOCALHOST.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let error = socket.connect(&address).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::INPROGRESS.raw_os_error()));
        waiting.push(socket);
    }
    (address.as_socket().unwrap(), listener, waiting)
}

#[test]
fn an_established_connection_is_like_an_accepted_one() {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            // Not established yet, so this is dropped.
            let id = cx.connect(address);
            cx.send(id, b"too early");
        }
        Call::Open(id) => cx.send(id, b"hola "),
        call => echo(cx, &call),
    });
    let running = spawn(connecting(), script.stops_after(1));
    let mut peer = accept(&listener);
    peer.write_all(b"mundo").unwrap();
    assert_eq!(read_exactly(&peer, 10), b"hola mundo");
    drop(peer);
    assert_eq!(running.join().endings(), [Ending::Done]);
}

#[test]
fn many_at_once() {
    const PEERS: usize = 50;
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            for _ in 0..PEERS {
                cx.connect(address);
            }
        }
        Call::Open(id) => cx.send(id, b"hola"),
        call => echo(cx, &call),
    });
    let running = spawn(connecting(), script.stops_after(PEERS));
    let peers: Vec<_> = (0..PEERS).map(|_| accept(&listener)).collect();
    for peer in &peers {
        assert_eq!(read_exactly(peer, 4), b"hola");
    }
    drop(peers);
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Open(_))), PEERS);
    assert_eq!(finished.counters.established, PEERS as u64);
}

#[test]
fn a_refused_connection_is_closed_alone() {
    let address = refusing();
    let script = Script::new(move |cx, call| {
        if let Call::Start = call {
            cx.connect(address);
        }
    });
    let finished = run(connecting(), script.stops_after(1));
    assert_eq!(finished.endings(), [Ending::NotConnected(ErrorKind::ConnectionRefused)]);
    assert_eq!(finished.count(|event| matches!(event, Event::Open(_))), 0);
}

#[test]
fn addresses_that_make_no_sense() {
    let addresses: [SocketAddr; 4] = [
        "255.255.255.255:1".parse().unwrap(),
        "127.0.0.1:0".parse().unwrap(),
        "[ff02::1]:1".parse().unwrap(),
        "[::]:0".parse().unwrap(),
    ];
    let script = Script::new(move |cx, call| {
        if let Call::Start = call {
            for address in addresses {
                let id = cx.connect(address);
                cx.send(id, b"hola");
            }
        }
    });
    let finished = run(connecting(), script.stops_after(addresses.len()));
    let endings = finished.endings();
    assert_eq!(endings.len(), addresses.len());
    assert!(endings.iter().all(|ending| matches!(ending, Ending::NotConnected(_))), "{endings:?}");
}

#[test]
fn aborted_before_it_was_established() {
    let (address, _listener, _waiting) = silent();
    let script = Script::new(move |cx, call| {
        if let Call::Start = call {
            let (closed, aborted) = (cx.connect(address), cx.connect(address));
            cx.close(closed);
            cx.abort(aborted);
        }
    });
    let finished = run(connecting(), script.stops_after(2));
    assert_eq!(finished.endings(), [Ending::Aborted, Ending::Aborted]);
    assert_eq!(finished.count(|event| matches!(event, Event::Open(_))), 0);
}

#[test]
fn a_deadline_for_being_established() {
    let (address, _listener, _waiting) = silent();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let id = cx.connect(address);
            cx.set_deadline(id, Some(SOON / 2));
        }
        Call::Deadline(id) => cx.abort(id),
        _ => {}
    });
    let finished = run(connecting(), script.stops_after(1));
    assert_eq!(finished.endings(), [Ending::Aborted]);
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 1);
}

#[test]
fn a_shutdown_drops_what_is_not_established() {
    let (address, _listener, _waiting) = silent();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            cx.connect(address);
            cx.set_timer(TimerId(1), Some(Duration::ZERO));
        }
        Call::Timer(_) => cx.shutdown(),
        // Too late: it fails as not connected.
        Call::Shutdown => {
            let _ = cx.connect(address);
        }
        _ => {}
    });
    let endings = run(connecting(), script).endings();
    assert_eq!(endings.len(), 2, "{endings:?}");
    assert!(endings.contains(&Ending::Aborted), "{endings:?}");
    assert!(endings.contains(&Ending::NotConnected(ErrorKind::Other)), "{endings:?}");
}

#[test]
fn a_peer_that_closes_at_once() {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            let _ = cx.connect(address);
        }
        call => echo(cx, &call),
    });
    let running = spawn(connecting(), script.stops_after(1));
    drop(accept(&listener));
    let finished = running.join();
    assert_eq!(finished.endings(), [Ending::Done]);
}

/// An immediate failure is reported at the end of the turn, and the next attempt's in the next turn:
/// a handler that reconnects without a delay doesn't keep the turn from ending.
#[test]
fn reconnecting_at_once_leaves_the_turn() {
    const ATTEMPTS: usize = 100;
    let nonsense: SocketAddr = "255.255.255.255:1".parse().unwrap();
    let mut attempts = 0;
    let script = Script::new(move |cx, call| {
        if let Call::Start | Call::Close(_) = call {
            attempts += 1;
            if attempts <= ATTEMPTS {
                cx.connect(nonsense);
            }
        }
    });
    let finished = run(connecting(), script.stops_after(ATTEMPTS));
    assert_eq!(finished.endings().len(), ATTEMPTS);
    for turn in finished.turns() {
        let closed = turn.iter().filter(|event| matches!(event, Event::Close(..))).count();
        assert!(closed <= 1, "{closed} attempts in one turn");
    }
}

/// A handler that reconnects for ever, also during the shutdown, is ignored once the shutdown timeout
/// is exceeded.
#[test]
fn reconnecting_for_ever_does_not_keep_the_loop_from_ending() {
    let address = refusing();
    let script = Script::new(move |cx, call| {
        if let Call::Start | Call::Close(_) = call {
            cx.connect(address);
        }
    });
    let finished = run(connecting(), script.stops_after(10));
    assert!(finished.endings().len() > 10);
}
