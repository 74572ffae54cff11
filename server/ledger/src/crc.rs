//! CRC-32 of bytes that are looked at once, though two checksums cover them.

use crc32fast::Hasher;

/// Extends a running CRC-32 by `bytes`.
pub(crate) fn extend(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// The CRC-32 of some bytes, and how many they are: extends any other without another look at them.
#[derive(Debug, Clone)]
pub(crate) struct Block(Hasher);

impl Block {
    /// The checksum of these.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        Self(hasher)
    }

    /// Extends a running CRC-32 by these bytes.
    pub(crate) fn extend(&self, crc: u32) -> u32 {
        let mut hasher = Hasher::new_with_initial(crc);
        hasher.combine(&self.0);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_extends_as_its_bytes_do(
            before in prop::collection::vec(any::<u8>(), 0..99),
            bytes in prop::collection::vec(any::<u8>(), 0..999),
        ) {
            let crc = crc32fast::hash(&before);
            let expected = crc32fast::hash(&[&before[..], &bytes].concat());
            prop_assert_eq!(extend(crc, &bytes), expected);
            prop_assert_eq!(Block::new(&bytes).extend(crc), expected);
        }
    }
}
