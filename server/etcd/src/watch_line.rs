//! What a watch says: a JSON text a line, in a body that doesn't end.
//!
//! Knows no connection, and nothing of what is watched.

use serde::Deserialize;

use crate::outcome::{Outcome, of_refusal};
use crate::response::{Header, KeyValue};

/// Cuts a body into lines, none of them longer than the maximum.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// A line's beginning; no newline is in it.
    held: Vec<u8>,
}

/// A line is longer than the maximum.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Lines {
    /// The lines that end in `piece`, without their newlines.
    pub(crate) fn feed(
        &mut self,
        piece: &[u8],
        max: usize,
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<(), TooLong> {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.hold(&rest[..end], max)?;
            on_line(&self.held);
            self.held.clear();
            rest = &rest[end + 1..];
        }
        self.hold(rest, max)
    }

    fn hold(&mut self, bytes: &[u8], max: usize) -> Result<(), TooLong> {
        if self.held.len() + bytes.len() > max {
            return Err(TooLong);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }
}

/// What a line says.
#[derive(Debug, PartialEq)]
pub(crate) enum WatchLine {
    /// The watch is in force: whatever changes from now on, it says.
    Created(Header),
    /// So many changes; perhaps none.
    Changed(Header, Vec<WatchEvent>),
    /// It says nothing more. The member has no leader, the token is no longer valid, or it may not be.
    Ended(Outcome<()>),
}

/// A change of a key.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct WatchEvent {
    #[serde(rename = "type")]
    pub(crate) kind: EventKind,
    pub(crate) kv: KeyValue,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) enum EventKind {
    #[default]
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    result: Option<WatchResult>,
    error: Option<WatchError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WatchResult {
    header: Header,
    created: bool,
    canceled: bool,
    events: Vec<WatchEvent>,
}

/// Named otherwise by each version.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WatchError {
    #[serde(alias = "grpc_code")]
    code: Option<u32>,
    http_code: Option<u16>,
    message: String,
}

impl WatchLine {
    /// `None` for a line that isn't one of a watch.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line: Line = serde_json::from_slice(line).ok()?;
        match (line.result, line.error) {
            (_, Some(error)) => Some(Self::Ended(error.outcome())),
            (Some(result), None) if result.canceled => Some(Self::Ended(Outcome::Unknown)),
            (Some(result), None) if result.created => Some(Self::Created(result.header)),
            (Some(result), None) => Some(Self::Changed(result.header, result.events)),
            (None, None) => None,
        }
    }
}

impl WatchError {
    fn outcome(&self) -> Outcome<()> {
        let by_code = match self.code {
            Some(16) => 401,
            Some(14) => 503,
            _ => 500,
        };
        of_refusal(self.http_code.unwrap_or(by_code), self.code, &self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]], max: usize) -> (Vec<Vec<u8>>, bool) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let fed = pieces
            .iter()
            .try_for_each(|piece| lines.feed(piece, max, |line| found.push(line.to_vec())));
        (found, fed.is_ok())
    }

    #[test]
    fn a_line_has_the_maximum_and_no_byte_more() {
        assert_eq!(lines(&[b"abc\n"], 3), (vec![b"abc".to_vec()], true));
        assert_eq!(lines(&[b"ab", b"c", b"\n\n"], 3), (vec![b"abc".to_vec(), vec![]], true));
        assert_eq!(lines(&[b"abcd\n"], 3), (vec![], false));
        assert_eq!(lines(&[b"a\nabc", b"d"], 3), (vec![b"a".to_vec()], false));
    }

    #[test]
    fn what_a_watch_of_each_version_says_is_understood() {
        let header = Header { cluster_id: 7, member_id: 8, revision: 9, raft_term: 2 };
        let head = r#""header":{"cluster_id":"7","member_id":"8","revision":"9","raft_term":"2"}"#;
        let parse =
            |rest: &str| WatchLine::parse(format!("{{\"result\":{{{head}{rest}}}}}").as_bytes());
        assert_eq!(parse(",\"created\":true"), Some(WatchLine::Created(header)));
        assert_eq!(parse(""), Some(WatchLine::Changed(header, Vec::new())));
        let canceled = parse(", \"created\": true, \"canceled\": true");
        assert_eq!(canceled, Some(WatchLine::Ended(Outcome::Unknown)));
        let changed = parse(
            r#","events":[{"kv":{"key":"YQ==","value":"Yg=="}},{"type":"DELETE","kv":{"key":"YQ=="}}]"#,
        );
        let kv = |value: &[u8]| KeyValue {
            key: b"a".to_vec(),
            value: value.to_vec(),
            ..KeyValue::default()
        };
        let events = vec![
            WatchEvent { kind: EventKind::Put, kv: kv(b"b") },
            WatchEvent { kind: EventKind::Delete, kv: kv(b"") },
        ];
        assert_eq!(changed, Some(WatchLine::Changed(header, events)));
        let ended = |text: &str| WatchLine::parse(text.as_bytes());
        let no_leader = Some(WatchLine::Ended(Outcome::Unavailable));
        assert_eq!(
            ended(
                r#"{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}"#
            ),
            no_leader
        );
        assert_eq!(
            ended(r#"{"error": {"code": 14, "message": "etcdserver: no leader", "details": []}}"#),
            no_leader
        );
        assert!(matches!(
            ended(r#"{"error":{"grpc_code":16,"http_code":401,"message":"m"}}"#),
            Some(WatchLine::Ended(Outcome::Unauthorized(_)))
        ));
        for text in ["", "{}", "[]", "{\"result\":null}", "HTTP", "{\"result\":{\"events\":7}}"] {
            assert_eq!(ended(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_comes_to_the_same_lines(
            text in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..60),
            cut in any::<prop::sample::Index>(),
            max in 0_usize..10,
        ) {
            let at = cut.index(text.len() + 1);
            prop_assert_eq!(lines(&[&text[..at], &text[at..]], max), lines(&[&text], max));
        }

        #[test]
        fn no_line_makes_it_fail(line in ".{0,60}") {
            let _ = WatchLine::parse(line.as_bytes());
        }
    }
}
