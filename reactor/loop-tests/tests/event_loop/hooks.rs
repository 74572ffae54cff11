//! What a program does beside serving connections: the loop wakes for it though nothing happens, and calls
//! it at the end of each turn.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use loop_tests::PATIENCE;
use reactor::{
    CloseReason, ConnectionId, Context, EventLoop, Handler, Limits, Outcome, TimerId, TurnHook,
};

/// Turns that are waited for.
const ENOUGH: u64 = 5;

/// Wakes a loop in which nothing happens, and counts its turns.
struct Pulse {
    turns: Rc<Cell<u64>>,
    /// Whether it says that a turn was its own.
    claims: bool,
}

impl TurnHook for Pulse {
    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    fn on_turn_end(&mut self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.claims
    }
}

/// Shuts down behind enough turns.
struct Silent(Rc<Cell<u64>>);

impl Handler for Silent {
    type Fatal = Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        cx.set_timer(TimerId(0), Some(PATIENCE));
    }

    fn on_open(&mut self, _: &mut impl Context, _: ConnectionId, _: SocketAddr) {}

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) -> usize {
        0
    }

    fn on_eof(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) {}

    fn on_timer(&mut self, _: &mut impl Context, _: TimerId) {
        panic!("{} turns alone", self.0.get());
    }

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), Infallible> {
        if self.0.get() >= ENOUGH {
            cx.shutdown();
        }
        Ok(())
    }
}

/// Turns that the hook has seen, those that the loop counted, and those of them that were idle.
fn run(claims: bool) -> [u64; 3] {
    let turns = Rc::new(Cell::new(0));
    let hook = Pulse { turns: Rc::clone(&turns), claims };
    let mut event_loop = EventLoop::with_hook(Limits::default(), hook).unwrap();
    let outcome = event_loop.run(&mut Silent(Rc::clone(&turns))).unwrap();
    assert_eq!(outcome, Outcome::Graceful);
    let counters = event_loop.counters();
    [turns.get(), counters.turns, counters.idle_turns]
}

#[test]
fn a_hook_has_turns_though_nothing_happens_and_sees_the_end_of_each() {
    let [seen, counted, _] = run(true);
    assert!(seen > ENOUGH);
    assert_eq!(seen, counted);
}

#[test]
fn a_turn_that_the_hook_has_asked_for_is_not_idle() {
    assert_eq!(run(true)[2], 0);
    assert!(run(false)[2] >= ENOUGH);
}
