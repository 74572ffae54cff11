//! Records of the write-ahead log: bytes, no file.
//!
//! ```text
//!  file   | header block, 4096 | half 0 | half 1 |            constant size, filled with zeros once
//!  half   | checkpoint | commit | commit | ... | 64 zeros | what an earlier use of the half left
//!  record | header, 64 | payload, padded with zeros to a multiple of 64 |
//! ```
//!
//! A header never straddles a sector, so after a crash it is there or it isn't. The two halves are
//! used in turn: when one is full, a checkpoint of the whole state begins the other, one generation
//! later, and the records of the first are needed no more.

use wire::Agency;

use super::commit::{Commit, Entry};
use super::state::State;

/// Bytes of the block at the front of the file.
pub(crate) const FILE_HEADER_LEN: u64 = FILE_HEADER_BLOCK as u64;
const FILE_HEADER_BLOCK: usize = 4096;

/// Bytes of a record's header, and what every record's size is a multiple of.
pub(crate) const BLOCK: usize = 64;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What the file says of itself, and its version.
pub(crate) const FORMAT: &str = "loteria wal v1";

/// The same of every version, as far as it goes.
const ANY_VERSION: &[u8] = b"loteria wal v";

const FILE_MAGIC: &[u8; 16] = b"loteria wal v1\r\n";
const RECORD_MAGIC: &[u8; 8] = b"\0APUESTA";

/// The block at the front of the file.
pub(crate) fn encode_file_header(half_size: u64) -> Vec<u8> {
    let mut block = FILE_MAGIC.to_vec();
    block.extend_from_slice(&half_size.to_be_bytes());
    block.extend_from_slice(&crc32fast::hash(&block).to_be_bytes());
    block.resize(FILE_HEADER_BLOCK, 0);
    block
}

/// Size of a half, as the file's first block says; `None` when it isn't such a block.
pub(crate) fn decode_file_header(block: &[u8]) -> Option<u64> {
    let (content, rest) = block.split_at_checked(FILE_MAGIC.len() + 8)?;
    let crc = u32::from_be_bytes(*rest.first_chunk()?);
    let (magic, half_size) = content.split_at(FILE_MAGIC.len());
    let padding = rest[4..].iter().all(|byte| *byte == 0);
    let good = magic == FILE_MAGIC && crc == crc32fast::hash(content) && padding;
    good.then(|| half_size.try_into().map(u64::from_be_bytes).ok())?
}

/// What stands in place of the file's first block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// The block of another version, which says so.
    OtherVersion(String),
    /// A block of this version that doesn't match its checksum.
    Damaged,
    /// Something else.
    Foreign,
}

