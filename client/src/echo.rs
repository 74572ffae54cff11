//! Mode `echo`: numbered messages, one connection each, as the exercise's first client sends them.

use std::net::SocketAddr;

use log::{Level, error, info};
use reactor::{CloseReason, ConnectionId, Context, Handler, ShutdownCause, Signal, TimerId};
use runtime::log_within;
use runtime::logging::{Escaped, EscapedOnce};
use wire::LineDecoder;

use crate::config::Config;
use crate::connection::dialer::{Attempt, DIAL, Dialer};
use crate::connection::foreign_service;
use crate::exit_schedule::{EXIT, End, ExitSchedule};
use crate::log_budget::{Line, LogBudget};

/// Most bytes of an answer's line: far above any message of ours.
const ANSWER_MAX: usize = 4096;

/// The handler.
#[derive(Debug)]
pub struct EchoLoop {
    config: Config,
    dialer: Dialer,
    exit_schedule: ExitSchedule,
    decoder: LineDecoder,
    connection: Option<ConnectionId>,
    /// The message that is under way, counted from 1.
    number: u32,
    step: Step,
    log_budget: LogBudget,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    Sent,
    Answered,
}

impl EchoLoop {
    /// A loop that hasn't sent anything. `seed` is for the pauses between attempts.
    pub fn new(config: &Config, seed: u64) -> Self {
        let (address, timeout) = (config.address.clone(), config.response_timeout);
        Self {
            dialer: Dialer::new(address, config.retry, timeout, seed),
            exit_schedule: ExitSchedule::new(config.exit_delays),
            log_budget: LogBudget::new(config.log_limits),
            config: config.clone(),
            decoder: LineDecoder::new(ANSWER_MAX),
            connection: None,
            number: 0,
            step: Step::Connecting,
            end: None,
        }
    }

    /// How it ended, with everything logged that was only counted.
    pub fn close(mut self) -> End {
        self.log_budget.report();
        self.end.unwrap_or(End::Interrupted)
    }

    fn message(&self) -> String {
        format!("[CLIENT {}] Message N°{}", self.config.id, self.number)
    }

    fn next_message(&mut self, cx: &mut impl Context) {
        if self.number == self.config.loop_amount {
            return self.finish(cx, End::Complete);
        }
        self.number += 1;
        self.dial(cx);
    }

    fn dial(&mut self, cx: &mut impl Context) {
        self.step = Step::Connecting;
        let attempt = self.dialer.dial(cx);
        self.attempted(cx, attempt);
    }

    fn attempted(&mut self, cx: &mut impl Context, attempt: Attempt) {
        match attempt {
            Ok(connection) => self.connection = connection,
            Err(error) => self.retry(cx, &error.to_string()),
        }
    }

    fn not_connected(&mut self, cx: &mut impl Context, reason: &str) {
        self.connection = self.dialer.on_failure(cx, reason, &mut self.log_budget);
        if self.connection.is_none() {
            self.retry(cx, reason);
        }
    }

    fn retry(&mut self, cx: &mut impl Context, reason: &str) {
        if !self.dialer.retry(cx, reason, &mut self.log_budget) {
            self.finish(cx, End::Failed);
        }
    }

    fn fail(&mut self, cx: &mut impl Context, reason: &str) {
        error!(
            "action: receive_message | result: fail | client_id: {} | error: {}",
            self.config.id,
            EscapedOnce(reason)
        );
        self.finish(cx, End::Failed);
    }

    /// The same for what has been said, which may be another service's.
    fn fail_after(&mut self, cx: &mut impl Context, said: &[u8], reason: &str) {
        match foreign_service::looks_like(said) {
            Some(_) => self.fail(cx, &foreign_service::describe(&self.config.address, said)),
            None => self.fail(cx, reason),
        }
    }

    fn finish(&mut self, cx: &mut impl Context, end: End) {
        self.end.get_or_insert(end);
        self.dialer.cancel(cx);
        if let Some(connection) = self.connection {
            cx.close(connection);
        }
        self.part(cx);
    }

    fn part(&mut self, cx: &mut impl Context) {
        self.exit_schedule.advance(cx, || announce(self.end, &self.config));
    }

    fn answered(&mut self, cx: &mut impl Context, connection: ConnectionId, answer: &[u8]) {
        if answer != self.message().as_bytes() {
            let reason = format!("another answer than expected: {}", Escaped(answer));
            return self.fail_after(cx, answer, &reason);
        }
        self.step = Step::Answered;
        self.dialer.on_progress();
        info!(
            "action: receive_message | result: success | client_id: {} | msg: {}",
            self.config.id,
            Escaped(answer)
        );
        cx.close(connection);
    }
}

