//! A peer's side of TLS in the test's hands, and the files of a central that it trusts.

use std::fs;
use std::io::IoSlice;
use std::path::PathBuf;

use kit::frames::responses;
use pki::testing::{Ca, Certified, CrlOptions, LeafOptions};
use reactor::layer::KEPT_MAX;
use reactor::{ConnectionId, Layer as _};
use server::central::Plaintext;
use server::certificates::Certificates;
use server::config::TlsConfig;
use tempfile::TempDir;
use tls::timestamp::Clock;
use tls::{ClientOptions, ClientTls, KeyFiles, Name, ServerOptions, TlsLayer, TrustFiles};

use crate::world::World;

/// An authority, and a folder with what a central has of it.
pub(crate) struct Authority {
    ca: Ca,
    folder: TempDir,
    list: u64,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority =
            Self { ca: Ca::default(), folder: TempDir::new().expect("a folder"), list: 0 };
        fs::write(authority.path("ca.pem"), authority.ca.pem()).expect("it is written");
        authority.ca.issue(&LeafOptions::server()).write(authority.folder.path(), "server");
        authority.revoking(&[])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn issue(&self, options: &LeafOptions) -> Certified {
        self.ca.issue(options)
    }

    /// The next list revokes these.
    pub(crate) fn revoking(mut self, revoked: &[&Certified]) -> Self {
        self.list += 1;
        let revoked = revoked.iter().map(|certified| certified.serial.clone()).collect();
        let list = self.ca.crl(&CrlOptions { number: self.list, revoked, ..CrlOptions::default() });
        fs::write(self.path("crl.pem"), list.pem).expect("it is written");
        self
    }

    /// What a central loads.
    pub(crate) fn certificates(&self, plaintext: Plaintext) -> Certificates {
        let options = ServerOptions {
            own: KeyFiles {
                certificate: self.path("server.pem"),
                key: self.path("server.key"),
                allow_open_key: false,
            },
            clients: TrustFiles {
                authorities: self.path("ca.pem"),
                revocations: Some(self.path("crl.pem")),
                allow_expired_lists: false,
            },
            allow_anonymous: true,
        };
        let config = TlsConfig { plaintext, options, trust_domain: "loteria".to_owned() };
        Certificates::load(&config, Clock::system()).expect("good files")
    }

    /// TLS of a peer, with this certificate if any.
    pub(crate) fn peer(&self, certified: Option<&Certified>) -> TlsPeer {
        let folder = TempDir::new().expect("a folder");
        let own = certified.map(|certified| {
            let (certificate, key) = certified.write(folder.path(), "own");
            KeyFiles { certificate, key, allow_open_key: false }
        });
        let servers = TrustFiles {
            authorities: self.path("ca.pem"),
            revocations: None,
            allow_expired_lists: false,
        };
        let options = ClientOptions { servers, own };
        let tls = ClientTls::load(options, Clock::system()).expect("good files");
        let name = Name::parse("localhost").expect("a name");
        let layer = TlsLayer::client(tls.config(), name.server_name()).expect("a configuration");
        TlsPeer { layer, received: Vec::new(), failure: None }
    }
}

/// One connection's.
pub(crate) struct TlsPeer {
    layer: TlsLayer,
    received: Vec<u8>,
    /// Why it can't go on.
    pub(crate) failure: Option<String>,
}

impl TlsPeer {
    /// What it has to send as it is on the wire.
    pub(crate) fn take_wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.layer.unsent() > 0 {
            self.layer.write_to(&mut wire).expect("memory takes all");
        }
        wire
    }

    /// Bytes go to and fro until none is left.
    pub(crate) fn exchange(&mut self, world: &mut World, id: ConnectionId) {
        loop {
            let wire = self.take_wire();
            if !wire.is_empty() {
                world.send(id, &wire);
            }
            let answer = world.take_output(id);
            if wire.is_empty() && answer.is_empty() {
                return;
            }
            self.receive(&answer);
        }
    }

    fn receive(&mut self, wire: &[u8]) {
        let mut plain = vec![0; wire.len() + KEPT_MAX];
        let received = self.layer.receive(wire, &mut plain);
        self.received.extend_from_slice(&plain[..received.length]);
        if let Some(failure) = received.failure {
            self.failure = Some(failure.to_string());
        }
    }

    /// Sends within TLS, and exchanges what follows.
    pub(crate) fn send(&mut self, world: &mut World, id: ConnectionId, bytes: &[u8]) {
        self.exchange(world, id);
        assert_eq!(self.layer.send(&[IoSlice::new(bytes)]), bytes.len(), "{:?}", self.failure);
        self.exchange(world, id);
    }

    /// What it has received since the last time.
    pub(crate) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// The same as responses, in words.
    pub(crate) fn responses(&mut self) -> Vec<String> {
        let received = self.take_received();
        let (responses, rest) = responses(&received);
        assert_eq!(rest, b"");
        responses
    }

    /// Whether the central has said that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.layer.has_peer_ended()
    }
}
