//! Records of the wal: bytes, no file.
//!
//! ```text
//!  segment    | checkpoint | commit | commit | ... | 64 zeros | what an earlier epoch left
//!  record     | header, 64 | payload, padded with zeros to a multiple of 64 |
//!  commit     payload: meta | rows
//!  checkpoint payload: CRC-32 of all rows, 4 | flags, 1 | snapshot
//! ```
//!
//! A header never straddles a sector, so after a crash it is there or it isn't. The two segments are
//! used alternately: when one is full, a checkpoint begins the other, one epoch later, and the
//! records of the first are needed no more.

use crate::crc;

/// Bytes of a record's header, and what every record's size is a multiple of.
pub(crate) const BLOCK: usize = 64;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

const MAGIC: &[u8; 8] = b"\0APUESTA";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Checkpoint = 1,
    Commit = 2,
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    /// Counts checkpoints: distinguishes this use of a segment from the earlier ones.
    pub(crate) epoch: u64,
    /// Counts records over all epochs.
    pub(crate) lsn: u64,
    /// Bytes of rows before the record's own.
    pub(crate) rows_before: u64,
    /// How many of the records before it had not been synced when it was written: a crash may have
    /// taken these and left it.
    pub(crate) unsynced: u32,
    pub(crate) payload_len: u32,
    /// Bytes at the payload's end that are rows.
    pub(crate) rows_len: u32,
    pub(crate) payload_crc: u32,
}

impl RecordHeader {
    /// That of a record without payload, written when those up to `durable` were synced.
    pub(crate) fn new(kind: Kind, epoch: u64, lsn: u64, rows_before: u64, durable: u64) -> Self {
        let unsynced = u32::try_from(lsn - 1 - durable).expect("as many fit into a segment");
        let (payload_len, rows_len, payload_crc) = (0, 0, 0);
        Self { kind, epoch, lsn, rows_before, unsynced, payload_len, rows_len, payload_crc }
    }

    fn with_payload(self, payload_len: usize, rows_len: usize, payload_crc: u32) -> Self {
        let field = |len: usize| u32::try_from(len).expect("a segment is smaller than 4 GiB");
        let (payload_len, rows_len) = (field(payload_len), field(rows_len));
        Self { payload_len, rows_len, payload_crc, ..self }
    }

    fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[0..8].copy_from_slice(MAGIC);
        block[8] = self.kind as u8;
        block[16..24].copy_from_slice(&self.epoch.to_be_bytes());
        block[24..32].copy_from_slice(&self.lsn.to_be_bytes());
        block[32..40].copy_from_slice(&self.rows_before.to_be_bytes());
        block[40..44].copy_from_slice(&self.payload_len.to_be_bytes());
        block[44..48].copy_from_slice(&self.rows_len.to_be_bytes());
        block[48..52].copy_from_slice(&self.payload_crc.to_be_bytes());
        block[52..56].copy_from_slice(&self.unsynced.to_be_bytes());
        let crc = crc32fast::hash(&block[..60]);
        block[60..].copy_from_slice(&crc.to_be_bytes());
        block
    }

    pub(crate) fn decode(block: &[u8; BLOCK]) -> Option<Self> {
        let u64_at = |at: usize| block[at..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let u32_at = |at: usize| block[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        if !block.starts_with(MAGIC) || u32_at(60)? != crc32fast::hash(&block[..60]) {
            return None;
        }
        Some(Self {
            kind: match block[8] {
                1 => Kind::Checkpoint,
                2 => Kind::Commit,
                _ => return None,
            },
            epoch: u64_at(16)?,
            lsn: u64_at(24)?,
            rows_before: u64_at(32)?,
            payload_len: u32_at(40)?,
            rows_len: u32_at(44)?,
            payload_crc: u32_at(48)?,
            unsynced: u32_at(52)?,
        })
    }

    /// Bytes of the whole record.
    pub(crate) fn record_len(&self) -> u64 {
        (BLOCK + (self.payload_len as usize).next_multiple_of(BLOCK)) as u64
    }

    /// Whether the record with this LSN had been synced when this one was written.
    pub(crate) fn implies_synced(&self, lsn: u64) -> bool {
        lsn + u64::from(self.unsynced) < self.lsn
    }

    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        self.payload_crc == crc32fast::hash(payload)
    }
}

