//! What the client does in each case by itself, over connections in memory.

use std::time::{Duration, Instant};

use etcd::client::members::AVOIDED_FIRST;
use etcd::client::requests::REFUSED_DELAY;
use etcd::config::RETRY_DELAY;
use etcd::{
    Action, Change, Client, Config, ConfigError, ConnectionNumber, Credentials, Event, Op, Range,
    Request, Settled, SubmitError, Ticket, Txn,
};

/// A client, the time, and what it has asked for.
struct Harness {
    client: Client,
    now: Instant,
}

/// An action, as text.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    Connect(u64, usize),
    /// The resource, the token, and the body.
    Send(u64, String, Option<String>, String),
    Close(u64),
}

impl Harness {
    fn new(config: Config) -> Self {
        Self { client: Client::new(config).expect("a configuration"), now: Instant::now() }
    }

    fn acts(&mut self) -> Vec<Act> {
        std::iter::from_fn(|| self.client.poll_action().map(|action| act(&action))).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    fn get(&mut self, ticket: u64) {
        let request = Request::Range(Range::of_key(&[0; 3]));
        self.client.submit(&request, Ticket(ticket), self.now).expect("room");
    }

    fn put(&mut self, ticket: u64) {
        let success = [Op::Put { key: &[0; 3], value: &[0; 3] }];
        let request = Request::Txn(Txn { compare: &[], success: &success, failure: &[] });
        self.client.submit(&request, Ticket(ticket), self.now).expect("room");
    }

    fn connected(&mut self, number: u64) -> Vec<Act> {
        self.client.on_connected(ConnectionNumber(number), self.now);
        self.acts()
    }

    fn closed(&mut self, number: u64) -> Vec<Act> {
        self.client.on_closed(ConnectionNumber(number), self.now);
        self.acts()
    }

    fn respond(&mut self, number: u64, status: u16, body: &str) -> Vec<Act> {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} A\r\nContent-Length: {length}\r\n\r\n{body}");
        let used = self.client.on_data(ConnectionNumber(number), text.as_bytes(), self.now);
        assert_eq!(used, text.len());
        self.acts()
    }

    /// A line of a watch, behind the head if it is the first.
    fn tell(&mut self, number: u64, is_first: bool, line: &str) -> Vec<Act> {
        let head = "HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = if is_first { head } else { "" };
        let text = format!("{head}{:x}\r\n{line}\n\r\n", line.len() + 1);
        self.client.on_data(ConnectionNumber(number), text.as_bytes(), self.now);
        self.acts()
    }

    fn pass(&mut self, wait: Duration) -> Vec<Act> {
        self.now += wait;
        self.client.on_time(self.now);
        self.acts()
    }

    /// Goes on to the next deadline.
    fn next(&mut self) -> Vec<Act> {
        let deadline = self.client.next_deadline().expect("something is waited for");
        assert!(deadline > self.now);
        self.pass(deadline - self.now)
    }
}

fn act(action: &Action<'_>) -> Act {
    match *action {
        Action::Connect { connection, endpoint } => Act::Connect(connection.0, endpoint),
        Action::Close { connection } => Act::Close(connection.0),
        Action::Send { connection, head, body } => {
            let head = std::str::from_utf8(head).expect("text");
            let resource = head.split(' ').nth(1).expect("a target").to_owned();
            let token =
                head.split("Authorization: ").nth(1).and_then(|rest| rest.split('\r').next());
            let body = String::from_utf8(body.to_vec()).expect("JSON");
            Act::Send(connection.0, resource, token.map(str::to_owned), body)
        }
    }
}

fn config() -> Config {
    Config::new(vec!["a:1".to_owned(), "b:1".to_owned(), "c:1".to_owned()])
}

fn with_user() -> Config {
    let credentials = Credentials { user: "u".to_owned(), password: "\"".to_owned() };
    Config { credentials: Some(credentials), ..config() }
}

fn sent(number: u64) -> Act {
    sent_with(number, None)
}

