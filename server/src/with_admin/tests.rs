//! The admin listener of a handler of the test's own, and of one that recovers, over a loop in memory.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use admin::events::{Events, INTERVAL};
use admin::exposition::Exposition;
use admin::host::Hosts;
use admin::limits::AdminLimits;
use admin::shared::Shared;
use admin::status::{Agency, Lottery, Phase, Status, seconds};
use admin::view::{NotReady, View};
use reactor::testing::{MemoryLoop, MemoryNetwork, Peer};
use reactor::{Layer, LayerError, Limits, ListenerLimits};

use super::*;
use crate::observable::WallClock;
use crate::recovering::Recovering;

const ADDRESS: &str = "10.0.0.1:8080";

/// What the system's clock says when a world begins.
fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(1000)
}

/// Milliseconds of the system's clock since then, in the one test that lets it go.
static PASSED: AtomicU64 = AtomicU64::new(0);

fn clock() -> SystemTime {
    begin() + Duration::from_millis(PASSED.load(Ordering::Relaxed))
}

/// What is looked at: agencies that have come further at the same moment.
#[derive(Debug)]
struct Inner {
    agencies: u32,
    stored: u64,
    progressed: Instant,
    signals: Vec<Signal>,
}

impl Handler for Inner {
    type Fatal = Infallible;

    fn on_open(&mut self, _: &mut impl Context, _: ConnectionId, _: SocketAddr) {}

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        input.len()
    }

    fn on_eof(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) {}

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}

    fn on_signal(&mut self, _: &mut impl Context, signal: Signal) {
        self.signals.push(signal);
    }
}

struct Shown(Status);

impl View for Shown {
    fn status(&self) -> Status {
        self.0.clone()
    }

    fn readiness(&self) -> Result<(), NotReady> {
        Ok(())
    }

    fn metrics(&self, _: &mut Exposition) {}
}

impl Observable for Inner {
    type View<'a> = Shown;

    fn view(&self, cx: &impl Context, view_context: ViewContext, _: usize) -> Shown {
        let time = |moment| seconds(view_context.wall.at(moment));
        let unknown = Status::unknown("0.1.0", 0.0, time(cx.now()));
        let agency = |agency| Agency {
            agency,
            phase: Phase::Sending,
            connected: true,
            stored: self.stored,
            rejected: 0,
            last_progress: Some(time(self.progressed)),
            winners: None,
        };
        Shown(Status {
            lottery: Lottery { agencies: self.agencies, ..unknown.lottery },
            agencies: (1..=self.agencies).map(agency).collect(),
            ..unknown
        })
    }

    fn make_layer(&self) -> Result<Box<dyn Layer>, LayerError> {
        Err("there is no certificate".into())
    }
}

struct World<H> {
    network: MemoryNetwork,
    event_loop: MemoryLoop<WithAdmin<H>>,
}

impl<H: Observable<Fatal = Infallible>> World<H> {
    fn new(inner: H) -> Self {
        Self::with_tls(inner, false)
    }

    fn with_tls(inner: H, is_tls: bool) -> Self {
        let network = MemoryNetwork::new();
        network.set_capacity(16 << 20);
        let wall = WallClock::new(network.now(), begin());
        let view_context = ViewContext::new(begin(), wall, 0);
        let handler = WithAdmin::new(inner, None, view_context, clock);
        let mut event_loop = MemoryLoop::new(&network, Limits::default(), handler);
        let listener = event_loop
            .listen_apart(ADDRESS.parse().unwrap(), ListenerLimits::default())
            .expect("nothing else listens");
        let shared = Shared::new(AdminLimits::default(), Hosts::default(), Events::new(1));
        event_loop.handler.admin = Some(AdminService::new(listener, is_tls, shared));
        event_loop.start().expect("it isn't made to fail");
        Self { network, event_loop }
    }

    fn connect(&self) -> Peer {
        self.network.connect(ADDRESS.parse().unwrap()).expect("it listens")
    }

