//! What is wrong with a response.

use crate::excerpt::Excerpt;
use crate::limits::{CHUNK_LINE_MAX, HEADERS_MAX, INTERIM_MAX, TRAILERS_MAX};

/// Bytes that are no response which is understood here, or could be read in two ways. Nothing behind
/// them can be trusted: the connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Something else than HTTP, or another version of it.
    #[error("expected a response that begins with HTTP/1., found the byte 0x{found:02x} at {at}")]
    NotHttp {
        /// The byte.
        found: u8,
        /// Which byte of the response, from 0 on.
        at: usize,
    },
    /// A line that doesn't end in CR LF.
    #[error("expected CR LF at the end of each line, found LF alone")]
    BareLineFeed,
    /// No empty line ends the head in time.
    #[error("expected a head of at most {max} bytes, found more than that without its end")]
    HeadTooLarge {
        /// The most bytes a head may have.
        max: usize,
    },
    /// Too many headers.
    #[error("expected at most {HEADERS_MAX} headers, found more")]
    TooManyHeaders,
    /// The first line isn't one of a response.
    #[error("expected HTTP/1.1 STATUS REASON as the first line, found \"{found}\"")]
    StatusLine {
        /// The line.
        found: Excerpt,
    },
    /// A header that isn't one.
    #[error(
        "expected NAME: VALUE in each line behind the first, without control characters or folded lines"
    )]
    Header,
    /// A status that no request asks for.
    #[error("expected a status from 100 to 599 that isn't 101, found {found}")]
    Status {
        /// The status.
        found: u16,
    },
    /// One interim response after another.
    #[error("expected at most {INTERIM_MAX} interim responses, found more")]
    TooManyInterim,
    /// A body that ends in two ways.
    #[error("expected Content-Length or Transfer-Encoding, found both")]
    LengthAndCoding,
    /// Two lengths, even the same.
    #[error("expected at most one Content-Length header, found {found}")]
    ManyLengths {
        /// How many there are.
        found: usize,
    },
    /// A length that isn't one.
    #[error("expected digits as the Content-Length, found \"{found}\"")]
    Length {
        /// Its value.
        found: Excerpt,
    },
    /// A coding that isn't read here, or that HTTP/1.0 doesn't have.
    #[error("expected chunked, of HTTP/1.1, as the Transfer-Encoding, found \"{found}\"")]
    Coding {
        /// Its value.
        found: Excerpt,
    },
    /// More than the reader wants.
    #[error("expected a body of at most {max} bytes, found more")]
    BodyTooLarge {
        /// The most bytes it may have.
        max: u64,
    },
    /// The line before a chunk doesn't end in time.
    #[error("expected a line of at most {CHUNK_LINE_MAX} bytes before a chunk, found more")]
    ChunkLineTooLong,
    /// The line before a chunk doesn't say how long it is.
    #[error("expected a chunk's length in hexadecimal digits, found \"{found}\"")]
    ChunkLine {
        /// The line.
        found: Excerpt,
    },
    /// A chunk is longer than it said.
    #[error("expected CR LF at the end of a chunk, found the byte 0x{found:02x}")]
    ChunkEnd {
        /// What stands in its place.
        found: u8,
    },
    /// The trailers don't end in time.
    #[error("expected trailers of at most {TRAILERS_MAX} bytes, found more")]
    TrailersTooLarge,
    /// The connection ends before the response does.
    #[error("expected the rest of a response, found the connection's end")]
    Cut,
}
