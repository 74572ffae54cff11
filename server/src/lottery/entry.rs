//! What the lottery decides, as bytes: what a ledger keeps beside the rows of a commit.

use wire::{Agency, Checksum};

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
    /// Appends the entry.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
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