impl Handler for EchoLoop {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.exit_schedule.started(cx);
        self.next_message(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _peer: SocketAddr) {
        self.dialer.on_connect();
        self.step = Step::Sent;
        cx.send(connection, format!("{}\n", self.message()).as_bytes());
        cx.set_deadline(connection, Some(self.config.response_timeout));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.dialer.is_resolver(connection) {
            return 0;
        }
        match self.decoder.decode(input) {
            Ok(None) => return 0,
            Ok(Some(line)) => self.answered(cx, connection, line.bytes),
            Err(error) => self.fail_after(cx, input, &error.to_string()),
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.dialer.is_resolver(connection) {
            let attempt = self.dialer.on_resolved(cx, rest);
            return self.attempted(cx, attempt);
        }
        if self.step == Step::Sent {
            let reason = format!(
                "the connection ended before the newline of an answer, it says: {}",
                Escaped(rest)
            );
            self.fail_after(cx, rest, &reason);
        }
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.dialer.is_resolver(connection) {
            let attempt = self.dialer.on_resolve_timeout(cx);
            return self.attempted(cx, attempt);
        }
        if self.step == Step::Sent {
            let timeout = humantime::format_duration(self.config.response_timeout);
            self.fail(cx, &format!("no answer within {timeout}"));
        }
        cx.abort(connection);
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            DIAL => self.dial(cx),
            EXIT => self.part(cx),
            other if self.log_budget.fired(other) => {}
            _ => self.next_message(cx),
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.dialer.is_resolver(connection) {
            let attempt = self.dialer.on_resolver_closed(cx, reason);
            return self.attempted(cx, attempt);
        }
        if self.connection != Some(connection) {
            return;
        }
        self.connection = None;
        if self.end.is_some() {
            info!("action: close_connection | result: success | reason: {reason}");
            return;
        }
        log_within!(
            self.log_budget,
            Line::Closed,
            Level::Debug,
            "action: close_connection | result: success | reason: {reason}"
        );
        match self.step {
            Step::Connecting => self.not_connected(cx, &reason.to_string()),
            Step::Sent => self.fail(cx, &format!("no answer: {reason}")),
            Step::Answered if self.number == self.config.loop_amount => self.next_message(cx),
            Step::Answered => cx.set_timer(PAUSE, Some(self.config.loop_period)),
        }
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::User1 => info!(
                "action: status | result: success | client_id: {} | connection: {} | \
                 message: {} | of: {}",
                self.config.id,
                self.dialer.describe(self.connection),
                self.number,
                self.config.loop_amount
            ),
            Signal::User2 => info!("action: count | result: success | {}", cx.counters()),
            Signal::Hangup => {}
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.end.get_or_insert(End::Interrupted);
        self.dialer.cancel(cx);
        let ShutdownCause::Signal(name) = cause else { return };
        info!("action: shutdown | result: in_progress | cause: {name}");
        self.exit_schedule.cut_short(|| announce(self.end, &self.config));
        // At once: an answer that is still under way doesn't matter any more.
        if let Some(connection) = self.connection {
            cx.abort(connection);
        }
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Self::Fatal> {
        self.log_budget.set_timers(cx);
        Ok(())
    }
}

/// The last line, when every message was answered.
fn announce(end: Option<End>, config: &Config) {
    if end == Some(End::Complete) {
        info!("action: loop_finished | result: success | client_id: {}", config.id);
    }
}

/// Fires when it is time for the next message.
const PAUSE: TimerId = TimerId(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, Retry};
    use crate::exit_schedule::ExitDelays;
    use crate::log_budget::LogLimits;
    use crate::memory_io::World;
    use log::LevelFilter;
    use std::io;
    use std::time::Duration;

    const PERIOD: Duration = Duration::from_secs(5);
    const TIMEOUT: Duration = Duration::from_mins(1);

    fn echoing(loop_amount: u32, limit: u32) -> World<EchoLoop> {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let config = Config {
            id: 3,
            address: "127.0.0.1:12345".into(),
            loop_amount,
            loop_period: PERIOD,
            level: LevelFilter::Off,
            max_amount: 100,
            window: 8,
            mode: Mode::Echo,
            data_check: true,
            quiet_delay: Duration::ZERO,
            retry: Retry { min, max, limit },
            response_timeout: TIMEOUT,
            exit_delays: ExitDelays::default(),
            log_limits: LogLimits::default(),
        };
        World::new(EchoLoop::new(&config, 1))
    }

    fn message(number: u32) -> String {
        format!("[CLIENT 3] Message N°{number}\n")
    }

    fn refused() -> CloseReason {
        CloseReason::NotConnected(io::ErrorKind::ConnectionRefused.into())
    }

    #[test]
    fn each_message_has_a_connection_of_its_own_and_a_pause_before_the_next() {
        let mut world = echoing(3, 0);
        for number in 1..=3 {
            world.open();
            assert_eq!(world.sent(), message(number).as_bytes());
            assert_eq!(world.line().deadline, Some(TIMEOUT));
            world.receive(message(number).as_bytes());
            assert!(world.cx.lines.is_empty(), "closed after its answer");
            if number < 3 {
                assert_eq!(world.fire(), PERIOD);
            }
        }
        assert!(world.cx.stopped && world.cx.timers.is_empty(), "no pause after the last");
        assert_eq!(world.handler.close(), End::Complete);
    }

    #[test]
    fn an_answer_may_come_byte_by_byte() {
        let mut world = echoing(1, 0);
        world.open();
        for byte in message(1).as_bytes() {
            assert!(!world.cx.stopped);
            world.receive(&[*byte]);
        }
        assert_eq!(world.handler.close(), End::Complete);
    }

    #[test]
    fn no_messages_are_done_at_once() {
        let world = echoing(0, 0);
        assert!(world.cx.lines.is_empty() && world.cx.stopped);
        assert_eq!(world.handler.close(), End::Complete);
    }

    #[test]
    fn a_server_that_is_not_up_yet_is_called_again() {
        let mut world = echoing(1, 0);
        for _ in 0..100 {
            world.lose(&refused());
            assert!(world.fire() <= Duration::from_secs(1));
        }
        world.open();
        assert_eq!(world.sent(), message(1).as_bytes(), "still the first message");
    }

    #[test]
    fn the_limit_of_attempts_ends_it() {
        let mut world = echoing(1, 2);
        world.lose(&refused());
        world.fire();
        world.lose(&refused());
        assert!(world.cx.stopped && world.cx.timers.is_empty());
        assert_eq!(world.handler.close(), End::Failed);
    }

    #[test]
    fn a_connection_begins_the_count_of_attempts_anew() {
        let mut world = echoing(2, 2);
        world.lose(&refused());
        world.fire();
        world.open();
        world.receive(message(1).as_bytes());
        world.fire();
        world.lose(&refused());
        assert!(!world.cx.stopped);
    }

    #[test]
    fn whatever_isnt_the_message_ends_it() {
        let failures: [fn(&mut World<EchoLoop>); 5] = [
            |world| world.receive(b"[CLIENT 3] Message\n"),
            |world| world.receive(&[b'x'; ANSWER_MAX + 1]),
            World::end,
            World::expire,
            |world| world.lose(&CloseReason::Failed(io::ErrorKind::ConnectionReset.into())),
        ];
        for failure in failures {
            let mut world = echoing(2, 0);
            world.open();
            failure(&mut world);
            assert!(world.cx.stopped && world.cx.timers.is_empty());
            assert_eq!(world.handler.close(), End::Failed);
        }
    }

    #[test]
    fn the_last_line_can_be_held_back() {
        let mut world = echoing(1, 0);
        let announce_after = Duration::from_secs(3);
        world.handler.exit_schedule =
            ExitSchedule::new(ExitDelays { announce_after, exit: Duration::from_secs(1) });
        world.open();
        world.receive(message(1).as_bytes());
        assert!(world.cx.lines.is_empty() && !world.cx.stopped);
        assert_eq!([world.fire(), world.fire()], [announce_after, Duration::from_secs(1)]);
        assert!(world.cx.stopped);
        assert_eq!(world.handler.close(), End::Complete);
    }

    #[test]
    fn a_name_is_looked_up_for_each_message_and_never_waited_for() {
        let resolve = |_: &str| Ok(vec![([10, 0, 0, 1], 12345).into()]);
        let mut handler = echoing(2, 0).handler;
        let retry = handler.config.retry;
        let dialer = Dialer::new("central:12345".into(), retry, TIMEOUT, 1);
        (handler.dialer, handler.number) = (dialer.resolving(resolve), 0);
        let mut world = World::new(handler);
        for number in 1..=2 {
            world.look_up();
            assert_eq!(world.line().address.to_string(), "10.0.0.1:12345");
            world.open();
            world.receive(message(number).as_bytes());
            if number < 2 {
                world.fire();
            }
        }
        assert_eq!(world.handler.close(), End::Complete);
        let mut handler = echoing(2, 0).handler;
        handler.dialer = Dialer::new("central:12345".into(), retry, TIMEOUT, 1).resolving(|_| {
            loop {
                std::thread::park();
            }
        });
        let mut world = World::new(handler);
        world.expire();
        world.fire();
        world.interrupt();
        assert_eq!((world.cx.timers.len(), world.handler.close()), (0, End::Interrupted));
    }

    #[test]
    fn a_signal_ends_it_at_once() {
        let mut world = echoing(2, 0);
        world.open();
        world.interrupt();
        assert_eq!((world.cx.aborted, world.cx.lines.len()), (1, 0));
        assert_eq!(world.handler.close(), End::Interrupted);
    }
}
