//! One connection of the admin listener: what each request is answered, in which order, how much at
//! once, and until when.

use admin::limits::{AdminLimits, OUTPUT_MAX, REQUESTS_MAX, RESPONSES_MAX};
use admin::session::{Deadline, Next, Progress, Session};
use admin::shared::{Responses, Shared};
use admin::view::NotReady;
use proptest::prelude::*;

use crate::central::{self, Central};

/// A connection, and what it was sent.
struct Connection {
    session: Session,
    shared: Shared,
    central: Central,
    out: Vec<u8>,
    /// Bytes of bodies that were made.
    made: usize,
}

impl Connection {
    fn new(central: Central) -> Self {
        Self::with_limits(central, AdminLimits::default())
    }

    fn with_limits(central: Central, limits: AdminLimits) -> Self {
        let shared = central::shared(limits);
        Self { session: Session::new(&shared), shared, central, out: Vec::new(), made: 0 }
    }

    /// A health check's, where others need HTTPS.
    fn for_health(central: Central) -> Self {
        let connection = Self::new(central);
        Self { session: Session::for_health(&connection.shared), ..connection }
    }

    fn data(&mut self, input: &[u8]) -> Progress {
        let progress = self.session.on_data(input, &mut self.shared, &self.central, &mut self.out);
        self.made += progress.made;
        Progress { made: 0, ..progress }
    }

    fn eof(&mut self, rest: &[u8]) -> Progress {
        let progress = self.session.on_eof(rest, &mut self.shared, &self.central, &mut self.out);
        self.made += progress.made;
        Progress { made: 0, ..progress }
    }

    fn sent(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).expect("text")
    }

    /// The response to a request that keeps the connection open.
    fn exchange(&mut self, request: &str) -> String {
        let progress = self.data(request.as_bytes());
        let expected = Progress {
            consumed: request.len(),
            next: Next::Continue,
            deadline: Deadline::Idle,
            made: 0,
        };
        assert_eq!(progress, expected);
        self.sent()
    }
}

#[test]
fn what_was_made_is_known_whether_or_not_it_is_sent() {
    for path in ["/", "/metrics", "/status.json"] {
        let (mut get_it, mut head_it) = [(); 2].map(|()| Connection::new(Central::new(3))).into();
        let sent = get_it.exchange(&get(path));
        assert_eq!(get_it.made, body(&sent).len(), "{path}");
        head_it.exchange(&get(path).replacen("GET", "HEAD", 1));
        assert_eq!(head_it.made, get_it.made, "{path}");
    }
    let mut stream = Connection::new(Central::new(3));
    let _ = stream.data(get("/events").as_bytes());
    assert!(stream.made > 300, "the first event: {}", stream.made);
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head").1
}

fn closing(consumed: usize) -> Progress {
    Progress { consumed, next: Next::Close, deadline: Deadline::Never, made: 0 }
}

#[test]
fn each_resource_is_what_it_says() {
    let mut connection = Connection::new(Central::new(2));
    for (path, content_type, expected) in [
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", "text/plain; charset=utf-8", "ready\n"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# help loteria_agencies"),
        ("/status.json", "application/json", "{\"time\":1000.5,\"started\":1000.0,"),
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
    ] {
        let response = connection.exchange(&get(path));
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {response}");
        assert!(response.contains(&format!("\r\nContent-Type: {content_type}\r\n")), "{path}");
        assert!(response.contains("\r\nCache-Control: no-store\r\n"), "{path}");
        assert!(response.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{path}");
        let text = body(&response);
        assert!(text.to_lowercase().starts_with(expected), "{path}: {text}");
        assert!(response.contains(&format!("\r\nContent-Length: {}\r\n", text.len())), "{path}");
    }
    let responses = connection.shared.responses;
    assert_eq!(responses, Responses { answered: 5, refused: 0, failed: 0 });
}

#[test]
fn the_page_alone_may_load_something_and_has_two_languages() {
    let mut connection = Connection::new(Central::new(2));
    let policy =
        format!("\r\nContent-Security-Policy: {}\r\n", admin::page::CONTENT_SECURITY_POLICY);
    let spanish = connection.exchange(&get("/"));
    let english = connection.exchange(&get("/?lang=en"));
    assert!(spanish.contains(&policy) && english.contains(&policy));
    assert_ne!(body(&spanish), body(&english));
    let strict = "\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";
    assert!(connection.exchange(&get("/status.json")).contains(strict));
    assert!(connection.exchange(&get("/nothing")).contains(strict));
}

