//! Joins a lottery that etcd keeps: reads the files that are needed for it, and makes the central's part.
//!
//! Nothing is asked of etcd yet: that is done on the loop.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cluster::{ClusterStore, Export};
use reactor::{Layer, LayerError};
use runtime::log_line;
use runtime::logging::{InProgress, Level, Line};
use runtime::regular_file::{self, OpenError};
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

/// Bytes of a password's file that are read: far more than a password has.
const MAX_PASSWORD_FILE_SIZE: u64 = 4096;

/// Permissions of a file, and those that others than its owner have.
const PERMISSIONS: u32 = 0o7777;
const OTHERS: u32 = 0o077;

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
        source: OpenError,
    },
    /// Others can read the password.
    #[error(
        "SERVER_ETCD_PASSWORD_FILE = {}: expected a file that only its owner can read and write (mode 0600 or \
         0400), found mode {mode:04o}: chmod 600 it, or set SERVER_TLS_ALLOW_OPEN_KEY to true",
        .path.display()
    )]
    OpenPassword {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
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
    let found = find_members(&etcd.endpoints)?;
    let members = members(etcd, &found)?;
    let mut random = random_numbers();
    let store = store_config(config, etcd, &found, random())?;
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
    let found = find_members(&etcd.endpoints)?;
    let links = EtcdLinks::new(members(etcd, &found)?);
    Ok((Export::new(store_config(config, etcd, &found, random_numbers()())?)?, links))
}

/// Of a store whose first member is chosen by `random`, so that centrals are spread over the members.
fn store_config(
    config: &Config,
    etcd: &EtcdConfig,
    found: &[Found<'_>],
    random: u64,
) -> Result<cluster::Config, JoinError> {
    let endpoints = found.iter().map(|found| found.endpoint.to_owned()).collect::<Vec<_>>();
    let client = etcd::Config {
        first_endpoint: usize::try_from(random % endpoints.len() as u64).unwrap_or_default(),
        request_timeout: etcd.limits.request_timeout,
        connect_timeout: etcd.limits.connect_timeout,
        max_requests: etcd.limits.max_requests,
        max_request_bytes: etcd.limits.max_request_bytes,
        credentials: etcd.user.as_ref().map(credentials).transpose()?,
        ..etcd::Config::new(endpoints)
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

/// A member whose name has an address.
struct Found<'e> {
    endpoint: &'e str,
    address: SocketAddr,
}

/// Looks all members up. One that can't be found may be down, and where machines come and go its name is
/// gone then too: it is left out, as long as there is another one.
fn find_members(endpoints: &[String]) -> Result<Vec<Found<'_>>, JoinError> {
    let (mut found, mut missing) = (Vec::new(), None);
    for endpoint in endpoints {
        match resolve(endpoint) {
            Ok(address) => found.push(Found { endpoint, address }),
            Err(source) => {
                let line = Line::new("resolve_store", InProgress).with("endpoint", endpoint);
                log_line!(Level::Warn, line.with("error", &source));
                missing.get_or_insert(JoinError::Endpoint { endpoint: endpoint.clone(), source });
            }
        }
    }
    match missing {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn members(etcd: &EtcdConfig, found: &[Found<'_>]) -> Result<Vec<Member>, JoinError> {
    let tls = etcd.tls.as_ref().map(|options| {
        ClientTls::load(options.clone(), Clock::system())
            .map(Rc::new)
            .map_err(|error| SettingError::new(&SETTINGS, error))
    });
    let tls = tls.transpose()?;
    found.iter().map(|found| member(found, tls.as_ref())).collect()
}

fn member(found: &Found<'_>, tls: Option<&Rc<ClientTls>>) -> Result<Member, JoinError> {
    let Found { endpoint, address } = *found;
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
    let path = &user.password_file;
    let error = |source| JoinError::Password { path: path.clone(), source };
    let (text, mode) = read_password_file(path).map_err(error)?;
    if !user.allow_open_file && mode & OTHERS != 0 {
        return Err(JoinError::OpenPassword { path: path.clone(), mode });
    }
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(error(io::Error::other("its first line is empty").into()));
    }
    Ok(etcd::Credentials { user: user.name.clone(), password: password.to_owned() })
}

/// The beginning of its text, and its permissions.
fn read_password_file(path: &Path) -> Result<(String, u32), OpenError> {
    let file = regular_file::open(path)?;
    let mode = file.metadata()?.permissions().mode() & PERMISSIONS;
    let mut text = String::new();
    file.take(MAX_PASSWORD_FILE_SIZE).read_to_string(&mut text)?;
    Ok((text, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(endpoints: &[&str]) -> Result<Vec<String>, JoinError> {
        let endpoints: Vec<_> = endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect();
        let found = find_members(&endpoints)?;
        Ok(found.iter().map(|found| found.endpoint.to_owned()).collect())
    }

    #[test]
    fn a_member_without_an_address_is_left_out_as_long_as_there_is_another() {
        // A label has at most 63 characters: no resolver is asked for this one.
        let nowhere = format!("{}:2379", "x".repeat(64));
        assert_eq!(found(&[&nowhere, "127.0.0.1:2379"]).expect("one"), ["127.0.0.1:2379"]);
        let error = found(&[&nowhere]).expect_err("none").to_string();
        assert!(error.starts_with(&format!("SERVER_ETCD_ENDPOINTS: {nowhere}: ")), "{error}");
    }

    #[test]
    fn no_number_comes_twice() {
        let (mut one, mut other) = (random_numbers(), random_numbers());
        let numbers: std::collections::BTreeSet<_> =
            (0..100).flat_map(|_| [one(), other()]).collect();
        assert_eq!(numbers.len(), 200);
    }
}
