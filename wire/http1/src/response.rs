//! Writes responses.
//!
//! Every response forbids what it doesn't need: to be kept in a cache, to be taken for another type, to
//! load anything, to stand in another page's frame. No clock is known here: the `Date` (RFC 9110, 6.6.1)
//! is the caller's to say.

use std::io::Write as _;

use crate::request::Method;
use crate::status_code::StatusCode;

/// What may be loaded by what has no reason to load anything: nothing, and no page frames it.
pub const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// The methods that are answered.
const ALLOW: &str = "GET, HEAD";

/// What happens to the connection behind a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterResponse {
    /// Another request may follow.
    KeepAlive,
    /// It closes.
    Close,
}

/// A response but for its body. What its texts say comes from the program, never from a peer: they have
/// no control characters.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    status_code: StatusCode,
    content_type: &'a str,
    content_security_policy: &'a str,
    retry_after: Option<u32>,
    date: Option<&'a str>,
}

impl<'a> Response<'a> {
    /// A response of this type, which may load nothing.
    pub fn new(status_code: StatusCode, content_type: &'a str) -> Self {
        let content_security_policy = NO_CONTENT;
        Self { status_code, content_type, content_security_policy, retry_after: None, date: None }
    }

    /// A plain text.
    pub fn text(status_code: StatusCode) -> Self {
        Self::new(status_code, "text/plain; charset=utf-8")
    }

    /// How the request ended.
    pub fn status_code(&self) -> StatusCode {
        self.status_code
    }

    /// With this Content-Security-Policy instead of [`NO_CONTENT`].
    #[must_use]
    pub fn content_security_policy(self, policy: &'a str) -> Self {
        Self { content_security_policy: policy, ..self }
    }

    /// With the advice to try again in so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// With the time at which it is made, as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
    #[must_use]
    pub fn date(self, date: &'a str) -> Self {
        Self { date: Some(date), ..self }
    }

    /// Appends the response to `out`; the body only if `method` asks for it.
    pub fn write(&self, method: Method, after: AfterResponse, body: &[u8], out: &mut Vec<u8>) {
        self.write_head(out);
        append(out, format_args!("Content-Length: {}\r\nCache-Control: no-store\r\n", body.len()));
        if after == AfterResponse::Close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if method == Method::Get {
            out.extend_from_slice(body);
        }
    }

    /// Appends the head of a response whose body goes on until the connection closes, and which no
    /// proxy is to hold back.
    pub fn write_stream_head(&self, out: &mut Vec<u8>) {
        self.write_head(out);
        out.extend_from_slice(
            b"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n",
        );
    }

    /// What every response has.
    fn write_head(&self, out: &mut Vec<u8>) {
        let (number, phrase) = (self.status_code.number(), self.status_code.phrase());
        append(out, format_args!("HTTP/1.1 {number} {phrase}\r\n"));
        if let Some(date) = self.date {
            append(out, format_args!("Date: {date}\r\n"));
        }
        append(out, format_args!("Content-Type: {}\r\n", self.content_type));
        let policy = self.content_security_policy;
        append(out, format_args!("Content-Security-Policy: {policy}\r\n"));
        out.extend_from_slice(
            b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n",
        );
        if self.status_code == StatusCode::MethodNotAllowed {
            append(out, format_args!("Allow: {ALLOW}\r\n"));
        }
        if let Some(seconds) = self.retry_after {
            append(out, format_args!("Retry-After: {seconds}\r\n"));
        }
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory doesn't fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: Response<'_>, method: Method, after: AfterResponse) -> String {
        let mut out = b"before".to_vec();
        response.write(method, after, b"body\n", &mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn a_response_byte_by_byte() {
        let response = Response::text(StatusCode::Ok);
        assert_eq!(
            written(response, Method::Get, AfterResponse::KeepAlive),
            "HTTP/1.1 200 OK\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\n\
             Content-Length: 5\r\n\
             Cache-Control: no-store\r\n\
             \r\n\
             body\n"
        );
    }

    #[test]
    fn the_response_to_head_is_that_to_get_without_its_body() {
        let response = Response::text(StatusCode::NotFound);
        let get = written(response, Method::Get, AfterResponse::Close);
        let head = written(response, Method::Head, AfterResponse::Close);
        assert_eq!(get, head + "body\n");
        assert!(get.contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn a_response_has_what_it_was_given() {
        let response = Response::new(StatusCode::ServiceUnavailable, "text/html; charset=utf-8")
            .content_security_policy("default-src 'self'")
            .retry_after(5)
            .date("Sun, 06 Nov 1994 08:49:37 GMT");
        let text = written(response, Method::Get, AfterResponse::KeepAlive);
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(text.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
        assert!(text.contains("\r\nContent-Security-Policy: default-src 'self'\r\n"));
        assert!(text.contains("\r\nRetry-After: 5\r\n"));
        assert!(text.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
        assert!(!text.contains("Connection:"));
    }

    #[test]
    fn another_method_is_told_which_ones_there_are() {
        let response = Response::text(StatusCode::MethodNotAllowed);
        let text = written(response, Method::Get, AfterResponse::Close);
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
    }

    #[test]
    fn a_stream_has_no_length_and_closes_at_its_end() {
        let mut out = Vec::new();
        Response::new(StatusCode::Ok, "text/event-stream").write_stream_head(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with(
            "\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
        ));
        assert!(!text.contains("Content-Length"));
    }
}
