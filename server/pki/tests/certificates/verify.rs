//! Verifies certificates as rustls does it for a central and for an agency: chain, times, usage, and
//! the revocation list, whose expiry counts.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};
use tls::timestamp::Clock;
use tls::{KeyFiles, ServerOptions, ServerTls, TrustFiles};

/// What one end trusts.
pub(crate) struct Trust {
    pub(crate) roots: RootCertStore,
    pub(crate) lists: Vec<CertificateRevocationListDer<'static>>,
    pub(crate) now: SystemTime,
}

impl Trust {
    pub(crate) fn new(ca: &[u8], list: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(ca.to_vec().into()).expect("a root");
        Self { roots, lists: vec![list.to_vec().into()], now: SystemTime::now() }
    }

    pub(crate) fn read(ca: &Path, list: &Path) -> Self {
        let ca = CertificateDer::from_pem_file(ca).expect("a certificate");
        let list = CertificateRevocationListDer::from_pem_file(list).expect("a list");
        Self::new(&ca, &list)
    }

    fn now(&self) -> UnixTime {
        let since = self.now.duration_since(SystemTime::UNIX_EPOCH);
        UnixTime::since_unix_epoch(since.expect("a time after 1970"))
    }

    /// Whether a central accepts an agency's chain.
    pub(crate) fn client(&self, chain: &[CertificateDer<'static>]) -> Result<(), Error> {
        let roots = Arc::new(self.roots.clone());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .with_crls(self.lists.clone())
            .enforce_revocation_expiration()
            .build()
            .expect("a verifier");
        verifier.verify_client_cert(&chain[0], &chain[1..], self.now()).map(drop)
    }

    /// Whether an agency accepts a central's chain for a name.
    pub(crate) fn server(
        &self,
        chain: &[CertificateDer<'static>],
        name: &str,
    ) -> Result<(), Error> {
        let roots = Arc::new(self.roots.clone());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(self.lists.clone())
            .enforce_revocation_expiration()
            .build()
            .expect("a verifier");
        let name = ServerName::try_from(name).expect("a name");
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], self.now()).map(drop)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Whether rustls can sign with the key in a file, and it is that of the chain.
pub(crate) fn check_key(chain: &[CertificateDer<'static>], key: &Path) -> Result<(), Error> {
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    CertifiedKey::from_der(chain.to_vec(), key, &provider()).map(drop)
}

/// What a central loads of these files, of which the last two are for its clients.
pub(crate) fn central(folder: &Path, authorities: &Path, lists: &Path) -> ServerTls {
    let own = KeyFiles {
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
        allow_open_key: false,
    };
    let clients = TrustFiles {
        authorities: authorities.to_owned(),
        revocations: Some(lists.to_owned()),
        allow_expired_lists: false,
    };
    let options = ServerOptions { own, clients, allow_anonymous: false };
    ServerTls::load(options, Clock::system()).expect("files that a central takes")
}

/// The certificates of a file.
pub(crate) fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(path).expect("a file");
    certificates.collect::<Result<_, _>>().expect("certificates")
}
