//! What the log says of whether etcd can be reached: once when it can, once when it can't, and why.

use cluster::ClusterStore;
use reactor::CloseReason;
use runtime::log_line;
use runtime::logging::{InProgress, Level, Line, Success};

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Reachability {
    /// Nothing is said before a member was tried.
    logged: Option<bool>,
    /// A connection was lost, or couldn't be had, since etcd could be reached last.
    has_lost: bool,
    /// Why, as far as it is known.
    reason: Option<String>,
}

impl Reachability {
    /// A connection was lost, or couldn't be had.
    pub(super) fn on_lost(&mut self, reason: Option<&CloseReason>) {
        (self.has_lost, self.reason) = (true, reason.map(ToString::to_string));
    }

    /// At the end of a turn.
    pub(super) fn log(&mut self, store: &ClusterStore) {
        let is_reachable = store.is_reachable();
        if is_reachable {
            (self.has_lost, self.reason) = (false, None);
        }
        let has_failed = self.has_lost || store.counters().timeouts > 0;
        let is_known = is_reachable || self.logged.is_some() || has_failed;
        if !is_known || self.logged.replace(is_reachable) == Some(is_reachable) {
            return;
        }
        let line =
            |result| Line::new("reach_store", result).with("endpoint", store.current_endpoint());
        if is_reachable {
            log_line!(Level::Info, line(Success));
        } else {
            let error = "etcd's member doesn't answer, the next one is asked";
            log_line!(
                Level::Warn,
                line(InProgress).with("error", error).with_some("reason", self.reason.as_ref())
            );
        }
    }
}
