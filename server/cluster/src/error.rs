//! Why a central has to stop: what is in etcd isn't what this central began with, or etcd doesn't let it
//! work. None of it passes by itself.

use etcd::Refusal;

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 200;

/// Why a central has to stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An operator has deleted the draw, or begun another one of the same name.
    #[error("the draw was deleted: use another name for the next one")]
    Deleted,
    /// The draw was begun for another number of agencies.
    #[error("expected a draw of {expected} agencies, as configured, found one of {found}")]
    Agencies {
        /// As configured.
        expected: u32,
        /// As the draw was begun.
        found: u32,
    },
    /// The draw was begun by another version.
    #[error("expected keys of format {expected}, found format {found}: another version's draw")]
    Format {
        /// This version's.
        expected: u32,
        /// The draw's.
        found: u32,
    },
    /// A value, or a key, is none that a central writes.
    #[error("key {key}: expected {expected}, found \"{found}\"")]
    Corrupt {
        /// Which key, escaped.
        key: String,
        /// What a central writes.
        expected: &'static str,
        /// The beginning of what is there, escaped.
        found: String,
    },
    /// An agency's account is gone, and the draw is still there.
    #[error("agency {agency}: expected its account, found none")]
    AccountGone {
        /// Which agency.
        agency: u32,
    },
    /// More agencies have finished than there are.
    #[error("expected at most {expected} agencies that have finished, found {found}")]
    Finished {
        /// How many agencies there are.
        expected: u32,
        /// How many have finished.
        found: i64,
    },
    /// An agency's winners aren't as many as its account says.
    #[error("agency {agency}: expected {expected} winners, as in its account, found {found}")]
    Winners {
        /// Which agency.
        agency: u32,
        /// As in its account.
        expected: u64,
        /// As stored.
        found: u64,
    },
    /// An agency's rows aren't as many as its account says.
    #[error("agency {agency}: expected {expected} rows, as in its account, found {found}")]
    Rows {
        /// Which agency.
        agency: u32,
        /// As in its account.
        expected: u64,
        /// As stored.
        found: u64,
    },
    /// etcd's revision went back: a backup was restored under a central that runs.
    #[error("expected a revision of etcd from {expected} on, found {found}: a backup was restored")]
    WentBack {
        /// The revision of an earlier response.
        expected: i64,
        /// That of a later one.
        found: i64,
    },
    /// Another cluster has responded.
    #[error(
        "endpoint {endpoint}: expected etcd's cluster {expected:x}, found {found:x}: a backup was \
         restored, or the endpoint is wrong"
    )]
    OtherCluster {
        /// The cluster of the first response.
        expected: u64,
        /// That of this one.
        found: u64,
        /// Index of the endpoint.
        endpoint: usize,
    },
    /// A response has not what was asked for.
    #[error("expected {expected} from etcd, found something else")]
    Response {
        /// What was asked for.
        expected: &'static str,
    },
    /// A response is larger than this central takes.
    #[error("expected a response of etcd of at most {max} bytes, found more")]
    ResponseTooLarge {
        /// The limit of etcd's client.
        max: usize,
    },
    /// etcd doesn't accept the user.
    #[error("etcd doesn't accept the user: status {}, \"{}\"", .0.status, .0.message.escape_debug())]
    Unauthorized(Refusal),
    /// etcd refuses a request: a bug, a wrong setting, or missing rights.
    #[error("etcd refuses a request: status {}, \"{}\"", .0.status, .0.message.escape_debug())]
    Misused(Refusal),
}

impl Error {
    /// A key whose value, or name, is none that a central writes.
    pub(crate) fn corrupt(key: &[u8], expected: &'static str, found: &[u8]) -> Self {
        Self::Corrupt { key: shown(key), expected, found: shown(found) }
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    cut.escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_cut_and_escaped() {
        let value = "\n\"".to_owned() + &"x".repeat(1000);
        let error = Error::corrupt(b"/loteria/a/meta\xff", "a thing", value.as_bytes());
        let expected = format!(
            "key /loteria/a/meta\\u{{fffd}}: expected a thing, found \"\\n\\\"{}\"",
            "x".repeat(SHOWN_MAX - 2)
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_etcd_says_can_not_break_a_line() {
        let refusal = Refusal { status: 403, code: Some(7), message: "no\n".to_owned() };
        let text = Error::Misused(refusal).to_string();
        assert_eq!(text, "etcd refuses a request: status 403, \"no\\n\"");
    }
}
