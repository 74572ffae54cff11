//! What the head of a response says, and how its body ends.
//!
//! Two readers that found different ends could be made to see different responses: what leaves a choice
//! is refused.

use httparse::{EMPTY_HEADER, Header, Status};

use crate::excerpt::Excerpt;
use crate::headers::Headers;
use crate::limits::HEADERS_MAX;
use crate::response_error::ResponseError;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// After so many bytes.
    Length(u64),
    /// With a chunk of nothing.
    Chunked,
    /// With the connection.
    Close,
}

/// The head of a final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead {
    /// From 200 to 599.
    pub status: u16,
    /// How its body ends.
    pub body_end: BodyEnd,
    /// Whether another request may follow it on the connection.
    pub keeps_alive: bool,
}

impl ResponseHead {
    /// Parses a whole head, up to and with its empty line, whose lines all end in CR LF. `None` for an
    /// interim response: another head follows.
    pub(crate) fn parse(head: &[u8]) -> Result<Option<Self>, ResponseError> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(head) {
            Ok(Status::Complete(end)) if end == head.len() => {}
            Ok(_) => return Err(status_line(head)),
            Err(error) => return Err(refusal(error, head)),
        }
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(status_line(head));
        };
        match status {
            101 => Err(ResponseError::Status { found: status }),
            100..200 => Ok(None),
            200..600 => Self::with_end(status, minor == 1, parsed.headers).map(Some),
            found => Err(ResponseError::Status { found }),
        }
    }

    fn with_end(status: u16, is_1_1: bool, headers: &[Header<'_>]) -> Result<Self, ResponseError> {
        let headers = Headers(headers);
        let announced = headers.body_end(is_1_1)?;
        // These have none, whatever they announce.
        let body_end = if matches!(status, 204 | 304) { BodyEnd::Length(0) } else { announced };
        let keeps_alive = is_1_1 && body_end != BodyEnd::Close && !headers.asks_to_close();
        Ok(Self { status, body_end, keeps_alive })
    }
}

impl Headers<'_, '_> {
    fn body_end(&self, is_1_1: bool) -> Result<BodyEnd, ResponseError> {
        let mut lengths = self.all("Content-Length");
        let length = lengths.next();
        let more = lengths.count();
        let mut codings = self.all("Transfer-Encoding");
        match (length, codings.next()) {
            (Some(_), Some(_)) => Err(ResponseError::LengthAndCoding),
            (Some(_), None) if more > 0 => Err(ResponseError::ManyLengths { found: 1 + more }),
            (Some(length), None) => parse_length(length).map(BodyEnd::Length),
            (None, Some(coding)) => {
                let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                if is_1_1 && is_chunked && codings.next().is_none() {
                    return Ok(BodyEnd::Chunked);
                }
                Err(ResponseError::Coding { found: Excerpt::new(coding) })
            }
            (None, None) => Ok(BodyEnd::Close),
        }
    }
}

fn parse_length(text: &[u8]) -> Result<u64, ResponseError> {
    let digits = Some(text).filter(|text| text.iter().all(u8::is_ascii_digit));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    let length = digits.and_then(|digits| digits.parse().ok());
    length.ok_or_else(|| ResponseError::Length { found: Excerpt::new(text) })
}

fn status_line(head: &[u8]) -> ResponseError {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    ResponseError::StatusLine { found: Excerpt::new(line) }
}

/// What `httparse` says is wrong, in words that say what was expected.
fn refusal(error: httparse::Error, head: &[u8]) -> ResponseError {
    match error {
        httparse::Error::TooManyHeaders => ResponseError::TooManyHeaders,
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => {
            ResponseError::Header
        }
        httparse::Error::Version | httparse::Error::Token | httparse::Error::Status => {
            status_line(head)
        }
    }
}
