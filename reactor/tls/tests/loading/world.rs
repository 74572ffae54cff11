//! A folder with an authority's files, and handshakes in memory between what is loaded from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki::Validity;
use pki::testing::{Ca, Certified, CrlOptions, LeafOptions};
use rustls::{ClientConnection, Error, ServerConnection};
use tempfile::TempDir;
use tls::timestamp::Clock;
use tls::{ClientOptions, ClientTls, KeyFiles, Name, ServerOptions, ServerTls, TrustFiles};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// The files of a central and of agency 3, all good; without a revocation list.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) ca: Ca,
    pub(crate) agency: Certified,
    pub(crate) server: ServerOptions,
    pub(crate) client: ClientOptions,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = Ca::default();
        let agency = ca.issue(&LeafOptions::agency(3));
        let own = |certified: &Certified, name: &str| {
            let (certificate, key) = certified.write(folder.path(), name);
            KeyFiles { certificate, key, allow_open_key: false }
        };
        let trust = || TrustFiles {
            authorities: folder.path().join("ca.pem"),
            revocations: None,
            allow_expired_lists: false,
        };
        fs::write(trust().authorities, ca.pem()).expect("written");
        let server = ServerOptions {
            own: own(&ca.issue(&LeafOptions::server()), "server"),
            clients: trust(),
            allow_anonymous: false,
        };
        let client = ClientOptions { own: Some(own(&agency, "agency")), servers: trust() };
        Self { folder, ca, agency, server, client }
    }

    /// The same with a revocation list, for the server.
    pub(crate) fn with_list(list: &CrlOptions) -> Self {
        let mut world = Self::new();
        world.server.clients.revocations = Some(world.path("crl.pem"));
        world.write_list(list);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn write_list(&self, list: &CrlOptions) {
        self.write("crl.pem", self.ca.crl(list).pem);
    }

    pub(crate) fn load_server(&self) -> Result<ServerTls, String> {
        self.load_server_at(Clock::system())
    }

    pub(crate) fn load_server_at(&self, clock: Clock) -> Result<ServerTls, String> {
        ServerTls::load(self.server.clone(), clock).map_err(|error| self.text(&error))
    }

    pub(crate) fn load_client(&self) -> Result<ClientTls, String> {
        ClientTls::load(self.client.clone(), Clock::system()).map_err(|error| self.text(&error))
    }

    pub(crate) fn reload(&self, server: &ServerTls) -> Result<ServerTls, String> {
        server.reload().map_err(|error| self.text(&error))
    }

    /// The error's text, with the names of files as they are in the folder.
    fn text(&self, error: &dyn std::error::Error) -> String {
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// Sets a file's permissions.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// A clock that is so far ahead.
pub(crate) fn clock_in(span: Duration) -> Clock {
    let now = SystemTime::now() + span;
    Clock::new(move || now)
}

/// From so long ago until so far from now.
pub(crate) fn validity(ago: Duration, ahead: Duration) -> Validity {
    let now = SystemTime::now();
    Validity { from: now - ago, until: now + ahead }
}

/// Both sides of a complete handshake.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) server: ServerConnection,
    pub(crate) client: ClientConnection,
}

/// Who ended a handshake, and why.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    ByServer(Error),
    ByClient(Error),
}

/// Shakes hands, and sends a byte each way: a client learns with it that its certificate was taken.
pub(crate) fn handshake(server: &ServerTls, client: &ClientTls) -> Result<Sides, Refusal> {
    handshake_with(server, client, "localhost")
}

pub(crate) fn handshake_with(
    server: &ServerTls,
    client: &ClientTls,
    name: &str,
) -> Result<Sides, Refusal> {
    let name = Name::parse(name).expect("a name").server_name();
    let mut sides = Sides {
        server: ServerConnection::new(Arc::clone(server.config())).expect("a connection"),
        client: ClientConnection::new(Arc::clone(client.config()), name).expect("a connection"),
    };
    let Sides { server, client } = &mut sides;
    while server.wants_write() || client.wants_write() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).expect("memory");
        }
        let mut rest = &flight[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("memory");
            server.process_new_packets().map_err(Refusal::ByServer)?;
        }
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).expect("memory");
        }
        let mut rest = &flight[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets().map_err(Refusal::ByClient)?;
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok(sides)
}
