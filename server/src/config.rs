//! The configuration: what was set, as each part of the program takes it.
//!
//! What a value may be is said where its setting is declared, in [`settings`]; here is how settings
//! go together.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use admin::host::Hosts;
use admin::limits::AdminLimits;
use ledger::Options;
use reactor::Limits;
use runtime::logging::{Format, LevelFilter};
use runtime::settings::{SettingErrors, Settings, write_size};
use tls::{ClientOptions, KeyFiles, ServerOptions, TrustFiles};
use wire::{Agency, DrawName, FRAME_MAX};

use crate::admin_address::AdminAddress;
use crate::central::{Plaintext, ProtocolConfig};
use crate::settings::{self, StoreKind, TlsMode};
use crate::store::Terms;

/// A wal's segments are whole blocks of the disk.
const BLOCK: usize = 4096;

/// Everything that was set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub address: SocketAddr,
    /// The kernel's backlog.
    pub backlog: u32,
    /// Minimum level of the lines that are logged.
    pub level: LevelFilter,
    /// Their form.
    pub format: Format,
    /// Which draw, and the agencies that it waits for.
    pub terms: Terms,
    /// The ledger.
    pub storage: PathBuf,
    /// How it is kept.
    pub ledger: Options,
    /// Whether to warn when agencies may come in plaintext from other machines.
    pub plaintext_warning: bool,
    /// What the central does with connections, for a wal of the size that is configured.
    pub protocol: ProtocolConfig,
    /// Whether `group_commit_bytes` was set.
    group_commit_chosen: bool,
    /// The loop's limits.
    pub limits: Limits,
    /// How connections are secured; `None` without TLS.
    pub tls: Option<TlsConfig>,
    /// Where an operator looks; `None` for nowhere.
    pub admin: Option<AdminConfig>,
    /// The etcd that keeps the lottery; `None` for the ledger.
    pub etcd: Option<EtcdConfig>,
}

/// Where an operator looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where to listen.
    pub address: AdminAddress,
    /// By HTTPS.
    pub tls: bool,
    /// Which hosts requests may be meant for.
    pub hosts: Hosts,
    /// What its connections may cost.
    pub limits: AdminLimits,
    /// Agencies that have metrics of their own.
    pub metrics_agencies: Agency,
}

/// The etcd that keeps the lottery, for several centrals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// The draw's name, a part of all keys.
    pub draw: DrawName,
    /// Its members, as `HOST:PORT`.
    pub endpoints: Vec<String>,
    /// Files of TLS towards them; `None` for plaintext.
    pub tls: Option<ClientOptions>,
    /// Who the central is to etcd; `None` where etcd asks for none.
    pub user: Option<EtcdUser>,
    /// What waits how long, and how much there may be.
    pub limits: EtcdLimits,
}

/// What may wait how long, and how much there may be, between a central and etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtcdLimits {
    /// The longest wait for an answer.
    pub request_timeout: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// How long an agency waits before it is sent to another central.
    pub patience: Duration,
    /// Bytes of rows in one transaction.
    pub value_max: usize,
    /// Requests under way.
    pub max_requests: usize,
    /// Bytes of these.
    pub max_request_bytes: usize,
}

/// A user of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// Its name.
    pub name: String,
    /// The file whose first line is its password.
    pub password_file: PathBuf,
    /// Whether others than its owner may be able to read that file.
    pub allow_open_file: bool,
}

/// How connections are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Whether connections without TLS are taken too.
    pub plaintext: Plaintext,
    /// The files, and what is accepted.
    pub options: ServerOptions,
    /// The one of agencies' certificates.
    pub trust_domain: String,
}

