//! Length framing, the lottery protocol: a four-byte header, then one message.
//!
//! ```text
//!  byte 0      byte 1      bytes 2..4            bytes 4..length
//! +-----------+-----------+---------------------+----------------+
//! | MAGIC     | kind      | length, big endian  | body           |
//! +-----------+-----------+---------------------+----------------+
//!                          whole frame, 4..=8192
//! ```
//!
//! Knows nothing of what a kind means: [`Request`](crate::Request) and [`Response`](crate::Response) do.

/// First byte of every frame.
///
/// `0xBE` is a UTF-8 continuation byte, so no text starts with it: the first byte of a connection
/// distinguishes the lottery from the echo protocol. Repeating it in every frame shows at once when the
/// two ends no longer agree where a frame begins.
pub const MAGIC: u8 = 0xBE;

/// Bytes of a header: magic, kind, length.
pub const HEADER_LEN: usize = 4;

/// Most bytes of a frame, header included, in either direction: the exercise's 8 KiB per packet.
pub const FRAME_MAX: usize = 8 * 1024;

const _: () = assert!(FRAME_MAX <= u16::MAX as usize, "the length field has 16 bits");

/// One whole frame, borrowed from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is, see `kind.rs`.
    pub kind: u8,
    /// Everything after the header.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// How many bytes of the input the frame took up, header included.
    pub fn used(&self) -> usize {
        HEADER_LEN + self.body.len()
    }
}

/// Why a stream isn't, or is no longer, a sequence of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The byte where a frame must begin is another.
    #[error("a frame begins with byte 0x{MAGIC:02x}, found 0x{found:02x}")]
    Magic {
        /// The byte found.
        found: u8,
    },
    /// The length is smaller than the header that it includes.
    #[error("a frame is at least {HEADER_LEN} bytes long, its header says {length}")]
    Undersized {
        /// The length claimed.
        length: usize,
    },
    /// The length is over the decoder's maximum.
    #[error("a frame is at most {max} bytes long, its header says {length}")]
    Oversized {
        /// The length claimed.
        length: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame: {found} bytes of it had arrived")]
    Truncated {
        /// Bytes of the unfinished frame.
        found: usize,
    },
}

/// Finds frames in a stream that arrives in pieces.
///
/// Feed [`decode`](Self::decode) with all bytes that were not consumed so far, the oldest first,
/// and drop [`Frame::used`] bytes from the front after each frame; at the end of the stream call
/// [`finish`](Self::finish) with what is left. The header is checked byte by byte as it arrives,
/// and a claimed length is compared with the maximum before anything is done with it: nothing is
/// allocated here, and a caller never has to hold more than `max` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameDecoder {
    max: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(FRAME_MAX)
    }
}

impl FrameDecoder {
    /// A decoder of frames of at most `max` bytes, header included.
    pub fn new(max: usize) -> Self {
        Self { max }
    }

    /// The next frame of `input`, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when no frame can begin with these bytes, as early as they show it.
    pub fn decode<'a>(&self, input: &'a [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        let Some(&first) = input.first() else { return Ok(None) };
        if first != MAGIC {
            return Err(FrameError::Magic { found: first });
        }
        let Some(&[_, kind, high, low]) = input.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < HEADER_LEN {
            return Err(FrameError::Undersized { length });
        }
        if length > self.max {
            return Err(FrameError::Oversized { length, max: self.max });
        }
        let Some(frame) = input.get(..length) else { return Ok(None) };
        Ok(Some(Frame { kind, body: &frame[HEADER_LEN..] }))
    }

    /// Whether a stream may end with `rest` unconsumed: only when it is empty.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when it ended inside a frame.
    pub fn finish(&self, rest: &[u8]) -> Result<(), FrameError> {
        if rest.is_empty() { Ok(()) } else { Err(FrameError::Truncated { found: rest.len() }) }
    }
}

/// Appends a frame to a buffer: the header first, its length filled in when the body is complete.
///
/// Everything encoded in this crate goes through it, so no frame above [`FRAME_MAX`] can leave.
#[derive(Debug)]
pub(crate) struct FrameWriter<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> FrameWriter<'b> {
    pub(crate) fn begin(out: &'b mut Vec<u8>, kind: u8) -> Self {
        let start = out.len();
        out.extend_from_slice(&[MAGIC, kind, 0, 0]);
        Self { out, start }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        FRAME_MAX - (self.out.len() - self.start)
    }

    /// Overwrites bytes of the body, counted from its first one: for counts known at the end.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        let from = self.start + HEADER_LEN + at;
        self.out[from..from + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn finish(self) {
        let length = self.out.len() - self.start;
        assert!(length <= FRAME_MAX, "a writer checks room() before it puts");
        let length = u16::try_from(length).expect("FRAME_MAX fits in 16 bits");
        self.out[self.start + 2..self.start + HEADER_LEN].copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_leaves_alone_what_stands_before_its_frame() {
        let mut out = b"before".to_vec();
        let mut frame = FrameWriter::begin(&mut out, 9);
        frame.put(&[0, 0]).put(b"end");
        frame.patch(0, &[1, 2]);
        frame.finish();
        assert_eq!(out, b"before\xbe\x09\x00\x09\x01\x02end");
    }

    #[test]
    fn a_writer_has_room_for_the_largest_frame_wherever_it_begins() {
        let mut out = vec![0; 100];
        let mut frame = FrameWriter::begin(&mut out, 9);
        assert_eq!(frame.room(), FRAME_MAX - HEADER_LEN);
        let body = vec![0; frame.room()];
        assert_eq!(frame.put(&body).room(), 0);
        frame.finish();
        assert_eq!(out.len(), 100 + FRAME_MAX);
    }
}
