//! Attempts, event by event.

mod security;
mod several;

use super::*;
use crate::test_world::World;
use reactor::testing::NoHandler;

const RETRY: Retry = Retry {
    min_delay: Duration::from_millis(100),
    max_delay: Duration::from_secs(5),
    max_attempts: 0,
};

fn dialer(retry: Retry, resolve: Resolve) -> Dialer {
    let timeout = Duration::from_secs(9);
    Dialer::new(vec!["central:12345".into()], retry, timeout, 7).resolving(resolve)
}

/// Begins an attempt, and lets the thread look the name up.
fn dial(dialer: &mut Dialer, world: &mut World<NoHandler>) -> io::Result<ConnectionId> {
    dialer.dial(world.cx())?;
    assert_eq!(dialer.connection(), None, "no connection before the name is looked up");
    let (_, answer) = world.read_attached();
    let resolver = world.ids().into_iter().find(|id| dialer.is_resolver(*id)).expect("a look-up");
    world.drop_connections();
    dialer.on_resolved(world.cx(), resolver, &answer)?;
    Ok(dialer.connection().expect("it was waited for"))
}

fn try_next(
    dialer: &mut Dialer,
    world: &mut World<NoHandler>,
    log: &mut LogBudget,
) -> Option<ConnectionId> {
    dialer.try_next(world.cx(), "refused", log).then(|| dialer.connection().expect("it was begun"))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in for a lookup that can fail")]
fn two_addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    assert_eq!(name, "central:12345");
    Ok(vec![([10, 0, 0, 1], 12345).into(), ([10, 0, 0, 2], 12345).into()])
}

#[test]
fn all_addresses_are_tried_before_there_is_a_pause() {
    let mut log = LogBudget::default();
    let (mut dialer, mut world) = (dialer(RETRY, two_addresses), World::without_handler());
    for _ in 0..3 {
        let first = dial(&mut dialer, &mut world).unwrap();
        let second = try_next(&mut dialer, &mut world, &mut log).expect("there is another address");
        let addresses = [first, second].map(|id| world.address(id));
        assert_eq!(addresses, ["10.0.0.1:12345", "10.0.0.2:12345"]);
        assert_eq!(world.deadline(second), Some(Duration::from_secs(9)));
        assert!(world.timers().is_empty());
        assert_eq!(try_next(&mut dialer, &mut world, &mut log), None);
        assert!(dialer.retry(world.cx(), "refused", &mut log));
        assert!(world.take_timer(DIAL).is_some());
    }
}

#[test]
fn an_attempt_counts_once_however_many_addresses_there_are() {
    let mut log = LogBudget::default();
    let once = Retry { max_attempts: 2, ..RETRY };
    let (mut dialer, mut world) = (dialer(once, two_addresses), World::without_handler());
    for another in [true, false] {
        dial(&mut dialer, &mut world).unwrap();
        assert!(try_next(&mut dialer, &mut world, &mut log).is_some());
        assert_eq!(dialer.retry(world.cx(), "refused", &mut log), another);
    }
}

/// Addresses that attempts begin at when each of them comes to a connection, and is then lost.
fn begun(attempts: usize, useful: bool) -> Vec<String> {
    let (mut dialer, mut world) = (dialer(RETRY, two_addresses), World::without_handler());
    let mut log = LogBudget::default();
    let attempt = |_| {
        let connection = dial(&mut dialer, &mut world).unwrap();
        dialer.on_connect();
        if useful {
            dialer.on_progress();
        }
        assert_eq!(try_next(&mut dialer, &mut world, &mut log), None, "the attempt is over");
        world.address(connection)
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
    let (mut dialer, mut world) = (dialer(RETRY, two_addresses), World::without_handler());
    let mut log = LogBudget::default();
    dial(&mut dialer, &mut world).unwrap();
    dialer.on_connect();
    assert_eq!(try_next(&mut dialer, &mut world, &mut log), None);
    let second = dial(&mut dialer, &mut world).unwrap();
    let first = try_next(&mut dialer, &mut world, &mut log).expect("it is still there");
    let addresses = [second, first].map(|id| world.address(id));
    assert_eq!(addresses, ["10.0.0.2:12345", "10.0.0.1:12345"]);
}

#[test]
fn only_progress_makes_pauses_short_again() {
    let limit = Retry { max_attempts: 4, ..RETRY };
    let (mut dialer, mut world) = (dialer(limit, two_addresses), World::without_handler());
    let mut log = LogBudget::default();
    for round in 0..2 {
        for (attempt, at_least) in [50, 100, 200].into_iter().enumerate() {
            dialer.on_connect();
            let pause = match attempt {
                1 => dialer.back_off(),
                _ => dialer.retry(world.cx(), "closed", &mut log).then(|| world.timers()[&DIAL]),
            };
            let pause = pause.expect("below the limit");
            assert!(pause >= Duration::from_millis(at_least), "{round}: {pause:?}");
        }
        if round == 0 {
            dialer.on_progress();
        }
    }
    assert!(!dialer.retry(world.cx(), "closed", &mut log));
}

#[test]
fn a_name_that_stands_for_nothing_is_an_error() {
    let mut world = World::without_handler();
    let error = dial(&mut dialer(RETRY, |_| Ok(Vec::new())), &mut world).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    let mut dialer = dialer(RETRY, |_| Err(io::ErrorKind::NotFound.into()));
    let error = dial(&mut dialer, &mut world).unwrap_err();
    assert_eq!(error.to_string(), "entity not found");
    assert!(world.ids().is_empty());
}

#[test]
fn an_address_is_called_at_once() {
    for address in ["10.0.0.1:12345", "[2001:db8::1]:12345"] {
        let (timeout, mut world) = (Duration::from_secs(9), World::without_handler());
        let dialer = Dialer::new(vec![address.into()], RETRY, timeout, 7);
        let mut dialer = dialer.resolving(|name| panic!("{name} needs no look-up"));
        dialer.dial(world.cx()).unwrap();
        let connection = dialer.connection().unwrap();
        assert_eq!(world.address(connection), address);
    }
}

#[test]
fn a_look_up_that_takes_too_long_is_a_failed_attempt() {
    let (mut dialer, mut world) = (dialer(RETRY, two_addresses), World::without_handler());
    dialer.dial(world.cx()).unwrap();
    let error = dialer.on_resolve_timeout(world.cx()).unwrap_err();
    assert_eq!(error.to_string(), "the name wasn't looked up within 9s");
    let (_, answer) = world.read_attached();
    let resolver = world.id();
    dialer.on_resolved(world.cx(), resolver, &answer).unwrap();
    assert_eq!(dialer.connection(), None, "nothing waits for it");
    world.drop_connections();
    assert!(dial(&mut dialer, &mut world).is_ok());
}
