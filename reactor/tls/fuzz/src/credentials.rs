//! What both sides are configured with: made once.

use std::fs;
use std::sync::LazyLock;

use pki::testing::{Ca, CaOptions, KeySource, LeafOptions};
use tls::timestamp::Clock;
use tls::{
    ClientOptions, ClientTls, KeyFiles, Name, ServerOptions, ServerTls, TlsLayer, TrustFiles,
};

/// Both sides with certificates of Ed25519 keys, which sign the fastest.
static TLS: LazyLock<(ServerTls, ClientTls)> = LazyLock::new(|| {
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
    (
        ServerTls::load(server, Clock::system()).expect("good files"),
        ClientTls::load(client, Clock::system()).expect("good files"),
    )
});

/// Which side of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

impl Role {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    pub(crate) fn layer(self) -> TlsLayer {
        let layer = match self {
            Self::Server => TlsLayer::server(TLS.0.config()),
            Self::Client => {
                let name = Name::parse("localhost").expect("a name").server_name();
                TlsLayer::client(TLS.1.config(), name)
            }
        };
        layer.expect("a configuration")
    }
}
