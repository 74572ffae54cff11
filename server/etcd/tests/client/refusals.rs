//! What etcd refuses: users, tokens, and what is out of space or of sense.

use etcd::client::requests::REFUSED_DELAY;
use etcd::config::{RETRY_DELAY, TOKEN_TIMEOUT};
use etcd::{Action, Completion, Config, ConnectionNumber, Event, Ticket};

use crate::harness::{
    Act, DONE, Harness, config, is_done, put_sent, response, sent_with, with_user,
};

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
        matches!(&it.events()[..], [Event::Completed { completion: Completion::Unauthorized(why), .. }]
        if why.message == "authentication failed")
    );
    // A token that can't be sent is none.
    it.now += RETRY_DELAY;
    it.get(2);
    it.acts();
    it.respond(1, 200, r#"{"token":"a\r\nb"}"#);
    assert!(matches!(
        it.events()[..],
        [Event::Completed { completion: Completion::Unauthorized(_), .. }]
    ));
    // Tokens that are never valid.
    it.now += RETRY_DELAY;
    it.get(3);
    for token in 1..=4 {
        assert_eq!(it.events(), []);
        it.pass(RETRY_DELAY);
        it.respond(1, 200, &format!(r#"{{"token":"t.{token}"}}"#));
        it.respond(1, 401, "{}");
    }
    assert!(matches!(
        it.events()[..],
        [Event::Completed { completion: Completion::Unauthorized(_), .. }]
    ));
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
            assert_eq!(it.pass(REFUSED_DELAY / 2), []);
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
    assert_eq!(events, [Event::Completed { ticket: Ticket(1), completion: Completion::NoSpace }]);
    it.get(2);
    it.acts();
    it.closed(1);
    it.next();
    it.connected(2);
    it.respond(2, 400, r#"{"code":11,"message":"compacted"}"#);
    assert!(matches!(
        it.events()[..],
        [Event::Completed { completion: Completion::Misused(_), .. }]
    ));
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
            [Event::Completed { ticket: Ticket(2), completion: Completion::Unauthorized(_) }]
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

#[test]
fn a_token_may_take_longer_than_a_request() {
    let mut it = Harness::new(with_user());
    it.get(1);
    it.acts();
    it.connected(1);
    assert_eq!(it.pass(TOKEN_TIMEOUT / 2), []);
    assert!(!it.client.is_current_suspect());
    assert_eq!(it.respond(1, 200, r#"{"token":"t.1"}"#), [sent_with(1, Some("t.1"))]);
    // But a member that hangs is left.
    it = Harness::new(with_user());
    it.get(1);
    it.acts();
    it.connected(1);
    assert_eq!(it.next(), [Act::Close(1)]);
    assert_eq!(it.next(), [Act::Connect(2, 1)]);
}

#[test]
fn no_action_shows_what_it_sends() {
    let mut it = Harness::new(with_user());
    it.put(1);
    it.acts();
    it.client.on_connected(ConnectionNumber(1), it.now);
    let mut shown = |sent: &str| {
        it.client.on_data(ConnectionNumber(1), sent.as_bytes(), it.now);
        let action = it.client.poll_action().expect("an action");
        let Action::Send { head, body, .. } = action else { panic!("{action:?}") };
        let (head_len, body_len) = (head.len(), body.len());
        let expected = format!(
            "Send {{ connection: ConnectionNumber(1), head_len: {head_len}, body_len: {body_len} }}"
        );
        assert_eq!(format!("{action:?}"), expected);
    };
    shown("");
    shown(&response(200, r#"{"token":"t.1"}"#));
}
