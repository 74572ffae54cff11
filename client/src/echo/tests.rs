//! The echo loop, event by event.

mod security;

use super::*;
use crate::config::{Mode, Retry};
use crate::exit_schedule::ExitDelays;
use crate::log_budget::LogLimits;
use crate::test_world::World;
use runtime::logging::{Format, LevelFilter};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_mins(1);

fn echoing(loop_amount: u32, max_attempts: u32) -> World<EchoLoop> {
    let (min_delay, max_delay) = (Duration::from_millis(100), Duration::from_secs(1));
    let config = Config {
        id: 3,
        draw: None,
        addresses: vec!["127.0.0.1:12345".into()],
        loop_amount,
        loop_period: PERIOD,
        level: LevelFilter::Off,
        format: Format::Text,
        max_amount: 100,
        window: 8,
        mode: Mode::Echo,
        data_check: true,
        quiet_delay: Duration::ZERO,
        retry: Retry { min_delay, max_delay, max_attempts },
        response_timeout: TIMEOUT,
        draw_wait: TIMEOUT,
        exit_delays: ExitDelays::default(),
        log_limits: LogLimits::default(),
        tls: None,
    };
    World::new(EchoLoop::new(&config, 1))
}

fn message(number: u32) -> String {
    format!("[CLIENT 3] Message N°{number}\n")
}

#[test]
fn each_message_has_a_connection_of_its_own_and_a_pause_before_the_next() {
    let mut world = echoing(3, 0);
    for number in 1..=3 {
        world.open();
        assert_eq!(world.sent(), message(number).as_bytes());
        assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
        world.receive(message(number).as_bytes());
        assert!(world.ids().is_empty(), "closed after its answer");
        if number < 3 {
            assert_eq!(world.fire(), PERIOD);
        }
    }
    assert!(world.is_stopping() && world.timers().is_empty(), "no pause after the last");
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    let mut world = echoing(1, 0);
    world.open();
    for byte in message(1).as_bytes() {
        assert!(!world.is_stopping());
        world.receive(&[*byte]);
    }
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn no_messages_are_done_at_once() {
    let world = echoing(0, 0);
    assert!(world.ids().is_empty() && world.is_stopping());
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn a_server_that_is_not_up_yet_is_called_again() {
    let mut world = echoing(1, 0);
    for _ in 0..100 {
        world.refuse();
        assert!(world.fire() <= Duration::from_secs(1));
    }
    world.open();
    assert_eq!(world.sent(), message(1).as_bytes(), "still the first message");
}

#[test]
fn the_limit_of_attempts_ends_it() {
    let mut world = echoing(1, 2);
    world.refuse();
    world.fire();
    world.refuse();
    assert!(world.is_stopping() && world.timers().is_empty());
    assert_eq!(world.into_handler().close(), End::Failed);
}

#[test]
fn a_connection_begins_the_count_of_attempts_anew() {
    let mut world = echoing(2, 2);
    world.refuse();
    world.fire();
    world.open();
    world.receive(message(1).as_bytes());
    world.fire();
    world.refuse();
    assert!(!world.is_stopping());
}

#[test]
fn whatever_isnt_the_message_ends_it() {
    let failures: [fn(&mut World<EchoLoop>); 5] = [
        |world| world.receive(b"[CLIENT 3] Message\n"),
        |world| world.receive(&[b'x'; LINE_MAX + 1]),
        World::end,
        World::expire,
        World::reset,
    ];
    for failure in failures {
        let mut world = echoing(2, 0);
        world.open();
        failure(&mut world);
        assert!(world.is_stopping() && world.timers().is_empty());
        assert_eq!(world.into_handler().close(), End::Failed);
    }
}

#[test]
fn the_last_line_can_be_held_back() {
    let mut world = echoing(1, 0);
    let announce = Duration::from_secs(3);
    world.handler().exit_schedule =
        ExitSchedule::new(ExitDelays { announce, exit: Duration::from_secs(1) });
    world.open();
    world.receive(message(1).as_bytes());
    assert!(world.ids().is_empty() && !world.is_stopping());
    assert_eq!([world.fire(), world.fire()], [announce, Duration::from_secs(1)]);
    assert!(world.is_stopping());
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn a_name_is_looked_up_for_each_message_and_never_waited_for() {
    let resolve = |_: &str| Ok(vec![([10, 0, 0, 1], 12345).into()]);
    let mut handler = echoing(2, 0).into_handler();
    let retry = handler.config.retry;
    let dialer = Dialer::new(vec!["central:12345".into()], retry, TIMEOUT, 1);
    (handler.dialer, handler.number) = (dialer.resolving(resolve), 0);
    let mut world = World::new(handler);
    for number in 1..=2 {
        world.resolve();
        assert_eq!(world.address(world.id()), "10.0.0.1:12345");
        world.open();
        world.receive(message(number).as_bytes());
        if number < 2 {
            world.fire();
        }
    }
    assert_eq!(world.into_handler().close(), End::Complete);
    let mut handler = echoing(2, 0).into_handler();
    handler.dialer = Dialer::new(vec!["central:12345".into()], retry, TIMEOUT, 1).resolving(|_| {
        loop {
            std::thread::park();
        }
    });
    let mut world = World::new(handler);
    world.expire();
    world.fire();
    world.interrupt();
    assert_eq!((world.timers().len(), world.into_handler().close()), (0, End::Interrupted));
}

#[test]
fn a_signal_ends_it_at_once() {
    let mut world = echoing(2, 0);
    world.open();
    world.interrupt();
    assert_eq!((world.aborted(), world.ids().len()), (1, 0));
    assert_eq!(world.into_handler().close(), End::Interrupted);
}
