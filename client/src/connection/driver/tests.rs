//! A driver with a real agency, over buffers: every way in which a connection can go.

mod patience;
mod security;
mod several;

use super::*;
use crate::config::{Mode, Retry};
use crate::exit_schedule::ExitDelays;
use crate::log_budget::LogLimits;
use crate::session::agency::{Agency, Pace};
use crate::source::memory_source::MemorySource;
use crate::test_world::World;
use proptest::prelude::*;
use runtime::logging::{Format, LevelFilter};
use std::io;
use std::time::Duration;
use wire::{BatchBuilder, Bet, Checksum, ErrorCode, Phase, Request, WinnersBuilder};

const TIMEOUT: Duration = Duration::from_mins(1);
const DRAW_WAIT: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_secs(5);

fn config(max_attempts: u32) -> Config {
    let (min_delay, max_delay) = (Duration::from_millis(100), Duration::from_secs(5));
    Config {
        id: 7,
        draw: None,
        addresses: vec!["127.0.0.1:12345".into()],
        loop_amount: 5,
        loop_period: Duration::ZERO,
        level: LevelFilter::Off,
        format: Format::Text,
        max_amount: 2,
        window: 2,
        mode: Mode::Echo,
        data_check: true,
        quiet_delay: Duration::ZERO,
        retry: Retry { min_delay, max_delay, max_attempts },
        response_timeout: TIMEOUT,
        draw_wait: DRAW_WAIT,
        exit_delays: ExitDelays::default(),
        log_limits: LogLimits::default(),
        tls: None,
    }
}

const BETS: usize = 5;

fn row(index: usize) -> [Vec<u8>; wire::field::FIELDS] {
    ["Ana", "Paz", &index.to_string(), "2000-01-01", "7574"].map(|field| field.as_bytes().to_vec())
}

type Driving = World<Driver<Agency<MemorySource>>>;

/// An agency of five bets, two in a batch and two batches in the window.
fn driving_with(max_attempts: u32, period: Duration) -> Driving {
    let pace = Pace { max_amount: 2, window: 2, period };
    let agency = Agency::new(7, pace, MemorySource::new((0..BETS).map(row).collect()));
    World::new(Driver::new(agency, &config(max_attempts), 1, None))
}

/// The same, but it must look the central's name up.
fn driving_by_name(max_attempts: u32, resolve: crate::connection::resolver::Resolve) -> Driving {
    let mut driver = driving_with(max_attempts, Duration::ZERO).into_handler();
    let retry = config(max_attempts).retry;
    driver.dialer = Dialer::new(vec!["central:12345".into()], retry, TIMEOUT, 1).resolving(resolve);
    World::new(driver)
}

fn driving() -> Driving {
    driving_with(0, Duration::ZERO)
}

/// The checksum of the first so many bets.
fn checksum(count: usize) -> Checksum {
    let mut batch = BatchBuilder::new();
    for fields in (0..count).map(row) {
        let bet = Bet::from_fields(fields.each_ref().map(Vec::as_slice));
        assert_eq!(batch.push(&bet), Ok(wire::Push::Added));
    }
    Checksum::default().extended(batch.batch(0).encoded)
}

fn bytes(response: &Response<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    response.encode(&mut out);
    out
}

fn welcome(count: usize) -> Vec<u8> {
    let (consumed, checksum) = (count as u64, checksum(count));
    bytes(&Response::Welcome { consumed, checksum, rejected: 0, phase: Phase::Open })
}

fn stored(consumed: u64) -> Vec<u8> {
    bytes(&Response::Stored { consumed })
}

fn error(code: ErrorCode) -> Vec<u8> {
    bytes(&Response::Error { code, reason: "because" })
}

fn winners(last: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = WinnersBuilder::new(&mut out);
    assert!(frame.push(b"30904465"));
    frame.finish(last);
    out
}