#[test]
fn head_is_answered_with_the_same_headers_and_no_body() {
    for path in ["/", "/healthz", "/readyz", "/metrics", "/status.json", "/nothing"] {
        let mut connection = Connection::new(Central::new(2));
        let whole = connection.exchange(&get(path));
        let head = connection.exchange(&get(path).replacen("GET", "HEAD", 1));
        assert_eq!(head, whole.replace(body(&whole), ""), "{path}");
    }
    let mut connection = Connection::new(Central::new(2));
    let bad = "HEAD / HTTP/1.1\r\n\r\n";
    assert_eq!(connection.data(bad.as_bytes()), closing(bad.len()));
    assert_eq!(body(&connection.sent()), "");
    let mut connection = Connection::new(Central::new(2));
    let events = get("/events").replacen("GET", "HEAD", 1);
    assert_eq!(connection.data(events.as_bytes()), closing(events.len()));
    assert_eq!((body(&connection.sent()), connection.shared.streams()), ("", 0));
}

#[test]
fn readiness_has_its_reason() {
    for (why, line) in [
        (NotReady::Recovering, "recovering: the ledger is being read\n"),
        (NotReady::StorageFailing, "storage failing: commits fail and are tried again\n"),
        (NotReady::LedgerFull, "ledger full: it has reached its limit\n"),
        (NotReady::Stopping, "stopping: the process ends\n"),
    ] {
        let mut connection = Connection::new(Central { readiness: Err(why), ..Central::new(1) });
        let response = connection.exchange(&get("/readyz"));
        assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{response}");
        assert_eq!(body(&response), line);
        assert!(connection.exchange(&get("/healthz")).starts_with("HTTP/1.1 200 "), "{why}");
        let responses = connection.shared.responses;
        assert_eq!(responses, Responses { answered: 1, refused: 0, failed: 1 });
    }
}

#[test]
fn another_host_or_path_is_refused_and_more_may_follow() {
    let mut connection = Connection::new(Central::new(1));
    let rebound = connection.exchange("GET / HTTP/1.1\r\nHost: evil.example:8080\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{rebound}");
    let text = "expected an address, localhost or a name of SERVER_ADMIN_HOSTS as the host, \
                found \"evil.example:8080\"\n";
    assert_eq!(body(&rebound), text);
    let target = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(connection.exchange(target).starts_with("HTTP/1.1 421 "));
    let target = "GET http://central/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert!(connection.exchange(target).starts_with("HTTP/1.1 200 "));
    let missing = connection.exchange(&get("/../etc/passwd"));
    assert!(missing.starts_with("HTTP/1.1 404 Not Found\r\n"), "{missing}");
    assert!(body(&missing).ends_with(", found \"/../etc/passwd\"\n"), "{missing}");
    assert_eq!(connection.shared.responses.refused, 3);
}

#[test]
fn a_broken_request_closes_and_nothing_behind_it_is_answered() {
    for (request, code) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\n\r\n", "505"),
        ("\u{16}\u{3}\u{1}", "400"),
    ] {
        let mut connection = Connection::new(Central::new(1));
        let input = request.to_owned() + &get("/healthz");
        assert_eq!(connection.data(input.as_bytes()), closing(input.len()), "{request}");
        let response = connection.sent();
        assert!(response.starts_with(&format!("HTTP/1.1 {code} ")), "{response}");
        assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1 + body(&response).matches("HTTP/1.1 ").count()
        );
        assert_eq!(connection.data(get("/").as_bytes()), closing(get("/").len()));
        assert_eq!(connection.sent(), "");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_not_all_at_once() {
    let mut connection = Connection::new(Central::new(1));
    let paths: Vec<_> = (0..40).map(|number| format!("/{number}")).collect();
    let stream: String = paths.iter().map(|path| get(path)).collect();
    let mut from = 0;
    for part in paths.chunks(RESPONSES_MAX) {
        let progress = connection.data(&stream.as_bytes()[from..]);
        from += progress.consumed;
        let is_last = from == stream.len();
        let next = if is_last { Next::Continue } else { Next::AwaitOutput };
        let deadline = if is_last { Deadline::Idle } else { Deadline::Never };
        assert_eq!((progress.next, progress.deadline), (next, deadline));
        let sent = connection.sent();
        let found: Vec<_> = sent.lines().filter_map(|line| line.split_once("found \"")).collect();
        let expected: Vec<_> = part.iter().map(|path| format!("{path}\"")).collect();
        assert_eq!(found.iter().map(|pair| pair.1).collect::<Vec<_>>(), expected);
    }
    assert_eq!(from, stream.len());
}

