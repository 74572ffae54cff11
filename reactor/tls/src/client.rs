//! What a client needs for TLS: what the server is checked with, and its own certificate if it has one.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{DnsName, ServerName};
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
use crate::verifier::BoundedServerVerifier;

/// Where everything is, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The client's own certificate and key; without, it connects anonymously.
    pub own: Option<KeyFiles>,
    /// What the server's certificate is checked with.
    pub servers: TrustFiles,
}

/// A name that a server's certificate must be for: a host's name, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(ServerName<'static>);

/// Why a text isn't such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a host's name or an IP address, found \"{found}\"")]
pub struct NameError {
    /// The text, escaped.
    pub found: String,
}

/// What was loaded from files, checked: all that a connection needs. It doesn't change; a reload
/// makes another one, for the connections after it.
#[derive(Debug)]
pub struct ClientTls {
    options: ClientOptions,
    clock: Clock,
    credentials: Option<Credentials>,
    trust: Trust,
    config: Arc<ClientConfig>,
}

impl Name {
    /// Takes the host of an address: a name, an IPv4 or an IPv6 address, this one also with the
    /// brackets or the interface (`%eth0`) that it has in front of a port or on one machine.
    ///
    /// # Errors
    /// It is none of them.
    pub fn parse(host: &str) -> Result<Self, NameError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let without_interface = bare.split_once('%').map_or(bare, |(address, _)| address);
        if let Ok(address) = without_interface.parse::<IpAddr>() {
            return Ok(Self(ServerName::from(address)));
        }
        // A dot at the end is for the resolver; certificates never have it.
        let name = DnsName::try_from(host.strip_suffix('.').unwrap_or(host));
        let name = name.map_err(|_| NameError { found: host.escape_debug().to_string() })?;
        Ok(Self(ServerName::DnsName(name.to_owned())))
    }

    /// For a connection's layer.
    pub fn server_name(&self) -> ServerName<'static> {
        self.0.clone()
    }
}

impl ClientTls {
    /// Reads and checks all files. Certificates and lists are compared with the time of `clock`, now
    /// and at each handshake.
    ///
    /// # Errors
    /// What is wrong with which file: see [`Problem`].
    pub fn load(options: ClientOptions, clock: Clock) -> Result<Self, LoadError> {
        let provider = provider();
        let (credentials, trust) = load_together(|reader| {
            let own = options.own.as_ref();
            let own = own.map(|own| Credentials::read(reader, own, Purpose::Client, &provider));
            Ok((own.transpose()?, Trust::read(reader, &options.servers, &provider, clock.now())?))
        })?;
        let config = config(&options, credentials.as_ref(), &trust, &clock, &provider)?;
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
        if let (Some(old), Some(new)) = (&self.credentials, &new.credentials) {
            old.check_successor(new, self.clock.now())?;
        }
        Ok(new)
    }

    /// For a connection's layer.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The client's own certificate, if it has one.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.credentials.as_ref().map(Credentials::own)
    }

    /// The authorities that the server's certificate comes from.
    pub fn authorities(&self) -> &[Certificate] {
        self.trust.authorities()
    }

    /// Their revocation lists; empty when there is no file of them.
    pub fn revocation_lists(&self) -> &[RevocationList] {
        self.trust.lists()
    }

    /// Whether one of the certificates that a server has shown is on a list now: for connections that
    /// are older than these lists. Also true for one that can't be read.
    pub fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        self.trust.is_revoked(chain)
    }

    /// What is loaded, for a log.
    pub fn in_force(&self) -> InForce<'_> {
        let (own, authorities) = (self.certificate(), self.authorities());
        InForce { own, authorities, lists: self.revocation_lists() }
    }

    /// When each certificate and each list ends.
    pub fn expiries(&self) -> Vec<Expiry> {
        let own = self.credentials.iter().flat_map(Credentials::expiries);
        own.chain(self.trust.expiries()).collect()
    }
}

fn config(
    options: &ClientOptions,
    credentials: Option<&Credentials>,
    trust: &Trust,
    clock: &Clock,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, LoadError> {
    let verifier = verifier(&options.servers, trust, provider)?;
    let authorities = &options.servers.authorities;
    let builder = ClientConfig::builder_with_details(Arc::clone(provider), Arc::new(clock.clone()))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| {
            Problem::Refused { reason: error.to_string() }.of(Role::Authorities, authorities)
        })?
        // What is dangerous is a verifier that is laxer than rustls's; this one is stricter.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BoundedServerVerifier(verifier)));
    let mut config = match credentials {
        Some(own) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified())))
        }
        None => builder.with_no_client_auth(),
    };
    // A resumed session would leave out the server's certificate and its revocation list.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = true;
    Ok(config)
}

fn verifier(
    files: &TrustFiles,
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, LoadError> {
    let mut builder =
        WebPkiServerVerifier::builder_with_provider(trust.roots(), Arc::clone(provider))
            .with_crls(trust.list_ders());
    if !files.allow_expired_lists {
        builder = builder.enforce_revocation_expiration();
    }
    builder.build().map_err(|error| {
        Problem::Refused { reason: error.to_string() }.of(Role::Authorities, &files.authorities)
    })
}