impl Config {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        layers.read(settings::TABLE, Self::take)
    }

    fn take(layers: &mut Settings) -> Option<Self> {
        Self::check_write_buffer(layers);
        Self::check_agency_addresses(layers);
        let tls = Self::tls(layers);
        let segment_size = Self::wal_segment_size(layers)?;
        let group_commit_bytes = Self::group_commit_bytes(layers, segment_size / 4)?;
        let protocol = Self::protocol(layers, group_commit_bytes)?;
        let agencies = layers.get(&settings::AGENCIES)?;
        let terms = Terms { agencies, draw: layers.get(&settings::DRAW)? };
        Some(Self {
            address: SocketAddr::new(layers.get(&settings::BIND)?, layers.get(&settings::PORT)?),
            backlog: layers.get(&settings::LISTEN_BACKLOG)?,
            level: layers.get(&settings::LOGGING_LEVEL)?,
            format: layers.get(&settings::LOGGING_FORMAT)?,
            terms,
            storage: Self::storage(layers, terms.draw)?,
            ledger: Options {
                durability: layers.get(&settings::SYNC)?,
                segment_size: segment_size as u64,
                max_size: layers.get(&settings::MAX_LEDGER_SIZE)?,
                min_free: layers.get(&settings::MIN_FREE_BYTES)?,
            },
            // The longest that a decoder leaves unconsumed: a line, a frame or a head that isn't whole,
            // of a request or of a response of etcd.
            limits: Limits {
                max_unconsumed: protocol
                    .max_line_size
                    .max(FRAME_MAX)
                    .max(etcd::client::connections::MAX_HEAD)
                    .max(layers.get(&settings::ADMIN_MAX_HEAD_SIZE)?),
                ..Self::limits(layers)?
            },
            plaintext_warning: layers.get(&settings::PLAINTEXT_WARNING)?,
            protocol,
            group_commit_chosen: !layers.is_default(&settings::GROUP_COMMIT_BYTES),
            admin: Self::admin(layers, tls.is_some())?,
            etcd: Self::etcd(layers, terms)?,
            tls,
        })
    }

    /// `Some(None)` without an admin listener; `None` when something is wrong, which is then remembered.
    #[expect(clippy::option_option, reason = "the outer one is that of all settings")]
    fn admin(layers: &mut Settings, has_tls: bool) -> Option<Option<AdminConfig>> {
        let tls = layers.get(&settings::ADMIN_TLS)?;
        let connections = layers.get(&settings::ADMIN_CONNECTIONS)?;
        let limits = AdminLimits {
            connections,
            streams: Self::admin_streams(layers, connections)?,
            max_head_bytes: layers.get(&settings::ADMIN_MAX_HEAD_SIZE)?,
            request_timeout: layers.get(&settings::ADMIN_HEAD_TIMEOUT)?,
            idle_timeout: layers.get(&settings::ADMIN_IDLE_TIMEOUT)?,
        };
        let mut hosts = layers.get(&settings::ADMIN_HOSTS)?;
        let metrics_agencies = layers.get(&settings::METRICS_AGENCIES)?;
        let Some(address) = layers.get(&settings::ADMIN_ADDRESS)? else { return Some(None) };
        if tls && !has_tls {
            layers.reject(
                &settings::ADMIN_TLS,
                "false, or certificates and a mode other than off in",
                &settings::TLS,
            );
            return None;
        }
        if Self::clashes(layers, &address)? {
            layers.reject(&settings::ADMIN_ADDRESS, "another port than", &settings::PORT);
            return None;
        }
        hosts.extend(address.host().map(str::to_owned));
        let hosts = Hosts::new(hosts);
        Some(Some(AdminConfig { address, tls, hosts, limits, metrics_agencies }))
    }

    /// `Some(None)` for a ledger; `None` when something is missing or wrong, which is then remembered.
    #[expect(clippy::option_option, reason = "the outer one is that of all settings")]
    fn etcd(layers: &mut Settings, terms: Terms) -> Option<Option<EtcdConfig>> {
        let limits = EtcdLimits {
            request_timeout: layers.get(&settings::ETCD_REQUEST_TIMEOUT)?,
            connect_timeout: layers.get(&settings::ETCD_CONNECT_TIMEOUT)?,
            patience: layers.get(&settings::ETCD_PATIENCE)?,
            value_max: layers.get(&settings::ETCD_VALUE_MAX)?,
            max_requests: layers.get(&settings::ETCD_MAX_REQUESTS)?,
            max_request_bytes: layers.get(&settings::ETCD_MAX_REQUEST_BYTES)?,
        };
        if layers.get(&settings::STORE)? == StoreKind::File {
            Self::doubt_unused_members(layers);
            return Some(None);
        }
        let store = &settings::STORE;
        if terms.draw.is_none() {
            layers.reject(&settings::DRAW, "a name, as several centrals need one, with", store);
        }
        if terms.agencies == 0 {
            layers.reject(&settings::AGENCIES, "at least 1 with", store);
        }
        let endpoints = layers.get(&settings::ETCD_ENDPOINTS);
        let (tls, user) = (Self::etcd_tls(layers)?, Self::etcd_user(layers)?);
        let config = EtcdConfig { draw: terms.draw?, endpoints: endpoints?, tls, user, limits };
        (terms.agencies > 0).then_some(Some(config))
    }

    /// Who says where etcd is most likely wants it; and what can't be used is said in any case.
    fn doubt_unused_members(layers: &mut Settings) {
        layers.get_if_set(&settings::ETCD_ENDPOINTS);
        layers.get_if_set(&settings::ETCD_USER);
        let files = [
            &settings::ETCD_CA,
            &settings::ETCD_CERT,
            &settings::ETCD_KEY,
            &settings::ETCD_PASSWORD_FILE,
        ];
        for setting in files {
            layers.get_if_set(setting);
            layers.doubt(setting, "it isn't used: SERVER_STORE is file");
        }
        layers.doubt(&settings::ETCD_ENDPOINTS, "it isn't used: SERVER_STORE is file");
        layers.doubt(&settings::ETCD_USER, "it isn't used: SERVER_STORE is file");
    }

    /// Files of TLS towards etcd; `Some(None)` without.
    #[expect(clippy::option_option, reason = "the outer one is that of all settings")]
    fn etcd_tls(layers: &mut Settings) -> Option<Option<ClientOptions>> {
        let certificate = layers.get_if_set(&settings::ETCD_CERT);
        let Some(authorities) = layers.get_if_set(&settings::ETCD_CA) else {
            layers.doubt(&settings::ETCD_CERT, "it isn't used: SERVER_ETCD_CA is not set");
            return Some(None);
        };
        let own = match certificate {
            None => None,
            Some(certificate) => Some(KeyFiles {
                certificate,
                key: layers.get(&settings::ETCD_KEY)?,
                allow_open_key: layers.get(&settings::TLS_ALLOW_OPEN_KEY)?,
            }),
        };
        let servers = TrustFiles { authorities, revocations: None, allow_expired_lists: false };
        Some(Some(ClientOptions { own, servers }))
    }

    #[expect(clippy::option_option, reason = "the outer one is that of all settings")]
    fn etcd_user(layers: &mut Settings) -> Option<Option<EtcdUser>> {
        let Some(name) = layers.get_if_set(&settings::ETCD_USER) else { return Some(None) };
        let password_file = layers.get(&settings::ETCD_PASSWORD_FILE)?;
        let allow_open_file = layers.get(&settings::TLS_ALLOW_OPEN_KEY)?;
        Some(Some(EtcdUser { name, password_file, allow_open_file }))
    }

    /// Whether agencies are to be listened to at the same address. That of a name isn't known yet.
    fn clashes(layers: &mut Settings, admin: &AdminAddress) -> Option<bool> {
        let (ip, port) = (layers.get(&settings::BIND)?, layers.get(&settings::PORT)?);
        let is_same = |admin: IpAddr| ip == admin || admin.is_unspecified();
        let overlaps = ip.is_unspecified() || admin.ip().is_some_and(is_same);
        Some(port != 0 && port == admin.port() && overlaps)
    }

    /// Streams are never closed for others: there must be room for who asks for health. So the default is
    /// lowered to half of all connections.
    fn admin_streams(layers: &mut Settings, connections: usize) -> Option<usize> {
        let setting = &settings::ADMIN_STREAMS;
        let asked = layers.get(setting)?;
        if layers.is_default(setting) {
            let taken = asked.min(connections / 2);
            layers.read_as(setting, taken.to_string());
            return Some(taken);
        }
        if asked >= connections {
            layers.reject(setting, "less than", &settings::ADMIN_CONNECTIONS);
            return None;
        }
        Some(asked)
    }

    /// The same for a ledger in which a commit of `room` bytes fits: its wal may be older than this
    /// configuration, and smaller. `None` when more was asked for.
    pub fn protocol_within(&self, room: usize) -> Option<ProtocolConfig> {
        let group_commit_bytes = self.protocol.group_commit_bytes.min(room);
        let fits =
            group_commit_bytes == self.protocol.group_commit_bytes || !self.group_commit_chosen;
        fits.then(|| ProtocolConfig { group_commit_bytes, ..self.protocol.clone() })
    }

    /// The ledger's path, in which `{draw}` stands for the draw's name.
    fn storage(layers: &mut Settings, draw: Option<DrawName>) -> Option<PathBuf> {
        let setting = &settings::STORAGE_PATH;
        let path = layers.get(setting)?;
        // What isn't text has no placeholder.
        let Some(text) = path.to_str() else { return Some(path) };
        let draw = draw.as_ref().map(DrawName::as_str);
        layers.fill(setting, text, "{draw}", draw, &settings::DRAW).map(PathBuf::from)
    }

    fn check_write_buffer(layers: &mut Settings) {
        let (low, high) = (&settings::WRITE_BUFFER_LOW, &settings::WRITE_BUFFER_HIGH);
        let marks = layers.get(low).zip(layers.get(high));
        if marks.is_some_and(|(low, high)| low >= high) {
            layers.reject(low, "less than", high);
        }
    }

    /// A list with a mistake in it mustn't keep an agency out, for which the draw would wait, nor let
    /// one in from everywhere: each has its entry, and there is none for another.
    fn check_agency_addresses(layers: &mut Settings) {
        let (setting, limit) = (&settings::AGENCY_ADDRESSES, &settings::AGENCIES);
        let Some((addresses, agencies)) = layers.get(setting).zip(layers.get(limit)) else {
            return;
        };
        if let Some(excluded) = addresses.first_excluded(agencies) {
            let relation = format!("an entry for agency {excluded} or for all others (*), within");
            layers.reject(setting, &relation, limit);
        } else if let Some(last) = addresses.last().filter(|last| *last > agencies) {
            let relation = format!("no entry for agency {last}, which is above");
            layers.reject(setting, &relation, limit);
        }
    }

    /// `None` without TLS, and when something is missing or wrong, which is then remembered.
    fn tls(layers: &mut Settings) -> Option<TlsConfig> {
        let plaintext = match layers.get(&settings::TLS)? {
            TlsMode::Off => {
                Self::doubt_unused_files(layers);
                return None;
            }
            TlsMode::Optional => Plaintext::Taken,
            TlsMode::Required => Plaintext::Refused,
        };
        let needed = [&settings::TLS_CERT, &settings::TLS_KEY, &settings::TLS_CLIENT_CA];
        let [certificate, key, authorities] = needed.map(|setting| layers.get(setting));
        let options = ServerOptions {
            own: KeyFiles {
                certificate: certificate?,
                key: key?,
                allow_open_key: layers.get(&settings::TLS_ALLOW_OPEN_KEY)?,
            },
            clients: TrustFiles {
                authorities: authorities?,
                revocations: layers.get_if_set(&settings::TLS_CRL),
                allow_expired_lists: layers.get(&settings::TLS_ALLOW_EXPIRED_CRL)?,
            },
            allow_anonymous: layers.get(&settings::TLS_ANONYMOUS_ECHO)?,
        };
        let trust_domain = layers.get(&settings::TLS_TRUST_DOMAIN)?;
        Some(TlsConfig { plaintext, options, trust_domain })
    }

    /// Who sets files of certificates most likely wants TLS.
    fn doubt_unused_files(layers: &mut Settings) {
        let files =
            [&settings::TLS_CERT, &settings::TLS_KEY, &settings::TLS_CLIENT_CA, &settings::TLS_CRL];
        for setting in files {
            layers.doubt(setting, "it isn't used: SERVER_TLS is off");
        }
    }

    fn wal_segment_size(layers: &mut Settings) -> Option<usize> {
        let size = layers.get(&settings::WAL_SEGMENT_SIZE)?.next_multiple_of(BLOCK);
        layers.read_as(&settings::WAL_SEGMENT_SIZE, write_size(size as u64));
        Some(size)
    }

    fn protocol(layers: &mut Settings, group_commit_bytes: usize) -> Option<ProtocolConfig> {
        Some(ProtocolConfig {
            echo_keep_alive: layers.get(&settings::ECHO_KEEP_ALIVE)?,
            max_line_size: layers.get(&settings::MAX_LINE_SIZE)?,
            first_byte_timeout: layers.get(&settings::FIRST_BYTE_TIMEOUT)?,
            handshake_timeout: layers.get(&settings::TLS_HANDSHAKE_TIMEOUT)?,
            frame_timeout: layers.get(&settings::FRAME_TIMEOUT)?,
            idle_timeout: layers.get(&settings::IDLE_TIMEOUT)?,
            agency_addresses: layers.get(&settings::AGENCY_ADDRESSES)?,
            group_commit_bytes,
            max_pending_replies: layers.get(&settings::MAX_PENDING_REPLIES)?,
            commit_retry_delay: layers.get(&settings::COMMIT_RETRY_DELAY)?,
            write_buffer_high: layers.get(&settings::WRITE_BUFFER_HIGH)?,
            winners_budget: layers.get(&settings::WINNERS_BUDGET)?,
            refusal_log_interval: layers.get(&settings::REFUSAL_LOG_INTERVAL)?,
            waiting_log_interval: layers.get(&settings::WAITING_LOG_INTERVAL)?,
            max_log_lines: layers.get(&settings::MAX_LOG_LINES)?,
            log_interval: layers.get(&settings::LOG_INTERVAL)?,
        })
    }

    /// A smaller wal needs no second setting: the default is lowered to `most`.
    fn group_commit_bytes(layers: &mut Settings, most: usize) -> Option<usize> {
        let setting = &settings::GROUP_COMMIT_BYTES;
        let asked = layers.get(setting)?;
        let taken = asked.min(most);
        if layers.is_default(setting) {
            layers.read_as(setting, write_size(taken as u64));
        } else if asked > most {
            layers.reject(setting, "at most a quarter of", &settings::WAL_SEGMENT_SIZE);
        }
        Some(taken)
    }

    fn limits(layers: &mut Settings) -> Option<Limits> {
        let max_connections = layers.get(&settings::MAX_CONNECTIONS)?;
        let reserved_connections = layers.get(&settings::RESERVED_CONNECTIONS)?;
        let reserved = reserved_connections.min(max_connections / 4);
        layers.read_as(&settings::RESERVED_CONNECTIONS, reserved.to_string());
        Some(Limits {
            max_connections,
            reserved_connections,
            eviction_delay: layers.get(&settings::EVICTION_DELAY)?,
            max_connections_per_address: layers.get(&settings::MAX_CONNECTIONS_PER_ADDRESS)?,
            max_connects_per_address: layers.get(&settings::MAX_CONNECTS_PER_ADDRESS)?,
            unlimited_addresses: layers.get(&settings::UNLIMITED_ADDRESSES)?,
            accept_budget: layers.get(&settings::ACCEPT_BUDGET)?,
            read_budget: layers.get(&settings::READ_BUDGET)?,
            turn_budget: layers.get(&settings::TURN_BUDGET)?,
            handshake_budget: layers.get(&settings::HANDSHAKE_BUDGET)?,
            max_handshakes: layers.get(&settings::MAX_HANDSHAKES)?,
            max_buffered_bytes: layers.get(&settings::MAX_BUFFERED_BYTES)?,
            socket_buffer_size: layers.get(&settings::SOCKET_BUFFER_SIZE)?,
            write_buffer_high: layers.get(&settings::WRITE_BUFFER_HIGH)?,
            write_buffer_low: layers.get(&settings::WRITE_BUFFER_LOW)?,
            write_timeout: layers.get(&settings::WRITE_TIMEOUT)?,
            linger_timeout: layers.get(&settings::LINGER_TIMEOUT)?,
            shutdown_timeout: layers.get(&settings::SHUTDOWN_TIMEOUT)?,
            tcp_keepalive: layers.get(&settings::TCP_KEEPALIVE)?,
            accept_retry_delay: layers.get(&settings::ACCEPT_RETRY_DELAY)?,
            ..Limits::default()
        })
    }
}

#[cfg(test)]
mod tests;
