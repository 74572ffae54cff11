//! Which member is asked next.
//!
//! One member is asked as long as it responds. One that fails is avoided for a while, twice as long with
//! each failure in a row, and asked again then. While all are avoided they are asked in turn, first
//! those that responded at all; then, and until it has responded again, a member is only asked one thing at
//! a time.
//!
//! Knows no connection but its number.

use std::time::{Duration, Instant};

use crate::client::actions::ConnectionNumber;

/// How long a member is avoided after its first failure.
pub const AVOIDED_FIRST: Duration = Duration::from_millis(500);

/// How long it is avoided at most.
pub const AVOIDED_MAX: Duration = Duration::from_secs(8);

/// How a member has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// It says that it can't: there may be no leader just now.
    Responded,
    /// It is silent, closes connections, or doesn't speak HTTP.
    Silent,
}

#[derive(Debug)]
pub(crate) struct Members {
    all: Vec<Member>,
    current: usize,
    retry_delay: Duration,
}

#[derive(Debug, Default)]
struct Member {
    /// Failures since it last responded.
    failures: u32,
    /// The last one: how, when, and the newest connection then. What older connections come to says
    /// nothing new.
    last: Option<(Failure, Instant, ConnectionNumber)>,
}

impl Member {
    /// Not asked before then at all.
    fn blocked_until(&self, retry_delay: Duration) -> Option<Instant> {
        self.last.filter(|_| self.failures > 0).map(|(_, at, _)| at + retry_delay)
    }

    fn is_avoided(&self, now: Instant) -> bool {
        let Some((_, at, _)) = self.last.filter(|_| self.failures > 0) else { return false };
        now < at + avoided(self.failures)
    }
}

/// For how long, after so many failures in a row, at least one.
pub(crate) fn avoided(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (AVOIDED_FIRST * (1 << doublings)).min(AVOIDED_MAX)
}

impl Members {
    /// So many members, of which `first` is asked first.
    pub(crate) fn new(count: usize, first: usize, retry_delay: Duration) -> Self {
        let all = std::iter::repeat_with(Member::default).take(count).collect();
        Self { all, current: first, retry_delay }
    }

    /// The one that was chosen last.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// The member to ask now; `None` before [`next_choice`](Self::next_choice).
    pub(crate) fn choose(&mut self, now: Instant) -> Option<usize> {
        let chosen = self.first_well(now).or_else(|| self.least_unwell(now))?;
        self.current = chosen;
        Some(chosen)
    }

    /// The first from the current one on that isn't avoided.
    fn first_well(&self, now: Instant) -> Option<usize> {
        let count = self.all.len();
        let mut from_current = (0..count).map(|step| (self.current + step) % count);
        from_current.find(|&index| self.is_open(index, now) && !self.all[index].is_avoided(now))
    }

    fn least_unwell(&self, now: Instant) -> Option<usize> {
        let open = (0..self.all.len()).filter(|&index| self.is_open(index, now));
        open.min_by_key(|&index| self.all[index].last.map(|(failure, at, _)| (failure, at)))
    }

    fn is_open(&self, index: usize, now: Instant) -> bool {
        self.all[index].blocked_until(self.retry_delay).is_none_or(|until| until <= now)
    }

    /// When [`choose`](Self::choose) chooses again.
    pub(crate) fn next_choice(&self) -> Option<Instant> {
        self.all.iter().filter_map(|member| member.blocked_until(self.retry_delay)).min()
    }

    /// Whether it has failed and not responded since.
    pub(crate) fn is_suspect(&self, index: usize) -> bool {
        self.all[index].failures > 0
    }

    /// What was asked on `connection` has failed; `newest` is the connection that was opened last.
    /// Whether that is news: what was asked before the last failure says nothing.
    pub(crate) fn on_failed(
        &mut self,
        index: usize,
        connection: ConnectionNumber,
        newest: ConnectionNumber,
        failure: Failure,
        now: Instant,
    ) -> bool {
        if self.is_outdated(index, connection) {
            return false;
        }
        let member = &mut self.all[index];
        member.failures = member.failures.saturating_add(1);
        member.last = Some((failure, now, newest));
        true
    }

    /// Whether `connection` is older than the member's last failure: what comes on it says nothing of
    /// the member any more, so that it is of no use.
    pub(crate) fn is_outdated(&self, index: usize, connection: ConnectionNumber) -> bool {
        self.all[index].last.is_some_and(|(_, _, newest)| connection <= newest)
    }

    /// A response has come on `connection`.
    pub(crate) fn on_response(&mut self, index: usize, connection: ConnectionNumber) {
        if !self.is_outdated(index, connection) {
            self.all[index].failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    struct World {
        members: Members,
        start: Instant,
        newest: u64,
    }

    impl World {
        fn new(count: usize) -> Self {
            Self { members: Members::new(count, 0, DELAY), start: Instant::now(), newest: 0 }
        }

        fn choose(&mut self, millis: u64) -> Option<usize> {
            self.members.choose(self.start + Duration::from_millis(millis))
        }

        fn fail(&mut self, index: usize, failure: Failure, millis: u64) {
            self.newest += 1;
            let (number, now) =
                (ConnectionNumber(self.newest), self.start + Duration::from_millis(millis));
            self.members.on_failed(index, number, number, failure, now);
        }
    }

    #[test]
    fn a_member_is_asked_as_long_as_it_answers_and_the_next_one_then() {
        let mut world = World::new(3);
        assert_eq!((world.choose(0), world.choose(1)), (Some(0), Some(0)));
        world.fail(0, Failure::Silent, 1);
        assert_eq!(world.choose(1), Some(1));
        assert_eq!(world.choose(2000), Some(1), "nothing speaks for the first");
        world.fail(1, Failure::Silent, 2000);
        world.fail(2, Failure::Silent, 2000);
        assert_eq!(world.choose(2000), Some(0), "avoided long enough");
    }

    #[test]
    fn while_all_are_avoided_they_take_turns_those_that_answered_first() {
        let mut world = World::new(3);
        for (index, failure) in
            [(0, Failure::Silent), (1, Failure::Responded), (2, Failure::Responded)]
        {
            world.fail(index, failure, index as u64);
        }
        assert_eq!(world.choose(3), None, "none before the delay is over");
        let next = world.members.next_choice().expect("a time");
        assert_eq!(next, world.start + DELAY);
        assert_eq!(world.choose(20), Some(0), "the only one whose delay is over");
        assert_eq!(world.choose(22), Some(1));
        world.fail(1, Failure::Responded, 22);
        assert_eq!(world.choose(42), Some(2));
    }

    #[test]
    fn failures_of_one_moment_count_once_and_a_response_ends_them() {
        let mut world = World::new(1);
        let now = world.start;
        let number = ConnectionNumber;
        for connection in 1..=5 {
            world.members.on_failed(0, number(connection), number(5), Failure::Silent, now);
        }
        assert_eq!(world.members.all[0].failures, 1);
        world.members.on_response(0, number(5));
        assert!(world.members.is_suspect(0), "asked before the failure");
        world.members.on_response(0, number(6));
        assert!(!world.members.is_suspect(0));
        assert_eq!(world.choose(0), Some(0));
    }

    #[test]
    fn avoidance_doubles_up_to_a_cap() {
        assert_eq!(avoided(1), AVOIDED_FIRST);
        assert_eq!(avoided(2), 2 * AVOIDED_FIRST);
        assert_eq!(avoided(5), AVOIDED_MAX);
        assert_eq!(avoided(u32::MAX), AVOIDED_MAX);
    }
}
