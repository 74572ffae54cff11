//! TLS of a swarm's connections: what each shows, and what the central is checked with.

use std::path::PathBuf;

use reactor::Layer;
use tls::client::NameError;
use tls::problem::LoadError;
use tls::timestamp::Clock;
use tls::{ClientOptions, ClientTls, KeyFiles, Name, TlsError, TlsLayer, TrustFiles};

/// Stands for a member's number, counted from 1, in the names of its files.
const ID: &str = "{id}";

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificates of the authorities that the central's must come from.
    pub authorities: PathBuf,
    /// Certificate and key of each member, with `{id}` in place of its number. Without it all have
    /// the same, and without files they have none.
    pub own: Option<(String, String)>,
}

/// Why connections can't be secured.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The central's name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A file can't be used.
    #[error(transparent)]
    Files(#[from] LoadError),
}

/// What the connections of all members are secured with.
#[derive(Debug)]
pub struct Security {
    name: Name,
    /// One for each member, or one for all.
    members: Vec<ClientTls>,
}

impl Security {
    /// Reads the files of so many members. The central's certificate must be for `host`.
    ///
    /// # Errors
    /// [`SecurityError`].
    pub fn load(files: &Files, host: &str, members: usize) -> Result<Self, SecurityError> {
        let name = Name::parse(host)?;
        let members = if files.are_numbered() { members } else { 1 };
        let load = |member: usize| ClientTls::load(files.options(member + 1), Clock::system());
        let members = (0..members).map(load).collect::<Result<_, _>>()?;
        Ok(Self { name, members })
    }

    /// A connection's layer.
    ///
    /// # Errors
    /// When TLS can't begin.
    pub fn layer(&self, member: usize) -> Result<Box<dyn Layer>, TlsError> {
        let own = &self.members[member % self.members.len()];
        Ok(Box::new(TlsLayer::client(own.config(), self.name.server_name())?))
    }
}

impl Files {
    fn are_numbered(&self) -> bool {
        self.own
            .as_ref()
            .is_some_and(|(certificate, key)| certificate.contains(ID) || key.contains(ID))
    }

    fn options(&self, number: usize) -> ClientOptions {
        let file = |pattern: &str| PathBuf::from(pattern.replace(ID, &number.to_string()));
        let own = self.own.as_ref().map(|(certificate, key)| KeyFiles {
            certificate: file(certificate),
            key: file(key),
            allow_open_key: false,
        });
        let servers = TrustFiles {
            authorities: self.authorities.clone(),
            revocations: None,
            allow_expired_lists: false,
        };
        ClientOptions { own, servers }
    }
}
