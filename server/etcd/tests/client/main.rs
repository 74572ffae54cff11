//! What the client does in each case by itself, over connections in memory.

mod failures;
mod harness;
mod refusals;

use std::time::Duration;

use etcd::{
    Change, Client, Config, ConfigError, ConnectionNumber, Event, Range, Request, SubmitError,
    Ticket,
};

use crate::harness::{Act, DONE, Harness, config, is_done, sent, with_user};

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
fn what_is_cancelled_is_forgotten_and_its_response_dropped() {
    let mut it = Harness::new(config());
    it.get(1);
    it.acts();
    it.connected(1);
    it.client.cancel(Ticket(1), it.now);
    assert_eq!((it.client.requests(), it.client.request_bytes()), (0, 0));
    assert_eq!(it.respond(1, 200, DONE), []);
    it.get(2);
    assert_eq!(it.acts(), [sent(1)]);
    it.respond(1, 200, DONE);
    it.client.cancel(Ticket(2), it.now);
    assert_eq!(it.events(), [], "not even when it was completed and not polled yet");
    it.client.cancel(Ticket(9), it.now);
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
fn a_watch_begins_again_where_a_member_is_well() {
    let mut it = Harness::new(config());
    it.client.watch(b"a", b"b", it.now);
    assert_eq!(it.acts(), [Act::Connect(1, 0)]);
    let body = r#"{"create_request":{"key":"YQ==","range_end":"Yg=="}}"#.to_owned();
    let ask = |number| Act::Send(number, "/v3/watch".to_owned(), None, body.clone());
    assert_eq!(it.connected(1), [ask(1)]);
    it.watch_line(1, true, r#"{"result":{"header":{"cluster_id":"7"},"created":true}}"#);
    assert!(matches!(it.events()[..], [Event::WatchStarted(_)]));
    assert_eq!(it.client.next_deadline(), None, "it may be silent for ever");
    it.watch_line(1, false, r#"{"result":{"events":[{"kv":{"key":"YQ==","value":"Yg=="}},{"type":"DELETE","kv":{"key":"YQ=="}}]}}"#);
    let change =
        |value: Option<&[u8]>| Change { key: b"a".to_vec(), value: value.map(<[u8]>::to_vec) };
    assert!(matches!(&it.events()[..], [Event::Changed(_, changes)]
        if *changes == [change(Some(b"b")), change(None)]));
    let end = r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#;
    assert_eq!(it.watch_line(1, false, end), [Act::Close(1)]);
    assert_eq!(it.next(), [Act::Connect(2, 1)]);
    assert_eq!(it.connected(2), [ask(2)]);
    it.watch_line(2, true, r#"{"result":{"created":true}}"#);
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
fn a_watch_without_a_response_is_given_up() {
    let mut it = Harness::new(config());
    it.client.watch(b"a", b"", it.now);
    it.acts();
    it.connected(1);
    assert_eq!(it.next(), [Act::Close(1)]);
    assert_eq!(it.next(), [Act::Connect(2, 1)], "its member hangs");
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
    it.client.cancel(Ticket(1), it.now);
    for ticket in 1..=2 {
        assert_eq!(it.client.submit(&request(&[0; 3]), Ticket(ticket), now), Ok(()));
    }
    let found = it.client.submit(&request(&[0; 3]), Ticket(3), now);
    assert_eq!(found, Err(SubmitError::TooMany { max: 2 }));
    assert_eq!(it.acts(), [Act::Connect(1, 0)]);
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
    assert_eq!(error.to_string(), "expected max_requests above 0, found 0");
    let zero = Duration::ZERO;
    for (config, name) in [
        (Config { request_timeout: zero, ..config() }, "request_timeout"),
        (Config { connect_timeout: zero, ..config() }, "connect_timeout"),
        (Config { token_timeout: zero, ..config() }, "token_timeout"),
        (Config { retry_delay: zero, ..config() }, "retry_delay"),
        (Config { max_request_bytes: 0, ..config() }, "max_request_bytes"),
        (Config { max_response_bytes: 0, ..config() }, "max_response_bytes"),
        (Config { connections_per_member: 0, ..config() }, "connections_per_member"),
    ] {
        assert_eq!(refused(config), ConfigError::Zero { name });
    }
    let error = refused(Config { first_endpoint: 3, ..config() });
    let text = "expected first_endpoint below 3, the number of endpoints, found 3";
    assert_eq!(error.to_string(), text);
    let debug = format!("{:?} {:?}", with_user(), Client::new(with_user()));
    assert!(!debug.contains("password"), "{debug}");
}

#[test]
fn the_next_request_takes_the_connection_of_one_that_was_cancelled_before_it_was_sent() {
    let mut it = Harness::new(Config { connections_per_member: 1, ..config() });
    it.get(1);
    it.acts();
    it.client.on_connected(ConnectionNumber(1), it.now);
    it.client.cancel(Ticket(1), it.now);
    it.get(2);
    assert_eq!(it.acts(), [sent(1)]);
    it.get(3);
    it.client.cancel(Ticket(2), it.now);
    assert_eq!(it.acts(), [], "it was sent");
    assert_eq!(it.respond(1, 200, DONE), [sent(1)]);
}
