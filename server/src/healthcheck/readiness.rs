//! The request for `/readyz`, and what the answer says. Knows no socket.

use std::net::SocketAddr;

use http1::{BodyEnd, RequestHead, ResponseDecoder, ResponseHead, ResponseLimits, ResponsePart};

/// Bytes of the longest answer; the central's has a few hundred.
pub(super) const ANSWER_MAX: usize = 4096;

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
pub(super) fn request(address: SocketAddr) -> Vec<u8> {
    let mut request = Vec::new();
    let head = RequestHead::new("GET", "/readyz", &address.to_string());
    let head = head.and_then(|head| head.header("Connection", "close"));
    head.expect("an address is a host").write(None, &mut request);
    request
}

/// What the answer says that begins with `found`.
pub(super) fn parse(found: &[u8]) -> Answer {
    let limits = ResponseLimits { max_head: ANSWER_MAX, max_body: ANSWER_MAX as u64 };
    let mut decoder = ResponseDecoder::new(limits);
    let (mut status, mut body, mut from) = (0, Vec::new(), 0);
    loop {
        let Ok(next) = decoder.decode(&found[from..]) else { return Answer::Unexpected };
        from += next.used;
        match next.part {
            Some(ResponsePart::Head(head)) if is_expected(head) => status = head.status,
            Some(ResponsePart::Head(_)) => return Answer::Unexpected,
            Some(ResponsePart::Body(piece)) => body.extend_from_slice(piece),
            Some(ResponsePart::End) if status == 200 => return Answer::Ready,
            Some(ResponsePart::End) => return Answer::NotReady(first_line(&body)),
            None => return Answer::Partial,
        }
    }
}

/// The central says how long its answers are.
fn is_expected(head: ResponseHead) -> bool {
    matches!(head.status, 200 | 503) && matches!(head.body_end, BodyEnd::Length(_))
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
            String::from_utf8(request(([127, 0, 0, 1], 8080).into())).expect("text"),
            "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n"
        );
        let address = "[::1]:8080".parse().expect("an address");
        let text = String::from_utf8(request(address)).expect("text");
        assert!(text.contains("\r\nHost: [::1]:8080\r\n"));
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
            "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nready\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\nready\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nready\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(parse(found.as_bytes()), Answer::Unexpected, "{found}");
        }
        let fields = "A: b\r\n".repeat(http1::limits::HEADERS_MAX + 1);
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
