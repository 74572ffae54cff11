//! The request for `/readyz`, and what the answer says. Knows no socket.

use std::net::SocketAddr;

/// Bytes of the longest answer; the central's has a few hundred.
pub(super) const ANSWER_MAX: usize = 4096;

/// Header fields of an answer; the central's has seven.
const FIELDS_MAX: usize = 32;

/// Characters of a reason that are shown.
const REASON_MAX: usize = 200;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As much as has come is its beginning.
    Partial,
    Ready,
    /// Why not: the first line of the body.
    NotReady(String),
    /// Not what `/readyz` answers.
    Unexpected,
}

/// The request, to the listener at this address.
pub(super) fn request(address: SocketAddr) -> String {
    format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
}

/// What the answer says that begins with `found`.
pub(super) fn parse(found: &[u8]) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(found) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Answer::Partial,
        Err(_) => return Answer::Unexpected,
    };
    let Some(length) = content_length(response.headers) else { return Answer::Unexpected };
    match (response.code, found[head..].get(..length)) {
        (Some(200 | 503), None) => Answer::Partial,
        (Some(200), Some(_)) => Answer::Ready,
        (Some(503), Some(body)) => Answer::NotReady(first_line(body)),
        _ => Answer::Unexpected,
    }
}

fn content_length(fields: &[httparse::Header<'_>]) -> Option<usize> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case("Content-Length"))?;
    std::str::from_utf8(field.value).ok()?.parse().ok()
}

/// Fit for a terminal, whoever sent it.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(REASON_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use admin::view::NotReady;
    use proptest::prelude::*;

    fn answer(status: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn the_request_is_whole_and_the_last_one() {
        assert_eq!(
            request(([127, 0, 0, 1], 8080).into()),
            "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n"
        );
        let address = "[::1]:8080".parse().expect("an address");
        assert!(request(address).contains("\r\nHost: [::1]:8080\r\n"));
    }

    #[test]
    fn an_answer_says_whether_the_central_is_ready_or_why_not() {
        assert_eq!(parse(&answer("200 OK", "ready\n")), Answer::Ready);
        let reason = NotReady::StorageFailing.to_string();
        let found = answer("503 Service Unavailable", &format!("{reason}\nmore\n"));
        assert_eq!(parse(&found), Answer::NotReady(reason));
        let found = answer("503 Service Unavailable", "a\u{1b}[2J\n");
        assert_eq!(parse(&found), Answer::NotReady(r"a\u{1b}[2J".to_owned()));
        let found = answer("503 Service Unavailable", &"x".repeat(1000));
        assert_eq!(parse(&found), Answer::NotReady("x".repeat(REASON_MAX)));
        assert_eq!(parse(&answer("503 Service Unavailable", "")), Answer::NotReady(String::new()));
    }

    #[test]
    fn nothing_else_is_an_answer() {
        for status in ["204 No Content", "301 Moved Permanently", "404 Not Found", "500 x"] {
            assert_eq!(parse(&answer(status, "ready\n")), Answer::Unexpected, "{status}");
        }
        for found in [
            "healthcheck\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\n\r\nready\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nready\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nready\n",
        ] {
            assert_eq!(parse(found.as_bytes()), Answer::Unexpected, "{found}");
        }
        let fields = "A: b\r\n".repeat(FIELDS_MAX + 1);
        let found = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
        assert_eq!(parse(found.as_bytes()), Answer::Unexpected);
    }

    proptest! {
        /// Whatever comes, as much of it as is there is no other answer than all of it, but for a part.
        #[test]
        fn an_answer_that_is_cut_is_partial(body in "[ -~]{0,20}\n", is_ready: bool, cut: prop::sample::Index) {
            let found = answer(if is_ready { "200 OK" } else { "503 Service Unavailable" }, &body);
            let reason = body.trim_end_matches('\n').escape_debug().to_string();
            let whole = if is_ready { Answer::Ready } else { Answer::NotReady(reason) };
            prop_assert_eq!(parse(&found[..cut.index(found.len())]), Answer::Partial);
            prop_assert_eq!(parse(&found), whole);
        }

        #[test]
        fn nothing_makes_it_fail(found: Vec<u8>) {
            let _ = parse(&found);
        }
    }
}
