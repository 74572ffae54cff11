//! How a draw begins, and when a central doesn't.

use std::time::Duration;

use cluster::{Config, DELETED, Error, Event};

use crate::harness::{config, etcd, new, ready};

#[test]
fn the_first_central_begins_the_draw_and_others_find_it() {
    let etcd = etcd();
    let mut first = new(&etcd, config(5));
    assert!(!first.store.is_ready() && !first.store.is_reachable());
    assert_eq!(first.start(), [Event::Ready, Event::Finished(0), Event::Finished(0)]);
    assert!(first.store.is_ready() && first.store.is_reachable());
    let meta = first.value("meta");
    assert_eq!(meta.as_deref(), Some(r#"{"format":1,"agencies":5,"id":"0000000000000001"}"#));
    let second = ready(&etcd, config(5));
    assert_eq!(second.value("meta"), meta, "it is put once");
}

#[test]
fn two_that_begin_at_once_come_to_the_same_draw() {
    let etcd = etcd();
    let (mut first, mut second) = (new(&etcd, config(5)), new(&etcd, config(5)));
    (first.is_holding, second.is_holding) = (true, true);
    for it in [&mut first, &mut second] {
        it.start();
        // It reads that there is nothing.
        assert_eq!(it.step(), []);
    }
    for it in [&mut first, &mut second] {
        assert!(it.release().contains(&Event::Ready));
    }
    let puts = etcd.borrow().history.changes().len();
    assert_eq!(puts, 1);
}

#[test]
fn a_central_does_not_start_in_another_draw_than_its_own() {
    for (meta, expected) in [
        (DELETED, Error::Deleted),
        (
            r#"{"format":1,"agencies":4,"id":"0000000000000001"}"#,
            Error::Agencies { expected: 5, found: 4 },
        ),
        (r#"{"format":9}"#, Error::Format { expected: 1, found: 9 }),
    ] {
        let etcd = etcd();
        let mut it = new(&etcd, config(5));
        it.put("meta", meta.as_bytes());
        assert_eq!(it.start(), [Event::Stopped(expected)], "{meta}");
        assert!(!it.store.is_ready());
        assert_eq!(it.hello(1), [], "nothing is done any more");
        assert_eq!(it.store.next_deadline(), None);
    }
}

#[test]
fn a_draw_begins_once_there_is_space_and_one_that_has_begun_needs_none() {
    let etcd = etcd();
    etcd.borrow_mut().is_full = true;
    let mut it = new(&etcd, config(5));
    assert_eq!(it.start(), []);
    assert_eq!(it.pass(Duration::from_millis(999)), []);
    etcd.borrow_mut().is_full = false;
    assert!(it.pass(Duration::from_millis(1)).contains(&Event::Ready));
    etcd.borrow_mut().is_full = true;
    ready(&etcd, config(5));
}

#[test]
fn what_waits_from_before_the_beginning_goes_on_then() {
    let etcd = etcd();
    let mut it = new(&etcd, config(5));
    assert_eq!(it.hello(3), []);
    assert_eq!(it.store.unknown_since(3), Some(it.now));
    let opened = it.start().into_iter().filter(|event| matches!(event, Event::Opened { .. }));
    assert_eq!(opened.count(), 1);
    assert_eq!(it.store.unknown_since(3), None);
}

#[test]
fn a_draw_is_known_by_its_name() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(1));
    it.open(1);
    it.commit(1, 1);
    let mut other = ready(&etcd, Config { draw: "b".to_owned(), ..config(2) });
    assert_eq!(other.open(1).consumed, 0);
}
