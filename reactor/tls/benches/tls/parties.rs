//! Who speaks with whom: a server and a client with certificates of one authority, and how they encrypt.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use rustls::client::Resumption;
#[cfg(feature = "ring")]
use rustls::crypto::ring;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the server's certificate.
pub(crate) const SERVER_NAME: &str = "localhost";

/// Where [`Certificates`] are written.
const FILES: [&str; 5] = ["ca.der", "server.der", "server.key", "client.der", "client.key"];

/// What signs certificates and handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    P256,
    Ed25519,
}

impl Signature {
    pub(crate) const ALL: [Self; 2] = [Self::P256, Self::Ed25519];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
        }
    }

    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

/// A provider of cryptography, and the only key exchange that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    AwsHybrid,
    AwsX25519,
    #[cfg(feature = "ring")]
    RingX25519,
}

impl Exchange {
    pub(crate) const ALL: &[Self] = &[
        Self::AwsHybrid,
        Self::AwsX25519,
        #[cfg(feature = "ring")]
        Self::RingX25519,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AwsHybrid => "aws-lc-rs, X25519MLKEM768",
            Self::AwsX25519 => "aws-lc-rs, X25519",
            #[cfg(feature = "ring")]
            Self::RingX25519 => "ring, X25519",
        }
    }

    fn provider(self) -> Arc<CryptoProvider> {
        let with = |provider: CryptoProvider, group: &'static dyn SupportedKxGroup| {
            Arc::new(CryptoProvider { kx_groups: vec![group], ..provider })
        };
        match self {
            Self::AwsHybrid => {
                with(aws_lc_rs::default_provider(), aws_lc_rs::kx_group::X25519MLKEM768)
            }
            Self::AwsX25519 => with(aws_lc_rs::default_provider(), aws_lc_rs::kx_group::X25519),
            #[cfg(feature = "ring")]
            Self::RingX25519 => with(ring::default_provider(), ring::kx_group::X25519),
        }
    }
}

/// Certificates of one authority, and their keys.
pub(crate) struct Certificates {
    root: CertificateDer<'static>,
    server: Leaf,
    client: Leaf,
}

/// A certificate and its key.
struct Leaf {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Certificates {
    pub(crate) fn new(signature: Signature) -> Self {
        let generate = || KeyPair::generate_for(signature.algorithm()).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = generate();
        let root = params.self_signed(&key).expect("a certificate").der().clone();
        let issuer = Issuer::new(params, key);
        let leaf = |name: &str| {
            let key = generate();
            let params = CertificateParams::new([name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate");
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
            Leaf { certificate: certificate.der().clone(), key }
        };
        Self { root, server: leaf(SERVER_NAME), client: leaf("agency") }
    }

    /// Writes them for another process to [read](Self::read).
    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in FILES.iter().zip(self.parts()) {
            std::fs::write(folder.join(name), bytes).expect("written");
        }
    }

    pub(crate) fn read(folder: &Path) -> Self {
        let [root, server, server_key, client, client_key] =
            FILES.map(|name| std::fs::read(folder.join(name)).expect("they were written"));
        let leaf = |certificate: Vec<u8>, key: Vec<u8>| Leaf {
            certificate: certificate.into(),
            key: PrivateKeyDer::try_from(key).expect("a key"),
        };
        let (server, client) = (leaf(server, server_key), leaf(client, client_key));
        Self { root: root.into(), server, client }
    }

    fn parts(&self) -> [&[u8]; 5] {
        let Self { root, server, client } = self;
        [
            root,
            &server.certificate,
            server.key.secret_der(),
            &client.certificate,
            client.key.secret_der(),
        ]
    }
}

/// Both ends.
#[derive(Debug, Clone)]
pub(crate) struct Parties {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Parties {
    /// Both ends with new certificates.
    pub(crate) fn new(exchange: Exchange, signature: Signature) -> Self {
        Self::with(exchange, Certificates::new(signature))
    }

    /// TLS 1.3 with certificates on both sides, without resumption.
    pub(crate) fn with(exchange: Exchange, certificates: Certificates) -> Self {
        let Certificates { root, server, client } = certificates;
        let (provider, versions) = (exchange.provider(), [&rustls::version::TLS13]);
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let roots = Arc::new(roots);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(vec![server.certificate], server.key)
            .expect("a certificate");
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![client.certificate], client.key)
            .expect("a certificate");
        client.resumption = Resumption::disabled();
        Self { server: Arc::new(server), client: Arc::new(client) }
    }
}
