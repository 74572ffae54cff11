//! Documents inside a response: the winners of one agency, over as many frames as they need.
//!
//! ```text
//!  body of a winners frame
//! +---------+-----------+---+----------+---+----------+-----
//! | last u8 | count u16 | n | document | n | document | ...
//! +---------+-----------+---+----------+---+----------+-----
//! ```

use crate::error::MessageError;
use crate::field::FIELD_MAX;
use crate::frame::FrameWriter;
use crate::kind;
use crate::reader::Reader;

/// One frame's worth of winners, still in that frame. Its bounds were checked when it was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Winners<'a> {
    /// Whether the list ends with this frame.
    pub last: bool,
    count: u16,
    encoded: &'a [u8],
}

impl<'a> Winners<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let last = match reader.u8()? {
            0 => false,
            1 => true,
            found => return Err(MessageError::Flag { found }),
        };
        let count = reader.u16()?;
        let encoded = reader.rest();
        for _ in 0..count {
            reader.short()?;
        }
        reader.finish()?;
        Ok(Self { last, count, encoded })
    }

    pub(crate) fn write(&self, frame: &mut FrameWriter<'_>) {
        frame.put(&[u8::from(self.last)]).put(&self.count.to_be_bytes()).put(self.encoded);
    }

    /// How many documents this frame holds.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The documents, in the order of their bets in the ledger.
    pub fn documents(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.encoded);
        (0..self.count).map_while(move |_| reader.short().ok())
    }
}

/// Writes one frame of winners at the end of a buffer.
///
/// [`push`](Self::push) documents until one doesn't fit, [`finish`](Self::finish), and go on with
/// another builder for the rest.
#[derive(Debug)]
pub struct WinnersBuilder<'b> {
    frame: FrameWriter<'b>,
    count: u16,
}

impl<'b> WinnersBuilder<'b> {
    /// Begins a frame at the end of `out`.
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        let mut frame = FrameWriter::begin(out, kind::WINNERS);
        frame.put(&[0, 0, 0]);
        Self { frame, count: 0 }
    }

    /// Adds a document if the frame has room for it; returns whether it had.
    ///
    /// # Panics
    /// When the document is over [`FIELD_MAX`] bytes: no bet can have brought it.
    pub fn push(&mut self, document: &[u8]) -> bool {
        let length = u8::try_from(document.len());
        let length = length.unwrap_or_else(|_| panic!("a document has at most {FIELD_MAX} bytes"));
        if self.frame.room() < 1 + document.len() || self.count == u16::MAX {
            return false;
        }
        self.frame.put(&[length]).put(document);
        self.count += 1;
        true
    }

    /// Completes the frame; `last` when the list ends with it.
    pub fn finish(mut self, last: bool) {
        let [high, low] = self.count.to_be_bytes();
        self.frame.patch(0, &[u8::from(last), high, low]);
        self.frame.finish();
    }
}