    /// A connection that asks for this.
    fn asking(&mut self, method: &str, path: &str) -> Peer {
        let peer = self.connect();
        peer.write_all(format!("{method} {path} HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n").as_bytes());
        peer
    }

    fn run(&mut self) {
        self.event_loop.run_until_quiescent().expect("it isn't made to fail");
    }

    fn get(&mut self, path: &str) -> String {
        let peer = self.asking("GET", path);
        self.run();
        String::from_utf8(peer.read_arrived()).expect("text")
    }

    /// Until the next events leave.
    fn tick(&mut self) {
        self.network.advance(INTERVAL);
        self.run();
    }
}

fn watched(agencies: u32) -> World<Inner> {
    let progressed = Instant::now();
    World::new(Inner { agencies, stored: 0, progressed, signals: Vec::new() })
}

#[test]
fn what_a_turn_makes_is_bounded_and_who_had_nothing_comes_first() {
    let mut world = watched(1000);
    let heads = "HEAD / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n".repeat(8);
    let greedy = world.connect();
    greedy.write_all(heads.as_bytes());
    world.event_loop.turn().unwrap();
    let others: Vec<_> = (0..3).map(|_| world.asking("HEAD", "/")).collect();
    let (mut order, mut all) = (Vec::new(), 0);
    for turn in 0..100 {
        world.event_loop.turn().unwrap();
        let arrived = greedy.read_arrived();
        let of_greedy = String::from_utf8(arrived).unwrap().matches("HTTP/1.1 200").count();
        let of_others = others.iter().filter(|peer| !peer.read_arrived().is_empty()).count();
        assert!(of_greedy + of_others <= 1, "a page is more than a turn makes: turn {turn}");
        order
            .extend(std::iter::repeat_n('g', of_greedy).chain(std::iter::repeat_n('o', of_others)));
        all += of_greedy + of_others;
        if all == 11 {
            break;
        }
    }
    let order: String = order.into_iter().collect();
    assert_eq!(all, 11, "{order}");
    assert!(order.find("ooo").is_some_and(|first| first <= 2), "{order}");
}

#[test]
fn streams_hear_nothing_while_nothing_changes_whatever_the_clock_says() {
    let mut world = watched(3);
    let stream = world.asking("GET", "/events");
    world.run();
    assert!(String::from_utf8(stream.read_arrived()).unwrap().contains("event: status"));
    for (ticks, ahead) in (1..).zip([3, 0, 17, 400, 1, 90]) {
        PASSED.store(ticks * 250 + ahead, Ordering::Relaxed);
        world.tick();
        assert_eq!(stream.read_arrived(), b"", "ahead by {ahead} ms");
    }
    world.event_loop.handler.inner.stored = 7;
    world.tick();
    let change = String::from_utf8(stream.read_arrived()).unwrap();
    assert_eq!(change.matches("\"stored\":7").count(), 3, "{change}");
}

#[test]
fn large_events_leave_to_some_streams_at_a_time_and_to_all_in_the_end() {
    let mut world = watched(10_000);
    let streams: Vec<_> = (0..6).map(|_| world.asking("GET", "/events")).collect();
    world.run();
    assert!(streams.iter().all(|stream| !stream.read_arrived().is_empty()));
    world.event_loop.handler.inner.stored = 9;
    let mut heard = [false; 6];
    for ticks in 0..3 {
        world.tick();
        let before = heard.iter().filter(|heard| **heard).count();
        for (heard, stream) in heard.iter_mut().zip(&streams) {
            *heard |= !stream.read_arrived().is_empty();
        }
        let now = heard.iter().filter(|heard| **heard).count();
        assert!(now - before < 6, "all at once");
        if now == 6 {
            assert!(ticks > 0);
            return;
        }
    }
    panic!("{heard:?}");
}

