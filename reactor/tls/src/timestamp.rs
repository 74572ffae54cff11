//! Points in time as certificates have them, and the clock that they are compared with.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use time::OffsetDateTime;

/// A second in UTC, from year 0 to year 9999. Shown as `2026-03-01T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// From 1970 on.
    second: i64,
}

/// `0000-01-01T00:00:00Z`.
const FIRST: i64 = -62_167_219_200;

/// `9999-12-31T23:59:59Z`.
const LAST: i64 = 253_402_300_799;

impl Timestamp {
    /// A second from 1970 on; the nearest one when it is out of range.
    pub(crate) fn from_unix(second: i64) -> Self {
        Self { second: second.clamp(FIRST, LAST) }
    }

    /// Seconds from 1970 on.
    pub fn unix(self) -> i64 {
        self.second
    }

    /// How long after `earlier` it is; zero if it isn't.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.second - earlier.second).unwrap_or_default())
    }

    /// The time so long before.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self::from_unix(self.second.saturating_sub_unsigned(span.as_secs()))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self::from_unix(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(error) => -seconds(error.duration()),
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time =
            OffsetDateTime::from_unix_timestamp(self.second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second) = time.to_hms();
        let month = u8::from(month);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Where the time comes from that certificates and revocation lists are checked at.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Any other one: a test's, a simulation's.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)().into()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

impl TimeProvider for Clock {
    /// `None`, with which every verification fails, when the clock is set before 1970.
    fn current_time(&self) -> Option<UnixTime> {
        let since = (self.0)().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        (SystemTime::UNIX_EPOCH + Duration::from_secs(second)).into()
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(at(1_709_251_199).to_string(), "2024-02-29T23:59:59Z");
        assert_eq!(at(0).to_string(), "1970-01-01T00:00:00Z");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(at(1 << 60).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_unix(i64::MIN).to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn spans_end_where_time_does() {
        let day = Duration::from_hours(24);
        assert_eq!(at(100_000).since(at(13_600)), day);
        assert_eq!(at(13_600).since(at(100_000)), Duration::ZERO);
        assert_eq!(at(100_000).before(day), at(13_600));
        assert!(at(0).before(Duration::MAX) < at(0));
    }

    #[test]
    fn a_clock_before_1970_has_no_time_for_a_verification() {
        let clock = Clock::new(|| SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(clock.current_time(), None);
        let clock = Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!(clock.current_time().map(|time| time.as_secs()), Some(7));
        assert_eq!(clock.now(), at(7));
    }
}
