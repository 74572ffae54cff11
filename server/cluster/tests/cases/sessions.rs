//! HELLO, commit and END, of one central and of several.

use cluster::{Account, Commit, Event, NotTaken, Phase};

use crate::harness::{config, etcd, ready};

const ROWS: &str = "bets/3/00000000000000000000";

#[test]
fn what_is_committed_is_in_etcd_with_the_account() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(5));
    let first = it.open(3);
    assert_eq!(first, Account { session: first.session, ..Account::default() });
    let account = Account { consumed: 4, checksum: 7, stored: 4, winners: 1, ..first };
    assert_eq!(it.commit(3, 4), [Event::Committed { agency: 3, account }]);
    let text = r#"{"session":"0000000000000002","consumed":4,"checksum":"00000007","stored":4,"rejected":0,"winners":1,"finished":false}"#;
    assert_eq!(it.value("acct/3").as_deref(), Some(text));
    assert_eq!(it.value(ROWS).as_deref(), Some("rows\n"));
    assert_eq!(it.value("win/3/00000000000000000000").as_deref(), Some("30904465\n"));
    it.commit(3, 2);
    assert_eq!(it.value("bets/3/00000000000000000004").as_deref(), Some("rows\n"));
    let account = Account { consumed: 6, stored: 6, winners: 2, ..account };
    let ended = Account { is_finished: true, ..account };
    assert_eq!(it.end(3), [Event::Ended { agency: 3, account: ended }]);
    assert_eq!(it.value("fin/3").as_deref(), Some(""));
}

#[test]
fn a_commit_of_rejected_bets_puts_the_account_alone() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(5));
    it.open(3);
    let before = etcd.borrow().history.changes().len();
    let commit = Commit {
        count_stored: 0,
        count_rejected: 2,
        checksum: 9,
        rows: b"",
        winning: b"",
        winners: 0,
    };
    it.store.commit(3, &commit, it.now).expect("it is taken");
    let events = it.run();
    assert!(matches!(events[..], [Event::Committed { account, .. }] if account.rejected == 2));
    assert_eq!(etcd.borrow().history.changes().len(), before + 1);
}

#[test]
fn a_session_elsewhere_supersedes_the_one_here() {
    let etcd = etcd();
    let (mut here, mut there) = (ready(&etcd, config(5)), ready(&etcd, config(5)));
    here.open(3);
    here.commit(3, 4);
    assert_eq!(there.open(3).consumed, 4);
    assert_eq!(here.commit(3, 1), [Event::Superseded { agency: 3 }]);
    assert_eq!(here.try_commit(3, 1), Err(NotTaken::NotOpen { agency: 3 }));
    assert_eq!(here.open(3).consumed, 4, "it may come back");
    assert_eq!(there.end(3), [Event::Superseded { agency: 3 }]);
}

#[test]
fn of_two_hellos_at_once_one_begins_a_session() {
    let etcd = etcd();
    let (mut here, mut there) = (ready(&etcd, config(5)), ready(&etcd, config(5)));
    here.is_holding = true;
    here.hello(3);
    assert_eq!(here.step(), [], "it has read, and its fence is on its way");
    there.open(3);
    assert_eq!(here.release(), [Event::Superseded { agency: 3 }]);
    assert!(matches!(there.commit(3, 1)[..], [Event::Committed { .. }]));
}

#[test]
fn a_hello_that_finds_more_of_the_session_that_it_read_goes_on_with_it() {
    let etcd = etcd();
    let (mut here, mut there) = (ready(&etcd, config(5)), ready(&etcd, config(5)));
    there.open(3);
    here.is_holding = true;
    here.hello(3);
    here.step();
    there.commit(3, 4);
    let opened = here.release();
    let is_newer = matches!(opened[..], [Event::Opened { account, phase: Phase::Open, .. }]
        if account.consumed == 4);
    assert!(is_newer, "{opened:?}");
    assert_eq!(there.commit(3, 1), [Event::Superseded { agency: 3 }]);
}

#[test]
fn a_hello_is_not_answered_with_what_was_so_before_it() {
    let etcd = etcd();
    let (mut here, mut there) = (ready(&etcd, config(5)), ready(&etcd, config(5)));
    here.is_holding = true;
    here.hello(3);
    here.step();
    // The fence is put, and its response is slow.
    let (_, fence) = here.held.remove(0);
    etcd.borrow_mut().call(&fence.resource, &fence.body);
    there.open(3);
    there.commit(3, 4);
    here.hello(3);
    let opened = here.release();
    let is_newer = matches!(opened[..], [Event::Opened { account, .. }] if account.consumed == 4);
    assert!(is_newer, "{opened:?}");
}

#[test]
fn the_end_is_taken_once_and_answered_as_often_as_it_comes() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(5));
    it.open(3);
    let ended = it.end(3);
    it.is_holding = true;
    assert_eq!(it.end(3), ended, "without asking etcd");
    assert_eq!(it.try_commit(3, 1), Err(NotTaken::NotOpen { agency: 3 }));
    it.is_holding = false;
    let events = it.hello(3);
    assert!(matches!(events[..], [Event::Opened { phase: Phase::Finished, .. }]), "{events:?}");
    assert_eq!(it.end(3), ended);
}

#[test]
fn one_thing_at_a_time_is_under_way_for_an_agency() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(5));
    assert_eq!(it.try_commit(3, 1), Err(NotTaken::NotOpen { agency: 3 }));
    it.open(3);
    it.is_holding = true;
    it.commit(3, 1);
    assert_eq!(it.try_commit(3, 1), Err(NotTaken::NotOpen { agency: 3 }));
    assert_eq!(it.store.end(3, it.now), Err(NotTaken::NotOpen { agency: 3 }));
    assert_eq!(it.store.unknown_since(3), Some(it.now));
    let committed = it.release();
    assert!(matches!(committed[..], [Event::Committed { agency: 3, .. }]), "{committed:?}");
}

#[test]
fn nothing_answers_an_agency_that_has_left_or_begun_anew() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(5));
    it.open(3);
    it.is_holding = true;
    it.commit(3, 4);
    it.store.leave(3, it.now);
    assert_eq!(it.release(), []);
    assert_eq!(it.open(3).consumed, 4, "it was done nevertheless");
    it.is_holding = true;
    it.commit(3, 2);
    it.hello(3);
    let events = it.release();
    let opened =
        |event: &Event| matches!(event, Event::Opened { account, .. } if account.consumed == 6);
    assert!(matches!(&events[..], [event] if opened(event)), "{events:?}");
}

#[test]
fn without_space_nothing_is_written_and_it_can_be_tried_again() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(5));
    let account = it.open(3);
    etcd.borrow_mut().is_full = true;
    for events in [it.commit(3, 1), it.end(3)] {
        assert!(
            matches!(events[..], [Event::Unavailable { account: found, .. }] if found == account),
            "{events:?}"
        );
    }
    let events = it.hello(4);
    assert!(matches!(events[..], [Event::Unavailable { agency: 4, .. }]), "{events:?}");
    assert_eq!(it.try_commit(4, 1), Err(NotTaken::NotOpen { agency: 4 }), "it isn't served");
    etcd.borrow_mut().is_full = false;
    assert!(matches!(it.commit(3, 1)[..], [Event::Committed { .. }]));
    it.open(4);
}
