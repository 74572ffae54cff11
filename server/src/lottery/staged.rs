//! What one turn stages: rows, and entries that say what they are.

use wire::FRAME_MAX;

use super::entry::Entry;

/// Most bytes that one request adds to a commit.
///
/// A bet of n bytes becomes a row of fewer than 2n. The lengths of its fields become commas, byte for
/// byte. What is new is the agency's number, of 10 digits at most, and the line end, 2. A name of
/// quotation marks alone is doubled and gets 2 more; nothing else grows, and nothing else has less
/// than 12 bytes. So a row has at most 2n + 10 + 2 + 4 - 5 - 12 = 2n - 1 bytes. Many tiny bets come
/// as near to that as a few with long names. An entry has fewer bytes than the frame it came in.
pub const REQUEST_MAX: usize = 2 * FRAME_MAX;

/// Everything that is to become durable together.
#[derive(Debug, Clone, Default)]
pub struct Staged {
    rows: Vec<u8>,
    entries: Vec<Entry>,
    /// The same as bytes.
    meta: Vec<u8>,
}

impl Staged {
    /// The rows, to append some to them: what they are is said by [`push_entry`](Self::push_entry).
    pub fn rows_mut(&mut self) -> &mut Vec<u8> {
        &mut self.rows
    }

    /// Stages what the rows since the last entry are.
    pub fn push_entry(&mut self, entry: Entry) {
        entry.encode(&mut self.meta);
        self.entries.push(entry);
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The rows, as they go into `bets.csv`.
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, as they are kept.
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// Bytes of rows and entries together.
    pub fn encoded_len(&self) -> usize {
        self.rows.len() + self.meta.len()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.entries.clear();
        self.meta.clear();
    }
}

#[cfg(test)]
mod tests {
    use wire::{Agency, BatchBuilder, Bet, Checksum, Push, bet};

    use super::*;
    use crate::row;

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
            let mut staged = Staged::default();
            for bet in batch.bets() {
                let bet = bet::check(&bet.expect("whole")).expect("good");
                row::encode(Agency::MAX, &bet, staged.rows_mut());
            }
            let rows_len = staged.rows().len();
            assert!(rows_len < 2 * batch.encoded.len(), "{} rows", batch.count);
            assert!(rows_len > batch.encoded.len() * 19 / 10, "these grow a lot");
            let (agency, count) = (Agency::MAX, batch.count);
            staged.push_entry(Entry::Batch { agency, count, stored: true, checksum: Checksum(0) });
            let record_len = ledger::commit_record_len;
            let added = record_len(staged.encoded_len()) - record_len(0);
            assert!(added <= REQUEST_MAX, "{added}");
        }
    }
}
