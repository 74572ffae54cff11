//! When certificates and revocation lists end, and from when on that is worth a warning.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificate::{Certificate, Serial};
use crate::revocation_list::{ListVersion, RevocationList};
use crate::timestamp::Timestamp;

/// How long before its end a certificate is warned of.
pub const CERTIFICATE_WARNING: Duration = Duration::from_hours(30 * 24);

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
}
