//! What becomes of a request to etcd. Knows no connection and no store.

use std::time::Duration;

use fastrand::Rng;
use kit::memory_etcd::http;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done, and its response arrives.
    Normal,
    /// It never arrives, and nothing says so.
    Lost,
    /// It is done, and its response never arrives.
    Unanswered,
    /// It is done, and the connection is lost instead of a response.
    CutAfter,
    /// The connection is lost; it is done later nevertheless.
    CutBefore,
    /// It takes longer than its central waits.
    Late,
    /// The member says that it has no leader.
    Refused,
    /// The member says that it has waited too long; it is done later.
    TimedOut,
}

/// All fates but the first one.
const FAULTS: [Fate; 7] = [
    Fate::Lost,
    Fate::Unanswered,
    Fate::CutAfter,
    Fate::CutBefore,
    Fate::Late,
    Fate::Refused,
    Fate::TimedOut,
];

/// What happens to a request, and how much later.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// When it is done, and whether its response is sent.
    pub(crate) done: Option<(Duration, bool)>,
    /// When the connection is lost.
    pub(crate) lost: Option<Duration>,
    /// What the member says instead of the store.
    pub(crate) refusal: Option<Vec<u8>>,
}

impl Fate {
    /// One of so many in a hundred isn't the normal one.
    pub(crate) fn any(random: &mut Rng, fault_percent: u8) -> Self {
        if random.u8(..100) < fault_percent {
            FAULTS[random.usize(..FAULTS.len())]
        } else {
            Self::Normal
        }
    }

    /// For counting; `None` for the normal one.
    pub(crate) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Normal => return None,
            Self::Lost => "request lost",
            Self::Unanswered => "response lost",
            Self::CutAfter => "etcd's connection lost behind a request",
            Self::CutBefore => "etcd's connection lost before a request was done",
            Self::Late => "request done late",
            Self::Refused => "etcd without a leader",
            Self::TimedOut => "etcd waited too long",
        })
    }

    pub(crate) fn course(self, random: &mut Rng) -> Course {
        let soon = Duration::ZERO;
        let late = Duration::from_millis(random.u64(1..3_000));
        let done =
            |after, is_answered| Course { done: Some((after, is_answered)), ..Course::default() };
        let refusal = |status, code, message| {
            let (status, body) = http::refusal(status, code, message);
            Some(http::response(status, &body))
        };
        match self {
            Self::Normal => done(soon, true),
            Self::Lost => Course::default(),
            Self::Unanswered => done(soon, false),
            Self::CutAfter => Course { lost: Some(late), ..done(soon, false) },
            Self::CutBefore => Course { lost: Some(soon), ..done(late, false) },
            Self::Late => done(late, true),
            Self::Refused => {
                Course { refusal: refusal(503, 14, "etcdserver: no leader"), ..Course::default() }
            }
            Self::TimedOut => Course {
                refusal: refusal(504, 4, "etcdserver: request timed out"),
                ..done(late, false)
            },
        }
    }
}
