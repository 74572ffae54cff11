//! What is known after a try of a request: etcd's errors in words of this crate, those of 3.4 and of
//! later versions alike.
//!
//! | status, code of gRPC | what it means |
//! |---|---|
//! | 200, and a transaction or read names its cluster | done |
//! | any other from 200 on before 400 | unknown: the response isn't etcd's |
//! | 429, 8, `database space exceeded` | no space: nothing was written |
//! | 429, 8, `too many requests` | unavailable |
//! | 401, code 16, or `user name is empty` | unauthorized |
//! | 503 or code 14 | unavailable: no leader, or a time-out |
//! | 408, 499, code 1 or 10 | unknown: a time-out, cancelled, or aborted |
//! | 500, 504 and all others from 500 on | unknown: a time-out, or something worse |
//! | all others from 400 on | misused: a bug, or a wrong setting |
//!
//! The texts that distinguish uses of a code are compared with the message, parsed.

use serde::Deserialize;

use crate::response::{RangeResponse, Response, TokenResponse, TxnResponse};

/// Characters of etcd's message that are kept.
pub const MESSAGE_MAX: usize = 200;

/// The message when no space is left.
const NO_SPACE: &str = "database space exceeded";

/// The message when a member has too much to do.
const TOO_MANY: &str = "too many requests";

/// The message when no user is named and etcd wants one.
const NO_USER: &str = "user name is empty";

/// Codes of gRPC after which a request may have been done.
const CANCELLED: u32 = 1;
const ABORTED: u32 = 10;

/// What is known after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome<A> {
    /// It was done.
    Done(A),
    /// Nothing was written: the database has reached its quota.
    NoSpace,
    /// Nothing was done: the token is missing or no longer valid.
    Unauthorized(Refusal),
    /// Nothing is known, but that this member can't do it now.
    Unavailable,
    /// Nothing is known.
    Unknown,
    /// Nothing was done: it can't be.
    Misused(Refusal),
}

/// Why etcd refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of HTTP, from 400 on; 200 if it was the token that couldn't be taken.
    pub status: u16,
    /// The code of gRPC, if there is one.
    pub code: Option<u32>,
    /// What etcd says, its first [`MESSAGE_MAX`] characters: text of a peer, not escaped.
    pub message: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Txn,
    Range,
}

/// The body of an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<u32>,
    message: String,
    error: String,
}

/// What the response to a request says.
pub(crate) fn of_request(kind: Kind, status: u16, body: &[u8]) -> Outcome<Response> {
    let outcome = of(status, body, |body| match kind {
        Kind::Txn => serde_json::from_slice::<TxnResponse>(body).map(Response::Txn),
        Kind::Range => serde_json::from_slice::<RangeResponse>(body).map(Response::Range),
    });
    match outcome {
        // Any JSON object would pass for a response without changes. etcd names its cluster in each.
        Outcome::Done(response) if response.header().cluster_id == 0 => Outcome::Unknown,
        outcome => outcome,
    }
}

/// What the response to a request for a token says.
pub(crate) fn of_token(status: u16, body: &[u8]) -> Outcome<TokenResponse> {
    of(status, body, |body| serde_json::from_slice(body))
}

fn of<A>(
    status: u16,
    body: &[u8],
    parse: impl FnOnce(&[u8]) -> serde_json::Result<A>,
) -> Outcome<A> {
    match status {
        // What can't be read may have been done.
        200 if is_object(body) => parse(body).map_or(Outcome::Unknown, Outcome::Done),
        200 => Outcome::Unknown,
        _ => of_error(status, body),
    }
}

/// Lists would pass for what has defaults alone.
fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// What the end of a watch's response says.
pub(crate) fn of_watch(status: u16, body: &[u8]) -> Outcome<()> {
    if status == 200 { Outcome::Unknown } else { of_error(status, body) }
}

/// What the response to something else than 200 says.
fn of_error<A>(status: u16, body: &[u8]) -> Outcome<A> {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) if body.message.is_empty() => of_refusal(status, body.code, &body.error),
        Ok(body) => of_refusal(status, body.code, &body.message),
        Err(_) => of_plain_text(status, body),
    }
}

/// What comes from before the gateway, as a refusal of a certificate does: it is shown, and decides nothing.
fn of_plain_text<A>(status: u16, body: &[u8]) -> Outcome<A> {
    let text = String::from_utf8_lossy(&body[..body.len().min(MESSAGE_MAX)]);
    match of_refusal(status, None, "") {
        Outcome::Unauthorized(_) => Outcome::Unauthorized(refusal(status, None, text.trim())),
        Outcome::Misused(_) => Outcome::Misused(refusal(status, None, text.trim())),
        outcome => outcome,
    }
}