/// The requests sent since the last call, in short.
fn requests(world: &mut Driving) -> Vec<String> {
    let (sent, mut requests) = (world.sent(), Vec::new());
    let mut rest = &sent[..];
    while let Some(frame) = FrameDecoder::default().decode(rest).unwrap() {
        rest = &rest[frame.used()..];
        requests.push(match Request::decode(frame).unwrap() {
            Request::Hello { agency, draw: None } => format!("hello {agency}"),
            Request::Hello { agency, draw: Some(draw) } => format!("hello {agency} of {draw}"),
            Request::Batch(batch) => format!("batch {}+{}", batch.position, batch.count),
            Request::Bet(_) => "bet".to_owned(),
            Request::End { total } => format!("end {total}"),
            Request::Winners => "winners?".to_owned(),
        });
    }
    assert!(rest.is_empty(), "whole frames");
    requests
}

/// Waits out the pause before the next attempt, which must be one of a retry.
fn redial(world: &mut Driving) {
    let pause = world.fire();
    assert!(pause > Duration::ZERO && pause <= Duration::from_secs(5), "{pause:?}");
    world.open();
}

#[test]
fn a_whole_session() {
    let mut world = driving();
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT), "an attempt has a limit too");
    world.open();
    assert_eq!(requests(&mut world), ["hello 7"]);
    world.receive(&welcome(0));
    assert_eq!(requests(&mut world), ["batch 0+2", "batch 2+2"]);
    world.receive(&stored(2));
    assert_eq!(requests(&mut world), ["batch 4+1"]);
    world.receive(&[stored(4), stored(5)].concat());
    assert_eq!(requests(&mut world), ["end 5"]);
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
    world.receive(&bytes(&Response::Finished { stored: 5, rejected: 0 }));
    assert_eq!(requests(&mut world), ["winners?"]);
    assert_eq!(world.deadline(world.id()), None, "the draw may take for ever");
    world.receive(&winners(false));
    assert!(!world.is_stopping());
    world.receive(&winners(true));
    assert!(world.is_stopping());
    assert_eq!(world.handler().session.winners(), 2);
    assert_eq!(world.into_handler().close(), End::Complete);
}

/// An agency that holds its result back, up to the moment when it knows it.
fn holding() -> Driving {
    let delays = ExitDelays { announce: Duration::from_secs(3), exit: Duration::from_secs(1) };
    let mut config = config(0);
    config.exit_delays = delays;
    let pace = Pace { max_amount: 2, window: 2, period: Duration::ZERO };
    let mut world = World::new(Driver::new(
        Agency::new(7, pace, MemorySource::new(vec![row(0)])),
        &config,
        1,
        None,
    ));
    world.open();
    world.receive(&welcome(0));
    world.receive(&stored(1));
    world.receive(&bytes(&Response::Finished { stored: 1, rejected: 0 }));
    world.receive(&winners(true));
    world
}

