//! Sessions with one of several centrals: each failure leads to the next.

use super::*;

/// The addresses of so many centrals.
fn addresses(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("10.0.0.{number}:12345")).collect()
}

/// The agency of these tests, which is told of so many centrals.
fn driving_to(count: usize, max_attempts: u32) -> Driving {
    let config = Config { addresses: addresses(count), ..config(max_attempts) };
    let pace = Pace { max_amount: 2, window: 2, period: Duration::ZERO };
    let agency = Agency::new(7, pace, MemorySource::new((0..BETS).map(row).collect()));
    World::new(Driver::new(agency, &config, 1, None))
}

#[test]
fn a_central_that_is_lost_is_followed_by_the_next_where_that_one_stands() {
    let mut world = driving_to(3, 0);
    assert_eq!(world.address(world.id()), addresses(3)[0]);
    world.open();
    world.receive(&[welcome(0), stored(2)].concat());
    world.reset();
    assert!(world.fire() <= Duration::from_millis(10));
    assert_eq!(world.address(world.id()), addresses(3)[1]);
    world.refuse();
    assert!(world.fire() <= Duration::from_millis(10));
    assert_eq!(world.address(world.id()), addresses(3)[2]);
    world.open();
    assert_eq!(requests(&mut world), ["hello 7"]);
    world.receive(&welcome(4));
    assert_eq!(requests(&mut world), ["batch 4+1"]);
    let finished = bytes(&Response::Finished { stored: 5, rejected: 0 });
    world.receive(&[stored(5), finished, winners(true)].concat());
    assert_eq!(world.into_handler().close(), End::Complete);
}

/// While it waits for the draw too, and without asking for what it has been told.
#[test]
fn a_central_that_ends_while_the_draw_is_awaited_is_followed_by_the_next() {
    let finished = bytes(&Response::Finished { stored: 5, rejected: 0 });
    let mut world = driving_to(2, 0);
    world.open();
    world.receive(&[welcome(0), stored(2), stored(4), stored(5), finished].concat());
    world.receive(&error(ErrorCode::ShuttingDown));
    assert!(world.fire() <= Duration::from_millis(10));
    assert_eq!(world.address(world.id()), addresses(2)[1]);
    world.open();
    let (consumed, checksum, phase) = (BETS as u64, checksum(BETS), Phase::Finished);
    world.receive(&bytes(&Response::Welcome { consumed, checksum, rejected: 0, phase }));
    assert_eq!(requests(&mut world), ["hello 7", "winners?"]);
    world.receive(&winners(true));
    assert_eq!(world.into_handler().close(), End::Complete);
}