#[test]
fn large_responses_are_not_written_all_at_once() {
    let mut connection = Connection::new(Central::new(1000));
    let stream = get("/status.json").repeat(10);
    let progress = connection.data(stream.as_bytes());
    assert_eq!(progress.next, Next::AwaitOutput);
    let one = connection.out.len() / (progress.consumed / get("/status.json").len());
    assert!((OUTPUT_MAX..OUTPUT_MAX + one).contains(&connection.out.len()));
    // To leave a body out spares the bytes, not the work.
    let heads = stream.replace("GET", "HEAD");
    let requests = progress.consumed / get("/status.json").len();
    let left_out = connection.data(heads.as_bytes());
    assert_eq!(
        (left_out.consumed, left_out.next),
        (requests * heads.len() / 10, Next::AwaitOutput)
    );
    // What the caller has in its buffer already isn't counted.
    let again = connection.data(&stream.as_bytes()[progress.consumed..]);
    assert_eq!(again.consumed, progress.consumed);
}

#[test]
fn the_last_request_of_a_connection_closes_it() {
    let mut connection = Connection::new(Central::new(1));
    for _ in 1..REQUESTS_MAX {
        assert!(!connection.exchange(&get("/healthz")).contains("Connection: close"));
    }
    let last = get("/healthz");
    assert_eq!(connection.data((last.clone() + &last).as_bytes()), closing(2 * last.len()));
    let sent = connection.sent();
    assert!(sent.contains("\r\nConnection: close\r\n") && sent.ends_with("\r\n\r\nok\n"));
    assert_eq!(connection.shared.responses.answered, u64::from(REQUESTS_MAX));
}

#[test]
fn who_asks_to_close_is_closed() {
    for request in [
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
    ] {
        let mut connection = Connection::new(Central::new(1));
        assert_eq!(connection.data(request.as_bytes()), closing(request.len()));
        assert!(connection.sent().ends_with("\r\n\r\nok\n"));
    }
}

