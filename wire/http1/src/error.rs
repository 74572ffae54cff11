//! What is wrong with a request.

use crate::excerpt::Excerpt;
use crate::limits::{HEADERS_MAX, TARGET_MAX};
use crate::status_code::StatusCode;

/// Bytes that are no request which is answered here. Where the next one begins can't be trusted: the
/// connection closes behind the response.
///
/// The texts are for the sender: each says what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The first byte is that of a TLS handshake.
    #[error(
        "expected a request of HTTP/1.1 in plain text, found the beginning of TLS, which isn't spoken here"
    )]
    Tls,
    /// The first byte begins no method.
    #[error("expected a request of HTTP/1.1, found the byte 0x{found:02x}")]
    NotHttp {
        /// The byte.
        found: u8,
    },
    /// More than one empty line before a request.
    #[error("expected at most one empty line before a request, found more")]
    EmptyLines,
    /// A line that doesn't end in CR LF.
    #[error("expected CR LF at the end of each line, found LF alone at byte {at} of the request")]
    BareLineFeed {
        /// Which byte of the request, from 0 on.
        at: usize,
    },
    /// No line ends where the head must have.
    #[error(
        "expected a request line of less than {max} bytes, found more than that without its end"
    )]
    RequestLineTooLong {
        /// The most bytes a head may have.
        max: usize,
    },
    /// No empty line ends the head in time.
    #[error("expected a head of at most {max} bytes, found more than that without its end")]
    HeadTooLarge {
        /// The most bytes a head may have.
        max: usize,
    },
    /// Too many headers.
    #[error("expected at most {HEADERS_MAX} headers, found more")]
    TooManyHeaders,
    /// The first line isn't one of a request.
    #[error("expected METHOD TARGET HTTP/1.1 as the first line, found \"{found}\"")]
    RequestLine {
        /// The line.
        found: Excerpt,
    },
    /// A header that isn't one.
    #[error(
        "expected NAME: VALUE in each line behind the first, without control characters or folded lines; {problem}"
    )]
    Header {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another version of HTTP.
    #[error("expected HTTP/1.1 or HTTP/1.0, found \"{found}\"")]
    Version {
        /// What stands in its place.
        found: Excerpt,
    },
    /// Another method.
    #[error("expected GET or HEAD, found \"{found}\"")]
    Method {
        /// The method.
        found: Excerpt,
    },
    /// The target is too long.
    #[error("expected a target of at most {TARGET_MAX} bytes, found {found}")]
    TargetTooLong {
        /// Its bytes.
        found: usize,
    },
    /// The target is none of a resource.
    #[error(
        "expected /PATH or http://HOST/PATH in printable ASCII as the target, found \"{found}\""
    )]
    Target {
        /// The target.
        found: Excerpt,
    },
    /// HTTP/1.1 without a Host.
    #[error("expected one Host header, found none")]
    NoHost,
    /// Which one is meant can't be known.
    #[error("expected one Host header, found {found}")]
    ManyHosts {
        /// How many there are.
        found: usize,
    },
    /// A Host that is none.
    #[error("expected HOST or HOST:PORT as the Host, found \"{found}\"")]
    Host {
        /// Its value.
        found: Excerpt,
    },
    /// It has a body, or may have one.
    #[error("expected a request without a body, found {header}: {found}")]
    Body {
        /// The header that announces it.
        header: &'static str,
        /// Its value.
        found: Excerpt,
    },
    /// Two lengths, even of nothing.
    #[error("expected at most one Content-Length header, found {found}")]
    ManyLengths {
        /// How many there are.
        found: usize,
    },
    /// It expects something of the server that the server doesn't do.
    #[error("expected no Expect header but 100-continue, found \"{found}\"")]
    Expectation {
        /// Its value.
        found: Excerpt,
    },
}

impl RequestError {
    /// The status code of the response.
    pub fn status_code(&self) -> StatusCode {
        match self {
            Self::RequestLineTooLong { .. } | Self::TargetTooLong { .. } => StatusCode::UriTooLong,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders => StatusCode::HeadTooLarge,
            Self::Version { .. } => StatusCode::VersionNotSupported,
            Self::Method { .. } => StatusCode::MethodNotAllowed,
            Self::Expectation { .. } => StatusCode::ExpectationFailed,
            _ => StatusCode::BadRequest,
        }
    }
}