/// Why a first block can't be decoded.
pub(crate) fn judge_file_header(block: &[u8]) -> BadHeader {
    if block.starts_with(FILE_MAGIC) {
        return BadHeader::Damaged;
    }
    if !block.starts_with(ANY_VERSION) {
        return BadHeader::Foreign;
    }
    let digits = block[ANY_VERSION.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let found = &block[..ANY_VERSION.len() + digits.take(9).count()];
    match String::from_utf8_lossy(found).into_owned() {
        // Its version is right, and what follows isn't.
        same if same == FORMAT => BadHeader::Damaged,
        other => BadHeader::OtherVersion(other),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Checkpoint = 1,
    Commit = 2,
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Counts checkpoints: tells this use of a half from the earlier ones.
    pub(crate) generation: u64,
    /// Counts records over all generations.
    pub(crate) sequence: u64,
    /// Length of `bets.csv` before the record's rows.
    pub(crate) csv_len: u64,
    pub(crate) payload_len: u32,
    /// Bytes at the payload's end that are rows.
    pub(crate) rows_len: u32,
    payload_crc: u32,
    /// How many of the records before it had not been synced when it was written: a crash may have
    /// taken these and left it.
    unsynced: u32,
}

impl Header {
    fn new(
        kind: Kind,
        stamp: Stamp,
        payload_len: usize,
        rows_len: usize,
        payload_crc: u32,
    ) -> Self {
        let Stamp { generation, sequence, csv_len, synced } = stamp;
        let unsynced = u32::try_from(sequence - 1 - synced).expect("as many fit into a half");
        let field = |len: usize| u32::try_from(len).expect("a half is smaller than 4 GiB");
        let (payload_len, rows_len) = (field(payload_len), field(rows_len));
        Self { kind, generation, sequence, csv_len, payload_len, rows_len, payload_crc, unsynced }
    }

    fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[0..8].copy_from_slice(RECORD_MAGIC);
        block[8] = self.kind as u8;
        block[16..24].copy_from_slice(&self.generation.to_be_bytes());
        block[24..32].copy_from_slice(&self.sequence.to_be_bytes());
        block[32..40].copy_from_slice(&self.csv_len.to_be_bytes());
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
        if !block.starts_with(RECORD_MAGIC) || u32_at(60)? != crc32fast::hash(&block[..60]) {
            return None;
        }
        Some(Self {
            kind: match block[8] {
                1 => Kind::Checkpoint,
                2 => Kind::Commit,
                _ => return None,
            },
            generation: u64_at(16)?,
            sequence: u64_at(24)?,
            csv_len: u64_at(32)?,
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

    /// Whether the record with this sequence had been synced when this one was written.
    pub(crate) fn proves(&self, sequence: u64) -> bool {
        sequence + u64::from(self.unsynced) < self.sequence
    }

    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        self.payload_crc == crc32fast::hash(payload)
    }
}

/// Bytes that a commit of such a payload takes in the wal: header, padding, and the zeros that stand
/// behind the last record.
pub(crate) const fn commit_record_len(payload_len: usize) -> usize {
    BLOCK + payload_len.next_multiple_of(BLOCK) + BLOCK
}

/// Bytes that a checkpoint of so many agencies takes in the wal, without the zeros behind it.
pub(crate) const fn checkpoint_record_len(agencies: usize) -> usize {
    BLOCK + (CHECKPOINT_FIELDS_LEN + State::encoded_len(agencies)).next_multiple_of(BLOCK)
}

/// Headers of that generation in a part of a half, and their offsets.
pub(crate) fn headers_in(bytes: &[u8], generation: u64) -> impl Iterator<Item = (usize, Header)> {
    let (blocks, _) = bytes.as_chunks();
    let headers = blocks.iter().map(Header::decode).enumerate();
    let headers = headers.filter_map(|(block, header)| Some((block * BLOCK, header?)));
    headers.filter(move |(_, header)| header.generation == generation)
}

/// Where a record stands in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
    pub(crate) csv_len: u64,
    /// The last record that is durable.
    pub(crate) synced: u64,
}

/// Makes `head` the record of a commit as far as its rows, which are written from where they are.
/// Returns the zeros behind them: up to the record's end, and those that stand behind the last record.
pub(crate) fn encode_commit(stamp: Stamp, commit: &Commit, head: &mut Vec<u8>) -> &'static [u8] {
    const ZEROS: &[u8] = &[0; 2 * BLOCK];
    head.clear();
    head.resize(BLOCK, 0);
    commit.encode_entries(head);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[BLOCK..]);
    crc.update(commit.rows());
    let len = head.len() + commit.len();
    let header = Header::new(Kind::Commit, stamp, len - BLOCK, commit.len(), crc.finalize());
    head[..BLOCK].copy_from_slice(&header.encode());
    &ZEROS[..len.next_multiple_of(BLOCK) - len + BLOCK]
}

/// Bytes of a checkpoint's payload before the state.
const CHECKPOINT_FIELDS_LEN: usize = 4 + 1 + 2 + LOTTERY_LEN as usize;

/// Flag of a checkpoint that was written at a graceful end.
const CLEAN: u8 = 1;

/// Flag of a checkpoint that says for which lottery the ledger is. The first ones didn't.
const HAS_LOTTERY: u8 = 2;

/// Bytes that say for which lottery: the number of its agencies. They stand behind their length, so
/// that more may be said of it, as its name.
const LOTTERY_LEN: u16 = 4;

/// A checkpoint's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// CRC-32 of all of `bets.csv` up to the checkpoint.
    pub(crate) csv_crc: u32,
    /// Written at a graceful end.
    pub(crate) clean: bool,
    /// Agencies of the lottery that the ledger is for; `None` in a ledger of an earlier version.
    pub(crate) agencies: Option<Agency>,
    pub(crate) state: State,
}

/// Makes `out` the record of a checkpoint, with the zeros that stand behind the last record.
pub(crate) fn encode_checkpoint(
    stamp: Stamp,
    csv_crc: u32,
    clean: bool,
    agencies: Option<Agency>,
    state: &State,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.resize(BLOCK, 0);
    out.extend_from_slice(&csv_crc.to_be_bytes());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(flag(clean, CLEAN) | flag(agencies.is_some(), HAS_LOTTERY));
    if let Some(agencies) = agencies {
        out.extend_from_slice(&LOTTERY_LEN.to_be_bytes());
        out.extend_from_slice(&agencies.to_be_bytes());
    }
    state.encode(out);
    let payload = &out[BLOCK..];
    let crc = crc32fast::hash(payload);
    let header = Header::new(Kind::Checkpoint, stamp, payload.len(), 0, crc);
    out[..BLOCK].copy_from_slice(&header.encode());
    let padded = out.len().next_multiple_of(BLOCK);
    out.resize(padded + BLOCK, 0);
}

