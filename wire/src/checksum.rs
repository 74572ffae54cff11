//! The running checksum by which central and agency notice that they speak of different inputs.

/// CRC-32 (IEEE, as `zlib.crc32` and Go's `hash/crc32` compute it) over all bets from position 0 on,
/// each as it is encoded in a batch.
///
/// How the bets were cut into batches leaves no trace in it, so an agency that comes back with
/// another batch size compares equal. It detects an edited or a wrong file by accident, not a forged
/// one: 1 of 2³² wrong inputs goes unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum(pub u32);

impl Checksum {
    /// The checksum after these encoded bets too.
    #[must_use]
    pub fn extended(self, encoded_bets: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(encoded_bets);
        Self(hasher.finalize())
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_standard_crc_32() {
        let checksum = Checksum::default().extended(b"123456789");
        assert_eq!(checksum, Checksum(0xcbf4_3926), "the check value of CRC-32/ISO-HDLC");
    }

    #[test]
    fn goes_on_from_where_it_was() {
        let resumed = Checksum(Checksum::default().extended(b"1234").0).extended(b"56789");
        assert_eq!(resumed, Checksum::default().extended(b"123456789"));
    }

    #[test]
    fn is_shown_with_its_leading_zeros() {
        assert_eq!(Checksum(0xab).to_string(), "000000ab");
    }
}
