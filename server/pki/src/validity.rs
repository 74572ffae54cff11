//! From when to when a certificate or a revocation list is valid.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

/// Validity of an authority's certificate, in days.
pub const CA_DAYS: u16 = 3650;

/// Validity of a central's or an agency's certificate, in days.
pub const LEAF_DAYS: u16 = 365;

/// Time until a revocation list expires, in days.
pub const CRL_DAYS: u16 = 30;

/// How long before now validity begins. Clocks differ: on a machine whose clock is behind, what is
/// valid from now on isn't valid yet.
pub const BACKDATED: Duration = Duration::from_mins(5);

const DAY: Duration = Duration::from_hours(24);

/// From when to when something is valid, in whole seconds: a certificate holds no finer times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub from: SystemTime,
    /// The last instant.
    pub until: SystemTime,
}

impl Validity {
    /// From [`BACKDATED`] before now to `days` after now.
    pub fn days(days: u16) -> Self {
        let now = whole_seconds(SystemTime::now());
        Self { from: now - BACKDATED, until: now + DAY * u32::from(days) }
    }
}

/// The time without its fraction of a second.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    let fraction =
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    time - Duration::from_nanos(fraction.into())
}

/// The time as rcgen takes it.
pub(crate) fn date_time(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(whole_seconds(time))
}
