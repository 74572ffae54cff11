//! Pages that are kept up to date: everything at first, then what changes, to the last.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use kit::http::{get, parse, receive_head};
use kit::process::{TIMEOUT, raise_descriptors};
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{Central, finish, send};

/// A stream of events.
pub(crate) struct Stream<S = TcpStream>(BufReader<S>);

impl Stream {
    pub(crate) fn open(central: &Central) -> Self {
        Self::open_on(central.connect())
    }
}

impl<S: Read + Write> Stream<S> {
    /// On a connection that is established.
    pub(crate) fn open_on(mut stream: S) -> Self {
        stream.write_all(get("/events").as_bytes()).and_then(|()| stream.flush()).expect("sent");
        let head = parse(&receive_head(&mut stream).expect("a head"));
        assert_eq!((head.status, &*head.headers["content-type"]), (200, "text/event-stream"));
        assert_eq!(head.headers["cache-control"], "no-cache");
        let mut stream = Self(BufReader::new(stream));
        assert_eq!(stream.block(), ["retry: 2000"]);
        stream
    }

    /// The lines up to the next empty one; none at the end.
    fn block(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).expect("text");
            match line.trim_end_matches('\n') {
                "" if count == 0 || !lines.is_empty() => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// The next event: its name and its data.
    pub(crate) fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block();
            if block.is_empty() {
                return None;
            }
            let field = |name: &str| block.iter().find_map(|line| line.strip_prefix(name));
            if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                assert!(field("id: ").is_some_and(|id| id.contains('-')), "{block:?}");
                return Some((name.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
        }
    }
}

#[test]
fn a_stream_begins_with_everything_and_ends_with_the_draw() {
    let central = Central::start(3, &[]);
    let mut stream = Stream::open(&central);
    let (name, status) = stream.event().expect("an event");
    assert_eq!((&*name, &status["lottery"]["stage"]), ("status", &"open".into()));
    assert_eq!(status["agencies"].as_array().map(Vec::len), Some(3));
    for agency in 1..=3 {
        let mut conversation = central.agency(agency);
        send(&mut conversation, 0, 10, 1);
        finish(&mut conversation, 10);
    }
    let mut agencies = status["agencies"].clone();
    let last = loop {
        let (name, status) = stream.event().expect("an event");
        assert_eq!(name, "change");
        for changed in status["agencies"].as_array().expect("a list") {
            let number = changed["agency"].as_u64().and_then(|number| usize::try_from(number).ok());
            agencies[number.expect("a number") - 1] = changed.clone();
        }
        if status["lottery"]["stage"] == "drawn" {
            break status;
        }
    };
    assert_eq!(last["lottery"]["winners"], 3);
    assert_eq!(last["lottery"]["stored"], 30);
    for agency in agencies.as_array().expect("a list") {
        assert_eq!((&agency["phase"], &agency["winners"]), (&"drawn".into(), &1.into()));
    }
    central.server.stop();
}

#[test]
fn a_shutdown_is_the_last_that_streams_hear_and_they_hold_it_up_no_longer() {
    let central = Central::start(1, &[]);
    let mut streams: Vec<_> = (0..20).map(|_| Stream::open(&central)).collect();
    central.server.signal(Signal::TERM);
    for stream in &mut streams {
        let last = std::iter::from_fn(|| stream.event()).last().expect("an event");
        assert_eq!(last.1["problems"], serde_json::json!(["stopping"]));
        assert_eq!(last.1["ready"], false);
    }
    let mut server = central.server;
    drop(streams);
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Events that a stream is sent in a second, at most.
const EVENTS_MAX: usize = 4;

/// By how much times may be off: those of the loop are whole microseconds.
const JITTER: f64 = 0.001;

/// Counted by the times that the events themselves have: the central's, however late they arrive.
#[test]
fn a_stream_is_sent_four_events_a_second_however_many_bets_there_are() {
    let central = Central::start(2, &[("SERVER_SYNC", "never")]);
    let mut stream = Stream::open(&central);
    stream.event().expect("what there is at first");
    let ends = AtomicBool::new(false);
    let times: Vec<f64> = std::thread::scope(|scope| {
        let sending = [1, 2].map(|number| {
            let (central, ends) = (&central, &ends);
            scope.spawn(move || {
                let mut agency = central.agency(number);
                let batches = (0..).take_while(|_| !ends.load(Ordering::Relaxed));
                batches.map(|at| send(&mut agency, at, 1, 0)).count()
            })
        });
        let mut events = || stream.event().expect("an event").1;
        let times = (0..20).map(|_| events()["time"].as_f64().expect("a time")).collect();
        ends.store(true, Ordering::Relaxed);
        let batches = sending.map(|one| one.join().expect("it is served"));
        assert!(batches.iter().all(|count| *count > 20), "more than events: {batches:?}");
        times
    });
    for window in times.windows(EVENTS_MAX + 1) {
        let lasted = window[EVENTS_MAX] - window[0];
        assert!(lasted > 1.0 - JITTER, "{} events in {lasted} s: {times:?}", EVENTS_MAX + 1);
    }
    central.server.stop();
}

/// All from one address, which may have half of the connections.
#[test]
fn as_many_streams_as_there_may_be_and_no_more() {
    raise_descriptors();
    let central = Central::start(1, &[("SERVER_ADMIN_CONNECTIONS", "2100")]);
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = central.connect();
        stream.write_all(get("/events").as_bytes()).expect("sent");
        let response = parse(&receive_head(&mut stream).expect("a head"));
        if response.status == 503 {
            assert_eq!(response.headers["retry-after"], "5");
        }
        streams.push((response.status, stream));
    }
    let counts = [200, 503].map(|code| streams.iter().filter(|(found, _)| *found == code).count());
    assert_eq!(counts, [128, 872]);
    assert_eq!(central.metrics()["loteria_admin_streams"], "128");
    drop(streams);
    central.wait_for_metric("loteria_admin_streams", "0");
    Stream::open(&central);
    central.server.stop();
}

/// Bytes that an idle stream may take of the central's memory: its connection and its session.
const STREAM_MEMORY_MAX: usize = 6 << 10;

#[test]
fn an_idle_stream_takes_little_memory() {
    const COUNT: usize = 2_000;
    raise_descriptors();
    let settings = [("SERVER_ADMIN_CONNECTIONS", "10000"), ("SERVER_ADMIN_STREAMS", "5000")];
    let central = Central::start(5, &settings);
    let open = || {
        let mut stream = Stream::open(&central);
        assert_eq!(stream.event().expect("what there is").0, "status");
        stream
    };
    // What the process asks for once and for all.
    let first: Vec<_> = (0..200).map(|_| open()).collect();
    let before = central.server.anonymous_memory();
    let others: Vec<_> = (0..COUNT).map(|_| open()).collect();
    let taken = central.server.anonymous_memory().saturating_sub(before) / COUNT;
    assert!(taken <= STREAM_MEMORY_MAX, "{taken} bytes for each stream");
    drop((first, others));
    central.wait_for_metric("loteria_admin_streams", "0");
    central.server.stop();
}

/// Its first event alone is more than the kernel takes.
#[test]
fn a_stream_that_is_not_read_is_cut_off() {
    let settings = [("SERVER_WRITE_TIMEOUT", "200ms"), ("SERVER_SOCKET_BUFFER_SIZE", "16KiB")];
    let central = Central::start(10_000, &settings);
    let mut lazy = central.connect();
    lazy.write_all(get("/events").as_bytes()).expect("sent");
    central.wait_for_metric("loteria_admin_streams", "1");
    central.wait_for_metric("loteria_admin_streams", "0");
    assert_eq!(central.get("/healthz").status, 200);
    lazy.set_read_timeout(Some(TIMEOUT)).expect("set");
    let mut rest = Vec::new();
    // Cut off: with what had left, or with a reset.
    let _ = lazy.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"\n\n"), "all {} bytes of it came", rest.len());
    central.server.stop();
}
