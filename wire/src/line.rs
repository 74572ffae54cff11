//! Newline framing, the echo protocol: a line is every byte up to the next `\n`.
//!
//! Knows nothing of text: a line is bytes, in any encoding or none.

/// One line, borrowed from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its `\n`.
    pub bytes: &'a [u8],
    /// How many bytes of the input the line took up, `\n` included.
    pub used: usize,
}

/// A line is longer than the decoder allows. The stream can't be trusted after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is at most {max} bytes long, found more than that without a newline")]
pub struct LineTooLong {
    /// The most bytes a line may have, its `\n` not counted.
    pub max: usize,
}

/// Finds lines in a stream that arrives in pieces.
///
/// Feed [`decode`](Self::decode) with all bytes that were not consumed so far, the oldest first;
/// drop `used` bytes from the front after each line; at the end of the stream ask
/// [`decode_eof`](Self::decode_eof) for what has no newline.
///
/// Invariant: the first `scanned` bytes of the input hold no `\n`. They are not searched again,
/// so a line that arrives byte by byte costs no more than one that arrives whole.
///
/// Takes 8 bytes: thousands of connections that have sent a line are idle most of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineDecoder {
    max: u32,
    scanned: u32,
}

impl LineDecoder {
    /// A decoder of lines of at most `max` bytes, or 4 GiB - 1, the newline not counted.
    pub fn new(max: usize) -> Self {
        Self { max: saturated(max), scanned: 0 }
    }

    fn max(self) -> usize {
        self.max as usize
    }

    /// How many bytes of `input` aren't searched.
    fn skipped(self, input: &[u8]) -> usize {
        (self.scanned as usize).min(input.len())
    }

    /// The next line of `input`, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`LineTooLong`] as soon as `max + 1` bytes arrived without a newline: no need to wait
    /// for the end of a line that will be refused.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Option<Line<'a>>, LineTooLong> {
        let from = self.skipped(input);
        let Some(found) = memchr::memchr(b'\n', &input[from..]) else {
            self.scanned = saturated(input.len());
            return if input.len() > self.max() { Err(self.too_long()) } else { Ok(None) };
        };
        let end = from + found;
        self.scanned = 0;
        if end > self.max() {
            return Err(self.too_long());
        }
        Ok(Some(Line { bytes: &input[..end], used: end + 1 }))
    }

    /// How many bytes at the front of `input` are whole lines: one search from the back instead of one
    /// for each line. 0 when more bytes are needed.
    ///
    /// # Errors
    /// [`LineTooLong`] like [`decode`](Self::decode), once the lines before the long one are used.
    pub fn decode_all(&mut self, input: &[u8]) -> Result<usize, LineTooLong> {
        let from = self.skipped(input);
        let Some(last) = memchr::memrchr(b'\n', &input[from..]) else {
            self.scanned = saturated(input.len());
            return if input.len() > self.max() { Err(self.too_long()) } else { Ok(0) };
        };
        let end = from + last + 1;
        // No line is longer than all of them together.
        if end <= self.max() + 1 {
            self.scanned = saturated(input.len() - end);
            return Ok(end);
        }
        self.decode_each(&input[..end])
    }

    /// Like [`decode_all`](Self::decode_all), line by line.
    fn decode_each(&mut self, lines: &[u8]) -> Result<usize, LineTooLong> {
        let mut used = 0;
        for newline in memchr::memchr_iter(b'\n', lines) {
            if newline - used > self.max() {
                self.scanned = 0;
                return if used == 0 { Err(self.too_long()) } else { Ok(used) };
            }
            used = newline + 1;
        }
        self.scanned = 0;
        Ok(used)
    }

    /// The last line of a stream that has ended, which needs no newline. `None` when nothing is left.
    ///
    /// # Errors
    /// [`LineTooLong`] like [`decode`](Self::decode).
    pub fn decode_eof<'a>(&mut self, input: &'a [u8]) -> Result<Option<Line<'a>>, LineTooLong> {
        match self.decode(input)? {
            Some(line) => Ok(Some(line)),
            None if input.is_empty() => Ok(None),
            None => {
                self.scanned = 0;
                Ok(Some(Line { bytes: input, used: input.len() }))
            }
        }
    }

    fn too_long(self) -> LineTooLong {
        LineTooLong { max: self.max() }
    }
}

fn saturated(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_held_no_newline_are_not_searched_again() {
        let mut decoder = LineDecoder::new(100);
        assert_eq!(decoder.decode(b"abc"), Ok(None));
        // A caller never swaps bytes like this: it shows which ones the decoder looks at.
        assert_eq!(decoder.decode(b"\n\n\nd"), Ok(None));
        let line = Line { bytes: b"abcd", used: 5 };
        assert_eq!(decoder.decode(b"abcd\n"), Ok(Some(line)));
    }

    #[test]
    fn every_line_is_searched_from_its_beginning() {
        let mut decoder = LineDecoder::new(100);
        assert_eq!(decoder.decode(b"abc"), Ok(None));
        assert_eq!(decoder.decode(b"abc\n\n"), Ok(Some(Line { bytes: b"abc", used: 4 })));
        assert_eq!(decoder.decode(b"\n"), Ok(Some(Line { bytes: b"", used: 1 })));
    }
}
