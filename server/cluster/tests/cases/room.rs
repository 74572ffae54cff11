//! What waits when etcd's client has no room, and that nothing that is repeated costs anything.

use cluster::config::{RESERVED_REQUESTS, SMALL_REQUEST_BYTES};
use cluster::{Commit, Config, Event, NotTaken};

use crate::harness::{config, etcd, ready};

/// With room for so many requests of agencies at once.
fn with_room(requests: usize) -> Config {
    let mut config = config(1_000);
    config.etcd.max_requests = RESERVED_REQUESTS + requests;
    config
}

#[test]
fn hellos_wait_for_room_in_their_order() {
    let etcd = etcd();
    let mut it = ready(&etcd, with_room(1));
    it.is_holding = true;
    for agency in [7, 3, 5] {
        it.hello(agency);
    }
    assert_eq!(it.store.requests(), 1);
    let opened = it.release().into_iter().map(|event| match event {
        Event::Opened { agency, .. } => agency,
        other => panic!("expected a session, found {other:?}"),
    });
    assert!(opened.eq([7, 3, 5]));
}

#[test]
fn a_hello_that_is_repeated_costs_nothing_and_is_answered_once() {
    let etcd = etcd();
    let mut it = ready(&etcd, with_room(2));
    it.is_holding = true;
    let mut requests = 0;
    for repetition in 0..100_000_u32 {
        it.hello(1 + repetition % 3);
        requests = requests.max(it.store.requests());
    }
    assert_eq!((requests, it.held.len()), (2, 2));
    assert_eq!(it.release().len(), 3);
}

#[test]
fn commits_leave_room_for_the_draw() {
    let etcd = etcd();
    let mut it = ready(&etcd, with_room(2));
    for agency in 1..=3 {
        it.open(agency);
    }
    it.is_holding = true;
    it.commit(1, 1);
    it.commit(2, 1);
    assert!(!it.store.has_room(0));
    assert_eq!(it.try_commit(3, 1), Err(NotTaken::Full));
    assert_eq!(it.store.end(3, it.now), Err(NotTaken::Full));
    assert_eq!(it.release().len(), 2);
    assert!(it.store.has_room(0));
    assert!(matches!(it.commit(3, 1)[..], [Event::Committed { .. }]));
}

#[test]
fn a_commit_has_room_by_its_bytes() {
    let etcd = etcd();
    let mut config = config(3);
    config.etcd.max_request_bytes = 100_000;
    let mut it = ready(&etcd, config);
    it.open(1);
    it.open(2);
    let max = (100_000 - (RESERVED_REQUESTS + 1) * SMALL_REQUEST_BYTES) / 4 * 3;
    let rows = vec![b'x'; max + 1];
    let commit = |rows| Commit {
        count_stored: 1,
        count_rejected: 0,
        checksum: 0,
        rows,
        winning: b"",
        winners: 0,
    };
    let too_large = it.store.commit(1, &commit(&rows[..]), it.now);
    assert_eq!(too_large, Err(NotTaken::TooLarge { max, found: max + 1 }));
    it.is_holding = true;
    assert!(it.store.has_room(max) && !it.store.has_room(max + 1));
    it.store.commit(1, &commit(&rows[..max]), it.now).expect("it fits alone");
    it.run();
    assert_eq!(it.store.commit(2, &commit(&rows[..1]), it.now), Err(NotTaken::Full));
    assert!(matches!(it.release()[..], [Event::Committed { .. }]));
    it.store.commit(2, &commit(&rows[..1]), it.now).expect("there is room");
    assert!(matches!(it.run()[..], [Event::Committed { .. }]));
}

#[test]
fn few_pages_of_winners_are_under_way_at_once() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(40));
    for agency in 1..=40 {
        it.open(agency);
        it.end(agency);
    }
    it.is_holding = true;
    for agency in 1..=40 {
        assert_eq!(it.winners(agency), []);
    }
    assert_eq!(it.store.requests(), 8);
    let winners = it.release();
    assert!(
        winners.len() == 40 && winners.iter().all(|event| matches!(event, Event::Winners { .. }))
    );
}
