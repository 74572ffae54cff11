//! The kinds of keys.

use std::fmt;
use std::str::FromStr;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::error::Error;
use crate::random;

/// PKCS #8's bytes before the 32 of an Ed25519 key (RFC 8410, section 7).
const ED25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

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
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::P256, Self::Ed25519];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Ed25519 => "ed25519",
        }
    }

    pub(crate) fn generate(self) -> Result<KeyPair, Error> {
        match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::Ed25519 => ed25519(&random::bytes()?),
        }
        .map_err(Error::signing("a key"))
    }
}

/// The Ed25519 key with these bytes, in the form that holds no public key: OpenSSL 3.0 reads no other.
pub(crate) fn ed25519(bytes: &[u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let der = [&ED25519_PREFIX[..], bytes].concat();
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der))
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
