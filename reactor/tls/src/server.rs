//! What a server needs for TLS: its certificate and key, and what clients are checked with.
//!
//! Nothing of a session is kept: a resumed one would take the client's certificate from the first,
//! without looking it up in a revocation list.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;

use crate::certificate::{Certificate, Purpose};
use crate::credentials::{Credentials, KeyFiles};
use crate::expiry::Expiry;
use crate::files::load_together;
use crate::in_force::InForce;
use crate::problem::{LoadError, Problem, Role};
use crate::provider::{VERSIONS, provider};
use crate::revocation_list::RevocationList;
use crate::timestamp::Clock;
use crate::trust::{Trust, TrustFiles};
use crate::verifier::BoundedClientVerifier;

/// Where everything is, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The server's own certificate and key.
    pub own: KeyFiles,
    /// What clients' certificates are checked with.
    pub clients: TrustFiles,
    /// Whether a client without a certificate may connect. One with a bad certificate never may.
    pub allow_anonymous: bool,
}

/// What was loaded from files, checked: all that a connection needs. It doesn't change; a reload
/// makes another one, for the connections after it.
#[derive(Debug)]
pub struct ServerTls {
    options: ServerOptions,
    clock: Clock,
    credentials: Credentials,
    trust: Trust,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads and checks all files. Certificates and lists are compared with the time of `clock`, now
    /// and at each handshake.
    ///
    /// # Errors
    /// What is wrong with which file: see [`Problem`].
    pub fn load(options: ServerOptions, clock: Clock) -> Result<Self, LoadError> {
        let provider = provider();
        let (credentials, trust) = load_together(|reader| {
            let own = Credentials::read(reader, &options.own, Purpose::Server, &provider)?;
            Ok((own, Trust::read(reader, &options.clients, &provider, clock.now())?))
        })?;
        let config = config(&options, &credentials, &trust, &clock, &provider)?;
        Ok(Self { options, clock, credentials, trust, config: Arc::new(config) })
    }

    /// Reads all files anew. This one stays as it is, for whoever goes on with it.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when what is there would be a step back: a revocation list that
    /// is older or gone, a certificate that isn't valid while this one is.
    pub fn reload(&self) -> Result<Self, LoadError> {
        let new = Self::load(self.options.clone(), self.clock.clone())?;
        self.trust.check_successor(&new.trust)?;
        self.credentials.check_successor(&new.credentials, self.clock.now())?;
        Ok(new)
    }

    /// For a connection's layer.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The server's own certificate.
    pub fn certificate(&self) -> &Certificate {
        self.credentials.own()
    }

    /// The authorities that clients' certificates come from.
    pub fn authorities(&self) -> &[Certificate] {
        self.trust.authorities()
    }

    /// Their revocation lists; empty when there is no file of them.
    pub fn revocation_lists(&self) -> &[RevocationList] {
        self.trust.lists()
    }

    /// Whether one of the certificates that a client has shown is on a list now: for connections that
    /// are older than these lists. Also true for one that can't be read.
    pub fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        self.trust.is_revoked(chain)
    }

    /// What is loaded, for a log.
    pub fn in_force(&self) -> InForce<'_> {
        let (own, authorities) = (Some(self.certificate()), self.authorities());
        InForce { own, authorities, lists: self.revocation_lists() }
    }

    /// When each certificate and each list ends.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.credentials.expiries().chain(self.trust.expiries()).collect()
    }
}

fn config(
    options: &ServerOptions,
    credentials: &Credentials,
    trust: &Trust,
    clock: &Clock,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, LoadError> {
    let verifier = verifier(options, trust, provider)?;
    let time = Arc::new(clock.clone());
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(VERSIONS)
        .map_err(|error| {
            Problem::Refused { reason: error.to_string() }
                .of(Role::Certificate, &options.own.certificate)
        })?
        .with_client_cert_verifier(Arc::new(BoundedClientVerifier(verifier)))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified())));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn verifier(
    options: &ServerOptions,
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, LoadError> {
    let files = &options.clients;
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(trust.roots(), Arc::clone(provider))
            .with_crls(trust.list_ders());
    if !files.allow_expired_lists {
        builder = builder.enforce_revocation_expiration();
    }
    if options.allow_anonymous {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        Problem::Refused { reason: error.to_string() }.of(Role::Authorities, &files.authorities)
    })
}
