//! The network between centrals and etcd: what becomes of a request, and what is on its way.

use kit::memory_etcd::http::{self, HttpRequest, RequestReader};
use kit::memory_etcd::{MemoryEtcd, request};

/// A connection of a central, in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) central: usize,
    pub(crate) life: u32,
    pub(crate) number: u64,
}

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
    Slow,
    /// It is done once more, much later. One that was refused isn't: no network sends again what has arrived,
    /// and the client doesn't either.
    Twice,
    /// The member says that it has no leader.
    Refused,
    /// The member says that it has waited too long; it is done later.
    TimedOut,
}

/// All fates but the first one.
pub(crate) const FAULTS: [Fate; 8] = [
    Fate::Lost,
    Fate::Unanswered,
    Fate::CutAfter,
    Fate::CutBefore,
    Fate::Slow,
    Fate::Twice,
    Fate::Refused,
    Fate::TimedOut,
];

/// What happens to a request, in microseconds from now.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// When it is done, and whether its response arrives.
    pub(crate) done: Option<(u64, bool)>,
    /// How much later it is done once more.
    pub(crate) again: Option<u64>,
    /// When the connection is lost.
    pub(crate) lost: Option<u64>,
    /// A response of the member itself.
    pub(crate) refusal: Option<(u64, Vec<u8>)>,
}

impl Fate {
    /// For counting.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Lost => "lost",
            Self::Unanswered => "unanswered",
            Self::CutAfter => "cut after",
            Self::CutBefore => "cut before",
            Self::Slow => "slow",
            Self::Twice => "twice",
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
        }
    }

    pub(crate) fn course(self, random: &mut fastrand::Rng) -> Course {
        let (soon, late) = (random.u64(100..2_000), random.u64(1_000..3_000_000));
        let done = |at: u64, is_answered: bool| Course {
            done: Some((at, is_answered)),
            ..Course::default()
        };
        let refusal = |status, code, message| {
            let (status, body) = http::refusal(status, code, message);
            Some((soon, http::response(status, &body)))
        };
        match self {
            Self::Normal => done(soon, true),
            Self::Lost => Course::default(),
            Self::Unanswered => done(soon, false),
            Self::CutAfter => Course { lost: Some(soon + 100), ..done(soon, false) },
            Self::CutBefore => Course { lost: Some(soon), ..done(late, false) },
            Self::Slow => done(random.u64(100_000..1_500_000), true),
            Self::Twice => Course { again: Some(late), ..done(soon, true) },
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

/// A request that is sent as a whole.
pub(crate) fn parse(bytes: &[u8]) -> HttpRequest {
    let mut reader = RequestReader::default();
    reader.feed(bytes);
    reader.next_request().expect("a whole request")
}

/// Whether a request is a transaction that writes for an agency: those alone have three conditions.
pub(crate) fn is_write(asked: &HttpRequest) -> bool {
    asked.resource == "/v3/kv/txn" && request::txn(&asked.body).compare.len() == 3
}

/// Does a request; whether it was done, and the bytes of the response.
pub(crate) fn call(etcd: &mut MemoryEtcd, request: &HttpRequest) -> (bool, Vec<u8>) {
    let (status, body) = etcd.call(&request.resource, &request.body);
    (status == 200, http::response(status, &body))
}