pub(crate) fn decode_checkpoint(payload: &[u8]) -> Option<Checkpoint> {
    let (csv_crc, rest) = payload.split_first_chunk()?;
    let (&flags, rest) = rest.split_first()?;
    let clean = flags & CLEAN != 0;
    let (agencies, rest) = match flags & !CLEAN {
        0 => (None, rest),
        HAS_LOTTERY => decode_lottery(rest).map(|(agencies, rest)| (Some(agencies), rest))?,
        _ => return None,
    };
    let state = State::decode(rest)?;
    Some(Checkpoint { csv_crc: u32::from_be_bytes(*csv_crc), clean, agencies, state })
}

/// The number of agencies, and what follows it. Nothing else is known of a lottery: what says more
/// was written by a later version.
fn decode_lottery(bytes: &[u8]) -> Option<(Agency, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (agencies, rest) = rest.split_first_chunk()?;
    let known = u16::from_be_bytes(*len) == LOTTERY_LEN;
    known.then_some((Agency::from_be_bytes(*agencies), rest))
}

/// Entries and rows of a commit's payload.
pub(crate) fn decode_commit<'p>(
    header: &Header,
    payload: &'p [u8],
) -> Option<(Vec<Entry>, &'p [u8])> {
    let entries_len = payload.len().checked_sub(header.rows_len as usize)?;
    let (entries, rows) = payload.split_at(entries_len);
    Some((Entry::decode_all(entries)?, rows))
}

/// Whether a payload at `offset` that doesn't match its header may have been torn by a crash, in a
/// place that held zeros before: then a whole sector's share of it is still zeros. A payload
/// without such a gap was written whole, and damaged later.
pub(crate) fn looks_torn(payload: &[u8], offset: u64) -> bool {
    let into_sector = usize::try_from(offset % SECTOR as u64).expect("less than a sector");
    let first = (SECTOR - into_sector) % SECTOR;
    // What shares a sector with the header was written with it.
    let rest = payload.get(first..).unwrap_or_default();
    rest.chunks(SECTOR).any(|part| part.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { generation: 1, sequence: 1, csv_len: 0, synced: 0 };

    fn payload(agencies: Option<Agency>, clean: bool, state: &State) -> Vec<u8> {
        let mut record = Vec::new();
        encode_checkpoint(STAMP, 7, clean, agencies, state, &mut record);
        let len = Header::decode(record.first_chunk().unwrap()).unwrap().payload_len;
        record[BLOCK..][..len as usize].to_vec()
    }

    fn state(agencies: Agency) -> State {
        let mut state = State::default();
        (1..=agencies).for_each(|agency| state.apply(&Entry::Finished { agency }));
        state
    }

    #[test]
    fn a_checkpoint_is_read_back_and_is_as_long_as_it_was_said() {
        for agencies in [0, 1, 7, 100] {
            let state = state(agencies);
            for (lottery, clean) in [(None, true), (Some(agencies), false), (Some(9), true)] {
                let expected =
                    Checkpoint { csv_crc: 7, clean, agencies: lottery, state: state.clone() };
                assert_eq!(decode_checkpoint(&payload(lottery, clean, &state)), Some(expected));
            }
            let mut record = Vec::new();
            encode_checkpoint(STAMP, 7, false, Some(agencies), &state, &mut record);
            assert_eq!(record.len(), checkpoint_record_len(agencies as usize) + BLOCK);
        }
    }

    #[test]
    fn a_checkpoint_of_the_first_version_says_nothing_of_the_lottery() {
        // Checksum, clean, not drawn, one account.
        let mut bytes = vec![0, 0, 0, 7, 1, 0];
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(&[0; 28]);
        bytes.push(1);
        let checkpoint = decode_checkpoint(&bytes).expect("it can still be read");
        assert_eq!((checkpoint.clean, checkpoint.agencies), (true, None));
        assert!(checkpoint.state.account(1).finished);
    }

    #[test]
    fn a_lottery_of_which_more_is_said_is_not_taken_for_less() {
        let mut bytes = payload(Some(3), false, &state(3));
        bytes[6] = 5;
        assert_eq!(decode_checkpoint(&bytes), None);
        bytes[4] = 4;
        assert_eq!(decode_checkpoint(&bytes), None);
    }
}
