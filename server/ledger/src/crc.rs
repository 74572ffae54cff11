//! CRC-32 of bytes that are looked at once, though two checksums cover them.

use crc32fast::Hasher;

/// Extends a running CRC-32 by `bytes`.
pub(crate) fn extend(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// The CRC-32 of some bytes behind other ones than before, without a look at them: `whole` is that of
/// `before` and these `len` bytes, and the result that of `instead` and the same bytes.
///
/// A CRC is linear: that of two parts is the first one's, shifted by the length of the second, plus
/// the second one's. So exchanging the first part adds the shifted difference.
pub(crate) fn exchange_prefix(whole: u32, before: u32, instead: u32, len: u64) -> u32 {
    if len == 0 {
        return instead;
    }
    let mut hasher = Hasher::new_with_initial(before ^ instead);
    hasher.combine(&Hasher::new_with_initial_len(whole, len));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use crc32fast::hash;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_that_were_looked_at_once_have_both_checksums(
            before in prop::collection::vec(any::<u8>(), 0..99),
            instead in prop::collection::vec(any::<u8>(), 0..99),
            bytes in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 1..999)],
        ) {
            let (before_crc, instead_crc) = (hash(&before), hash(&instead));
            let whole = extend(before_crc, &bytes);
            prop_assert_eq!(whole, hash(&[&before[..], &bytes].concat()));
            let exchanged = exchange_prefix(whole, before_crc, instead_crc, bytes.len() as u64);
            prop_assert_eq!(exchanged, hash(&[&instead[..], &bytes].concat()));
        }
    }
}
