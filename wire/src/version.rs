//! Versions of the protocol: the first byte of HELLO.

/// Versions that this crate speaks, oldest first.
pub const VERSIONS: [u8; 2] = [UNNAMED, NAMED];

/// HELLO names no draw.
pub(crate) const UNNAMED: u8 = 1;

/// HELLO names a draw.
pub(crate) const NAMED: u8 = 2;
