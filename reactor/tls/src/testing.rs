//! Both sides of TLS, ready to meet, for the tests of who uses it.

use std::fs;

use pki::testing::{Ca, CaOptions, KeySource, LeafOptions};

use crate::timestamp::Clock;
use crate::{
    ClientOptions, ClientTls, KeyFiles, Name, ServerOptions, ServerTls, TlsLayer, TrustFiles,
};

/// A server and a client of one authority, which both show certificates.
///
/// Their keys are fixed ones for Ed25519, whose signatures have one length and are quickly made: so each
/// handshake has as many bytes as any other, whatever its random ones are.
#[derive(Debug)]
pub struct Pair {
    server: ServerTls,
    client: ClientTls,
}

impl Default for Pair {
    /// # Panics
    /// When files can't be written.
    fn default() -> Self {
        let key = |number| KeySource::Ed25519([number; 32]);
        let folder = tempfile::tempdir().expect("a folder");
        let authorities = folder.path().join("ca.pem");
        let ca = Ca::new(&CaOptions { key: key(1), ..CaOptions::default() });
        fs::write(&authorities, ca.pem()).expect("it is written");
        let own = |options: LeafOptions, number| {
            let certified = ca.issue(&LeafOptions { key: key(number), ..options });
            let (certificate, key) = certified.write(folder.path(), &number.to_string());
            KeyFiles { certificate, key, allow_open_key: false }
        };
        let trust = TrustFiles { authorities, revocations: None, allow_expired_lists: false };
        let server = ServerOptions {
            own: own(LeafOptions::server(), 2),
            clients: trust.clone(),
            allow_anonymous: false,
        };
        let client = ClientOptions { own: Some(own(LeafOptions::agency(3), 3)), servers: trust };
        Self {
            server: ServerTls::load(server, Clock::system()).expect("good files"),
            client: ClientTls::load(client, Clock::system()).expect("good files"),
        }
    }
}

impl Pair {
    /// The layer of a connection that the server has accepted.
    ///
    /// # Panics
    /// When rustls refuses its configuration.
    pub fn server(&self) -> TlsLayer {
        TlsLayer::server(self.server.config()).expect("a configuration")
    }

    /// The layer of a connection that the client has made.
    ///
    /// # Panics
    /// When rustls refuses its configuration.
    pub fn client(&self) -> TlsLayer {
        let name = Name::parse("localhost").expect("a name").server_name();
        TlsLayer::client(self.client.config(), name).expect("a configuration")
    }
}