fn sent_with(number: u64, token: Option<&str>) -> Act {
    let (resource, body) = ("/v3/kv/range".to_owned(), r#"{"key":"AAAA"}"#.to_owned());
    Act::Send(number, resource, token.map(str::to_owned), body)
}

fn put_sent(number: u64) -> Act {
    let body = r#"{"success":[{"request_put":{"key":"AAAA","value":"AAAA"}}]}"#;
    Act::Send(number, "/v3/kv/txn".to_owned(), None, body.to_owned())
}

const DONE: &str = r#"{"header":{"cluster_id":"7","raft_term":"2"},"count":"1"}"#;
const NO_LEADER: &str = r#"{"code":14,"message":"etcdserver: no leader"}"#;

fn is_done(event: &Event, number: u64) -> bool {
    matches!(event, Event::Settled { ticket, settled: Settled::Done(_) }
        if *ticket == Ticket(number))
}

#[test]
fn a_connection_is_used_again_one_request_at_a_time() {
    let mut it = Harness::new(config());
    it.get(1);
    assert_eq!(it.acts(), [Act::Connect(1, 0)]);
    it.get(2);
    assert_eq!(it.acts(), [Act::Connect(2, 0)]);
    assert_eq!(it.connected(1), [sent(1)]);
    assert_eq!(it.respond(1, 200, DONE), [sent(1)], "the second needn't wait for its connection");
    assert_eq!(it.connected(2), []);
    assert_eq!(it.respond(1, 200, DONE), []);
    let events = it.events();
    assert!(is_done(&events[0], 1) && is_done(&events[1], 2) && events.len() == 2);
    it.get(3);
    assert!(matches!(it.acts()[..], [Act::Send(..)]), "none is opened anew");
    let counters = it.client.counters();
    assert_eq!((counters.done, counters.connects), (2, 2));
}

#[test]
fn what_is_unknown_is_sent_again_elsewhere_on_a_new_connection() {
    let mut it = Harness::new(config());
    it.get(1);
    it.acts();
    assert_eq!(it.connected(1), [sent(1)]);
    assert_eq!(it.next(), [Act::Close(1)], "it took too long");
    assert_eq!(it.pass(RETRY_DELAY / 2), []);
    assert_eq!(it.next(), [Act::Connect(2, 1)]);
    assert_eq!(it.connected(2), [sent(2)]);
    assert_eq!(it.closed(2), [], "lost");
    assert_eq!(it.next(), [Act::Connect(3, 2)]);
    assert_eq!(it.connected(3), [sent(3)]);
    assert_eq!(it.respond(3, 503, NO_LEADER), [Act::Close(3)]);
    assert_eq!(it.events(), []);
    assert_eq!(it.next(), [Act::Connect(4, 2)], "all are avoided: one that answers is asked first");
    assert_eq!(it.connected(4), [sent(4)]);
    it.respond(4, 200, DONE);
    assert!(is_done(&it.events()[0], 1));
    let counters = it.client.counters();
    assert_eq!((counters.timeouts, counters.unknown, counters.unavailable), (1, 2, 1));
}

#[test]
fn a_member_that_has_failed_is_asked_one_thing_at_a_time_until_it_answers() {
    let mut it = Harness::new(Config { endpoints: vec!["a:1".to_owned()], ..config() });
    for ticket in 1..=3 {
        it.get(ticket);
    }
    assert_eq!(it.acts().len(), 3);
    assert_eq!(it.closed(1), [], "refused");
    assert_eq!((it.closed(2), it.closed(3)), (vec![], vec![]));
    assert_eq!(it.next(), [Act::Connect(4, 0)], "one alone");
    assert_eq!(it.connected(4), [sent(4)]);
    assert_eq!(it.respond(4, 200, DONE).len(), 2, "the next request, and another connection");
    assert!(it.client.counters().failed_connects == 3);
}

#[test]
fn a_member_that_answers_after_a_failure_is_asked_several_things_at_once_again() {
    let mut it = Harness::new(Config { endpoints: vec!["a:1".to_owned()], ..config() });
    let millis = Duration::from_millis;
    it.get(1);
    it.acts();
    assert_eq!(it.connected(1), [sent(1)]);
    it.pass(millis(200));
    it.get(2);
    it.acts();
    assert_eq!(it.connected(2), [sent(2)]);
    it.pass(millis(10));
    it.client.cancel(Ticket(1));
    assert_eq!(it.pass(millis(40)), [Act::Close(1)], "it hangs");
    it.pass(millis(10));
    let acts = it.respond(2, 200, DONE);
    assert_eq!(acts, [Act::Close(2)], "asked before the failure: it says nothing of what follows");
    assert!(it.client.is_current_suspect());
    it.pass(RETRY_DELAY);
    it.get(3);
    assert_eq!(it.acts(), [Act::Connect(3, 0)]);
    it.connected(3);
    it.respond(3, 200, DONE);
    assert!(!it.client.is_current_suspect());
    it.get(4);
    it.get(5);
    assert_eq!(it.acts(), [sent(3), Act::Connect(4, 0)]);
}

#[test]
fn a_connection_that_was_begun_before_a_failure_isn_t_used() {
    let mut it = Harness::new(Config { endpoints: vec!["a:1".to_owned()], ..config() });
    it.get(1);
    it.get(2);
    assert_eq!(it.acts().len(), 2);
    assert_eq!(it.closed(1), [], "refused");
    assert_eq!(it.connected(2), [Act::Close(2)]);
    assert_eq!(it.next(), [Act::Connect(3, 0)]);
}

#[test]
fn a_member_that_has_failed_is_left_alone_for_a_while() {
    let mut it = Harness::new(config());
    it.get(1);
    it.acts();
    assert_eq!(it.closed(1), [Act::Connect(2, 1)], "never sent: at once elsewhere");
    it.connected(2);
    it.respond(2, 200, DONE);
    it.pass(2 * AVOIDED_FIRST);
    it.get(2);
    assert_eq!(it.acts(), [sent(2)], "and nothing is asked back");
    assert_eq!(it.client.current_endpoint(), 1);
}

#[test]
fn what_is_cancelled_is_forgotten_and_its_answer_dropped() {
    let mut it = Harness::new(config());
    it.get(1);
    it.acts();
    it.connected(1);
    it.client.cancel(Ticket(1));
    assert_eq!((it.client.requests(), it.client.request_bytes()), (0, 0));
    assert_eq!(it.respond(1, 200, DONE), []);
    it.get(2);
    assert_eq!(it.acts(), [sent(1)]);
    it.respond(1, 200, DONE);
    it.client.cancel(Ticket(2));
    assert_eq!(it.events(), [], "not even when it was settled and not told yet");
    // Cancelled before it was sent: its connection is of no use.
    it.get(3);
    it.client.cancel(Ticket(3));
    assert_eq!(it.acts(), [Act::Close(1)]);
    it.client.cancel(Ticket(9));
}

#[test]
fn another_cluster_stops_the_client() {
    let mut it = Harness::new(config());
    it.get(1);
    it.acts();
    it.connected(1);
    it.respond(1, 200, DONE);
    it.get(2);
    it.get(3);
    it.acts();
    let other = DONE.replace(r#""7""#, r#""8""#);
    assert_eq!(it.respond(1, 200, &other), [Act::Close(1), Act::Close(2)]);
    let events = it.events();
    assert_eq!(events[1..], [Event::OtherCluster { expected: 7, found: 8, endpoint: 0 }]);
    let request = Request::Range(Range::of_key(b"a"));
    let now = it.now;
    assert_eq!(it.client.submit(&request, Ticket(4), now), Err(SubmitError::Stopped));
    it.client.watch(b"a", b"", now);
    assert_eq!((it.acts(), it.client.next_deadline()), (vec![], None));
}

#[test]
fn a_token_comes_first_and_is_renewed() {
    let mut it = Harness::new(with_user());
    it.get(1);
    assert_eq!(it.acts(), [Act::Connect(1, 0)]);
    let ask = |number| {
        let body = r#"{"name":"u","password":"\""}"#.to_owned();
        Act::Send(number, "/v3/auth/authenticate".to_owned(), None, body)
    };
    assert_eq!(it.connected(1), [ask(1)]);
    assert_eq!(it.respond(1, 200, r#"{"token":"t.1"}"#), [sent_with(1, Some("t.1"))]);
    let invalid = r#"{"code":16,"message":"etcdserver: invalid auth token"}"#;
    assert_eq!(it.respond(1, 401, invalid), [ask(1)]);
    it.get(2);
    assert_eq!(it.acts(), [], "it waits");
    let acts = it.respond(1, 200, r#"{"token":"t.2"}"#);
    assert!(acts.contains(&sent_with(1, Some("t.2"))), "{acts:?}");
    it.respond(1, 200, DONE);
    assert!(is_done(&it.events()[0], 1));
    assert_eq!(it.client.counters().tokens, 2);
}

#[test]
fn without_a_token_nothing_is_done() {
    let mut it = Harness::new(with_user());
    it.get(1);
    it.acts();
    it.connected(1);
    let failed = r#"{"code":3,"message":"authentication failed"}"#;
    assert_eq!(it.respond(1, 400, failed), []);
    assert!(
        matches!(&it.events()[..], [Event::Settled { settled: Settled::Unauthorized(why), .. }]
        if why.message == "authentication failed")
    );
    // A token that can't be sent is none.
    it.now += RETRY_DELAY;
    it.get(2);
    it.acts();
    it.respond(1, 200, r#"{"token":"a\r\nb"}"#);
    assert!(matches!(it.events()[..], [Event::Settled { settled: Settled::Unauthorized(_), .. }]));
    // Tokens that are never valid.
    it.now += RETRY_DELAY;
    it.get(3);
    for token in 1..=4 {
        assert_eq!(it.events(), []);
        it.pass(RETRY_DELAY);
        it.respond(1, 200, &format!(r#"{{"token":"t.{token}"}}"#));
        it.respond(1, 401, "{}");
    }
    assert!(matches!(it.events()[..], [Event::Settled { settled: Settled::Unauthorized(_), .. }]));
}

#[test]
fn a_watch_begins_again_where_a_member_is_well() {
    let mut it = Harness::new(config());
    it.client.watch(b"a", b"b", it.now);
    assert_eq!(it.acts(), [Act::Connect(1, 0)]);
    let body = r#"{"create_request":{"key":"YQ==","range_end":"Yg=="}}"#.to_owned();
    let ask = |number| Act::Send(number, "/v3/watch".to_owned(), None, body.clone());
    assert_eq!(it.connected(1), [ask(1)]);
    it.tell(1, true, r#"{"result":{"header":{"cluster_id":"7"},"created":true}}"#);
    assert!(matches!(it.events()[..], [Event::WatchStarted(_)]));
    assert_eq!(it.client.next_deadline(), None, "it may be silent for ever");
    it.tell(1, false, r#"{"result":{"events":[{"kv":{"key":"YQ==","value":"Yg=="}},{"type":"DELETE","kv":{"key":"YQ=="}}]}}"#);
    let change =
        |value: Option<&[u8]>| Change { key: b"a".to_vec(), value: value.map(<[u8]>::to_vec) };
    assert!(matches!(&it.events()[..], [Event::Changed(_, changes)]
        if *changes == [change(Some(b"b")), change(None)]));
    let end = r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#;
    assert_eq!(it.tell(1, false, end), [Act::Close(1)]);
    assert_eq!(it.next(), [Act::Connect(2, 1)]);
    assert_eq!(it.connected(2), [ask(2)]);
    it.tell(2, true, r#"{"result":{"created":true}}"#);
    assert!(matches!(it.events()[..], [Event::WatchStarted(_)]));
    // Its member fails for a request: the watch leaves it too.
    it.get(1);
    it.acts();
    it.connected(3);
    let acts = it.closed(3);
    assert_eq!(acts, [Act::Close(2)]);
    let acts = it.next();
    assert_eq!(acts, [Act::Connect(4, 2), Act::Connect(5, 2)], "the request, and the watch");
    it.client.unwatch();
    assert_eq!(it.acts(), [Act::Close(5)]);
}

#[test]
fn a_watch_that_isn_t_answered_is_given_up() {
    let mut it = Harness::new(config());
    it.client.watch(b"a", b"", it.now);
    it.acts();
    it.connected(1);
    assert_eq!(it.next(), [Act::Close(1)]);
    assert_eq!(it.next().len(), 1, "another");
    it.connected(2);
    assert_eq!(it.respond(2, 403, r#"{"code":7}"#), [Act::Close(2)], "not permitted");
    assert!(it.client.next_deadline().is_some());
}

#[test]
fn nothing_is_taken_beyond_a_limit() {
    let limits =
        Config { max_requests: 2, max_request_bytes: 40, connections_per_member: 1, ..config() };
    let mut it = Harness::new(limits);
    let request = |key: &'static [u8]| Request::Range(Range::of_key(key));
    let now = it.now;
    let found = it.client.submit(&request(&[0; 30]), Ticket(1), now);
    assert_eq!(found, Err(SubmitError::TooLarge { max: 40, found: 50 }));
    assert_eq!(it.client.submit(&request(&[0; 15]), Ticket(1), now), Ok(()));
    let found = it.client.submit(&request(&[0; 3]), Ticket(2), now);
    assert_eq!(found, Err(SubmitError::TooManyBytes { max: 40 }));
    it.client.cancel(Ticket(1));
    for ticket in 1..=2 {
        assert_eq!(it.client.submit(&request(&[0; 3]), Ticket(ticket), now), Ok(()));
    }
    let found = it.client.submit(&request(&[0; 3]), Ticket(3), now);
    assert_eq!(found, Err(SubmitError::TooMany { max: 2 }));
    assert_eq!(it.acts(), [Act::Connect(1, 0)]);
}

#[test]
fn an_answer_that_is_too_large_isn_t_asked_for_again() {
    let mut it = Harness::new(Config { max_response_bytes: 100, ..config() });
    it.get(1);
    it.acts();
    it.connected(1);
    assert_eq!(it.respond(1, 200, &" ".repeat(101)), [Act::Close(1)]);
    assert!(matches!(it.events()[..], [Event::Settled { settled: Settled::TooLarge, .. }]));
    assert_eq!((it.acts(), it.client.next_deadline()), (vec![], None));
}

#[test]
fn what_nobody_has_asked_for_closes_the_connection() {
    let mut it = Harness::new(config());
    it.get(1);
    it.acts();
    it.connected(1);
    it.respond(1, 200, DONE);
    assert_eq!(it.respond(1, 200, DONE), [Act::Close(1)]);
    it.get(2);
    assert_eq!(it.acts(), [Act::Connect(2, 1)], "such a member is avoided");
    assert_eq!(it.closed(7), [], "no such connection");
}

#[test]
fn a_configuration_that_can_t_be_used_is_refused() {
    let refused = |config| Client::new(config).expect_err("refused");
    assert_eq!(refused(Config::new(Vec::new())), ConfigError::NoEndpoint);
    let error = refused(Config::new(vec!["a:1".to_owned(), "a b\n".to_owned()]));
    assert_eq!(
        error.to_string(),
        r#"endpoint "a b\n": expected HOST or HOST:PORT as the Host, found "a b\n""#
    );
    let error = refused(Config { max_requests: 0, ..config() });
    assert_eq!(error.to_string(), "expected max_requests from 1 on, found 0");
    let debug = format!("{:?} {:?}", with_user(), Client::new(with_user()));
    assert!(!debug.contains("password"), "{debug}");
}

const FULL: &str = r#"{"code":8,"message":"etcdserver: mvcc: database space exceeded"}"#;

/// A transaction of which a try is unknown, and the next one is on the second connection.
fn with_unknown_try(config: Config) -> Harness {
    let mut it = Harness::new(config);
    it.put(1);
    it.acts();
    it.connected(1);
    it.closed(1);
    assert_eq!(it.next(), [Act::Connect(2, 1)]);
    assert_eq!(it.connected(2), [put_sent(2)]);
    it
}

#[test]
fn the_same_bytes_go_on_when_a_try_is_refused_after_an_unknown_one() {
    for (status, body) in [
        (429, FULL),
        (400, r#"{"code":11,"message":"compacted"}"#),
        (401, r#"{"code":16,"message":"invalid auth token"}"#),
    ] {
        let mut it = with_unknown_try(config());
        for _ in 0..3 {
            assert_eq!(it.respond(2, status, body), []);
            assert_eq!((it.events(), it.client.requests()), (vec![], 1), "{status}");
            assert_eq!(it.pass(REFUSED_DELAY - Duration::from_millis(1)), []);
            assert_eq!(it.next(), [put_sent(2)], "{status}");
        }
        it.respond(2, 200, DONE);
        assert!(is_done(&it.events()[0], 1));
        assert_eq!(it.client.counters().refused_after_unknown, 3);
    }
}

#[test]
fn a_first_try_that_is_refused_and_a_read_end_at_once() {
    let mut it = Harness::new(config());
    it.put(1);
    it.acts();
    it.connected(1);
    it.respond(1, 429, FULL);
    let events = it.events();
    assert_eq!(events, [Event::Settled { ticket: Ticket(1), settled: Settled::NoSpace }]);
    it.get(2);
    it.acts();
    it.closed(1);
    it.next();
    it.connected(2);
    it.respond(2, 400, r#"{"code":11,"message":"compacted"}"#);
    assert!(matches!(it.events()[..], [Event::Settled { settled: Settled::Misused(_), .. }]));
}

#[test]
fn credentials_that_are_refused_end_no_transaction_of_which_a_try_is_unknown() {
    let mut it = Harness::new(with_user());
    it.put(1);
    it.acts();
    it.connected(1);
    it.respond(1, 200, r#"{"token":"t.1"}"#);
    it.closed(1);
    it.next();
    it.connected(2);
    it.respond(2, 401, r#"{"code":16,"message":"invalid auth token"}"#);
    it.get(2);
    let failed = r#"{"code":3,"message":"authentication failed"}"#;
    it.respond(2, 400, failed);
    let events = it.events();
    assert!(
        matches!(
            events[..],
            [Event::Settled { ticket: Ticket(2), settled: Settled::Unauthorized(_) }]
        ),
        "the read alone: {events:?}"
    );
    assert_eq!(it.client.requests(), 1);
    let acts = it.pass(REFUSED_DELAY);
    assert!(
        matches!(&acts[..], [Act::Send(2, resource, ..)] if resource == "/v3/auth/authenticate")
    );
    it.respond(2, 200, r#"{"token":"t.2"}"#);
    it.respond(2, 200, DONE);
    assert!(is_done(&it.events()[0], 1));
}
