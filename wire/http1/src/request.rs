//! What a head asks for, and what it must not have.
//!
//! `httparse` takes the head apart; how a request ends is decided here. It never has a body: where one
//! is announced, or a header that decides about it is there twice, the request is refused. Two readers
//! that found different ends could be made to see different requests.

use httparse::{EMPTY_HEADER, Status};

use crate::error::RequestError;
use crate::excerpt::Excerpt;
use crate::headers::Headers;
use crate::limits::{HEADERS_MAX, TARGET_MAX};
use crate::target::{Target, is_authority};

/// What is to be done with the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Send it.
    Get,
    /// Send what GET would, without the body.
    Head,
}

/// A request. It has no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method,
    /// The resource: printable ASCII that begins with `/`. Nothing in it is decoded.
    pub path: &'a str,
    /// What stands behind the `?`, if there is one: printable ASCII. Nothing in it is decoded.
    pub query: Option<&'a str>,
    /// Which host is meant, with its port if one is given: that of the target, or else of the Host
    /// header. Only HTTP/1.0 leaves it out; it may be empty.
    pub host: Option<&'a str>,
    /// Whether more requests may follow: HTTP/1.1 without `Connection: close`.
    pub keeps_alive: bool,
}

impl<'a> Request<'a> {
    /// Parses a whole head, up to and with its empty line, whose lines all end in CR LF.
    pub(crate) fn parse(head: &'a [u8]) -> Result<Self, RequestError> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(Status::Complete(end)) if end == head.len() => {}
            Ok(_) => return Err(request_line(head)),
            Err(error) => return Err(refusal(error, head)),
        }
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(request_line(head));
        };
        let (method, target) = (parse_method(method)?, parse_target(target)?);
        let is_1_1 = minor == 1;
        let headers = Headers(parsed.headers);
        let host = headers.host(is_1_1)?;
        headers.check_body()?;
        headers.check_expectation()?;
        Ok(Self {
            method,
            path: target.path,
            query: target.query,
            host: target.authority.or(host),
            keeps_alive: is_1_1 && !headers.asks_to_close(),
        })
    }
}

fn parse_method(method: &str) -> Result<Method, RequestError> {
    match method {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        _ => Err(RequestError::Method { found: Excerpt::new(method.as_bytes()) }),
    }
}

fn parse_target(target: &str) -> Result<Target<'_>, RequestError> {
    if target.len() > TARGET_MAX {
        return Err(RequestError::TargetTooLong { found: target.len() });
    }
    let error = || RequestError::Target { found: Excerpt::new(target.as_bytes()) };
    Target::parse(target).ok_or_else(error)
}

impl<'a> Headers<'_, 'a> {
    fn host(&self, is_required: bool) -> Result<Option<&'a str>, RequestError> {
        let mut hosts = self.all("Host");
        let Some(host) = hosts.next() else {
            return if is_required { Err(RequestError::NoHost) } else { Ok(None) };
        };
        match hosts.count() {
            0 => {}
            more => return Err(RequestError::ManyHosts { found: 1 + more }),
        }
        let valid = std::str::from_utf8(host).ok().filter(|text| is_authority(text));
        valid.map(Some).ok_or_else(|| RequestError::Host { found: Excerpt::new(host) })
    }

    fn check_body(&self) -> Result<(), RequestError> {
        if let Some(coding) = self.all("Transfer-Encoding").next() {
            let found = Excerpt::new(coding);
            return Err(RequestError::Body { header: "Transfer-Encoding", found });
        }
        match self.all("Content-Length").count() {
            0 | 1 => {}
            found => return Err(RequestError::ManyLengths { found }),
        }
        match self.all("Content-Length").next() {
            None | Some(b"0") => Ok(()),
            Some(length) => {
                let found = Excerpt::new(length);
                Err(RequestError::Body { header: "Content-Length", found })
            }
        }
    }

    /// `100-continue` has nothing to wait for: there is no body.
    fn check_expectation(&self) -> Result<(), RequestError> {
        let other = self.all("Expect").find(|value| !value.eq_ignore_ascii_case(b"100-continue"));
        match other {
            None => Ok(()),
            Some(value) => Err(RequestError::Expectation { found: Excerpt::new(value) }),
        }
    }
}

/// The head without its leading empty line.
fn lines(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\r\n").unwrap_or(head)
}

fn first_line(head: &[u8]) -> &[u8] {
    lines(head).split(|&byte| byte == b'\r').next().unwrap_or_default()
}

fn request_line(head: &[u8]) -> RequestError {
    RequestError::RequestLine { found: Excerpt::new(first_line(head)) }
}

/// What `httparse` says is wrong, in words that say what was expected.
fn refusal(error: httparse::Error, head: &[u8]) -> RequestError {
    let header = |problem| RequestError::Header { problem };
    match error {
        httparse::Error::TooManyHeaders => RequestError::TooManyHeaders,
        httparse::Error::HeaderName => {
            header("found a name with another character than a name has")
        }
        httparse::Error::HeaderValue => header("found a value with a control character"),
        httparse::Error::Version => version(head),
        // A line that ends in CR alone, or goes on behind the version.
        httparse::Error::NewLine => header("found a line that doesn't end where it should"),
        httparse::Error::Token | httparse::Error::Status => request_line(head),
    }
}

/// A version that is one, but another, or something else in its place.
fn version(head: &[u8]) -> RequestError {
    let found = first_line(head).splitn(3, |&byte| byte == b' ').nth(2).unwrap_or_default();
    match found.strip_prefix(b"HTTP/") {
        Some([b'0'..=b'9', ..]) => RequestError::Version { found: Excerpt::new(found) },
        _ => request_line(head),
    }
}

/// Whether a method or a header's name may have this byte.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