/// One that is frozen keeps its connections, and says nothing.
#[test]
fn who_waits_long_for_the_draw_asks_the_next_central_and_that_is_no_failure() {
    let finished = bytes(&Response::Finished { stored: 5, rejected: 0 });
    let mut world = driving_to(2, 2);
    world.open();
    world.receive(&[welcome(0), stored(2), stored(4), stored(5), finished].concat());
    for round in 0..10 {
        assert_eq!(world.deadline(world.id()), Some(DRAW_WAIT), "round {round}");
        world.expire();
        assert!(world.fire() <= Duration::from_millis(10));
        assert_eq!(world.address(world.id()), addresses(2)[(round + 1) % 2]);
        world.open();
        let (consumed, checksum, phase) = (BETS as u64, checksum(BETS), Phase::Finished);
        world.receive(&bytes(&Response::Welcome { consumed, checksum, rejected: 0, phase }));
        assert_eq!(requests(&mut world).last().map(String::as_str), Some("winners?"));
    }
    world.receive(&winners(true));
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn an_error_that_another_central_may_not_answer_with_leads_there_and_any_other_is_final() {
    let codes = (0..=u8::MAX).filter_map(|code| ErrorCode::try_from(code).ok());
    for code in codes {
        let mut world = driving_to(2, 0);
        world.open();
        world.receive(&error(code));
        assert_eq!(world.is_stopping(), !code.is_transient_elsewhere(), "{code:?}");
        if world.is_stopping() {
            assert!(world.timers().is_empty(), "{code:?}");
            assert_eq!(world.into_handler().close(), End::Failed);
            continue;
        }
        world.fire();
        assert_eq!(world.address(world.id()), addresses(2)[1], "{code:?}");
    }
}

/// Behind all centrals it is as ever: what was acknowledged can't be taken back.
#[test]
fn a_central_that_knows_less_than_another_has_acknowledged_ends_it() {
    let mut world = driving_to(2, 0);
    world.open();
    world.receive(&[welcome(0), stored(2)].concat());
    world.reset();
    world.fire();
    world.open();
    world.receive(&welcome(0));
    assert!(world.is_stopping() && world.timers().is_empty());
    assert_eq!(world.into_handler().close(), End::Failed);
}

/// How an attempt fails.
#[derive(Debug, Clone, Copy)]
enum Failing {
    Refused,
    NeverOpen,
    Reset,
    Ended,
    Silent,
    Answered(ErrorCode),
    /// One more bet is acknowledged before.
    AfterProgress,
}

fn any_failing() -> impl Strategy<Value = Failing> {
    let codes = [
        ErrorCode::ShuttingDown,
        ErrorCode::Superseded,
        ErrorCode::StoreUnreachable,
        ErrorCode::Timeout,
    ];
    prop_oneof![
        Just(Failing::Refused),
        Just(Failing::NeverOpen),
        Just(Failing::Reset),
        Just(Failing::Ended),
        Just(Failing::Silent),
        prop::sample::select(codes.to_vec()).prop_map(Failing::Answered),
        Just(Failing::AfterProgress),
    ]
}

/// Lets the attempt that is under way fail so; returns whether the agency got further before.
fn fail(world: &mut Driving, failing: Failing, acknowledged: &mut usize) -> bool {
    match failing {
        Failing::Refused => world.refuse(),
        Failing::NeverOpen => world.expire(),
        Failing::Reset | Failing::Ended | Failing::Silent | Failing::Answered(_) => world.open(),
        Failing::AfterProgress => {
            world.open();
            let before = *acknowledged;
            // The last bet is left: an end would be owed next.
            *acknowledged = (before + 1).min(BETS - 1);
            world.receive(&welcome(*acknowledged));
            world.reset();
            return *acknowledged > before;
        }
    }
    match failing {
        Failing::Reset => world.reset(),
        Failing::Ended => world.end(),
        Failing::Silent => world.expire(),
        Failing::Answered(code) => world.receive(&error(code)),
        Failing::Refused | Failing::NeverOpen | Failing::AfterProgress => {}
    }
    false
}

proptest! {
    /// Whatever fails, in whatever order: the centrals are called round and round, so that each is within
    /// a round; pauses are brief until all have failed in a row, and not after; and the agency gives up
    /// after as many failures in a row as the limit says, however many centrals there are.
    #[test]
    fn any_failures_lead_round_all_centrals_within_one_budget(
        count in 2..6_usize,
        max_attempts in 2..12_u32,
        failures in prop::collection::vec(any_failing(), 1..40),
    ) {
        let mut world = driving_to(count, max_attempts);
        let (mut in_a_row, mut acknowledged) = (0, 0);
        for (attempt, failing) in failures.into_iter().enumerate() {
            let expected = addresses(count).swap_remove(attempt % count);
            prop_assert_eq!(world.address(world.id()), expected);
            if fail(&mut world, failing, &mut acknowledged) {
                in_a_row = 0;
            }
            in_a_row += 1;
            prop_assert_eq!(world.is_stopping(), in_a_row == max_attempts, "{} in a row", in_a_row);
            if world.is_stopping() {
                prop_assert_eq!(world.into_handler().close(), End::Failed);
                return Ok(());
            }
            let pause = world.fire();
            let is_brief = pause <= Duration::from_millis(10);
            prop_assert_eq!(is_brief, (in_a_row as usize) < count, "{:?}: {} in a row", pause, in_a_row);
        }
    }
}
