//! Where a run is, in the one line that a service manager shows (`systemctl status`).
//!
//! Told at once when it goes on to something else, and once a second while it gets on with the same: a
//! bet costs less than to tell of it. Knows no session and no clock.

use std::fmt;
use std::time::{Duration, Instant};

use runtime::service_manager::ServiceManager;
use wire::Agency;

use crate::progress::Progress;

/// How long after a line the next one of the same stage comes at the earliest.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Where {
    pub(crate) agency: Agency,
    pub(crate) stage: &'static str,
    /// The state of the connection to the central.
    pub(crate) connection: &'static str,
    pub(crate) progress: Progress,
}

/// What the service manager was told last, and when.
#[derive(Debug, Default)]
pub(crate) struct ServiceStatus {
    service: ServiceManager,
    told: Option<(Where, Instant)>,
}

impl ServiceStatus {
    /// One that is told to this service manager.
    pub(crate) fn new(service: ServiceManager) -> Self {
        Self { service, told: None }
    }

    /// Tells where the run is `now`, if it is worth it.
    pub(crate) fn follow(&mut self, now: Instant, look: impl FnOnce() -> Where) {
        if !self.service.is_present() {
            return;
        }
        let place = look();
        if self.is_worth_telling(now, &place) {
            self.service.status(&place);
            self.told = Some((place, now));
        }
    }

    fn is_worth_telling(&self, now: Instant, place: &Where) -> bool {
        let Some((told, at)) = &self.told else { return true };
        let is_same = told.stage == place.stage && told.connection == place.connection;
        let is_soon = now.saturating_duration_since(*at) < PAUSE;
        told != place && !(is_same && is_soon)
    }

    /// It reads its files again in `reload`.
    pub(crate) fn reload(&self, reload: impl FnOnce()) {
        self.service.reloading();
        reload();
        self.service.ready();
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agency, stage, connection, progress } = self;
        let Progress { bets, rejected, bytes, size } = progress;
        write!(f, "agencia {agency}: {}", stage.replace('_', " "))?;
        if let Some(percent) = (bytes * 100).checked_div(*size) {
            write!(f, ", {percent} % of the file")?;
        }
        write!(f, ", {bets} bets confirmed")?;
        if *rejected > 0 {
            write!(f, " ({rejected} of them rejected)")?;
        }
        write!(f, "; connection: {}", connection.replace('_', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stage: &'static str, bets: u64) -> Where {
        let progress = Progress { bets, rejected: 0, bytes: bets * 10, size: 100 };
        Where { agency: 7, stage, connection: "open", progress }
    }

    #[test]
    fn it_is_one_line() {
        assert_eq!(
            at("waiting_for_draw", 5).to_string(),
            "agencia 7: waiting for draw, 50 % of the file, 5 bets confirmed; connection: open"
        );
        let progress = Progress { bets: 9, rejected: 2, bytes: 0, size: 0 };
        let single = Where { connection: "looking_up", progress, ..at("sending", 0) };
        assert_eq!(
            single.to_string(),
            "agencia 7: sending, 9 bets confirmed (2 of them rejected); connection: looking up"
        );
    }

    #[test]
    fn the_same_stage_is_told_once_a_second_and_another_at_once() {
        let begin = Instant::now();
        let mut status = ServiceStatus::default();
        let mut tells = |after: u64, place| {
            let now = begin + Duration::from_millis(after);
            let tells = status.is_worth_telling(now, &place);
            if tells {
                status.told = Some((place, now));
            }
            tells
        };
        assert!(tells(0, at("sending", 0)));
        assert!(!tells(999, at("sending", 1)));
        assert!(tells(1000, at("sending", 1)));
        assert!(!tells(5000, at("sending", 1)), "nothing is new");
        assert!(tells(5000, at("ending", 1)));
        assert!(tells(5001, Where { connection: "none", ..at("ending", 1) }));
    }
}
