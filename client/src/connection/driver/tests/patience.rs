//! How long a response is awaited, and after how many attempts a driver gives up.

use super::*;

#[test]
fn the_limit_of_attempts_ends_it() {
    let mut world = driving_with(3, Duration::ZERO);
    for _ in 0..2 {
        world.refuse();
        world.fire();
    }
    // Bets that are acknowledged begin the count anew.
    world.open();
    world.receive(&[welcome(0), stored(2)].concat());
    for _ in 0..2 {
        world.reset();
        world.fire();
    }
    assert!(!world.is_stopping());
    world.refuse();
    assert!(world.is_stopping() && world.timers().is_empty());
    assert_eq!(world.into_handler().close(), End::Failed);
}

/// Attempts whose connections end after the responses `answers`, up to the limit of 6.
fn attempts_in_vain(answers: &[u8]) -> (u32, Vec<Duration>) {
    let mut world = driving_with(6, Duration::ZERO);
    let (mut attempts, mut pauses) = (0, Vec::new());
    while !world.is_stopping() {
        attempts += 1;
        assert!(attempts < 100, "for ever");
        world.open();
        if !answers.is_empty() {
            world.receive(answers);
        }
        if !world.ids().is_empty() {
            world.end();
        }
        if !world.is_stopping() {
            pauses.push(world.fire());
        }
    }
    assert_eq!(world.into_handler().close(), End::Failed);
    (attempts, pauses)
}

#[test]
fn a_central_that_answers_and_brings_nothing_further_is_given_up() {
    let full = bytes(&Response::Unavailable { consumed: 0, reason: "full" });
    let part = &stored(2)[..3];
    for answers in [
        vec![],
        welcome(0),
        [welcome(0), error(ErrorCode::Timeout)].concat(),
        [&welcome(0)[..], part].concat(),
        [welcome(0), full].concat(),
    ] {
        let (attempts, pauses) = attempts_in_vain(&answers);
        assert_eq!(attempts, 6);
        for (pause, least) in pauses.into_iter().zip([50, 100, 200, 400, 800]) {
            assert!(pause >= Duration::from_millis(least), "{pause:?}: pauses grow");
        }
    }
    // Each position counts once, and so does the end.
    assert_eq!(attempts_in_vain(&[welcome(0), stored(2)].concat()).0, 2, "it went back behind 2");
    let finished = bytes(&Response::Finished { stored: 5, rejected: 0 });
    let all = [welcome(0), stored(2), stored(4), stored(5), finished].concat();
    assert_eq!(attempts_in_vain(&all).0, 2, "it went back behind the end");
}

#[test]
fn progress_however_small_makes_the_agency_patient_anew() {
    let mut world = driving_with(2, Duration::ZERO);
    for consumed in [0, 1, 2, 3, 4] {
        world.open();
        world.receive(&welcome(consumed));
        world.end();
        if !world.is_stopping() && consumed < 4 {
            assert!(world.fire() <= Duration::from_millis(200));
        }
    }
    assert!(!world.is_stopping());
}

#[test]
fn silence_for_too_long_is_a_lost_connection() {
    let mut world = driving();
    world.expire();
    redial(&mut world);
    world.receive(&welcome(0));
    world.expire();
    redial(&mut world);
    assert_eq!(requests(&mut world), ["hello 7"]);
}

/// A response that isn't whole has a deadline whatever was owed, and bytes don't extend it.
#[test]
fn a_response_that_has_begun_is_waited_for_once() {
    let finished = bytes(&Response::Finished { stored: 5, rejected: 0 });
    let all = [welcome(0), stored(2), stored(4), stored(5), finished].concat();
    let mut world = driving();
    world.open();
    world.receive(&all);
    assert_eq!(world.deadline(world.id()), None, "the draw may take for ever");
    let list = winners(true);
    world.receive(&list[..1]);
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
    // Half of it is over: it isn't set anew.
    world.pass(TIMEOUT / 2);
    for byte in &list[1..list.len() - 1] {
        world.receive(&[*byte]);
        assert_eq!(world.deadline(world.id()), Some(TIMEOUT / 2));
    }
    world.receive(&list[list.len() - 1..]);
    assert_eq!(world.into_handler().close(), End::Complete);
    // Between the frames of a list too.
    let mut world = driving();
    world.open();
    world.receive(&[all, winners(false)].concat());
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
}

#[test]
fn a_storage_that_is_unavailable_is_given_time_and_asked_again() {
    let mut world = driving();
    world.open();
    world.receive(&welcome(0));
    world.sent();
    let full = bytes(&Response::Unavailable { consumed: 0, reason: "full" });
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        world.receive(&full);
        assert!(world.timers().is_empty(), "another answer is still on its way");
        world.receive(&full);
        assert_eq!(world.deadline(world.id()), None, "nothing is owed meanwhile");
        longest = longest.max(world.fire());
        assert_eq!(requests(&mut world), ["batch 0+2", "batch 2+2"]);
    }
    assert!(longest >= Duration::from_millis(2500), "pauses grow: {longest:?}");
    world.receive(&stored(2));
    assert_eq!(requests(&mut world), ["batch 4+1"]);
    let full = bytes(&Response::Unavailable { consumed: 2, reason: "full" });
    world.receive(&[full.clone(), full].concat());
    assert!(world.fire() <= Duration::from_millis(100), "and begin anew");
}

#[test]
fn a_period_is_a_pause_between_an_answer_and_the_next_batch() {
    let mut world = driving_with(0, PERIOD);
    world.open();
    world.sent();
    world.receive(&welcome(0));
    assert_eq!(requests(&mut world), ["batch 0+2"]);
    world.receive(&stored(2));
    assert!(requests(&mut world).is_empty());
    assert_eq!(world.fire(), PERIOD);
    assert_eq!(requests(&mut world), ["batch 2+2"]);
    world.receive(&stored(4));
    world.reset();
    redial(&mut world);
    assert_eq!(requests(&mut world), ["hello 7"], "the pause went with the connection");
}
