//! The end of a run: when the result may be announced, and when the program may end.
//!
//! Both are immediate unless configured. They exist for people who read the logs of several
//! containers merged into one: whoever starts reading late gets what was written before in no
//! order across containers, and never hears of a container that has ended by then. The work itself
//! is done, and its connection closed, before any of this begins. Knows no dialogue and no message.

use std::time::{Duration, Instant};

use reactor::{Context, TimerId};

/// Fires when the next stage may begin.
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

/// How long the ending is drawn out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitDelays {
    /// Age of the run before which its result isn't announced.
    pub announce_after: Duration,
    /// What the program stays after the announcement.
    pub exit: Duration,
}

/// How far the ending is.
#[derive(Debug)]
pub(crate) struct ExitSchedule {
    delays: ExitDelays,
    started: Option<Instant>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    /// The result is known and not announced.
    Holding,
    /// It is announced.
    Staying,
}

impl ExitSchedule {
    pub(crate) fn new(delays: ExitDelays) -> Self {
        Self { delays, started: None, stage: Stage::Working }
    }

    /// The run begins: its age counts from here.
    pub(crate) fn started(&mut self, cx: &impl Context) {
        self.started = Some(cx.now());
    }

    /// Goes on as far as the time has come, to the end of the loop. To be called when the work is
    /// done, and whenever [`EXIT`] fires.
    pub(crate) fn advance(&mut self, cx: &mut impl Context, announce: impl FnOnce()) {
        if self.stage == Stage::Working {
            self.stage = Stage::Holding;
            let age = self.started.map_or(Duration::ZERO, |started| cx.now() - started);
            let left = self.delays.announce_after.saturating_sub(age);
            if !left.is_zero() {
                return cx.set_timer(EXIT, Some(left));
            }
        }
        if self.stage == Stage::Holding {
            self.stage = Stage::Staying;
            announce();
            if !self.delays.exit.is_zero() {
                return cx.set_timer(EXIT, Some(self.delays.exit));
            }
        }
        cx.shutdown();
    }

    /// A signal doesn't wait: what is known is announced now.
    pub(crate) fn cut_short(&mut self, announce: impl FnOnce()) {
        if self.stage == Stage::Holding {
            self.stage = Stage::Staying;
            announce();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_io::MemoryContext;

    const SECOND: Duration = Duration::from_secs(1);

    struct Run {
        exit_schedule: ExitSchedule,
        cx: MemoryContext,
        announced: u32,
    }

    impl Run {
        fn new(announce_after: Duration, exit: Duration) -> Self {
            let (mut exit_schedule, cx) =
                (ExitSchedule::new(ExitDelays { announce_after, exit }), MemoryContext::new());
            exit_schedule.started(&cx);
            Self { exit_schedule, cx, announced: 0 }
        }

        fn advance(&mut self) -> (Option<Duration>, u32, bool) {
            self.exit_schedule.advance(&mut self.cx, || self.announced += 1);
            (self.cx.timers.remove(&EXIT), self.announced, self.cx.stopped)
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
        run.cx.pass(SECOND);
        assert_eq!(run.advance(), (Some(2 * SECOND), 0, false));
        assert_eq!(run.advance(), (Some(SECOND), 1, false));
        assert_eq!(run.advance(), (None, 1, true));
    }

    #[test]
    fn a_run_that_is_old_enough_announces_at_once() {
        let mut run = Run::new(3 * SECOND, SECOND);
        run.cx.pass(3 * SECOND);
        assert_eq!(run.advance(), (Some(SECOND), 1, false));
    }

    #[test]
    fn a_signal_brings_the_announcement_forward_once_and_only_when_there_is_something_to_say() {
        let mut run = Run::new(3 * SECOND, SECOND);
        run.exit_schedule.cut_short(|| run.announced += 1);
        assert_eq!(run.announced, 0, "nothing was known yet");
        assert_eq!(run.advance(), (Some(3 * SECOND), 0, false));
        run.exit_schedule.cut_short(|| run.announced += 1);
        run.exit_schedule.cut_short(|| run.announced += 1);
        assert_eq!(run.announced, 1);
    }
}
