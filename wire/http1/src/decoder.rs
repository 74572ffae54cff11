//! Finds the end of a head in a stream that arrives in pieces.
//!
//! Knows nothing of what a head says but where its lines end, and refuses what two readers could cut
//! differently: an LF without its CR, more than one empty line before a request.

use crate::error::RequestError;
use crate::head_end;
use crate::request::{Request, is_token};

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A request, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What is asked for.
    pub request: Request<'a>,
    /// How many bytes of the input it took up. It has no body: the next request begins behind them.
    pub used: usize,
}

/// Reads requests from a stream that arrives in pieces.
///
/// Feed [`decode`](Self::decode) with all bytes that were not consumed so far, the oldest first, and
/// drop `used` bytes from the front after each request. The same bytes come to the same requests and
/// the same error, however they were cut.
///
/// Invariant: the first `scanned` bytes of the input hold no end of a head. They are not searched
/// again, and a head is parsed once, when it is whole: one that arrives byte by byte costs little more
/// than one that arrives at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestDecoder {
    max_head: u32,
    scanned: u32,
}

impl RequestDecoder {
    /// A decoder of heads of at most `max_head` bytes, the empty line at the end counted, or 4 GiB - 1.
    pub fn new(max_head: usize) -> Self {
        Self { max_head: u32::try_from(max_head).unwrap_or(u32::MAX), scanned: 0 }
    }

    fn max_head(self) -> usize {
        self.max_head as usize
    }

    /// The next request of `input`, or `None` when more bytes are needed: then `input` is shorter than
    /// the maximum.
    ///
    /// # Errors
    /// [`RequestError`], at the first byte from which on this can be no request that is answered, if
    /// that is known before the head is whole. Decoding the same input again, or with more behind it,
    /// returns the same error.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Option<Decoded<'a>>, RequestError> {
        let Some(used) = self.find_end(input)? else { return Ok(None) };
        let request = Request::parse(&input[..used])?;
        self.scanned = 0;
        Ok(Some(Decoded { request, used }))
    }

    fn find_end(&mut self, input: &[u8]) -> Result<Option<usize>, RequestError> {
        check_first(input)?;
        let window = &input[..input.len().min(self.max_head())];
        let found = head_end::find(window, self.scanned as usize);
        match found.map_err(|head_end::BareLineFeed { at }| RequestError::BareLineFeed { at })? {
            Some(end) if window[..end] == *b"\r\n\r\n" => return Err(RequestError::EmptyLines),
            Some(end) => return Ok(Some(end)),
            None => {}
        }
        if window.len() == self.max_head() {
            return Err(too_large(window));
        }
        // Shorter than `max_head`, which is one.
        self.scanned = u32::try_from(window.len()).unwrap_or(u32::MAX);
        Ok(None)
    }
}

/// Whether a request can begin so, or an empty line before one.
fn check_first(input: &[u8]) -> Result<(), RequestError> {
    match input.first() {
        None | Some(b'\r' | b'\n') => Ok(()),
        Some(&TLS_HANDSHAKE) => Err(RequestError::Tls),
        Some(&first) if is_token(first) => Ok(()),
        Some(&found) => Err(RequestError::NotHttp { found }),
    }
}

/// What is too long about a head without an end: its first line, if that has none either.
fn too_large(head: &[u8]) -> RequestError {
    let lines = head.strip_prefix(b"\r\n").unwrap_or(head);
    match memchr::memchr(b'\n', lines) {
        Some(_) => RequestError::HeadTooLarge { max: head.len() },
        None => RequestError::RequestLineTooLong { max: head.len() },
    }
}

/// Whether `input` begins with a request by HEAD: the response to it has no body, also when
/// [`RequestDecoder::decode`] has returned an error.
pub fn begins_with_head(input: &[u8]) -> bool {
    input.strip_prefix(b"\r\n").unwrap_or(input).starts_with(b"HEAD ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn bytes_that_held_no_end_are_not_searched_again() {
        let mut decoder = RequestDecoder::new(100);
        assert_eq!(decoder.decode(b"GET"), Ok(None));
        // A caller never swaps bytes like this: it shows which ones the decoder looks at.
        assert_eq!(decoder.decode(b"G\n\n"), Ok(None));
        assert_eq!(decoder.decode(b"GET\n"), Err(RequestError::BareLineFeed { at: 3 }));
    }

    #[test]
    fn every_request_is_searched_from_its_beginning() {
        let mut decoder = RequestDecoder::new(100);
        assert_eq!(decoder.decode(&SHORT[..20]), Ok(None));
        let twice = SHORT.repeat(2);
        for rest in [&twice[..], SHORT] {
            assert_eq!(decoder.decode(rest).map(|found| found.map(|d| d.used)), Ok(Some(27)));
        }
        assert_eq!(decoder.decode(b""), Ok(None));
        // Shorter than what was searched of the one before.
        assert_eq!(decoder.decode(&SHORT[..26]), Ok(None));
        assert!(decoder.decode(SHORT).is_ok_and(|found| found.is_some()));
        let short = decoder.decode(b"GET / HTTP/1.0\r\n\r\n");
        assert_eq!(short.map(|found| found.map(|decoded| decoded.used)), Ok(Some(18)));
    }

    #[test]
    fn a_head_has_the_maximum_and_no_byte_more() {
        let decoded = |max| RequestDecoder::new(max).decode(SHORT).map(|found| found.is_some());
        assert_eq!(decoded(27), Ok(true));
        assert_eq!(decoded(26), Err(RequestError::HeadTooLarge { max: 26 }));
        assert_eq!(decoded(15), Err(RequestError::RequestLineTooLong { max: 15 }));
        // No need to wait for more: the end would be behind the maximum.
        let waiting = |length| RequestDecoder::new(28).decode(&[b'a'; 28][..length]);
        assert_eq!(waiting(27), Ok(None));
        assert_eq!(waiting(28), Err(RequestError::RequestLineTooLong { max: 28 }));
    }

    #[test]
    fn one_empty_line_before_a_request_is_skipped() {
        let decoded = |input: &[u8]| {
            RequestDecoder::new(100).decode(input).map(|found| found.map(|decoded| decoded.used))
        };
        assert_eq!(decoded(b"\r\n"), Ok(None));
        assert_eq!(decoded(&[b"\r\n", SHORT].concat()), Ok(Some(29)));
        assert_eq!(decoded(b"\r\n\r\n"), Err(RequestError::EmptyLines));
        assert_eq!(decoded(b"\n"), Err(RequestError::BareLineFeed { at: 0 }));
    }

    #[test]
    fn what_is_no_http_is_refused_at_its_first_byte() {
        let refused = |input| RequestDecoder::new(100).decode(input);
        assert_eq!(refused(b"\x16\x03\x01"), Err(RequestError::Tls));
        assert_eq!(refused(b"\x00"), Err(RequestError::NotHttp { found: 0 }));
        assert_eq!(refused(b" GET"), Err(RequestError::NotHttp { found: b' ' }));
        assert_eq!(refused(b"\xc3"), Err(RequestError::NotHttp { found: 0xc3 }));
    }

    #[test]
    fn a_head_request_is_known_before_it_is_whole() {
        assert!(begins_with_head(b"HEAD "));
        assert!(begins_with_head(b"\r\nHEAD / HTTP/1.1"));
        assert!(!begins_with_head(b"HEAD"));
        assert!(!begins_with_head(b"GET /HEAD "));
    }
}