/// Headers of that epoch in a part of a segment, and their offsets there.
pub(crate) fn headers_in(bytes: &[u8], epoch: u64) -> impl Iterator<Item = (usize, RecordHeader)> {
    all_headers_in(bytes).filter(move |(_, header)| header.epoch == epoch)
}

/// Headers in a part of a segment, and their offsets there.
pub(crate) fn all_headers_in(bytes: &[u8]) -> impl Iterator<Item = (usize, RecordHeader)> {
    let (blocks, _) = bytes.as_chunks();
    let headers = blocks.iter().map(RecordHeader::decode).enumerate();
    headers.filter_map(|(block, header)| Some((block * BLOCK, header?)))
}

/// Bytes that a commit of such a payload takes in the wal: header, padding, and the zeros
/// that follow the last record.
pub const fn commit_record_len(payload_len: usize) -> usize {
    BLOCK + payload_len.next_multiple_of(BLOCK) + BLOCK
}

/// Bytes that a checkpoint with such a snapshot takes in the wal, without the zeros behind it.
pub const fn checkpoint_record_len(snapshot_len: usize) -> usize {
    BLOCK + (CHECKPOINT_FIELDS_LEN + snapshot_len).next_multiple_of(BLOCK)
}

/// What a record has to know of its rows: they were looked at once, for the checksum of all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsSum {
    pub(crate) len: usize,
    /// CRC-32 of all rows before these.
    pub(crate) crc_before: u32,
    /// The same with these.
    pub(crate) crc_after: u32,
}

impl RowsSum {
    /// Looks at the rows behind those with this checksum.
    pub(crate) fn new(crc_before: u32, rows: &[u8]) -> Self {
        Self { len: rows.len(), crc_before, crc_after: crc::extend(crc_before, rows) }
    }
}

/// Makes `head` the record of a commit as far as its rows, which are written from where they are.
/// Returns the zeros behind them: up to the record's end, and those that follow the last record.
pub(crate) fn encode_commit(
    header: RecordHeader,
    meta: &[u8],
    rows: RowsSum,
    head: &mut Vec<u8>,
) -> &'static [u8] {
    const ZEROS: &[u8] = &[0; 2 * BLOCK];
    let RowsSum { len: rows_len, crc_before, crc_after } = rows;
    let payload_len = meta.len() + rows_len;
    let meta_crc = crc32fast::hash(meta);
    let payload_crc = crc::exchange_prefix(crc_after, crc_before, meta_crc, rows_len as u64);
    head.clear();
    head.extend_from_slice(&header.with_payload(payload_len, rows_len, payload_crc).encode());
    head.extend_from_slice(meta);
    &ZEROS[..payload_len.next_multiple_of(BLOCK) - payload_len + BLOCK]
}

/// Meta and rows of a commit's payload; `None` when it has less than its header says.
pub(crate) fn split_commit<'p>(
    header: &RecordHeader,
    payload: &'p [u8],
) -> Option<(&'p [u8], &'p [u8])> {
    let meta_len = payload.len().checked_sub(header.rows_len as usize)?;
    Some(payload.split_at(meta_len))
}

/// The user's state, as the user has encoded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot<'b> {
    /// Which of its encodings it is: 0 to 127.
    pub format: u8,
    /// The state.
    pub bytes: &'b [u8],
}

/// Bytes of a checkpoint's payload before the snapshot.
const CHECKPOINT_FIELDS_LEN: usize = 4 + 1;

/// Flag of a checkpoint that was written at a graceful end. The other flags are the snapshot's format.
const CLEAN: u8 = 1;

/// A checkpoint's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint<'b> {
    /// CRC-32 of all rows up to the checkpoint.
    pub(crate) rows_crc: u32,
    /// Written at a graceful end.
    pub(crate) clean: bool,
    pub(crate) snapshot: Snapshot<'b>,
}

