//! Several centrals: which is called when, and after which pause.

use super::*;

/// At the addresses 10.0.0.1 to 10.0.0.3, which need no look-up.
fn three_centrals(retry: Retry) -> Dialer {
    let addresses = (1..=3).map(|number| format!("10.0.0.{number}:12345")).collect();
    let unasked: Resolve = |name| panic!("{name} needs no look-up");
    Dialer::new(addresses, retry, Duration::from_secs(9), 7).resolving(unasked)
}

/// Begins an attempt that comes to a connection; returns the last part of its address.
fn call(dialer: &mut Dialer, world: &mut World<NoHandler>) -> String {
    dialer.dial(world.cx()).unwrap();
    let address = world.address(dialer.connection().unwrap());
    dialer.on_connect();
    world.drop_connections();
    address.strip_prefix("10.0.0.").and_then(|rest| rest.strip_suffix(":12345")).unwrap().to_owned()
}

/// The attempt has failed; returns the pause before the next one, if there is one.
fn fail(dialer: &mut Dialer, world: &mut World<NoHandler>) -> Option<Duration> {
    let goes_on = dialer.retry(world.cx(), "refused", &mut LogBudget::default());
    goes_on.then(|| world.take_timer(DIAL).expect("a pause"))
}

/// Whether a pause is drawn from the upper half of this one, in milliseconds.
fn is_of(pause: Option<Duration>, whole: u64) -> bool {
    let whole = Duration::from_millis(whole);
    pause.is_some_and(|pause| (whole / 2..=whole).contains(&pause))
}

#[test]
fn pauses_are_brief_in_the_first_round_and_then_grow_with_each_failure() {
    let (mut dialer, mut world) = (three_centrals(RETRY), World::without_handler());
    for expected in ["12312312", "31231231"] {
        let mut order = String::new();
        for whole in [10, 10, 100, 200, 400, 800, 1600] {
            order += &call(&mut dialer, &mut world);
            let pause = fail(&mut dialer, &mut world);
            assert!(is_of(pause, whole), "{pause:?} of {whole} ms");
        }
        order += &call(&mut dialer, &mut world);
        assert_eq!(order, expected);
        dialer.on_progress();
        assert!(is_of(fail(&mut dialer, &mut world), 10), "the next one hasn't failed since");
        dialer.on_progress();
    }
}

#[test]
fn a_storage_that_is_unavailable_is_asked_by_the_same_central_after_growing_pauses() {
    let (mut dialer, mut world) = (three_centrals(RETRY), World::without_handler());
    assert_eq!(call(&mut dialer, &mut world), "1");
    for whole in [100, 200, 400] {
        assert!(is_of(dialer.back_off(), whole));
        assert_eq!(dialer.address(), "10.0.0.1:12345");
    }
    assert!(is_of(fail(&mut dialer, &mut world), 10), "the next one may store");
    assert_eq!(call(&mut dialer, &mut world), "2");
    assert!(is_of(dialer.back_off(), 800), "they have grown for all");
}

#[test]
fn the_budget_is_one_for_all_centrals_and_all_kinds_of_failures() {
    let limit = Retry { max_attempts: 5, ..RETRY };
    let (mut dialer, mut world) = (three_centrals(limit), World::without_handler());
    for _ in 0..2 {
        assert!(fail(&mut dialer, &mut world).is_some());
        assert!(dialer.back_off().is_some());
    }
    assert_eq!(fail(&mut dialer, &mut world), None, "the fifth");
}

#[test]
fn only_of_several_is_a_line_told_which_is_in_use() {
    let mut world = World::without_handler();
    let mut one = Dialer::new(vec!["10.0.0.1:1".into()], RETRY, Duration::from_secs(9), 7);
    one.dial(world.cx()).unwrap();
    assert_eq!((one.address_of_several(), one.address()), (None, "10.0.0.1:1"));
    let mut three = three_centrals(RETRY);
    assert_eq!(three.address_of_several(), None, "none was called");
    call(&mut three, &mut world);
    assert_eq!(three.address_of_several(), Some("10.0.0.1:12345"));
}

/// A central whose name can't be looked up is one that fails, and the others have answers of their own.
#[test]
fn each_central_is_looked_up_by_its_name() {
    let resolve: Resolve = |name| match name {
        "first:1" => Err(io::ErrorKind::NotFound.into()),
        "second:2" => Ok(vec![([10, 0, 0, 2], 2).into(), ([10, 0, 0, 22], 2).into()]),
        other => panic!("{other} isn't configured"),
    };
    let addresses = vec!["first:1".into(), "second:2".into(), "10.0.0.3:3".into()];
    let dialer = Dialer::new(addresses, RETRY, Duration::from_secs(9), 7);
    let (mut dialer, mut world) = (dialer.resolving(resolve), World::without_handler());
    dial(&mut dialer, &mut world).unwrap_err();
    assert!(is_of(fail(&mut dialer, &mut world), 10));
    let second = dial(&mut dialer, &mut world).unwrap();
    let log = &mut LogBudget::default();
    let other = try_next(&mut dialer, &mut world, log).expect("its name has two addresses");
    assert_eq!([second, other].map(|id| world.address(id)), ["10.0.0.2:2", "10.0.0.22:2"]);
    assert_eq!(try_next(&mut dialer, &mut world, log), None, "of this central there is no more");
    assert!(is_of(fail(&mut dialer, &mut world), 10));
    dialer.dial(world.cx()).unwrap();
    assert_eq!(world.address(dialer.connection().unwrap()), "10.0.0.3:3");
    assert!(is_of(fail(&mut dialer, &mut world), 100), "all have failed");
    assert_eq!(dialer.address(), "first:1");
}

/// A name server that doesn't answer costs the time-out, and the look-up goes on for the next round.
#[test]
fn a_look_up_that_hangs_keeps_no_other_central_waiting() {
    let stuck: Resolve = |_| loop {
        std::thread::park();
    };
    let addresses = vec!["first:1".into(), "10.0.0.2:2".into()];
    let dialer = Dialer::new(addresses, RETRY, Duration::from_secs(9), 7);
    let (mut dialer, mut world) = (dialer.resolving(stuck), World::without_handler());
    dialer.dial(world.cx()).unwrap();
    let look_up = world.id();
    dialer.on_resolve_timeout(world.cx()).unwrap_err();
    fail(&mut dialer, &mut world);
    dialer.dial(world.cx()).unwrap();
    let second = dialer.connection().expect("it needs no look-up");
    assert_eq!(world.address(second), "10.0.0.2:2");
    assert_eq!(world.deadline(look_up), None);
    dialer.on_resolved(world.cx(), look_up, b"10.0.0.1:1").unwrap();
    assert_eq!(dialer.connection(), Some(second), "the answer isn't wanted any more");
}
