//! When certificates and revocation lists end, and from when on that is worth a warning.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::log_line;
use runtime::logging::{InProgress, Level, Line};

use crate::certificate::{Certificate, Serial};
use crate::revocation_list::{ListVersion, RevocationList};
use crate::timestamp::Timestamp;

/// How long before its end a certificate is warned of.
pub const CERTIFICATE_WARNING: Duration = Duration::from_hours(30 * 24);

/// Between two warnings of the same.
pub const WARNING_INTERVAL: Duration = Duration::from_hours(24);

/// Which part of a list's validity is left when it is warned of, at most [`CERTIFICATE_WARNING`]: a
/// list that is replaced in time, after half of it or two thirds, is never warned of.
const LIST_WARNING_PART: u32 = 4;

/// The end of a certificate or of a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The file that it is in, as configured.
    pub path: PathBuf,
    /// What ends.
    pub what: Ending,
    /// Whose certificate, or the list of which authority.
    pub name: String,
    /// When it ends.
    pub at: Timestamp,
    /// From when on that is worth a warning.
    pub warn_from: Timestamp,
}

/// What ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A certificate.
    Certificate(Serial),
    /// A revocation list.
    RevocationList(ListVersion),
}

impl Expiry {
    pub(crate) fn of_certificate(path: &Path, certificate: &Certificate) -> Self {
        let at = certificate.not_after();
        Self {
            path: path.to_owned(),
            what: Ending::Certificate(certificate.serial().clone()),
            name: certificate.subject().to_owned(),
            at,
            warn_from: at.before(CERTIFICATE_WARNING),
        }
    }

    pub(crate) fn of_list(path: &Path, list: &RevocationList) -> Self {
        let (version, at) = (list.version(), list.next_update());
        let part = at.since(version.this_update) / LIST_WARNING_PART;
        Self {
            path: path.to_owned(),
            what: Ending::RevocationList(version.clone()),
            name: list.issuer().to_owned(),
            at,
            warn_from: at.before(part.min(CERTIFICATE_WARNING)),
        }
    }

    /// Whether it is worth a warning at that time, or over.
    pub fn is_near(&self, now: Timestamp) -> bool {
        now >= self.warn_from
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.at
    }

    /// The line of a log that warns of it.
    pub fn line(&self, now: Timestamp) -> Line {
        let line = Line::new("check_expiry", InProgress).with_path("file", &self.path);
        let line = match &self.what {
            Ending::Certificate(serial) => line.with("serial", serial),
            Ending::RevocationList(version) => line.with("list", version),
        };
        let line = line.with_bytes("name", &self.name);
        line.with("expires", self.at).with("warning", self.warning(now))
    }

    fn warning(&self, now: Timestamp) -> String {
        const DAY: u64 = 24 * 60 * 60;
        match self.at.since(now).as_secs() / DAY {
            _ if self.is_over(now) => "it has expired".to_owned(),
            0 => "it expires in less than a day".to_owned(),
            1 => "it expires in 1 day".to_owned(),
            days => format!("it expires in {days} days"),
        }
    }
}

/// Logs a warning of each that is near its end. Returns how long it is until something is worth one
/// again.
pub fn warn(expiries: &[Expiry], now: Timestamp) -> Duration {
    for expiry in expiries.iter().filter(|expiry| expiry.is_near(now)) {
        log_line!(Level::Warn, expiry.line(now));
    }
    until_next_warning(expiries, now)
}

/// A day, or less when something comes near its end earlier, or to it.
fn until_next_warning(expiries: &[Expiry], now: Timestamp) -> Duration {
    let times = expiries.iter().flat_map(|expiry| [expiry.warn_from, expiry.at]);
    let ahead = times.filter(|time| *time > now).map(|time| time.since(now));
    ahead.fold(WARNING_INTERVAL, Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_unix(days * DAY)
    }

    /// A certificate that ends at day 100.
    fn certificate() -> Expiry {
        Expiry {
            path: "a.pem".into(),
            what: Ending::Certificate(Serial::new(&[1, 2])),
            name: "CN=a|b".to_owned(),
            at: at(100),
            warn_from: at(70),
        }
    }

    #[test]
    fn a_warning_says_what_ends_and_when() {
        assert_eq!(
            certificate().line(at(90)).to_string(),
            "action: check_expiry | result: in_progress | file: a.pem | serial: 0102 | name: \
             CN=a\\x7cb | expires: 1970-04-11T00:00:00Z | warning: it expires in 10 days"
        );
        let list = Expiry {
            what: Ending::RevocationList(ListVersion { number: None, this_update: at(92) }),
            ..certificate()
        };
        let text = list.line(at(100)).to_string();
        assert!(text.contains(" | list: of 1970-04-03T00:00:00Z | "), "{text}");
        assert!(text.ends_with(" | warning: it has expired"), "{text}");
        let second = Duration::from_secs(1);
        for (now, expected) in [
            (at(98), "it expires in 2 days"),
            (at(98).before(second), "it expires in 2 days"),
            (at(99), "it expires in 1 day"),
            (at(100).before(second), "it expires in less than a day"),
            (at(300), "it has expired"),
        ] {
            assert_eq!(certificate().warning(now), expected);
        }
    }

    #[test]
    fn the_next_warning_comes_in_a_day_or_with_the_next_thing_that_ends() {
        let day = Duration::from_hours(24);
        let hour = Duration::from_hours(1);
        assert_eq!(until_next_warning(&[], at(0)), day);
        for (now, expected) in [
            (at(0), day),
            (at(70).before(hour), hour),
            (at(70), day),
            (at(100).before(hour), hour),
            (at(100), day),
        ] {
            assert_eq!(until_next_warning(&[certificate()], now), expected, "{now}");
        }
    }
}
