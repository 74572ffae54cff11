//! Members that fail, hang, or respond with what can't be used.

use std::time::Duration;

use etcd::client::members::AVOIDED_FIRST;
use etcd::config::RETRY_DELAY;
use etcd::{Completion, Config, ConnectionNumber, Event, Ticket};

use crate::harness::{Act, DONE, Harness, NO_LEADER, config, is_done, response, sent};

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
    assert_eq!(
        it.next(),
        [Act::Connect(4, 2)],
        "all are avoided: one that responds is asked first"
    );
    assert_eq!(it.connected(4), [sent(4)]);
    it.respond(4, 200, DONE);
    assert!(is_done(&it.events()[0], 1));
    let counters = it.client.counters();
    assert_eq!((counters.timeouts, counters.unknown, counters.unavailable), (1, 2, 1));
}

#[test]
fn a_member_that_has_failed_is_asked_one_thing_at_a_time_until_it_responds() {
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
fn a_member_that_responds_after_a_failure_is_asked_several_things_at_once_again() {
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
    it.client.cancel(Ticket(1), it.now);
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
fn a_response_that_is_too_large_isn_t_asked_for_again() {
    let mut it = Harness::new(Config { max_response_bytes: 100, ..config() });
    it.get(1);
    it.acts();
    it.connected(1);
    assert_eq!(it.respond(1, 200, &" ".repeat(101)), [Act::Close(1)]);
    assert!(matches!(it.events()[..], [Event::Completed { completion: Completion::TooLarge, .. }]));
    assert_eq!((it.acts(), it.client.next_deadline()), (vec![], None));
}

#[test]
fn a_response_without_a_request_closes_the_connection() {
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
fn an_error_that_is_too_large_is_one_after_which_nothing_is_known() {
    let mut it = Harness::new(Config { max_response_bytes: 100, ..config() });
    it.get(1);
    it.acts();
    it.connected(1);
    let response = response(503, &" ".repeat(101));
    it.client.on_data(ConnectionNumber(1), response.as_bytes(), it.now);
    assert_eq!((it.acts(), it.events()), (vec![Act::Close(1)], vec![]));
    assert_eq!(it.next(), [Act::Connect(2, 1)]);
}

#[test]
fn each_client_may_begin_with_another_member() {
    let mut it = Harness::new(Config { first_endpoint: 2, ..config() });
    it.get(1);
    assert_eq!(it.acts(), [Act::Connect(1, 2)]);
    assert_eq!(it.closed(1), [Act::Connect(2, 0)]);
}