/// What an error says, taken apart.
pub(crate) fn of_refusal<A>(status: u16, code: Option<u32>, message: &str) -> Outcome<A> {
    let is_exhausted = status == 429 || (400..500).contains(&status) && code == Some(8);
    match (status, code) {
        _ if is_exhausted && message.contains(NO_SPACE) => Outcome::NoSpace,
        _ if is_exhausted && message.contains(TOO_MANY) => Outcome::Unavailable,
        (408 | 499, _) | (400..500, Some(CANCELLED | ABORTED)) => Outcome::Unknown,
        (400..500, Some(3)) if message.contains(NO_USER) => {
            Outcome::Unauthorized(refusal(status, code, message))
        }
        (401, _) | (400..500, Some(16)) => Outcome::Unauthorized(refusal(status, code, message)),
        (503, _) | (500.., Some(14)) => Outcome::Unavailable,
        (400..500, _) => Outcome::Misused(refusal(status, code, message)),
        _ => Outcome::Unknown,
    }
}

fn refusal(status: u16, code: Option<u32>, message: &str) -> Refusal {
    Refusal { status, code, message: message.chars().take(MESSAGE_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::Header;

    fn of_text(status: u16, body: &str) -> Outcome<Response> {
        of_request(Kind::Range, status, body.as_bytes())
    }

    #[test]
    fn each_error_of_each_version_is_what_the_table_says() {
        let refusal =
            |status, code, message: &str| Refusal { status, code, message: message.to_owned() };
        // As 3.4 writes them, and as 3.5 does, with a space behind each comma.
        let cases: [(u16, &str, Outcome<Response>); 18] = [
            (
                503,
                r#"{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}"#,
                Outcome::Unavailable,
            ),
            (
                503,
                r#"{"error":"etcdserver: request timed out", "message":"m", "code":14}"#,
                Outcome::Unavailable,
            ),
            (504, r#"{"error":"context deadline exceeded","code":4}"#, Outcome::Unknown),
            (500, r#"{"error":"m","code":2,"message":"m"}"#, Outcome::Unknown),
            (500, r#"{"error":"m","code":14,"message":"m"}"#, Outcome::Unavailable),
            (
                429,
                r#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#,
                Outcome::NoSpace,
            ),
            (
                429,
                r#"{"error":"m", "message":"etcdserver: too many requests", "code":8}"#,
                Outcome::Unavailable,
            ),
            (
                429,
                r#"{"message":"trying to send message larger than max","code":8}"#,
                Outcome::Misused(refusal(429, Some(8), "trying to send message larger than max")),
            ),
            (
                401,
                r#"{"message":"etcdserver: invalid auth token","code":16}"#,
                Outcome::Unauthorized(refusal(401, Some(16), "etcdserver: invalid auth token")),
            ),
            (
                403,
                r#"{"error":"etcdserver: permission denied","code":7}"#,
                Outcome::Misused(refusal(403, Some(7), "etcdserver: permission denied")),
            ),
            (
                400,
                r#"{"error":"a","code":11,"message":"compacted"}"#,
                Outcome::Misused(refusal(400, Some(11), "compacted")),
            ),
            (408, r#"{"error":"m","code":4,"message":"m"}"#, Outcome::Unknown),
            (408, r#"{"error":"context canceled","code":1}"#, Outcome::Unknown),
            (499, "", Outcome::Unknown),
            (409, r#"{"error":"m","code":10,"message":"m"}"#, Outcome::Unknown),
            (
                400,
                r#"{"error":"m","code":3,"message":"etcdserver: user name is empty"}"#,
                Outcome::Unauthorized(refusal(400, Some(3), "etcdserver: user name is empty")),
            ),
            (404, "not found\n", Outcome::Misused(refusal(404, None, "not found"))),
            (429, NO_SPACE, Outcome::Misused(refusal(429, None, NO_SPACE))),
        ];
        for (status, body, expected) in cases {
            assert_eq!(of_text(status, body), expected, "{status} {body}");
        }
        assert_eq!(of_text(502, "<html>"), Outcome::Unknown);
    }

    #[test]
    fn what_is_no_response_may_have_been_done() {
        let foreign = [r#"{"status":"ok"}"#, r#"{"header":{"cluster_id":"0"},"count":"1"}"#];
        for body in ["", "{", "<html>", "[]", "[1]", "{}"].into_iter().chain(foreign) {
            assert_eq!(of_text(200, body), Outcome::Unknown, "{body}");
            let txn = of_request(Kind::Txn, 200, body.as_bytes());
            assert_eq!(txn, Outcome::Unknown, "{body}");
        }
        let header = Header { cluster_id: 7, ..Header::default() };
        let response = Response::Range(RangeResponse { header, ..RangeResponse::default() });
        assert_eq!(of_text(200, r#"{"header":{"cluster_id":"7"}}"#), Outcome::Done(response));
        assert_eq!(of_text(204, ""), Outcome::Unknown);
    }

    #[test]
    fn a_message_is_cut() {
        let body = format!(r#"{{"code":3,"message":"{}"}}"#, "ñ".repeat(1000));
        let Outcome::Misused(refusal) = of_text(400, &body) else { panic!("misused") };
        assert_eq!(refusal.message, "ñ".repeat(MESSAGE_MAX));
    }
}
