//! What stands between the chunks of a body: the line that says how long the next one is, and the
//! trailers behind the last.

use httparse::{EMPTY_HEADER, Status};

use crate::excerpt::Excerpt;
use crate::limits::{CHUNK_LINE_MAX, HEADERS_MAX};
use crate::response_error::ResponseError;

/// Hexadecimal digits of the longest length.
const DIGITS_MAX: usize = 16;

/// The length that the line at the beginning of `input` says, and the line's own, with its end; `None`
/// while it has none. Extensions mean nothing here.
pub(crate) fn line(input: &[u8]) -> Result<Option<(u64, usize)>, ResponseError> {
    let window = &input[..input.len().min(CHUNK_LINE_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        let is_full = window.len() == CHUNK_LINE_MAX;
        return if is_full { Err(ResponseError::ChunkLineTooLong) } else { Ok(None) };
    };
    let Some(line) = window[..end].strip_suffix(b"\r") else {
        return Err(ResponseError::BareLineFeed);
    };
    let length = length(line);
    let length = length.ok_or_else(|| ResponseError::ChunkLine { found: Excerpt::new(line) })?;
    Ok(Some((length, end + 1)))
}

fn length(line: &[u8]) -> Option<u64> {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let count = line.iter().position(|byte| !is_digit(byte)).unwrap_or(line.len());
    let (digits, extensions) = line.split_at(count);
    let is_extension = |rest: &[u8]| rest.is_empty() || rest.starts_with(b";");
    let is_printable = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    if count > DIGITS_MAX || !is_extension(extensions.trim_ascii_start()) {
        return None;
    }
    // None of no digits.
    let length = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    extensions.iter().all(is_printable).then_some(length)
}

/// Whether what stands before the empty line, and with it, is headers. What they say is dropped.
pub(crate) fn check_trailers(trailers: &[u8]) -> Result<(), ResponseError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(trailers, &mut headers) {
        Ok(Status::Complete((end, _))) if end == trailers.len() => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(ResponseError::TooManyHeaders),
        _ => Err(ResponseError::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_long_its_chunk_is() {
        assert_eq!(line(b"0\r\n"), Ok(Some((0, 3))));
        assert_eq!(line(b"1aF\r\nrest"), Ok(Some((0x1af, 5))));
        assert_eq!(line(b"0000000000000005\r\n"), Ok(Some((5, 18))));
        assert_eq!(line(b"ffffffffffffffff\r\n"), Ok(Some((u64::MAX, 18))));
        assert_eq!(line(b"5;a=b;c=\"d;\xf1\"\r\n"), Ok(Some((5, 15))));
        assert_eq!(line(b"5 \t;a\tb\r\n"), Ok(Some((5, 9))));
        assert_eq!(line(b"5  \r\n"), Ok(Some((5, 5))));
        for part in [&b""[..], b"5", b"5;a", b"5\r"] {
            assert_eq!(line(part), Ok(None));
        }
    }

    #[test]
    fn nothing_else_does() {
        for text in [
            "\r\n",
            " 5\r\n",
            "-5\r\n",
            "+5\r\n",
            "0x5\r\n",
            "5h\r\n",
            "5 5\r\n",
            ";a\r\n",
            "5;\0\r\n",
            "5\r\r\n",
            "00000000000000005\r\n",
            "5,\r\n",
            "5;a\rb\r\n",
        ] {
            let error = line(text.as_bytes()).unwrap_err();
            assert!(matches!(error, ResponseError::ChunkLine { .. }), "{text:?}: {error}");
        }
        assert_eq!(line(b"5\n"), Err(ResponseError::BareLineFeed));
    }

    #[test]
    fn a_line_has_the_maximum_and_no_byte_more() {
        let of = |length: usize| format!("5;{}\r\n", "a".repeat(length - 4)).into_bytes();
        assert_eq!(line(&of(CHUNK_LINE_MAX)), Ok(Some((5, CHUNK_LINE_MAX))));
        assert_eq!(line(&of(CHUNK_LINE_MAX + 1)), Err(ResponseError::ChunkLineTooLong));
        assert_eq!(line(&of(CHUNK_LINE_MAX)[..CHUNK_LINE_MAX - 1]), Ok(None));
    }

    #[test]
    fn trailers_are_headers() {
        assert_eq!(check_trailers(b"Grpc-Status: 3\r\nA:\r\n\r\n"), Ok(()));
        for trailers in [&b"a\r\n\r\n"[..], b"a b: c\r\n\r\n", b" a: b\r\n\r\n", b"a: \0\r\n\r\n"] {
            assert_eq!(check_trailers(trailers), Err(ResponseError::Header));
        }
    }
}