#[test]
fn a_result_that_is_held_back_holds_no_connection() {
    let mut world = holding();
    assert!(world.ids().is_empty() && !world.is_stopping());
    assert_eq!(world.fire(), Duration::from_secs(3));
    assert!(!world.is_stopping());
    assert_eq!(world.fire(), Duration::from_secs(1));
    assert!(world.is_stopping());
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn a_signal_while_the_result_is_held_back_leaves_it_a_success() {
    let mut world = holding();
    world.interrupt();
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn a_connection_that_is_lost_is_taken_up_where_the_central_stands() {
    // The central had consumed 0 to 4 of the bets that were on their way.
    for consumed in [0, 2, 3, 4] {
        let mut world = driving();
        world.open();
        world.receive(&welcome(0));
        world.reset();
        redial(&mut world);
        assert_eq!(requests(&mut world), ["hello 7"]);
        world.receive(&welcome(consumed));
        let first = format!("batch {consumed}+{}", (BETS - consumed).min(2));
        assert_eq!(requests(&mut world)[0], first);
    }
}

#[test]
fn a_name_with_several_addresses_is_tried_to_its_end_and_then_from_its_beginning() {
    let mut world = driving_by_name(0, |_| {
        Ok(vec![([10, 0, 0, 1], 12345).into(), ([10, 0, 0, 2], 12345).into()])
    });
    world.resolve();
    let mut addresses = Vec::new();
    for is_established in [false, false, true, false] {
        addresses.push(world.address(world.id()));
        if is_established {
            world.open();
            world.reset();
        } else {
            world.refuse();
        }
        if world.ids().is_empty() {
            addresses.push("pause".into());
            world.fire();
            world.resolve();
        }
    }
    // Behind the one that was connected to in vain the next attempt begins at the other.
    let (first, second) = ("10.0.0.1:12345", "10.0.0.2:12345");
    assert_eq!(addresses, [first, second, "pause", first, "pause", second]);
    assert_eq!(world.address(world.id()), first);
}

/// A resolver that never returns.
fn stuck(_: &str) -> io::Result<Vec<SocketAddr>> {
    loop {
        std::thread::park();
    }
}

#[test]
fn a_signal_does_not_wait_for_a_look_up() {
    let mut world = driving_by_name(0, stuck);
    world.interrupt();
    // An answer that arrives now is dropped.
    world.resolve_to(b"10.0.0.1:12345");
    assert!(!world.is_connecting());
    assert!(world.timers().is_empty());
    assert_eq!(world.into_handler().close(), End::Interrupted);
}

#[test]
fn a_look_up_that_takes_too_long_is_a_failed_attempt_and_goes_on_in_the_next() {
    let mut world = driving_by_name(3, stuck);
    for _ in 0..2 {
        assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
        world.expire();
        assert_eq!(world.deadline(world.id()), None);
        world.fire();
    }
    world.resolve_to(b"10.0.0.1:12345");
    assert_eq!(world.address(world.id()), "10.0.0.1:12345");
    world.refuse();
    assert!(world.is_stopping(), "that was the third");
}

#[test]
fn an_unknown_name_and_a_thread_that_is_lost_are_failed_attempts() {
    let mut world = driving_by_name(2, |_| Err(io::Error::other("no such name")));
    world.resolve();
    world.fire();
    world.reset();
    assert!(world.is_stopping() && world.timers().is_empty());
    assert_eq!(world.into_handler().close(), End::Failed);
}

#[test]
fn a_central_that_is_not_up_yet_is_tried_again_and_again() {
    let mut world = driving();
    for _ in 0..100 {
        world.refuse();
        world.fire();
    }
    world.open();
    assert_eq!(requests(&mut world), ["hello 7"]);
}

#[test]
fn a_central_that_ends_the_connection_is_called_again() {
    let mut world = driving();
    world.open();
    assert_eq!(requests(&mut world), ["hello 7"]);
    world.end();
    redial(&mut world);
    assert_eq!(requests(&mut world), ["hello 7"]);
}

#[test]
fn an_error_that_may_pass_is_a_reason_to_call_again() {
    for code in
        [ErrorCode::Gap, ErrorCode::Timeout, ErrorCode::ShuttingDown, ErrorCode::StoreUnreachable]
    {
        let mut world = driving();
        world.open();
        world.receive(&[welcome(0), error(code)].concat());
        redial(&mut world);
        assert_eq!(requests(&mut world), ["hello 7"], "{code:?}");
    }
}

#[test]
fn what_follows_an_error_does_not_count() {
    for rest in [stored(2), stored(99), b"garbage".to_vec(), error(ErrorCode::Superseded)] {
        let mut world = driving();
        world.open();
        world.receive(&[welcome(0), error(ErrorCode::Timeout), rest].concat());
        redial(&mut world);
        assert_eq!(requests(&mut world)[0], "hello 7");
    }
}

#[test]
fn any_other_error_is_final() {
    let codes = (0..=u8::MAX).filter_map(|code| ErrorCode::try_from(code).ok());
    for code in codes.filter(|code| !code.is_transient()) {
        let mut world = driving();
        world.open();
        world.receive(&error(code));
        assert!(world.is_stopping() && world.timers().is_empty(), "{code:?}");
        assert_eq!(world.into_handler().close(), End::Failed);
    }
}

/// The name is said on each connection, and a refusal because of it is final.
#[test]
fn an_agency_of_a_draw_with_a_name_says_it_and_is_not_retried_when_it_is_another() {
    let draw = "2026-11-27".parse().ok();
    let pace = Pace { max_amount: 2, window: 2, period: Duration::ZERO };
    let agency = Agency::new(7, pace, MemorySource::new(vec![row(0)])).of_draw(draw);
    let config = Config { draw, ..config(0) };
    let mut world = World::new(Driver::new(agency, &config, 1, None));
    world.open();
    assert_eq!(requests(&mut world), ["hello 7 of 2026-11-27"]);
    world.end();
    redial(&mut world);
    assert_eq!(requests(&mut world), ["hello 7 of 2026-11-27"]);
    world.receive(&error(ErrorCode::WrongDraw));
    assert!(world.is_stopping() && world.timers().is_empty());
    let failure = Failure::Refused { code: ErrorCode::WrongDraw, reason: "because".into() };
    let explained = world.handler().explain(&failure);
    let start = "the central refuses, code 22: because; CLI_DRAW is 2026-11-27: ";
    assert!(explained.starts_with(start), "{explained}");
    assert_eq!(world.into_handler().close(), End::Failed);
}

#[test]
fn what_is_no_answer_is_final() {
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\xbe\x7f\x00\x04", b"\xbe\x82\x00\x05x"]
    {
        let mut world = driving();
        world.open();
        world.receive(garbage);
        assert!(world.is_stopping());
        assert_eq!(world.into_handler().close(), End::Failed);
    }
}

#[test]
fn an_input_that_is_not_the_one_sent_before_is_final_and_nothing_is_sent() {
    let mut world = driving();
    world.open();
    world.sent();
    let (consumed, checksum) = (2, Checksum(1));
    let phase = Phase::Open;
    world.receive(&bytes(&Response::Welcome { consumed, checksum, rejected: 0, phase }));
    // Skipping is done a slice a turn.
    if !world.is_stopping() {
        world.fire();
    }
    assert!(world.is_stopping() && requests(&mut world).is_empty());
    assert_eq!(world.into_handler().close(), End::Failed);
}

#[test]
fn a_signal_ends_it_at_once_wherever_it_is() {
    let stages: [fn(&mut Driving); 4] = [
        |_| {},
        |world| world.open(),
        |world| {
            world.open();
            world.receive(&welcome(0));
        },
        |world| world.refuse(),
    ];
    for stage in stages {
        let mut world = driving();
        stage(&mut world);
        let connected = !world.ids().is_empty();
        world.interrupt();
        assert_eq!(world.aborted(), usize::from(connected), "nothing is waited for");
        assert!(world.ids().is_empty(), "no connection is left");
        assert_eq!(world.into_handler().close(), End::Interrupted);
    }
}

proptest! {
    /// However the responses are cut into pieces, the requests are the same.
    #[test]
    fn pieces_make_no_difference(cuts in prop::collection::vec(1..40_usize, 0..30)) {
        let answers = [
            welcome(0),
            stored(2),
            stored(4),
            stored(5),
            bytes(&Response::Finished { stored: 5, rejected: 0 }),
            winners(false),
            winners(true),
        ]
        .concat();
        let mut world = driving();
        world.open();
        let mut rest = &answers[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            world.receive(piece);
            rest = after;
            if world.is_stopping() {
                break;
            }
        }
        if !world.is_stopping() {
            world.receive(rest);
        }
        prop_assert_eq!(
            requests(&mut world),
            ["hello 7", "batch 0+2", "batch 2+2", "batch 4+1", "end 5", "winners?"]
        );
        prop_assert_eq!(world.into_handler().close(), End::Complete);
    }
}
