//! More than there may be, and clients that misbehave: they are bounded, and nobody else waits for them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kit::http::{ask, get, receive};
use kit::server;

use crate::world::{Central, finish, send, wait_until};

/// Requests that a connection may make.
const REQUESTS_MAX: usize = 1000;

#[test]
fn pipelined_requests_are_answered_in_their_order_up_to_the_last() {
    let central = Central::start(1, &[]);
    for _ in 0..3 {
        let mut stream = central.connect();
        let mut writer = stream.try_clone().expect("the same socket");
        let target = |at: usize| ["/healthz", "/nothing", "/metrics"][at % 3];
        let requests: String = (0..REQUESTS_MAX).map(|at| get(target(at))).collect();
        let writing = std::thread::spawn(move || writer.write_all(requests.as_bytes()));
        for at in 0..REQUESTS_MAX {
            let response = receive(&mut stream).expect("a response");
            let (status, beginning) =
                [(200, "ok\n"), (404, "expected /,"), (200, "# HELP")][at % 3];
            assert_eq!(response.status, status, "request {at}");
            assert!(response.body.starts_with(beginning), "request {at}: {}", response.body);
            let closes = response.headers.contains_key("connection");
            assert_eq!(closes, at == REQUESTS_MAX - 1, "request {at}");
        }
        writing.join().expect("no panic").expect("all of it is read");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the end");
        assert_eq!(rest, b"");
    }
    central.server.stop();
}

#[test]
fn a_head_that_takes_too_long_is_told_so_and_silence_is_not() {
    let timeouts = [("SERVER_ADMIN_HEAD_TIMEOUT", "100ms"), ("SERVER_ADMIN_IDLE_TIMEOUT", "100ms")];
    let central = Central::start(1, &timeouts);
    let mut slow = central.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost:").expect("sent");
    let response = receive(&mut slow).expect("a response");
    assert_eq!((response.status, &*response.headers["connection"]), (408, "close"));
    let mut silent = central.connect();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("the end");
    assert_eq!(rest, b"");
    central.server.stop();
}

/// Others ask all the time, on as many connections as they can have.
#[test]
fn a_lottery_is_held_while_the_admin_listener_is_flooded() {
    let central = Central::start(3, &[]);
    let (ends, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    let mut stream = central.connect();
                    let requests = get("/metrics").repeat(50);
                    // It may be closed to let another one in.
                    let _ = stream.write_all(requests.as_bytes());
                    let responses = (0..50).map_while(|_| receive(&mut stream).ok());
                    answered.fetch_add(responses.count(), Ordering::Relaxed);
                }
            });
        }
        wait_until("an answer", || answered.load(Ordering::Relaxed) > 0);
        for agency in 1..=3 {
            let mut conversation = central.agency(agency);
            for at in 0..20 {
                send(&mut conversation, at * 100, 100, 1);
            }
            finish(&mut conversation, 2000);
        }
        ends.store(true, Ordering::Relaxed);
    });
    central.wait_for_metric("loteria_draw_done", "1");
    assert_eq!(central.metrics()["loteria_winners"], "60");
    central.server.stop();
}

#[test]
fn an_operator_gets_in_where_agencies_do_not() {
    let limits = [
        ("SERVER_MAX_CONNECTIONS", "20"),
        ("SERVER_EVICTION_DELAY", "0s"),
        ("SERVER_LISTEN_BACKLOG", "1024"),
    ];
    let central = Central::start(1, &limits);
    // The kernel's backlog takes those beyond the limit.
    let _crowd: Vec<_> = (0..50).map(|_| central.server.connect()).collect();
    wait_until("the limit", || {
        central.status()["problems"]
            .as_array()
            .is_some_and(|problems| problems.iter().any(|problem| problem == "connections_full"))
    });
    let status = central.status();
    assert_eq!(status["connections"]["open"], status["connections"]["limit"]);
    assert_eq!(central.get("/readyz").status, 200);
    assert_eq!(central.get("/").status, 200);
}

/// The silent ones of the admin listener make room for who comes. Of ten connections an address may have
/// five, and the last two are kept.
#[test]
fn more_connections_than_there_may_be_let_the_next_one_in() {
    let central = Central::start(1, &[("SERVER_ADMIN_CONNECTIONS", "10")]);
    let from = |host| connect_from(&central, host);
    let crowd: Vec<_> = [2, 3].into_iter().flat_map(|host| [(); 4].map(|()| from(host))).collect();
    wait_until("an answer", || {
        ask(&mut central.connect(), "/healthz").is_ok_and(|answer| answer.status == 200)
    });
    let has_ended = |stream: &TcpStream| {
        stream.set_nonblocking(true).expect("set");
        matches!(stream.peek(&mut [0]), Ok(0))
    };
    wait_until("the end of a silent one", || crowd.iter().any(has_ended));
    central.server.stop();
}

/// However busy the others are: they have come from many addresses, and are never silent.
#[test]
fn the_health_check_gets_in_beside_a_crowd() {
    let central = Central::start(1, &[("SERVER_ADMIN_CONNECTIONS", "16")]);
    let ends = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut crowd: Vec<_> = (0..12).map(|at| connect_from(&central, 10 + at % 3)).collect();
        scope.spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                crowd.retain_mut(|stream| {
                    stream.write_all(get("/healthz").as_bytes()).is_ok() && receive(stream).is_ok()
                });
            }
        });
        wait_until("a refusal", || ask(&mut central.connect(), "/healthz").is_err());
        let mut probe = connect_from(&central, b'H');
        let answer = ask(&mut probe, "/readyz").expect("an answer");
        ends.store(true, Ordering::Relaxed);
        assert_eq!(answer.status, 200);
    });
    wait_until("the crowd gone", || ask(&mut central.connect(), "/healthz").is_ok());
    let metrics = central.metrics();
    assert_ne!(metrics["loteria_admin_connections_refused_total"], "0");
    assert_eq!(metrics["loteria_admin_connections_limit"], "16");
    central.server.stop();
}

/// A connection from 127.0.0.`host`.
fn connect_from(central: &Central, host: u8) -> TcpStream {
    server::connect_from(Ipv4Addr::new(127, 0, 0, host), central.port)
}
