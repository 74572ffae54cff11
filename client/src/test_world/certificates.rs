//! The certificates of a test, in a folder as an operator would have them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki::Validity;
use pki::testing::{Ca, Certified, CrlOptions, LeafOptions};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tls::provider::provider;
use tls::timestamp::Clock;
use tls::{ClientOptions, KeyFiles, Name, ServerOptions, ServerTls, TrustFiles};

use crate::config::TlsConfig;
use crate::connection::certificates::Certificates;

/// An authority, a central's certificate, agency 7's, and a revocation list of nothing.
#[derive(Debug)]
pub(crate) struct CertificateFolder {
    pub(crate) ca: Ca,
    pub(crate) agency: Certified,
    folder: TempDir,
}

impl CertificateFolder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = Ca::default();
        let made = Self { agency: ca.issue(&LeafOptions::agency(7)), ca, folder };
        made.write_authority("ca.pem", &made.ca);
        made.agency.write(made.folder.path(), "agency-7");
        made.write_list(&CrlOptions::default());
        made
    }

    /// A file's path.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An error's text, with the names of files as they are in the folder.
    pub(crate) fn bare(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn write_authority(&self, name: &str, ca: &Ca) {
        self.write(name, &ca.pem());
    }

    pub(crate) fn write_list(&self, list: &CrlOptions) {
        self.write("crl.pem", &self.ca.crl(list).pem);
    }

    /// The agency's certificate is another one from the next load on.
    pub(crate) fn write_agency(&self, certified: &Certified) {
        certified.write(self.folder.path(), "agency-7");
    }

    fn own(&self, name: &str) -> KeyFiles {
        let (certificate, key) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        KeyFiles { certificate, key, allow_open_key: false }
    }

    /// What an agency is configured with that calls the central by this name.
    pub(crate) fn config(&self, name: &str) -> TlsConfig {
        let servers = TrustFiles {
            authorities: self.path("ca.pem"),
            revocations: Some(self.path("crl.pem")),
            allow_expired_lists: false,
        };
        let options = ClientOptions { own: Some(self.own("agency-7")), servers };
        TlsConfig { options, names: vec![Name::parse(name).expect("a name")] }
    }

    /// TLS of an agency that calls `localhost`.
    pub(crate) fn load(&self) -> Certificates {
        Certificates::load(&self.config("localhost"), Clock::system()).expect("good files")
    }

    /// TLS of a central with such a certificate, which requires one of this authority.
    pub(crate) fn server(&self, options: &LeafOptions) -> Arc<ServerConfig> {
        self.server_with(options, "ca.pem", None)
    }

    /// The same with any authority of its clients, and a list.
    pub(crate) fn server_with(
        &self,
        options: &LeafOptions,
        authorities: &str,
        revocations: Option<&str>,
    ) -> Arc<ServerConfig> {
        self.ca.issue(options).write(self.folder.path(), "central");
        let clients = TrustFiles {
            authorities: self.path(authorities),
            revocations: revocations.map(|name| self.path(name)),
            allow_expired_lists: false,
        };
        let own = self.own("central");
        let options = ServerOptions { own, clients, allow_anonymous: false };
        let tls = ServerTls::load(options, Clock::system()).expect("good files");
        Arc::clone(tls.config())
    }

    /// TLS of who has an agency's certificate and plays the central.
    pub(crate) fn impostor(&self) -> Arc<ServerConfig> {
        let chain = self.agency.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivatePkcs8KeyDer::from(self.agency.key.clone()).into();
        let builder = ServerConfig::builder_with_provider(provider());
        let builder =
            builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("a version");
        builder.with_no_client_auth().with_single_cert(chain, key).expect("a key that fits").into()
    }
}

/// Hours that are over.
pub(crate) const PAST: Range<i32> = -2..-1;

/// These hours, counted from now.
pub(crate) fn span(hours: Range<i32>) -> Validity {
    let at = |hours: i32| {
        let distance = Duration::from_hours(hours.unsigned_abs().into());
        let now = SystemTime::now();
        if hours < 0 { now - distance } else { now + distance }
    };
    Validity { from: at(hours.start), until: at(hours.end) }
}
