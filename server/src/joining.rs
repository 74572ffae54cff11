//! Joins a lottery that etcd keeps: reads the files that are needed for it, and makes the central's part.
//!
//! Nothing is asked of etcd yet: that is done on the loop.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::rc::Rc;

use cluster::{ClusterStore, Export};
use reactor::{Layer, LayerError};
use tls::timestamp::Clock;
use tls::{ClientTls, Name, SettingError, SettingNames, TlsLayer};

use crate::central::{ClusterBackend, ClusterConfig};
use crate::config::{Config, EtcdConfig, EtcdUser};
use crate::etcd_links::{EtcdLinks, MakeLayer, Member};

/// What the settings are called.
const SETTINGS: SettingNames = SettingNames {
    certificate: "SERVER_ETCD_CERT",
    key: "SERVER_ETCD_KEY",
    authorities: "SERVER_ETCD_CA",
    revocations: "none",
    program: "the server",
    if_key_is_open: "set SERVER_TLS_ALLOW_OPEN_KEY to true",
    if_list_expired: "get a new one",
};

/// How many times what may be under way to etcd may wait to be sent.
const GATHERED_TIMES: usize = 4;

/// Why a lottery can't be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A member's name has no address.
    #[error("SERVER_ETCD_ENDPOINTS: {endpoint}: expected a name that can be looked up: {source}")]
    Endpoint {
        /// The member.
        endpoint: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// A member's name can't be in a certificate.
    #[error("SERVER_ETCD_ENDPOINTS: {endpoint}: {source}")]
    Name {
        /// The member.
        endpoint: String,
        /// What is wrong with it.
        source: tls::NameError,
    },
    /// A file of TLS can't be used.
    #[error(transparent)]
    Tls(#[from] SettingError),
    /// The password can't be read.
    #[error("SERVER_ETCD_PASSWORD_FILE = {}: expected a file with a password: {source}", .path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The settings don't go together.
    #[error("etcd: {0}")]
    Config(#[from] cluster::ConfigError),
}

/// The central's part of the lottery that etcd keeps.
///
/// # Errors
/// [`JoinError`].
pub fn join(config: &Config, etcd: &EtcdConfig) -> Result<ClusterBackend, JoinError> {
    let members = members(etcd)?;
    let mut random = random_numbers();
    let store = store_config(config, etcd, random())?;
    let store = ClusterStore::new(store, Box::new(random))?;
    let config = ClusterConfig {
        terms: config.terms,
        members,
        value_max: etcd.limits.value_max,
        gathered_max: GATHERED_TIMES * etcd.limits.max_request_bytes,
        patience: etcd.limits.patience,
        retry_delay: config.protocol.commit_retry_delay,
    };
    Ok(ClusterBackend::new(store, config))
}

/// What reads the draw for an export, and its connections.
///
/// # Errors
/// [`JoinError`].
pub fn export(config: &Config, etcd: &EtcdConfig) -> Result<(Export, EtcdLinks), JoinError> {
    let links = EtcdLinks::new(members(etcd)?);
    Ok((Export::new(store_config(config, etcd, random_numbers()())?)?, links))
}

/// Of a store whose first member is chosen by `random`, so that centrals are spread over the members.
fn store_config(
    config: &Config,
    etcd: &EtcdConfig,
    random: u64,
) -> Result<cluster::Config, JoinError> {
    let client = etcd::Config {
        first_endpoint: usize::try_from(random % etcd.endpoints.len() as u64).unwrap_or_default(),
        request_timeout: etcd.limits.request_timeout,
        connect_timeout: etcd.limits.connect_timeout,
        max_requests: etcd.limits.max_requests,
        max_request_bytes: etcd.limits.max_request_bytes,
        credentials: etcd.user.as_ref().map(credentials).transpose()?,
        ..etcd::Config::new(etcd.endpoints.clone())
    };
    Ok(cluster::Config::new(client, etcd.draw.as_str(), config.terms.agencies, &own_name()))
}

/// Numbers that no other process draws: a count, hashed with a key that the system has drawn.
fn random_numbers() -> impl FnMut() -> u64 {
    let (key, mut count) = (RandomState::new(), 0_u64);
    move || {
        count += 1;
        key.hash_one(count)
    }
}

/// What the draw says of who has held it: this machine and process.
fn own_name() -> String {
    let system = rustix::system::uname();
    format!("{}/{}", system.nodename().to_string_lossy(), std::process::id())
}

fn members(etcd: &EtcdConfig) -> Result<Vec<Member>, JoinError> {
    let tls = etcd.tls.as_ref().map(|options| {
        ClientTls::load(options.clone(), Clock::system())
            .map(Rc::new)
            .map_err(|error| SettingError::new(&SETTINGS, error))
    });
    let tls = tls.transpose()?;
    etcd.endpoints.iter().map(|endpoint| member(endpoint, tls.as_ref())).collect()
}

fn member(endpoint: &str, tls: Option<&Rc<ClientTls>>) -> Result<Member, JoinError> {
    let address = resolve(endpoint)
        .map_err(|source| JoinError::Endpoint { endpoint: endpoint.to_owned(), source })?;
    let Some(tls) = tls else { return Ok(Member { address, layer: None }) };
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let name = Name::parse(host)
        .map_err(|source| JoinError::Name { endpoint: endpoint.to_owned(), source })?;
    let tls = Rc::clone(tls);
    let layer = move || -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(TlsLayer::client(tls.config(), name.server_name())?))
    };
    Ok(Member { address, layer: Some(MakeLayer(Box::new(layer))) })
}

fn resolve(endpoint: &str) -> io::Result<SocketAddr> {
    let mut addresses = endpoint.to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn credentials(user: &EtcdUser) -> Result<etcd::Credentials, JoinError> {
    let EtcdUser { name, password_file: path } = user;
    let error = |source| JoinError::Password { path: path.clone(), source };
    let text = fs::read_to_string(path).map_err(error)?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(error(io::Error::other("its first line is empty")));
    }
    Ok(etcd::Credentials { user: name.clone(), password: password.to_owned() })
}
