//! Writes requests.
//!
//! How a request ends is decided here alone: no header that says so can be given. What has a byte that
//! could end a line, or the head, is refused: nothing that is asked for can become a second request.

use std::fmt;
use std::io::Write as _;

use crate::excerpt::Excerpt;
use crate::limits::TARGET_MAX;
use crate::request::is_token;
use crate::target::is_authority;

/// Headers that are written here.
const OWN_HEADERS: [&str; 3] = ["Host", "Content-Length", "Transfer-Encoding"];

/// The head of a request but for its end: checked once, and written as often as it is asked.
///
/// Its `Debug` shows the first line alone: a header may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    bytes: Vec<u8>,
}

/// Why a head can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHead {
    /// The method is no token.
    #[error("expected a method of letters, found \"{0}\"")]
    Method(Excerpt),
    /// The target is none.
    #[error(
        "expected /PATH of at most {TARGET_MAX} bytes of printable ASCII as the target, found \"{0}\""
    )]
    Target(Excerpt),
    /// The host is none.
    #[error("expected HOST or HOST:PORT as the Host, found \"{0}\"")]
    Host(Excerpt),
    /// A header's name is no token, or one of those that are written here.
    #[error(
        "expected a header's name that isn't Host, Content-Length or Transfer-Encoding, found \"{0}\""
    )]
    HeaderName(Excerpt),
    /// A header's value isn't printable. It isn't shown: it may be a secret.
    #[error("expected printable ASCII, with no space at its ends, as the value of {name}")]
    HeaderValue {
        /// The header.
        name: String,
    },
}

impl RequestHead {
    /// The head of a request of HTTP/1.1 for the resource `target` (`/PATH?QUERY`) of `host`
    /// (`HOST:PORT`).
    ///
    /// # Errors
    /// [`InvalidHead`].
    pub fn new(method: &str, target: &str, host: &str) -> Result<Self, InvalidHead> {
        if !is_name(method) {
            return Err(InvalidHead::Method(Excerpt::new(method.as_bytes())));
        }
        let is_printable = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !target.starts_with('/') || !is_printable || target.len() > TARGET_MAX {
            return Err(InvalidHead::Target(Excerpt::new(target.as_bytes())));
        }
        if host.is_empty() || !is_authority(host) {
            return Err(InvalidHead::Host(Excerpt::new(host.as_bytes())));
        }
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        Ok(Self { bytes })
    }

    /// With this header.
    ///
    /// # Errors
    /// [`InvalidHead`].
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidHead> {
        if !is_name(name) || OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(InvalidHead::HeaderName(Excerpt::new(name.as_bytes())));
        }
        let is_printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !is_printable || value.trim() != value {
            return Err(InvalidHead::HeaderValue { name: name.to_owned() });
        }
        for part in [name, ": ", value, "\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        Ok(self)
    }

    /// Appends the head to `out`, up to and with its empty line. A body of `body_length` bytes is to
    /// follow; with `None` the request has none, as GET.
    pub fn write(&self, body_length: Option<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        if let Some(length) = body_length {
            // Writing to memory doesn't fail.
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
        f.debug_tuple("RequestHead").field(&Excerpt::new(line)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(head: &RequestHead, body_length: Option<usize>) -> String {
        let mut out = b"before".to_vec();
        head.write(body_length, &mut out);
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn a_request_byte_by_byte() {
        let head = RequestHead::new("POST", "/v3/kv/txn", "[::1]:2379").unwrap();
        let head = head.header("Authorization", "a.b c").unwrap().header("X", "").unwrap();
        let text =
            "POST /v3/kv/txn HTTP/1.1\r\nHost: [::1]:2379\r\nAuthorization: a.b c\r\nX: \r\n";
        assert_eq!(written(&head, Some(0)), format!("{text}Content-Length: 0\r\n\r\n"));
        assert_eq!(written(&head, Some(131_072)), format!("{text}Content-Length: 131072\r\n\r\n"));
        assert_eq!(written(&head, None), format!("{text}\r\n"));
    }

    #[test]
    fn what_could_become_something_else_is_refused() {
        let refused = |method, target, host| RequestHead::new(method, target, host).unwrap_err();
        for method in ["", "GET ", "G\r\nT", "ñ"] {
            assert!(matches!(refused(method, "/", "a"), InvalidHead::Method(_)), "{method}");
        }
        let long = format!("/{}", "a".repeat(TARGET_MAX));
        for target in ["", "a", "/a b", "/\r\n", "/a#b", "/ñ", "http://a/", &long] {
            assert!(matches!(refused("GET", target, "a"), InvalidHead::Target(_)), "{target}");
        }
        for host in ["", "a b", "a/b", "u@a", "a\r\nX: y"] {
            assert!(matches!(refused("GET", "/", host), InvalidHead::Host(_)), "{host}");
        }
        let head = RequestHead::new("GET", &long[1..].replacen('a', "/", 1), "a").unwrap();
        for name in ["", "a b", "a:", "host", "CONTENT-LENGTH", "Transfer-Encoding"] {
            let error = head.clone().header(name, "").unwrap_err();
            assert!(matches!(error, InvalidHead::HeaderName(_)), "{name}");
        }
        for value in ["a\r\nb: c", "a\nb", "a\tb", "\0", " a", "a ", "ñ"] {
            let error = head.clone().header("X", value).unwrap_err();
            let text = "expected printable ASCII, with no space at its ends, as the value of X";
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let head = RequestHead::new("GET", "/", "a").unwrap().header("Authorization", "key");
        assert_eq!(format!("{head:?}"), "Ok(RequestHead(Excerpt(\"GET / HTTP/1.1\")))");
        let error = RequestHead::new("GET", "/", "a").unwrap().header("A", "key\0").unwrap_err();
        assert!(!format!("{error:?}{error}").contains("key"));
    }
}
