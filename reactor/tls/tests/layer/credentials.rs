//! Certificates, and what both sides are configured with: the server's side as the program has it, the
//! client's also as a foreign program might.

use std::fs;
use std::sync::Arc;

use pki::testing::{Ca, CaOptions, Certified, CrlOptions, KeySource, LeafOptions};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tls::provider::provider;
use tls::timestamp::Clock;
use tls::{KeyFiles, ServerOptions, ServerTls, TrustFiles};

/// The name that the server's certificate is for.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

pub(crate) struct Credentials {
    folder: TempDir,
    root: Ca,
    pub(crate) agency: Certified,
    options: ServerOptions,
}

/// The key of this number. All of them are Ed25519: their signatures have one length, and so every
/// handshake has.
fn key(number: u8) -> KeySource {
    KeySource::Ed25519([number; 32])
}

impl Credentials {
    /// Certificates of the root itself.
    pub(crate) fn new() -> Self {
        let root = root();
        let (server, agency) = issue(&root);
        Self::of(root, &server, agency)
    }

    /// Certificates of an authority below the root, which are shown with its own.
    pub(crate) fn with_intermediate() -> Self {
        let root = root();
        let options = CaOptions { name: "below".into(), key: key(4), ..CaOptions::default() };
        let (server, agency) = issue(&root.intermediate(&options));
        Self::of(root, &server, agency)
    }

    fn of(root: Ca, server: &Certified, agency: Certified) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authorities = folder.path().join("ca.pem");
        fs::write(&authorities, root.pem()).unwrap();
        let (certificate, key) = server.write(folder.path(), "server");
        let own = KeyFiles { certificate, key, allow_open_key: false };
        let clients = TrustFiles { authorities, revocations: None, allow_expired_lists: false };
        let options = ServerOptions { own, clients, allow_anonymous: false };
        Self { folder, root, agency, options }
    }

    /// From now on there is a revocation list.
    pub(crate) fn revoke(&mut self, list: &CrlOptions) {
        let path = self.folder.path().join("crl.pem");
        fs::write(&path, self.root.crl(list).pem).unwrap();
        self.options.clients.revocations = Some(path);
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let server = ServerTls::load(self.options.clone(), Clock::system());
        Arc::clone(server.unwrap().config())
    }

    /// A client with the agency's certificate.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client_with(|_| {})
    }

    /// The same, changed.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut ClientConfig)) -> Arc<ClientConfig> {
        let chain = self.agency.chain.iter().cloned().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.agency.key.clone()));
        let mut config = self.client_builder().with_client_auth_cert(chain, key).unwrap();
        change(&mut config);
        Arc::new(config)
    }

    /// A client without a certificate.
    pub(crate) fn anonymous_client(&self) -> Arc<ClientConfig> {
        Arc::new(self.client_builder().with_no_client_auth())
    }

    fn client_builder(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.root.der())).unwrap();
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
    }
}

fn root() -> Ca {
    Ca::new(&CaOptions { key: key(1), ..CaOptions::default() })
}

/// A server's certificate and an agency's.
fn issue(ca: &Ca) -> (Certified, Certified) {
    let server = ca.issue(&LeafOptions { key: key(2), ..LeafOptions::server() });
    (server, ca.issue(&LeafOptions { key: key(3), ..LeafOptions::agency(3) }))
}
