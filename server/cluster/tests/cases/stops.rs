//! What ends a central: each by its error, after which nothing is done any more.

use cluster::{DELETED, Error, Event};
use kit::memory_etcd::http;

use crate::harness::{Harness, config, etcd, key, ready};

fn assert_stops(it: &Harness, events: &[Event], expected: &Error) {
    assert_eq!(events.last(), Some(&Event::Stopped(expected.clone())), "{events:?}");
    assert!(!it.store.is_ready());
    assert_eq!((it.store.next_deadline(), it.store.requests()), (None, 0));
}

/// A central with one agency that is open, one that has finished and waits, and one that hasn't come.
fn busy() -> Harness {
    let mut it = ready(&etcd(), config(3));
    it.open(1);
    it.open(2);
    it.commit(2, 1);
    it.end(2);
    it
}

#[test]
fn a_draw_that_is_deleted_is_noticed_by_whatever_is_done_next() {
    let steps: [fn(&mut Harness) -> Vec<Event>; 4] =
        [|it| it.commit(1, 1), |it| it.end(1), |it| it.hello(3), |it| it.poll()];
    for step in steps {
        let mut it = busy();
        it.put("meta", DELETED.as_bytes());
        for rest in ["acct/", "bets/", "win/", "fin/"] {
            it.etcd.borrow_mut().delete(&key(rest));
        }
        let events = step(&mut it);
        assert_stops(&it, &events, &Error::Deleted);
        assert_eq!(it.etcd.borrow().with_prefix(&key("")).len(), 1, "nothing is put");
    }
}

#[test]
fn a_draw_that_is_begun_anew_under_the_same_name_is_another_one() {
    let mut it = busy();
    it.put("meta", br#"{"format":1,"agencies":3,"id":"00000000000000ff"}"#);
    let events = it.commit(1, 1);
    assert_stops(&it, &events, &Error::Deleted);
}

#[test]
fn winners_of_a_deleted_draw_are_not_sent_as_if_there_were_none() {
    let mut it = ready(&etcd(), config(1));
    it.open(1);
    it.commit(1, 1);
    it.end(1);
    it.put("meta", DELETED.as_bytes());
    it.etcd.borrow_mut().delete(&key("win/"));
    let events = it.winners(1);
    assert_stops(&it, &events, &Error::Deleted);
}

#[test]
fn winners_are_as_many_as_the_account_says() {
    let mut it = ready(&etcd(), config(1));
    it.open(1);
    it.commit(1, 2);
    it.end(1);
    it.etcd.borrow_mut().delete(&key("win/"));
    let events = it.winners(1);
    assert_stops(&it, &events, &Error::Winners { agency: 1, expected: 1, found: 0 });
}

#[test]
fn a_backup_that_is_restored_is_noticed_by_its_revision() {
    let mut it = busy();
    let backup = it.etcd.borrow().clone();
    it.commit(1, 1);
    *it.etcd.borrow_mut() = backup;
    let events = it.poll();
    let is_back = matches!(events[..], [Event::Stopped(Error::WentBack { expected, found })]
        if found == expected - 1);
    assert!(is_back, "{events:?}");
}

#[test]
fn another_cluster_is_noticed() {
    let mut it = busy();
    it.etcd.borrow_mut().cluster_id = 8;
    let events = it.poll();
    let endpoint = 0;
    assert_stops(&it, &events, &Error::OtherCluster { expected: 7, found: 8, endpoint });
}

#[test]
fn an_account_that_is_gone_is_named() {
    let mut it = busy();
    it.etcd.borrow_mut().delete(&key("acct/1"));
    let events = it.commit(1, 1);
    assert_stops(&it, &events, &Error::AccountGone { agency: 1 });
}

#[test]
fn bytes_that_no_central_writes_are_named_with_their_key() {
    for (rest, value) in [("acct/1", "{}"), ("closed", "me"), ("acct/01", "{}")] {
        let mut it = busy();
        it.put(rest, value.as_bytes());
        let events = it.poll();
        let Some(Event::Stopped(error @ Error::Corrupt { key: found, .. })) = events.last() else {
            panic!("{rest}: {events:?}")
        };
        assert_eq!(*found, key(rest), "{error}");
    }
}

#[test]
fn more_agencies_than_there_are_have_not_finished() {
    let mut it = busy();
    for rest in ["fin/1", "fin/3", "fin/4"] {
        it.put(rest, b"");
    }
    let events = it.poll();
    assert_stops(&it, &events, &Error::Finished { expected: 3, found: 4 });
}

#[test]
fn what_etcd_refuses_for_good_is_told() {
    for (status, code) in [(403, 7), (401, 16)] {
        let mut it = busy();
        it.refusal = Some(http::refusal(status, code, "no"));
        let events = it.poll();
        let refusal = etcd::Refusal { status, code: Some(code), message: "no".to_owned() };
        let expected =
            if code == 7 { Error::Misused(refusal) } else { Error::Unauthorized(refusal) };
        assert_stops(&it, &events, &expected);
    }
}

#[test]
fn a_response_to_something_else_is_told() {
    let mut it = busy();
    it.refusal = Some((200, r#"{"header":{"cluster_id":"7","revision":"99"}}"#.to_owned()));
    it.store.commit(1, &commit_of_one(), it.now).expect("it is taken");
    let events = it.run();
    let expected = Error::Response { expected: "what each operation has read" };
    assert_stops(&it, &events, &expected);
}

fn commit_of_one() -> cluster::Commit<'static> {
    cluster::Commit {
        count_stored: 1,
        count_rejected: 0,
        checksum: 0,
        rows: b"row\n",
        winning: b"",
        winners: 0,
    }
}
