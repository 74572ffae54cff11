//! What one turn stages for the ledger: rows for `bets.csv`, and entries that say what they are.

use wire::{Agency, Batch, Checksum};

use super::row;
use crate::bet::Checked;
use crate::plain;

/// One effect on the lottery's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A batch was consumed.
    Batch {
        /// Whose.
        agency: Agency,
        /// Bets in it.
        count: u16,
        /// Whether they are in the ledger; rejected otherwise.
        stored: bool,
        /// Checksum of all bets that the agency has had consumed, this batch included.
        checksum: Checksum,
    },
    /// An agency has ended its input.
    Finished {
        /// Which.
        agency: Agency,
    },
    /// The draw has run.
    Drawn,
}

const STORED: u8 = 1;
const REJECTED: u8 = 2;
const FINISHED: u8 = 3;
const DRAWN: u8 = 4;

impl Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Batch { agency, count, stored, checksum } => {
                out.push(if stored { STORED } else { REJECTED });
                out.extend_from_slice(&agency.to_be_bytes());
                out.extend_from_slice(&count.to_be_bytes());
                out.extend_from_slice(&checksum.0.to_be_bytes());
            }
            Self::Finished { agency } => {
                out.push(FINISHED);
                out.extend_from_slice(&agency.to_be_bytes());
            }
            Self::Drawn => out.push(DRAWN),
        }
    }

    /// The entry at the front of `bytes`, and what follows it.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&kind, rest) = bytes.split_first()?;
        if kind == DRAWN {
            return Some((Self::Drawn, rest));
        }
        let (agency, rest) = rest.split_first_chunk()?;
        let agency = Agency::from_be_bytes(*agency);
        if kind == FINISHED {
            return Some((Self::Finished { agency }, rest));
        }
        let (count, rest) = rest.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let count = u16::from_be_bytes(*count);
        let checksum = Checksum(u32::from_be_bytes(*checksum));
        let stored = kind == STORED;
        (stored || kind == REJECTED)
            .then_some((Self::Batch { agency, count, stored, checksum }, rest))
    }

    /// All entries in `bytes`; `None` when they aren't entries alone.
    pub(crate) fn decode_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let (entry, rest) = Self::decode(bytes)?;
            entries.push(entry);
            bytes = rest;
        }
        Some(entries)
    }
}

/// Everything that is to become durable together.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    rows: Vec<u8>,
    entries: Vec<Entry>,
}

/// A place in a commit's rows to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl Commit {
    /// Stages a bet as a row.
    pub fn push_row(&mut self, agency: Agency, bet: &Checked<'_>) {
        row::encode(agency, bet, &mut self.rows);
    }

    /// Stages a batch of plain bets, see [`plain::push_rows`].
    #[must_use]
    pub fn push_plain_rows<'a>(
        &mut self,
        agency: Agency,
        batch: &Batch<'a>,
        winner: impl FnMut(&'a [u8]),
    ) -> bool {
        plain::push_rows(agency, batch, &mut self.rows, winner)
    }

    /// Stages what the rows since the last entry are.
    pub fn push_entry(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Where the rows stand now.
    pub fn mark(&self) -> Mark {
        Mark(self.rows.len())
    }

    /// Takes the rows since `mark` back.
    pub fn roll_back(&mut self, mark: Mark) {
        self.rows.truncate(mark.0);
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of rows staged.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows, as they go into `bets.csv`.
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Appends the entries as the log keeps them.
    pub(crate) fn encode_entries(&self, out: &mut Vec<u8>) {
        self.entries.iter().for_each(|entry| entry.encode(out));
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.entries.clear();
    }
}
