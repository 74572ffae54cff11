//! What one turn stages for the ledger: rows for `bets.csv`, and entries that say what they are.

use wire::bet::ValidBet;
use wire::{Agency, Batch, Checksum, FRAME_MAX};

use super::{log, row};
use crate::plain;

/// Most bytes that one request adds to a commit.
///
/// A bet of n bytes becomes a row of fewer than 2n. The lengths of its fields become commas, byte for
/// byte. What is new is the agency's number, of 10 digits at most, and the line end, 2. A name of
/// quotation marks alone is doubled and gets 2 more; nothing else grows, and nothing else has less
/// than 12 bytes. So a row has at most 2n + 10 + 2 + 4 - 5 - 12 = 2n - 1 bytes. Many tiny bets come
/// as near to that as a few with long names. An entry has fewer bytes than the frame it came in.
pub const REQUEST_MAX: usize = 2 * FRAME_MAX;

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

    /// Bytes that [`encode`](Self::encode) appends.
    fn encoded_len(&self) -> usize {
        match self {
            Self::Batch { .. } => 1 + 4 + 2 + 4,
            Self::Finished { .. } => 1 + 4,
            Self::Drawn => 1,
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
    /// Bytes of the entries as the wal keeps them.
    entries_len: usize,
}

/// A place in a commit's rows to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl Commit {
    /// Stages a bet as a row.
    pub fn push_row(&mut self, agency: Agency, bet: &ValidBet<'_>) {
        row::encode(agency, bet, &mut self.rows);
    }

    /// Stages a batch of plain bets, see [`plain::push_rows`].
    #[must_use]
    pub fn push_plain_rows(
        &mut self,
        agency: Agency,
        batch: &Batch<'_>,
        winner: impl FnMut(usize),
    ) -> bool {
        plain::push_rows(agency, batch, &mut self.rows, winner)
    }

    /// Stages what the rows since the last entry are.
    pub fn push_entry(&mut self, entry: Entry) {
        self.entries_len += entry.encoded_len();
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

    /// Bytes of the record that it becomes in the wal, all told.
    pub fn record_len(&self) -> usize {
        log::commit_record_len(self.entries_len + self.rows.len())
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
        self.entries_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use wire::{BatchBuilder, Bet, Push, bet};

    use super::*;
    use crate::ledger::log::Stamp;

    fn bets(fields: [&[u8]; 5]) -> BatchBuilder {
        let mut builder = BatchBuilder::new();
        while builder.push(&Bet::from_fields(fields)) == Ok(Push::Added) {}
        builder
    }

    /// Bets that grow as much as any on their way from a frame into a row.
    fn frames_that_grow_most() -> Vec<BatchBuilder> {
        let quotes = vec![b'"'; 255];
        let names = [1, 2, 10, 100, 255].map(|len| &quotes[..len]);
        names.map(|name| bets([name, name, b"1", b"2000-02-29", b"1"])).into()
    }

    #[test]
    fn no_request_adds_more_than_the_bound() {
        for builder in frames_that_grow_most() {
            let batch = builder.batch(0);
            let mut commit = Commit::default();
            for bet in batch.bets() {
                let bet = bet.expect("whole");
                commit.push_row(Agency::MAX, &bet::check(&bet).expect("good"));
            }
            assert!(commit.len() < 2 * batch.encoded.len(), "{} rows", batch.count);
            assert!(commit.len() > batch.encoded.len() * 19 / 10, "these grow a lot");
            let (agency, count) = (Agency::MAX, batch.count);
            commit.push_entry(Entry::Batch { agency, count, stored: true, checksum: Checksum(0) });
            let added = commit.record_len() - Commit::default().record_len();
            assert!(added <= REQUEST_MAX, "{added}");
        }
    }

    #[test]
    fn a_commit_knows_the_length_of_its_record() {
        let entries = [
            Entry::Batch { agency: 9, count: 1, stored: false, checksum: Checksum(7) },
            Entry::Finished { agency: 9 },
            Entry::Drawn,
        ];
        let mut commit = Commit::default();
        for round in 0..300 {
            commit.push_entry(entries[round % entries.len()]);
            if round % 7 == 0 {
                let bet = Bet::from_fields([b"Ana", b"Paz", b"1", b"2000-02-29", b"7"]);
                commit.push_row(1, &bet::check(&bet).expect("good"));
            }
            let stamp = Stamp { generation: 1, sequence: 1, csv_len: 0, synced: 0 };
            let mut head = Vec::new();
            let zeros = log::encode_commit(stamp, &commit, &mut head);
            assert_eq!(commit.record_len(), head.len() + commit.len() + zeros.len());
        }
        commit.clear();
        assert_eq!(commit.record_len(), Commit::default().record_len());
    }
}
