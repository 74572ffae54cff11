//! Against real etcd: every kind of request, users, a full database, and members that die under a
//! sequence of writes, each of which must be applied exactly once.

mod driver;

use std::time::Duration;

use etcd::{
    Compare, Completion, Credentials, Event, Op, OpResponse, Range, Request, Response, Txn,
    TxnResponse, prefix_end,
};
use kit::etcd::Cluster;

use crate::driver::{Driver, config};

fn driver(cluster: &Cluster) -> Driver {
    let addresses = cluster.addresses();
    Driver::new(&addresses, config(&addresses))
}

fn txn(
    driver: &mut Driver,
    compare: &[Compare<'_>],
    success: &[Op<'_>],
    failure: &[Op<'_>],
) -> TxnResponse {
    match driver.call(Request::Txn(Txn { compare, success, failure })) {
        Completion::Done(Response::Txn(response)) => response,
        other => panic!("expected a response, found {other:?}"),
    }
}

fn put(driver: &mut Driver, key: &[u8], value: &[u8]) -> TxnResponse {
    txn(driver, &[], &[Op::Put { key, value }], &[])
}

fn range(driver: &mut Driver, range: Range<'_>) -> etcd::RangeResponse {
    match driver.call(Request::Range(range)) {
        Completion::Done(Response::Range(response)) => response,
        other => panic!("expected a response, found {other:?}"),
    }
}

#[test]
fn transactions_and_reads_do_what_they_say() {
    let cluster = Cluster::start(1);
    let mut driver = driver(&cluster);
    let (key, value) = (b"a/\x00\xff", vec![7; 131_072]);
    let (key, value) = (&key[..], &value[..]);
    let put = [Op::Put { key, value }, Op::Put { key: b"a/2", value: b"" }];
    let get = [Op::Range(Range::of_key(key))];
    let first = txn(&mut driver, &[Compare::Absent { key }], &put, &get);
    assert!(
        first.succeeded && matches!(first.responses[..], [OpResponse::Put(_), OpResponse::Put(_)])
    );
    assert_eq!(driver.client.cluster_id(), Some(first.header.cluster_id));
    // Again: it is there, and is returned.
    let second = txn(&mut driver, &[Compare::Absent { key }], &put, &get);
    let [OpResponse::Range(found)] = &second.responses[..] else { panic!("{second:?}") };
    assert!(!second.succeeded && found.kvs[0].key == key && found.kvs[0].value == value);
    let is = found.kvs[0].create_revision;
    assert_eq!(is, first.header.revision);
    let compare = [Compare::Value { key, is: value }, Compare::CreateRevision { key, is }];
    let end = prefix_end(b"a/");
    let count =
        [Op::Put { key: b"a/3", value: b"x" }, Op::Range(Range::between(b"a/", &end).counted())];
    let counted = txn(&mut driver, &compare, &count, &[]);
    let [_, OpResponse::Range(found)] = &counted.responses[..] else { panic!("{counted:?}") };
    assert_eq!((counted.succeeded, found.count, found.kvs.len()), (true, 3, 0));
    let page = range(&mut driver, Range { limit: 2, ..Range::between(b"a/", &end) });
    assert_eq!((page.kvs.len(), page.more, page.count), (2, true, 3));
    let old = Range { revision: is, ..Range::between(b"a/", &end) };
    assert_eq!(range(&mut driver, old).count, 2);
    let future = Range { revision: is + 100, ..old };
    let Completion::Misused(refusal) = driver.call(Request::Range(future)) else {
        panic!("misused")
    };
    assert_eq!((refusal.status, refusal.code), (400, Some(11)), "{refusal:?}");
    let twice = [Op::Put { key, value: b"" }, Op::Put { key, value: b"" }];
    let misused = driver.call(Request::Txn(Txn { compare: &[], success: &twice, failure: &[] }));
    assert!(matches!(misused, Completion::Misused(refusal) if refusal.code == Some(3)));
    let counters = *driver.client.counters();
    assert_eq!(
        (counters.connects, counters.unknown, counters.unavailable),
        (1, 0, 0),
        "kept alive"
    );
}

#[test]
fn a_watch_reports_every_change_and_begins_again_elsewhere() {
    let mut cluster = Cluster::start(3);
    let mut driver = driver(&cluster);
    driver.client.watch(b"closed", b"", std::time::Instant::now());
    let started = |event: &Event| matches!(event, Event::WatchStarted(_)).then_some(());
    driver.wait(started);
    put(&mut driver, b"other", b"x");
    let ticket = driver.submit(Request::Txn(Txn {
        compare: &[],
        success: &[Op::Put { key: b"closed", value: b"by me" }],
        failure: &[],
    }));
    let (mut is_completed, mut is_changed) = (false, false);
    driver.wait(|event| {
        match event {
            Event::Completed { ticket: found, .. } => is_completed |= *found == ticket,
            Event::Changed(_, changes) => {
                assert_eq!(changes[0].value.as_deref(), Some(&b"by me"[..]));
                is_changed = true;
            }
            other => panic!("expected a change, found {other:?}"),
        }
        (is_completed && is_changed).then_some(())
    });
    cluster.kill(driver.client.current_endpoint());
    driver.wait(started);
    assert_eq!(range(&mut driver, Range::of_key(b"closed")).kvs[0].value, b"by me");
}

#[test]
fn each_write_is_applied_once_whichever_member_dies_or_hangs() {
    let mut cluster = Cluster::start(3);
    let mut driver = driver(&cluster);
    let key = b"counter";
    put(&mut driver, key, b"0");
    let mut faulty = None;
    for number in 0..200_u32 {
        match number % 50 {
            10 => {
                let leader = cluster.leader(driver.client.current_endpoint());
                cluster.kill(leader);
                faulty = Some(leader);
            }
            20 => cluster.restart(faulty.take().expect("it was killed")),
            30 => {
                faulty = Some(driver.client.current_endpoint());
                cluster.freeze(driver.client.current_endpoint());
            }
            40 => cluster.thaw(faulty.take().expect("it was frozen")),
            _ => {}
        }
        increment(&mut driver, key, number);
    }
    let counter = range(&mut driver, Range::of_key(key)).kvs.remove(0);
    assert_eq!((&counter.value[..], counter.version), (&b"200"[..], 201));
    let counters = driver.client.counters();
    assert!(counters.unknown + counters.unavailable + counters.failed_connects > 0, "{counters:?}");
    assert!(counters.member_changes > 0 && counters.elections > 0, "{counters:?}");
}

/// Writes the next number over this one; that it has happened before is as good.
fn increment(driver: &mut Driver, key: &[u8], number: u32) {
    let (before, after) = (number.to_string(), (number + 1).to_string());
    let compare = [Compare::Value { key, is: before.as_bytes() }];
    let success = [Op::Put { key, value: after.as_bytes() }];
    let response = txn(driver, &compare, &success, &[Op::Range(Range::of_key(key))]);
    if !response.succeeded {
        let [OpResponse::Range(found)] = &response.responses[..] else { panic!("{response:?}") };
        assert_eq!(found.kvs[0].value, after.as_bytes(), "it was an earlier try");
    }
}

#[test]
fn users_are_known_by_a_token_that_is_renewed() {
    let cluster = Cluster::with_arguments(1, &["--auth-token-ttl", "1"]);
    for (resource, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"r \"ñ"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        cluster.call(0, resource, body).expect("a response");
    }
    let addresses = cluster.addresses();
    let with = |password: &str| {
        let credentials = Credentials { user: "root".to_owned(), password: password.to_owned() };
        Driver::new(
            &addresses,
            etcd::Config { credentials: Some(credentials), ..config(&addresses) },
        )
    };
    let mut driver = with("r \"ñ");
    put(&mut driver, b"a", b"1");
    assert_eq!(driver.client.counters().tokens, 1);
    // etcd has no other way to forget a token than to let its time pass.
    std::thread::sleep(Duration::from_millis(2500));
    put(&mut driver, b"a", b"2");
    assert_eq!(driver.client.counters().tokens, 2);
    let get = Request::Range(Range::of_key(b"a"));
    assert!(matches!(with("wrong").call(get), Completion::Unauthorized(_)));
    let mut without_user = Driver::new(&addresses, config(&addresses));
    assert!(
        matches!(without_user.call(get), Completion::Unauthorized(refusal) if refusal.status == 400)
    );
}

#[test]
fn a_full_database_writes_nothing_and_reads_on() {
    let cluster = Cluster::with_arguments(1, &["--quota-backend-bytes", "2000000"]);
    let mut driver = driver(&cluster);
    let value = vec![7; 500_000];
    let success = [Op::Put { key: b"a", value: &value }];
    let request = Request::Txn(Txn { compare: &[], success: &success, failure: &[] });
    let mut completions: Vec<_> = (0..8).map(|_| driver.call(request)).collect();
    assert_eq!(completions.pop(), Some(Completion::NoSpace));
    assert_eq!(range(&mut driver, Range::of_key(b"a")).kvs[0].value, value);
}
