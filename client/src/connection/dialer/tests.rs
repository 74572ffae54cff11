//! Attempts, event by event.

use super::*;
use crate::memory_io::MemoryContext;

const RETRY: Retry = Retry {
    min_delay: Duration::from_millis(100),
    max_delay: Duration::from_secs(5),
    max_attempts: 0,
};

fn dialer(retry: Retry, resolve: Resolve) -> Dialer {
    let timeout = Duration::from_secs(9);
    Dialer::new("central:12345".into(), retry, timeout, 7).resolving(resolve)
}

/// Begins an attempt, and lets the thread look the name up.
fn dial(dialer: &mut Dialer, cx: &mut MemoryContext) -> io::Result<ConnectionId> {
    dialer.dial(cx)?;
    assert_eq!(dialer.connection(), None, "no connection before the name is looked up");
    let answer = cx.read_attached();
    cx.lines.clear();
    dialer.on_resolved(cx, &answer)?;
    Ok(dialer.connection().expect("it was waited for"))
}

fn try_next(
    dialer: &mut Dialer,
    cx: &mut MemoryContext,
    log: &mut LogBudget,
) -> Option<ConnectionId> {
    dialer.try_next(cx, "refused", log).then(|| dialer.connection().expect("it was begun"))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in for a lookup that can fail")]
fn two_addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    assert_eq!(name, "central:12345");
    Ok(vec![([10, 0, 0, 1], 12345).into(), ([10, 0, 0, 2], 12345).into()])
}

#[test]
fn all_addresses_are_tried_before_there_is_a_pause() {
    let mut log = LogBudget::default();
    let (mut dialer, mut cx) = (dialer(RETRY, two_addresses), MemoryContext::new());
    for _ in 0..3 {
        let first = dial(&mut dialer, &mut cx).unwrap();
        let second = try_next(&mut dialer, &mut cx, &mut log).expect("there is another address");
        let addresses = [first, second].map(|id| cx.lines[&id].address.to_string());
        assert_eq!(addresses, ["10.0.0.1:12345", "10.0.0.2:12345"]);
        assert_eq!(cx.lines[&second].deadline, Some(Duration::from_secs(9)));
        assert!(cx.timers.is_empty());
        assert_eq!(try_next(&mut dialer, &mut cx, &mut log), None);
        assert!(dialer.retry(&mut cx, "refused", &mut log));
        assert!(cx.timers.remove(&DIAL).is_some());
    }
}

#[test]
fn an_attempt_counts_once_however_many_addresses_there_are() {
    let mut log = LogBudget::default();
    let once = Retry { max_attempts: 2, ..RETRY };
    let (mut dialer, mut cx) = (dialer(once, two_addresses), MemoryContext::new());
    for another in [true, false] {
        dial(&mut dialer, &mut cx).unwrap();
        assert!(try_next(&mut dialer, &mut cx, &mut log).is_some());
        assert_eq!(dialer.retry(&mut cx, "refused", &mut log), another);
    }
}

/// Addresses that attempts begin at when each of them comes to a connection, and is then lost.
fn begun(attempts: usize, useful: bool) -> Vec<String> {
    let (mut dialer, mut cx) = (dialer(RETRY, two_addresses), MemoryContext::new());
    let mut log = LogBudget::default();
    let attempt = |_| {
        let connection = dial(&mut dialer, &mut cx).unwrap();
        dialer.on_connect();
        if useful {
            dialer.on_progress();
        }
        assert_eq!(try_next(&mut dialer, &mut cx, &mut log), None, "the attempt is over");
        cx.lines[&connection].address.to_string()
    };
    (0..attempts).map(attempt).collect()
}

#[test]
fn a_central_that_brings_nothing_is_followed_by_the_next_one() {
    let (first, second) = ("10.0.0.1:12345", "10.0.0.2:12345");
    assert_eq!(begun(5, false), [first, second, first, second, first]);
    assert_eq!(begun(3, true), [first, first, first]);
}

#[test]
fn the_one_that_was_connected_to_in_vain_comes_last() {
    let (mut dialer, mut cx) = (dialer(RETRY, two_addresses), MemoryContext::new());
    let mut log = LogBudget::default();
    dial(&mut dialer, &mut cx).unwrap();
    dialer.on_connect();
    assert_eq!(try_next(&mut dialer, &mut cx, &mut log), None);
    let second = dial(&mut dialer, &mut cx).unwrap();
    let first = try_next(&mut dialer, &mut cx, &mut log).expect("it is still there");
    let addresses = [second, first].map(|id| cx.lines[&id].address.to_string());
    assert_eq!(addresses, ["10.0.0.2:12345", "10.0.0.1:12345"]);
}

#[test]
fn only_progress_makes_pauses_short_again() {
    let limit = Retry { max_attempts: 4, ..RETRY };
    let (mut dialer, mut cx) = (dialer(limit, two_addresses), MemoryContext::new());
    let mut log = LogBudget::default();
    for round in 0..2 {
        for (attempt, at_least) in [50, 100, 200].into_iter().enumerate() {
            dialer.on_connect();
            let pause = match attempt {
                1 => dialer.back_off(),
                _ => dialer.retry(&mut cx, "closed", &mut log).then(|| cx.timers[&DIAL]),
            };
            let pause = pause.expect("below the limit");
            assert!(pause >= Duration::from_millis(at_least), "{round}: {pause:?}");
        }
        if round == 0 {
            dialer.on_progress();
        }
    }
    assert!(!dialer.retry(&mut cx, "closed", &mut log));
}

#[test]
fn a_name_that_stands_for_nothing_is_an_error() {
    let mut cx = MemoryContext::new();
    let error = dial(&mut dialer(RETRY, |_| Ok(Vec::new())), &mut cx).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    let mut dialer = dialer(RETRY, |_| Err(io::ErrorKind::NotFound.into()));
    let error = dial(&mut dialer, &mut cx).unwrap_err();
    assert_eq!(error.to_string(), "entity not found");
    assert!(cx.lines.is_empty());
}

#[test]
fn an_address_is_called_at_once() {
    for address in ["10.0.0.1:12345", "[2001:db8::1]:12345"] {
        let (timeout, mut cx) = (Duration::from_secs(9), MemoryContext::new());
        let dialer = Dialer::new(address.into(), RETRY, timeout, 7);
        let mut dialer = dialer.resolving(|name| panic!("{name} needs no look-up"));
        dialer.dial(&mut cx).unwrap();
        let connection = dialer.connection().unwrap();
        assert_eq!(cx.lines[&connection].address.to_string(), address);
    }
}

#[test]
fn a_look_up_that_takes_too_long_is_a_failed_attempt() {
    let (mut dialer, mut cx) = (dialer(RETRY, two_addresses), MemoryContext::new());
    dialer.dial(&mut cx).unwrap();
    let error = dialer.on_resolve_timeout(&mut cx).unwrap_err();
    assert_eq!(error.to_string(), "the name wasn't looked up within 9s");
    let answer = cx.read_attached();
    dialer.on_resolved(&mut cx, &answer).unwrap();
    assert_eq!(dialer.connection(), None, "nothing waits for it");
    cx.lines.clear();
    assert!(dial(&mut dialer, &mut cx).is_ok());
}