#[test]
fn a_requests_deadline_begins_with_its_first_byte() {
    let mut connection = Connection::new(Central::new(1));
    let request = get("/healthz");
    let (first, more) = (&request.as_bytes()[..1], &request.as_bytes()[..9]);
    let waiting = |deadline| Progress { consumed: 0, next: Next::Continue, deadline, made: 0 };
    assert_eq!(connection.data(first), waiting(Deadline::Request));
    assert_eq!(connection.data(more), waiting(Deadline::Unchanged));
    // The beginning of the next one has come with the end of this one.
    let both = [request.as_bytes(), first].concat();
    let progress = connection.data(&both);
    assert_eq!((progress.consumed, progress.deadline), (request.len(), Deadline::Request));
    connection.sent();
    connection.session.on_deadline(&mut connection.shared, &mut connection.out);
    let sent = connection.sent();
    assert!(sent.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{sent}");
    assert!(sent.contains("\r\nConnection: close\r\n"), "{sent}");
    assert_eq!(connection.data(request.as_bytes()), closing(request.len()));
    assert_eq!(connection.sent(), "");
}

#[test]
fn an_idle_connection_closes_without_a_word() {
    let mut connection = Connection::new(Central::new(1));
    connection.exchange(&get("/healthz"));
    connection.session.on_deadline(&mut connection.shared, &mut connection.out);
    assert_eq!(connection.sent(), "");
    assert_eq!(connection.data(b"GET"), closing(3));
}

#[test]
fn what_is_whole_is_answered_at_the_end_of_input() {
    let mut connection = Connection::new(Central::new(1));
    let rest = get("/healthz") + "GET /ready";
    assert_eq!(connection.eof(rest.as_bytes()), closing(rest.len()));
    let sent = connection.sent();
    assert!(sent.starts_with("HTTP/1.1 200 ") && sent.ends_with("\r\n\r\nok\n"), "{sent}");
    let many = get("/healthz").repeat(100);
    let mut connection = Connection::new(Central::new(1));
    assert_eq!(connection.eof(many.as_bytes()), closing(many.len()));
    assert_eq!(connection.sent().matches("HTTP/1.1 200 ").count(), RESPONSES_MAX);
}

#[test]
fn a_stream_begins_with_all_there_is_and_takes_no_more_requests() {
    let mut connection = Connection::new(Central::new(2));
    let input = get("/events") + &get("/healthz");
    let streaming =
        |consumed| Progress { consumed, next: Next::Stream, deadline: Deadline::Never, made: 0 };
    assert_eq!(connection.data(input.as_bytes()), streaming(input.len()));
    let sent = connection.sent();
    assert!(sent.starts_with("HTTP/1.1 200 OK\r\n"), "{sent}");
    assert!(sent.contains("\r\nContent-Type: text/event-stream\r\n"), "{sent}");
    assert!(sent.contains("\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"), "{sent}");
    let events = body(&sent);
    assert!(events.starts_with("retry: 2000\n\nevent: status\nid: 7-1\ndata: {"), "{events}");
    assert!(events.ends_with("}\n\n") && events.matches("data: ").count() == 1, "{events}");
    assert_eq!((connection.shared.streams(), connection.shared.responses.answered), (1, 1));

    // However much it sends, nothing comes of it.
    assert_eq!(connection.data(&vec![0x16; 100_000]), streaming(100_000));
    assert_eq!(connection.sent(), "");
    connection.session.on_keep_alive(false, &mut connection.out);
    assert_eq!(connection.sent(), "");
    connection.session.on_keep_alive(true, &mut connection.out);
    assert_eq!(connection.sent(), "event: alive\ndata: {}\n\n");
    assert_eq!(connection.eof(b""), closing(0));
    assert_eq!((connection.shared.streams(), connection.session.is_stream()), (0, false));
    connection.session.on_close(&mut connection.shared);
    assert_eq!(connection.shared.streams(), 0);
}

#[test]
fn further_streams_are_refused_until_one_ends() {
    let limits = AdminLimits { streams: 1, ..AdminLimits::default() };
    let mut connection = Connection::with_limits(Central::new(2), limits);
    let mut first = Session::new(&connection.shared);
    let input = get("/events");
    let mut out = Vec::new();
    let begun =
        first.on_data(input.as_bytes(), &mut connection.shared, &connection.central, &mut out);
    assert_eq!(begun.next, Next::Stream);
    let refused = connection.exchange(&input);
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    assert!(refused.contains("\r\nRetry-After: 5\r\n"), "{refused}");
    first.on_close(&mut connection.shared);
    assert_eq!(connection.data(input.as_bytes()).next, Next::Stream);
}

#[test]
fn a_stream_that_is_closed_gives_its_slot_back() {
    let mut connection = Connection::new(Central::new(2));
    let _ = connection.data(get("/events").as_bytes());
    connection.sent();
    connection.session.on_deadline(&mut connection.shared, &mut connection.out);
    assert_eq!((connection.sent(), connection.shared.streams()), (String::new(), 0));
}

/// Requests, right and wrong, and bytes that are none.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let paths = ["/", "/?lang=en", "/metrics", "/healthz", "/status.json", "/readyz", "/nothing"];
    prop_oneof![
        20 => prop::sample::select(paths.to_vec()).prop_map(|path| get(path).into_bytes()),
        5 => Just(get("/").replacen("GET", "HEAD", 1).into_bytes()),
        2 => Just(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_vec()),
        1 => Just(get("/events").into_bytes()),
        1 => Just(b"GET / HTTP/1.0\r\n\r\n".to_vec()),
        1 => Just(b"HEAD / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..20),
    ]
}

/// What the stream comes to when it arrives up to each of `arrivals`, and then whole.
fn answered(stream: &[u8], arrivals: &[usize]) -> (Vec<u8>, Responses, usize, Next) {
    let mut connection = Connection::new(Central::new(3));
    let (mut from, mut next) = (0, Next::Continue);
    for &to in arrivals.iter().chain([&stream.len()]) {
        loop {
            let before = connection.out.len();
            let progress = connection.data(&stream[from..to]);
            assert!(connection.out.len() - before < OUTPUT_MAX + 100_000);
            from += progress.consumed;
            next = progress.next;
            if next != Next::AwaitOutput {
                break;
            }
        }
        assert!(to - from < connection.shared.limits.max_head_bytes);
    }
    (connection.out, connection.shared.responses, connection.shared.streams(), next)
}

proptest! {
    #[test]
    fn any_cut_is_answered_the_same(
        pieces in prop::collection::vec(piece(), 0..40),
        arrivals in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let stream = pieces.concat();
        let mut arrivals: Vec<_> =
            arrivals.iter().map(|arrival| arrival.index(stream.len() + 1)).collect();
        arrivals.sort_unstable();
        prop_assert_eq!(answered(&stream, &arrivals), answered(&stream, &[]));
    }
}

#[test]
fn a_health_check_without_tls_is_answered_how_the_process_is_and_nothing_else() {
    let mut connection = Connection::for_health(Central::new(1));
    for (target, status) in [
        ("/readyz", "200 OK"),
        ("/", "421 "),
        ("/metrics", "421 "),
        ("/status.json", "421 "),
        ("/events", "421 "),
        ("/nothing", "404 "),
        ("/healthz", "200 OK"),
    ] {
        let sent =
            connection.exchange(&format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        assert!(sent.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {sent}");
    }
    assert!(!connection.session.is_stream());
}
