//! What was written to etcd, in numbers: for metrics.

use std::time::Duration;

use admin::exposition::Exposition;
use cluster::ClusterStore;
use etcd::Counters;

use crate::central::group_commit::{CommitDurations, DURATION_BOUNDS};

#[derive(Debug)]
pub(super) struct Outcomes {
    /// Commits and ends that were done.
    pub(super) stored: u64,
    /// Those that found another session.
    pub(super) superseded: u64,
    /// Those that found the draw held.
    pub(super) closed: u64,
    /// Those that had no effect.
    pub(super) unavailable: u64,
    durations: CommitDurations,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            stored: 0,
            superseded: 0,
            closed: 0,
            unavailable: 0,
            durations: CommitDurations::new(DURATION_BOUNDS),
        }
    }
}

impl Outcomes {
    /// A commit or an end took so long.
    pub(super) fn observe(&mut self, duration: Duration) {
        self.durations.observe(duration);
    }

    pub(super) fn durations(&self) -> &CommitDurations {
        &self.durations
    }

    pub(super) fn failures(&self) -> u64 {
        self.unavailable
    }

    pub(super) fn write(&self, store: &ClusterStore, out: &mut Exposition) {
        out.counter("loteria_store_outcomes_total", "What commits and ends in etcd came to.")
            .labelled("outcome", "stored", self.stored)
            .labelled("outcome", "superseded", self.superseded)
            .labelled("outcome", "closed", self.closed)
            .labelled("outcome", "unavailable", self.unavailable);
        let Counters { unknown, timeouts, member_changes, elections, failed_connects, .. } =
            *store.counters();
        for (name, help, value) in [
            (
                "loteria_store_retries_total",
                "Tries at etcd after which nothing was known: sent again.",
                unknown,
            ),
            ("loteria_store_timeouts_total", "Waits for etcd that were too long.", timeouts),
            (
                "loteria_store_failed_connects_total",
                "Connections to etcd that weren't established.",
                failed_connects,
            ),
            (
                "loteria_store_member_changes_total",
                "Times that another member of etcd was asked from then on.",
                member_changes,
            ),
            (
                "loteria_store_leader_changes_total",
                "Elections of etcd's leader, as its answers show.",
                elections,
            ),
        ] {
            out.counter(name, help).value(value);
        }
        out.gauge(
            "loteria_store_endpoint",
            "Index of the member of etcd that is asked, from 0 on.",
        )
        .value(store.current_endpoint() as u64);
        out.gauge("loteria_store_requests", "Requests to etcd that aren't answered.")
            .value(store.requests() as u64);
        out.gauge("loteria_store_reachable", "Whether the member that is asked answers.")
            .value(store.is_reachable());
    }
}
