//! What stands between the bytes of both sides and those that are compared: nothing, the toy layer, TLS.

use std::fs;
use std::sync::LazyLock;

use loop_tests::toy::Toy;
use pki::testing::{Ca, CaOptions, KeySource, LeafOptions};
use reactor::Layer;
use tls::timestamp::Clock;
use tls::{
    ClientOptions, ClientTls, KeyFiles, Name, ServerOptions, ServerTls, TlsLayer, TrustFiles,
};

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Toy,
    Tls,
}

impl Security {
    pub(crate) const LAYERED: [Self; 2] = [Self::Toy, Self::Tls];

    /// The layer of the side that was called, if there is one.
    pub(crate) fn called(self) -> Option<Box<dyn Layer>> {
        match self {
            Self::Plain => None,
            Self::Toy => Some(Box::new(Toy::server())),
            Self::Tls => {
                let layer = TlsLayer::server(TLS.0.config());
                Some(Box::new(layer.expect("a configuration")))
            }
        }
    }

    /// The layer of the side that calls, if there is one.
    pub(crate) fn calling(self) -> Option<Box<dyn Layer>> {
        match self {
            Self::Plain => None,
            Self::Toy => Some(Box::new(Toy::client())),
            Self::Tls => {
                let name = Name::parse("localhost").expect("a name").server_name();
                let layer = TlsLayer::client(TLS.1.config(), name);
                Some(Box::new(layer.expect("a configuration")))
            }
        }
    }
}

/// Both sides have certificates with Ed25519 keys, whose signatures have one length: so each handshake
/// has as many bytes as any other, whatever its random ones are.
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
