//! Bets inside a request: read in place out of the frame, or written straight into one.
//!
//! ```text
//!  body of a batch
//! +--------------+-----------+------+------+-----
//! | position u64 | count u16 | bet  | bet  | ...
//! +--------------+-----------+------+------+-----
//!  a bet: five texts, each behind its length in one byte
//! +---+------------+---+-----------+---+----------+---+-----------+---+--------+
//! | n | first name | n | last name | n | document | n | birthdate | n | number |
//! +---+------------+---+-----------+---+----------+---+-----------+---+--------+
//! ```
//!
//! Knows nothing of what makes a bet valid, see [`bet`](crate::bet): fields are bytes.

use crate::agency::Position;
use crate::error::MessageError;
use crate::field::{FIELD_MAX, FIELDS, Field};
use crate::frame::{FRAME_MAX, FrameWriter, HEADER_LEN};
use crate::reader::Reader;

/// Bytes of a batch's body before its first bet: position and count.
const PREFIX_LEN: usize = 8 + 2;

/// Most bytes that the encoded bets of one batch may have.
pub const BETS_MAX: usize = FRAME_MAX - HEADER_LEN - PREFIX_LEN;

/// One bet as it travels, unchecked: see [`bet::check`](crate::bet::check).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bet<'a> {
    /// First name.
    pub first_name: &'a [u8],
    /// Last name.
    pub last_name: &'a [u8],
    /// Document (DNI): kept as text, leading zeros matter.
    pub document: &'a [u8],
    /// Birthdate, `YYYY-MM-DD`.
    pub birthdate: &'a [u8],
    /// The number that was bet on, in decimal.
    pub number: &'a [u8],
}

impl<'a> Bet<'a> {
    /// The fields in the order in which they travel, which is also their order in an agency's file.
    pub fn fields(&self) -> [&'a [u8]; FIELDS] {
        [self.first_name, self.last_name, self.document, self.birthdate, self.number]
    }

    /// A bet of fields in that same order.
    pub fn from_fields(fields: [&'a [u8]; FIELDS]) -> Self {
        let [first_name, last_name, document, birthdate, number] = fields;
        Self { first_name, last_name, document, birthdate, number }
    }

    /// Bytes that this bet takes up in a batch.
    pub fn encoded_len(&self) -> usize {
        self.fields().iter().map(|field| 1 + field.len()).sum()
    }

    /// The bet at the front of `input` and what follows it; `None` when it isn't whole.
    fn split_first(mut input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut fields = [&[][..]; FIELDS];
        for field in &mut fields {
            let (&length, rest) = input.split_first()?;
            (*field, input) = rest.split_at_checked(usize::from(length))?;
        }
        Some((Self::from_fields(fields), input))
    }
}

/// The bets of one request, still in the frame they came in.
///
/// Decoding reads position and count only; [`bets`](Self::bets) decodes the bets, and returns an
/// error when they don't fit the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Position of the first bet in the agency's input.
    pub position: Position,
    /// How many bets it claims, at least 1.
    pub count: u16,
    /// The encoded bets, as [`Checksum`](crate::Checksum) takes them.
    pub encoded: &'a [u8],
}

impl<'a> Batch<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let position = reader.u64()?;
        let count = reader.u16()?;
        if count == 0 {
            return Err(MessageError::EmptyBatch);
        }
        Ok(Self { position, count, encoded: reader.rest() })
    }

    pub(crate) fn write(&self, frame: &mut FrameWriter<'_>) {
        frame.put(&self.position.to_be_bytes()).put(&self.count.to_be_bytes()).put(self.encoded);
    }

    /// The bets in order. The iterator ends after the first error.
    pub fn bets(&self) -> Bets<'a> {
        Bets { rest: self.encoded, left: self.count, total: self.count }
    }

    /// Position after the last bet; `None` beyond the last position there is.
    pub fn end(&self) -> Option<Position> {
        self.position.checked_add(u64::from(self.count))
    }
}

/// Iterator over the bets of a [`Batch`].
#[derive(Debug, Clone)]
pub struct Bets<'a> {
    rest: &'a [u8],
    left: u16,
    total: u16,
}

impl<'a> Bets<'a> {
    /// Like [`next`](Iterator::next), with the bytes that the bet is encoded in: each of its fields
    /// behind one byte.
    pub fn next_encoded(&mut self) -> Option<Result<(Bet<'a>, &'a [u8]), MessageError>> {
        if self.left == 0 {
            let surplus = std::mem::take(&mut self.rest).len();
            let error = MessageError::SurplusInBatch { count: self.total, surplus };
            return (surplus > 0).then_some(Err(error));
        }
        let Some((bet, rest)) = Bet::split_first(self.rest) else {
            let index = self.total - self.left;
            (self.left, self.rest) = (0, &[]);
            return Some(Err(MessageError::BetCutOff { index, count: self.total }));
        };
        let encoded = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        self.left -= 1;
        Some(Ok((bet, encoded)))
    }
}

impl<'a> Iterator for Bets<'a> {
    type Item = Result<Bet<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_encoded()?.map(|(bet, _)| bet))
    }
}

/// What became of a bet that was pushed into a [`BatchBuilder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Push {
    /// It is in the batch.
    Added,
    /// The batch has no room for it: send the batch, and push it into the next.
    Full,
}

/// A field that can't travel: its length doesn't fit in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} is at most {FIELD_MAX} bytes long, found {length}")]
pub struct FieldTooLong {
    /// Which field.
    pub field: Field,
    /// Its length in bytes.
    pub length: usize,
}

/// Collects bets for one request, already encoded.
///
/// [`push`](Self::push) bets until [`Push::Full`] or the caller has enough, then send
/// [`batch`](Self::batch) and begin anew with [`clear`](Self::clear), which keeps the memory.
#[derive(Debug, Clone, Default)]
pub struct BatchBuilder {
    encoded: Vec<u8>,
    count: u16,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a bet, if the frame still has room for it. A bet always fits into an empty batch.
    ///
    /// # Errors
    /// [`FieldTooLong`] when a field is over [`FIELD_MAX`] bytes; the batch is as it was.
    pub fn push(&mut self, bet: &Bet<'_>) -> Result<Push, FieldTooLong> {
        const { assert!(FIELDS * (1 + FIELD_MAX) <= BETS_MAX, "a bet fits into an empty batch") };
        let fields = bet.fields();
        for (field, text) in Field::ALL.into_iter().zip(fields) {
            if text.len() > FIELD_MAX {
                return Err(FieldTooLong { field, length: text.len() });
            }
        }
        if self.encoded.len() + bet.encoded_len() > BETS_MAX || self.count == u16::MAX {
            return Ok(Push::Full);
        }
        for text in fields {
            #[expect(clippy::cast_possible_truncation, reason = "compared with FIELD_MAX above")]
            self.encoded.push(text.len() as u8);
            self.encoded.extend_from_slice(text);
        }
        self.count += 1;
        Ok(Push::Added)
    }

    /// Bets in it.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch, beginning at `position`.
    pub fn batch(&self, position: Position) -> Batch<'_> {
        Batch { position, count: self.count, encoded: &self.encoded }
    }

    /// Forgets the bets, keeps the memory.
    pub fn clear(&mut self) {
        self.encoded.clear();
        self.count = 0;
    }
}
