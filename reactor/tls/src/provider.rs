//! The cryptography, chosen once and always passed explicitly.
//!
//! A process-wide default could be another one: it depends on what other crates were compiled with.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

/// TLS 1.3 and nothing older.
pub(crate) const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Key exchanges, the preferred one first: what is recorded today stays secret when there are quantum
/// computers. Named here because the order of the provider's own list depends on how it was compiled.
const KEY_EXCHANGES: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// AWS-LC with the cipher suites of TLS 1.3 alone.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    // Its first random byte takes tens of milliseconds: now, and not when the first connection waits
    // for it. If there is none, handshakes say so.
    let _ = provider.secure_random.fill(&mut [0]);
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider.kx_groups = KEY_EXCHANGES.to_vec();
    Arc::new(provider)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite};

    #[test]
    fn nothing_older_than_tls_1_3_is_offered() {
        let provider = provider();
        let suites: Vec<_> =
            provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect();
        assert_eq!(
            suites,
            [
                CipherSuite::TLS13_AES_256_GCM_SHA384,
                CipherSuite::TLS13_AES_128_GCM_SHA256,
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            ]
        );
        assert_eq!(provider.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        assert_eq!(VERSIONS.len(), 1);
    }
}
