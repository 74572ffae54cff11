//! Who holds the draw, how everybody learns it, and the winners.

use std::time::Duration;

use cluster::{Account, Documents, Event, Phase};

use crate::harness::{Etcd, Harness, config, etcd, ready};

fn drawn() -> Event {
    Event::Drawn { by: "central-1".to_owned() }
}

/// Agency 1 with three commits has finished, and the draw was held.
fn drawn_with_winners(etcd: &Etcd, winners_page: u32) -> Harness {
    let mut it = ready(etcd, cluster::Config { winners_page, ..config(1) });
    it.open(1);
    for _ in 0..3 {
        it.commit(1, 2);
    }
    let events = it.end(1);
    assert!(matches!(&events[..], [Event::Ended { .. }, last] if *last == drawn()), "{events:?}");
    it
}

#[test]
fn the_last_end_holds_the_draw_and_watches_tell_the_others() {
    let etcd = etcd();
    let (mut here, mut there) = (ready(&etcd, config(2)), ready(&etcd, config(2)));
    there.open(2);
    there.end(2);
    here.open(1);
    assert_eq!(here.value("closed"), None);
    assert!(here.end(1).contains(&drawn()));
    assert_eq!(here.value("closed").as_deref(), Some(r#"{"by":"central-1"}"#));
    assert_eq!(there.run(), [drawn()], "no time has passed");
    assert_eq!(there.poll(), accounts_and_finished(&there, 2), "it is reported once");
}

/// What a poll comes to, once the draw was reported.
fn accounts_and_finished(it: &Harness, agencies: u32) -> Vec<Event> {
    let session = |agency: u32| {
        let text = it.value(&format!("acct/{agency}")).expect("an account");
        u64::from_str_radix(&text[12..28], 16).expect("hexadecimal")
    };
    let account = |agency| {
        let account = Account { session: session(agency), is_finished: true, ..Account::default() };
        (agency, account)
    };
    vec![Event::Accounts((1..=agencies).map(account).collect()), Event::Finished(agencies)]
}

#[test]
fn if_the_central_that_should_have_closed_is_gone_a_poll_finds_it() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(1));
    // Its END is there, and nothing followed.
    it.open(1);
    let account = Account { session: 9, is_finished: true, ..Account::default() };
    let text = format!(
        r#"{{"session":"{:016x}","consumed":0,"checksum":"00000000","stored":0,"rejected":0,"winners":0,"finished":true}}"#,
        account.session
    );
    it.put("acct/1", text.as_bytes());
    it.put("fin/1", b"");
    let expected = [Event::Accounts(vec![(1, account)]), Event::Finished(1), drawn()];
    assert_eq!(it.poll(), expected);
}

#[test]
fn a_count_that_is_lost_is_asked_for_at_once() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(1));
    it.open(1);
    it.is_holding = true;
    it.end(1);
    // It is done, and its response is lost.
    let (_, end) = it.held.remove(0);
    etcd.borrow_mut().call(&end.resource, &end.body);
    it.is_holding = false;
    assert_eq!(it.pass(etcd::config::REQUEST_TIMEOUT), []);
    let events = it.pass(etcd::config::RETRY_DELAY);
    assert!(matches!(events[0], Event::Ended { .. }), "{events:?}");
    assert!(events.contains(&drawn()), "no second has passed: {events:?}");
}

#[test]
fn a_draw_waits_for_space() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(1));
    it.open(1);
    it.is_holding = true;
    it.end(1);
    let ended = it.step();
    assert!(matches!(ended[..], [Event::Ended { .. }]), "{ended:?}");
    etcd.borrow_mut().is_full = true;
    assert_eq!(it.release(), [], "the draw can't be kept");
    etcd.borrow_mut().is_full = false;
    assert!(!it.pass(Duration::from_millis(999)).contains(&drawn()));
    assert!(it.pass(Duration::from_millis(1)).contains(&drawn()));
}

#[test]
fn after_the_draw_a_hello_is_answered_by_reading_alone() {
    let etcd = etcd();
    let mut it = drawn_with_winners(&etcd, 9);
    let before = etcd.borrow().history.changes().len();
    let events = it.hello(1);
    let is_drawn = matches!(events[..], [Event::Opened { phase: Phase::Drawn, account, .. }]
        if account.winners == 3 && account.is_finished);
    assert!(is_drawn, "{events:?}");
    assert_eq!(etcd.borrow().history.changes().len(), before);
    let mut later = ready(&etcd, config(1));
    let events = later.hello(1);
    assert!(matches!(events[..], [Event::Opened { phase: Phase::Drawn, .. }]), "{events:?}");
}

#[test]
fn winners_come_page_by_page_in_order_and_again_from_the_first() {
    let etcd = etcd();
    let mut it = drawn_with_winners(&etcd, 2);
    for _ in 0..2 {
        for (count, is_last) in [(2, false), (1, true)] {
            let documents = Documents(b"30904465\n".repeat(count));
            assert_eq!(it.winners(1), [Event::Winners { agency: 1, documents, is_last }]);
        }
    }
}

#[test]
fn who_asks_for_winners_before_the_draw_gets_them_then() {
    let etcd = etcd();
    let (mut here, mut there) = (ready(&etcd, config(2)), ready(&etcd, config(2)));
    here.open(1);
    here.end(1);
    assert_eq!(here.winners(1), []);
    assert_eq!(here.store.unknown_since(1), None, "it isn't etcd that it waits for");
    there.open(2);
    there.end(2);
    let none = Event::Winners { agency: 1, documents: Documents::default(), is_last: true };
    assert_eq!(here.run(), [drawn(), none]);
}

#[test]
fn pages_that_are_too_large_are_read_in_smaller_ones() {
    let etcd = etcd();
    let mut config = config(1);
    config.etcd.max_response_bytes = 1_000;
    let mut it = ready(&etcd, config);
    it.open(1);
    for _ in 0..12 {
        it.commit(1, 1);
    }
    it.end(1);
    let mut documents = Vec::new();
    loop {
        match &it.winners(1)[..] {
            [Event::Winners { documents: page, is_last, .. }] => {
                documents.extend_from_slice(&page.0);
                if *is_last {
                    break;
                }
            }
            other => panic!("expected a page, found {other:?}"),
        }
    }
    assert_eq!(documents, b"30904465\n".repeat(12));
    assert!(it.store.counters().too_large > 0);
}

#[test]
fn polls_show_all_accounts_some_at_a_time() {
    let etcd = etcd();
    let mut it = ready(&etcd, config(2_500));
    let text = r#"{"session":"0000000000000009","consumed":0,"checksum":"00000000","stored":0,"rejected":0,"winners":0,"finished":false}"#;
    for agency in 1..=2_500 {
        it.put(&format!("acct/{agency}"), text.as_bytes());
    }
    for _ in 0..2 {
        let mut seen = Vec::new();
        for expected in [1000, 1000, 500] {
            let events = it.poll();
            let [Event::Accounts(accounts), Event::Finished(0)] = &events[..] else {
                panic!("expected accounts, found {events:?}")
            };
            assert_eq!(accounts.len(), expected);
            seen.extend(accounts.iter().map(|(agency, _)| *agency));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1..=2_500), "each once, and all");
    }
}