#[test]
fn while_the_ledger_is_read_that_is_what_is_seen_and_signals_are_kept() {
    let mut world = World::new(Recovering::new("2026-11-27".parse().ok(), None));
    let ready = world.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.ends_with("recovering: the ledger is being read\n"), "{ready}");
    assert!(world.get("/healthz").starts_with("HTTP/1.1 200 "));
    let metrics = world.get("/metrics");
    assert!(metrics.contains("\nloteria_ready 0\n"), "{metrics}");
    assert!(metrics.contains("\nloteria_draw_info{draw=\"2026-11-27\"} 1\n"), "{metrics}");
    assert!(metrics.contains("\nloteria_admin_connections_limit 256\n"), "{metrics}");
    let dated = |response: &str| response.contains("\r\nDate: ");
    assert!(dated(&ready) && dated(&metrics));
    assert!(world.get("/").contains("La central lee el libro de apuestas"));
    let second = Duration::from_secs(2);
    for signal in [Signal::Hangup, Signal::User1, Signal::Hangup] {
        world.event_loop.notify(signal);
        world.network.advance(second);
        world.event_loop.turn().unwrap();
    }
    let signals = world.event_loop.handler.inner.into_signals();
    assert_eq!(signals, [Signal::Hangup, Signal::User1]);
    let inner = Inner { agencies: 1, stored: 0, progressed: Instant::now(), signals: Vec::new() };
    let wall = WallClock::new(Instant::now(), begin());
    let view_context = ViewContext::new(begin(), wall, 0);
    let handler = WithAdmin::new(inner, None, view_context, clock).with_signals(signals);
    let mut event_loop = MemoryLoop::new(&MemoryNetwork::new(), Limits::default(), handler);
    event_loop.start().unwrap();
    assert_eq!(event_loop.handler.inner.signals, [Signal::Hangup, Signal::User1]);
}

#[test]
fn a_slow_head_has_less_time_where_there_are_many_connections() {
    let mut world = watched(1);
    let mut begin = || {
        let peer = world.connect();
        peer.write_all(b"GET /healthz HTTP/1.1\r\nHost:");
        world.run();
        peer
    };
    let heads: Vec<_> = (0..200).map(|_| begin()).collect();
    let mut cut_off_after = |time| {
        world.network.advance(time);
        world.run();
        let answers = heads.iter().map(Peer::read_arrived);
        answers.filter(|answer| answer.starts_with(b"HTTP/1.1 408")).count()
    };
    assert_eq!(cut_off_after(Duration::from_millis(900)), 0);
    // Half of the connections that there may be had come before.
    assert_eq!(cut_off_after(Duration::from_millis(200)), 200 - 128);
    assert_eq!(cut_off_after(Duration::from_secs(8)), 0);
    assert_eq!(cut_off_after(Duration::from_secs(1)), 128);
}

/// Whoever calls from its address is on this machine.
#[test]
fn the_health_check_alone_is_answered_without_tls_where_that_is_needed() {
    let inner = Inner { agencies: 1, stored: 0, progressed: Instant::now(), signals: Vec::new() };
    let mut world = World::with_tls(inner, true);
    let mut ask = |from: &str, bytes: &[u8]| {
        let from = SocketAddr::new(from.parse().unwrap(), 40_000);
        let peer = world.network.connect_from(from, ADDRESS.parse().unwrap()).expect("it listens");
        peer.write_all(bytes);
        world.run();
        String::from_utf8(peer.read_arrived()).expect("text")
    };
    let readiness = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let page = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert!(ask("127.0.0.72", readiness).ends_with("\r\n\r\nready\n"));
    assert!(ask("127.0.0.72", page).starts_with("HTTP/1.1 421 "));
    assert!(ask("127.0.0.1", readiness).contains("expected HTTPS, found HTTP"));
    // What it begins as TLS is TLS, of which this handler has none.
    assert_eq!(ask("127.0.0.72", &[22, 3, 1, 0, 5]), "");
}
