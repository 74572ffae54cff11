//! The end of a run: when the result is logged, and when the loop stops.
//!
//! Both are immediate unless configured. The delays exist for `docker compose logs`: a reader that
//! attaches late gets earlier lines unordered across containers, and none of a container that has
//! exited. The work is done, and the connection closed, before any of this begins. Knows no session
//! and no message.
//!
//! | stage | is over when | then |
//! |---|---|---|
//! | `Working` | the run is done | `ResultDelayed` |
//! | `ResultDelayed` | the run is [`announce`](ExitDelays::announce) old, or a signal came | the result is logged, `ExitDelayed` |
//! | `ExitDelayed` | [`exit`](ExitDelays::exit) has passed | the loop stops |

use std::time::{Duration, Instant};

use reactor::{Context, TimerId};

/// Fires when the current stage is over.
pub(crate) const EXIT: TimerId = TimerId(2);

/// How a run of the client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything was done.
    Complete,
    /// Something finally failed.
    Failed,
    /// A signal ended it.
    Interrupted,
}

/// Delays at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitDelays {
    /// The result isn't logged earlier than this after the start.
    pub announce: Duration,
    /// Between logging the result and exiting.
    pub exit: Duration,
}

/// The end of a run, stage by stage.
#[derive(Debug)]
pub(crate) struct ExitSchedule {
    delays: ExitDelays,
    started: Option<Instant>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    ResultDelayed,
    ExitDelayed,
}

impl ExitSchedule {
    pub(crate) fn new(delays: ExitDelays) -> Self {
        Self { delays, started: None, stage: Stage::Working }
    }

    /// The run starts: its age counts from here.
    pub(crate) fn on_start(&mut self, cx: &impl Context) {
        self.started = Some(cx.now());
    }

    /// Moves on through the stages that are over, and stops the loop after the last. Called when the
    /// run is done, and whenever [`EXIT`] fires.
    pub(crate) fn advance(&mut self, cx: &mut impl Context, announce: impl FnOnce()) {
        if self.stage == Stage::Working {
            self.stage = Stage::ResultDelayed;
            let age = self.started.map_or(Duration::ZERO, |started| cx.now() - started);
            let left = self.delays.announce.saturating_sub(age);
            if !left.is_zero() {
                return cx.set_timer(EXIT, Some(left));
            }
        }
        if self.stage == Stage::ResultDelayed {
            self.stage = Stage::ExitDelayed;
            announce();
            if !self.delays.exit.is_zero() {
                return cx.set_timer(EXIT, Some(self.delays.exit));
            }
        }
        cx.shutdown();
    }

    /// A signal came: logs the result now, if it is known and wasn't logged.
    pub(crate) fn announce_now(&mut self, announce: impl FnOnce()) {
        if self.stage == Stage::ResultDelayed {
            self.stage = Stage::ExitDelayed;
            announce();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;
    use reactor::testing::NoHandler;

    const SECOND: Duration = Duration::from_secs(1);

    struct Run {
        exit_schedule: ExitSchedule,
        world: World<NoHandler>,
        announced: u32,
    }

    impl Run {
        fn new(announce: Duration, exit: Duration) -> Self {
            let mut world = World::without_handler();
            let mut exit_schedule = ExitSchedule::new(ExitDelays { announce, exit });
            exit_schedule.on_start(world.cx());
            Self { exit_schedule, world, announced: 0 }
        }

        fn advance(&mut self) -> (Option<Duration>, u32, bool) {
            self.exit_schedule.advance(self.world.cx(), || self.announced += 1);
            (self.world.take_timer(EXIT), self.announced, self.world.is_stopping())
        }
    }

    #[test]
    fn without_delays_it_ends_at_once() {
        let mut run = Run::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(run.advance(), (None, 1, true));
    }

    #[test]
    fn the_result_waits_for_the_age_and_the_end_for_the_delay() {
        let mut run = Run::new(3 * SECOND, SECOND);
        run.world.pass(SECOND);
        assert_eq!(run.advance(), (Some(2 * SECOND), 0, false));
        assert_eq!(run.advance(), (Some(SECOND), 1, false));
        assert_eq!(run.advance(), (None, 1, true));
    }

    #[test]
    fn a_run_that_is_old_enough_announces_at_once() {
        let mut run = Run::new(3 * SECOND, SECOND);
        run.world.pass(3 * SECOND);
        assert_eq!(run.advance(), (Some(SECOND), 1, false));
    }

    #[test]
    fn a_signal_brings_the_announcement_forward_once_and_only_when_there_is_something_to_say() {
        let mut run = Run::new(3 * SECOND, SECOND);
        run.exit_schedule.announce_now(|| run.announced += 1);
        assert_eq!(run.announced, 0, "nothing was known yet");
        assert_eq!(run.advance(), (Some(3 * SECOND), 0, false));
        run.exit_schedule.announce_now(|| run.announced += 1);
        run.exit_schedule.announce_now(|| run.announced += 1);
        assert_eq!(run.announced, 1);
    }
}
