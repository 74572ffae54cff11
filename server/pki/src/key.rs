//! The kinds of keys.

use std::fmt;
use std::str::FromStr;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

/// What kind of key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256 with SHA-256: what every TLS 1.3 implementation must know.
    #[default]
    P256,
    /// Ed25519: signatures have a constant size.
    Ed25519,
}

impl KeyKind {
    pub(crate) const ALL: [Self; 2] = [Self::P256, Self::Ed25519];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Ed25519 => "ed25519",
        }
    }

    pub(crate) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for KeyKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or("expected p256 or ed25519")
    }
}
