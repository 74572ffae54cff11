//! The block at the front of the wal, and where its segments begin: bytes, no file.
//!
//! ```text
//!  file | header block, 4096 | segment 0 | segment 1 |     constant size, preallocated with zeros
//! ```

/// Bytes of the block at the front of the file.
pub(crate) const FILE_HEADER_LEN: u64 = FILE_HEADER_BLOCK as u64;
const FILE_HEADER_BLOCK: usize = 4096;

/// What the file says of itself, and its version.
pub(crate) const FORMAT: &str = "loteria wal v1";

/// The same of every version, as far as it goes.
const ANY_VERSION: &[u8] = b"loteria wal v";

const FILE_MAGIC: &[u8; 16] = b"loteria wal v1\r\n";

/// Where a segment begins.
pub(crate) fn segment_start(segment: u64, segment_size: u64) -> u64 {
    FILE_HEADER_LEN + segment * segment_size
}

/// Bytes of the whole file.
pub(crate) fn file_len(segment_size: u64) -> u64 {
    FILE_HEADER_LEN + 2 * segment_size
}

/// The block at the front of the file.
pub(crate) fn encode_file_header(segment_size: u64) -> Vec<u8> {
    let mut block = FILE_MAGIC.to_vec();
    block.extend_from_slice(&segment_size.to_be_bytes());
    block.extend_from_slice(&crc32fast::hash(&block).to_be_bytes());
    block.resize(FILE_HEADER_BLOCK, 0);
    block
}

/// Size of a segment, as the file's first block says; `None` when it isn't such a block.
pub(crate) fn decode_file_header(block: &[u8]) -> Option<u64> {
    let (content, rest) = block.split_at_checked(FILE_MAGIC.len() + 8)?;
    let crc = u32::from_be_bytes(*rest.first_chunk()?);
    let (magic, segment_size) = content.split_at(FILE_MAGIC.len());
    let padding = rest[4..].iter().all(|byte| *byte == 0);
    let good = magic == FILE_MAGIC && crc == crc32fast::hash(content) && padding;
    good.then(|| segment_size.try_into().map(u64::from_be_bytes).ok())?
}

/// Why a first block can't be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// The block of another version, which says so.
    OtherVersion(String),
    /// A block of this version that doesn't match its checksum.
    Damaged,
    /// Something else.
    Foreign,
}

impl BadHeader {
    /// Judges a block that [`decode_file_header`] doesn't take.
    pub(crate) fn of(block: &[u8]) -> Self {
        if block.starts_with(FILE_MAGIC) {
            return Self::Damaged;
        }
        if !block.starts_with(ANY_VERSION) {
            return Self::Foreign;
        }
        let digits = block[ANY_VERSION.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        let found = &block[..ANY_VERSION.len() + digits.take(9).count()];
        match String::from_utf8_lossy(found).into_owned() {
            // Its version is right, and what follows isn't.
            same if same == FORMAT => Self::Damaged,
            other => Self::OtherVersion(other),
        }
    }
}