impl<'b> Checkpoint<'b> {
    /// Makes `out` the record, with the zeros that follow the last record.
    pub(crate) fn encode(&self, header: RecordHeader, out: &mut Vec<u8>) {
        let Self { rows_crc, clean, snapshot: Snapshot { format, bytes } } = *self;
        debug_assert!(format <= u8::MAX >> 1, "it shares its byte with a flag");
        out.clear();
        out.resize(BLOCK, 0);
        out.extend_from_slice(&rows_crc.to_be_bytes());
        out.push(format << 1 | if clean { CLEAN } else { 0 });
        out.extend_from_slice(bytes);
        let payload = &out[BLOCK..];
        let crc = crc32fast::hash(payload);
        let header = header.with_payload(payload.len(), 0, crc);
        out[..BLOCK].copy_from_slice(&header.encode());
        let padded = out.len().next_multiple_of(BLOCK);
        out.resize(padded + BLOCK, 0);
    }

    pub(crate) fn decode(payload: &'b [u8]) -> Option<Self> {
        let (rows_crc, rest) = payload.split_first_chunk()?;
        let (&flags, bytes) = rest.split_first()?;
        let snapshot = Snapshot { format: flags >> 1, bytes };
        let rows_crc = u32::from_be_bytes(*rows_crc);
        Some(Self { rows_crc, clean: flags & CLEAN != 0, snapshot })
    }
}

/// Whether a payload at `offset` that doesn't match its header may have been torn by a crash, in a
/// place that held zeros before: then a whole sector's share of it is still zeros. A payload
/// without such a gap was written whole, and damaged later.
pub(crate) fn is_torn_write(payload: &[u8], offset: u64) -> bool {
    let into_sector = usize::try_from(offset % SECTOR as u64).expect("less than a sector");
    let first = (SECTOR - into_sector) % SECTOR;
    // What shares a sector with the header was written with it.
    let rest = payload.get(first..).unwrap_or_default();
    rest.chunks(SECTOR).any(|part| part.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RecordHeader = RecordHeader {
        kind: Kind::Checkpoint,
        epoch: 1,
        lsn: 1,
        rows_before: 0,
        unsynced: 0,
        payload_len: 0,
        rows_len: 0,
        payload_crc: 0,
    };

    #[test]
    fn a_checkpoint_is_read_back_and_is_as_long_as_it_was_said() {
        for len in [0, 1, 58, 59, 60, 3000] {
            let state: Vec<_> = (0..=u8::MAX).cycle().take(len).collect();
            for (format, clean) in [(0, true), (1, false), (127, true)] {
                let snapshot = Snapshot { format, bytes: &state };
                let checkpoint = Checkpoint { rows_crc: 7, clean, snapshot };
                let mut record = Vec::new();
                checkpoint.encode(HEADER, &mut record);
                assert_eq!(record.len(), checkpoint_record_len(len) + BLOCK);
                let header = RecordHeader::decode(record.first_chunk().unwrap()).unwrap();
                let payload = &record[BLOCK..][..header.payload_len as usize];
                assert!(header.matches(payload));
                assert_eq!(Checkpoint::decode(payload), Some(checkpoint));
            }
        }
        assert_eq!(Checkpoint::decode(&[0; 4]), None);
    }

    #[test]
    fn a_commit_is_read_back_and_is_as_long_as_it_was_said() {
        let header = RecordHeader { kind: Kind::Commit, ..HEADER };
        for (meta, rows) in [("", ""), ("meta", ""), ("", "row\r\n"), ("m", &*"row,".repeat(30))] {
            let (mut record, sum) = (Vec::new(), RowsSum::new(0x1234_5678, rows.as_bytes()));
            let zeros = encode_commit(header, meta.as_bytes(), sum, &mut record);
            record.extend_from_slice(rows.as_bytes());
            record.extend_from_slice(zeros);
            assert_eq!(record.len(), commit_record_len(meta.len() + rows.len()));
            let header = RecordHeader::decode(record.first_chunk().unwrap()).unwrap();
            let payload = &record[BLOCK..][..header.payload_len as usize];
            assert!(header.matches(payload));
            assert_eq!(split_commit(&header, payload), Some((meta.as_bytes(), rows.as_bytes())));
        }
        assert_eq!(split_commit(&RecordHeader { rows_len: 3, ..header }, b"ab"), None);
    }
}
