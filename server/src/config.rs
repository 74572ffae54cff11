//! What can be set: names, defaults and meanings, all in one table.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;
use reactor::{Limits, Network};
use runtime::settings::{
    self, Origin, Program, SPAN_MAX, Setting, SettingErrors, Settings, Subcommand,
};
use wire::{Agency, FRAME_MAX};

use crate::central::ProtocolConfig;
use crate::ini;
use crate::ledger::{Options, Sync};

/// Most agencies: a checkpoint with all of them must fit into half a log.
const AGENCIES_MAX: Agency = 10_000;

/// The smallest half of a log: has room for the largest checkpoint and the largest commit behind it,
/// which has a quarter of it and one request more.
const LOG_SIZE_MIN: usize = 1 << 20;

/// A log's halves are whole blocks of the disk.
const BLOCK: usize = 4096;

/// Room for the smallest piece that winners are read in.
const WINNERS_BUDGET_MIN: usize = 4 << 10;
const _: () = assert!(WINNERS_BUDGET_MIN >= crate::scan::PIECE_MIN);

/// Room for a few connections with as much as one may hold.
const BUFFERED_MIN: usize = 1 << 20;

/// The kernel counts in 32 bits, and doubles.
const SOCKET_BUFFER_MAX: usize = 1 << 30;

/// Far more than any machine has of anything, and no sum of a few of them overflows.
const COUNT_MAX: usize = 1_000_000_000;

/// Longest silence that Linux takes before it asks.
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

/// More than any shutdown may take.
const DRAIN_MAX: Duration = Duration::from_mins(1);

/// The shortest span that is one.
const INSTANT: Duration = Duration::from_nanos(1);

const ANY_SPAN: &str = "a span of time up to 365d, as 500ms, 30s or 5m; 0 for no limit";
const SPAN: &str = "a span of time above 0 and up to 365d, as 500ms, 30s or 5m";
const SIZE: &str = "a number of bytes above 0 and at most 1GiB, as 65536, 64KiB or 1MiB";
const LARGE_SIZE: &str = "a number of bytes above 0 and at most 1024TiB, as 512MiB or 64GiB";
const ANY_SIZE: &str = "a number of bytes, at most 1024TiB, as 64MiB or 1GiB; 0 for none";
const COUNT: &str = "a number, 1 to 1000000000";

/// A setting whose name in the file is the one in the environment.
const fn setting(
    key: &'static str,
    flag: &'static str,
    default: &'static str,
    expected: &'static str,
    help: &'static str,
) -> Setting {
    Setting { key, file_key: key, flag, default: Some(default), expected, help }
}

/// Declares each setting as a constant and all of them as the table.
macro_rules! table {
    ($($name:ident = ($key:literal, $flag:literal, $default:literal, $expected:expr, $help:literal);)*) => {
        $(pub(crate) static $name: Setting = setting($key, $flag, $default, $expected, $help);)*
        /// All settings of the server.
        pub static TABLE: &[Setting] =
            &[$(setting($key, $flag, $default, $expected, $help)),*];
    };
}

table! {
    PORT = ("SERVER_PORT", "port", "12345", "a TCP port, 0 to 65535 (0: any free one)", "Port to listen at");
    BACKLOG = ("SERVER_LISTEN_BACKLOG", "listen-backlog", "1024", "a number, 1 to 65535", "Connections that the kernel holds until they are accepted");
    LEVEL = ("LOGGING_LEVEL", "logging-level", "INFO", "DEBUG, INFO, WARNING, ERROR or OFF", "Least important lines that are logged");
    IP = ("SERVER_IP", "ip", "server", "a name", "Name of the server in the original's file; doesn't choose the address");
    BIND = ("SERVER_BIND", "bind", "0.0.0.0", "an IP address", "Address to listen at");
    AGENCIES = ("SERVER_AGENCIES", "agencies", "5", "a number, 0 to 10000", "Agencies that the draw waits for, numbered from 1");
    STORAGE = ("SERVER_STORAGE_PATH", "storage-path", "./bets.csv", "the path of a file", "Ledger; its log stands beside it");
    SYNC = ("SERVER_SYNC", "sync", "always", "always or never", "When the log is synced: before every confirmation, or never");
    KEEP_ALIVE = ("SERVER_ECHO_KEEP_ALIVE", "echo-keep-alive", "false", "true or false", "Whether an echo connection may send more than one line");
    MAX_LINE = ("SERVER_MAX_LINE_SIZE", "max-line-size", "64KiB", SIZE, "Longest echo line; a longer one ends its connection");
    CONNECTIONS = ("SERVER_MAX_CONNECTIONS", "max-connections", "10000", COUNT, "Connections at the same time; silent ones make room beyond it");
    RESERVED = ("SERVER_RESERVED_CONNECTIONS", "reserved-connections", "64", "a number, 0 to 1000000000", "Of these, the last ones: for unlimited addresses and those that agencies called from; at most a quarter");
    EVICTION_DELAY = ("SERVER_EVICTION_DELAY", "eviction-delay", "1s", "a span of time up to 365d, as 500ms, 30s or 5m; 0 for never", "Silence after which a connection may be closed to let another one in");
    PER_ADDRESS = ("SERVER_MAX_CONNECTIONS_PER_ADDRESS", "max-connections-per-address", "1000", COUNT, "Connections of one address (of IPv6: of one /64) at the same time");
    CONNECTS = ("SERVER_MAX_CONNECTS_PER_ADDRESS", "max-connects-per-address", "500", COUNT, "Connections that one address may make in a second");
    UNLIMITED = ("SERVER_UNLIMITED_ADDRESSES", "unlimited-addresses", "127.0.0.0/8,::1/128", "networks, as 10.0.0.0/8,2001:db8::1, or nothing", "Networks whose addresses have no limits of their own");
    ACCEPTS = ("SERVER_ACCEPT_BUDGET", "accept-budget", "64", COUNT, "Connections accepted in one turn of the loop");
    READ = ("SERVER_READ_BUDGET", "read-budget", "64KiB", SIZE, "Bytes read from one connection in one turn");
    TURN_BYTES = ("SERVER_TURN_BUDGET", "turn-budget", "4MiB", SIZE, "Bytes read from all connections and queued for them in one turn");
    MAX_BUFFERED = ("SERVER_MAX_BUFFERED_BYTES", "max-buffered-bytes", "256MiB", "a number of bytes, 1MiB to 1GiB", "Memory for input and output of all connections together");
    SOCKET_BUFFER = ("SERVER_SOCKET_BUFFER_SIZE", "socket-buffer-size", "256KiB", "a number of bytes, at most 1GiB; 0 for the kernel's own", "Bytes that the kernel may hold of a connection in each direction; it doubles the number");
    HIGH_WATER = ("SERVER_WRITE_BUFFER_HIGH", "write-buffer-high", "256KiB", SIZE, "Output waiting for a peer above which it is read no more");
    LOW_WATER = ("SERVER_WRITE_BUFFER_LOW", "write-buffer-low", "64KiB", SIZE, "Output waiting for a peer below which it is read again");
    WINNERS_BUDGET = ("SERVER_WINNERS_BUDGET", "winners-budget", "256KiB", "a number of bytes, 4KiB to 1GiB", "Bytes of the ledger read in one turn for all who are told winners");
    COMMIT_MAX = ("SERVER_GROUP_COMMIT_BYTES", "group-commit-bytes", "512KiB", SIZE, "Bytes staged after which they are written into the log without waiting for the end of the turn");
    PENDING_REPLIES = ("SERVER_MAX_PENDING_REPLIES", "max-pending-replies", "65536", COUNT, "Answers that wait for the disk");
    MAX_LEDGER = ("SERVER_MAX_LEDGER_SIZE", "max-ledger-size", "64GiB", LARGE_SIZE, "Bytes of the ledger above which no bet is taken");
    MIN_FREE = ("SERVER_MIN_FREE_BYTES", "min-free-bytes", "64MiB", ANY_SIZE, "Bytes that stay free on the ledger's file system");
    COMMIT_RETRY = ("SERVER_COMMIT_RETRY_DELAY", "commit-retry-delay", "100ms", SPAN, "How long nothing is tried after a commit that had no effect; doubled each time, up to 5s");
    LOG_SIZE = ("SERVER_WAL_SEGMENT_SIZE", "wal-segment-size", "8MiB", "a number of bytes, 1MiB to 1GiB", "Each half of a log that is made anew");
    FIRST_BYTE = ("SERVER_FIRST_BYTE_TIMEOUT", "first-byte-timeout", "60s", ANY_SPAN, "How long a connection may be silent at first");
    WHOLE_FRAME = ("SERVER_FRAME_TIMEOUT", "frame-timeout", "30s", ANY_SPAN, "How long a line or frame may take from its first byte to its last");
    IDLE = ("SERVER_IDLE_TIMEOUT", "idle-timeout", "5m", ANY_SPAN, "How long a connection that isn't an agency's may be silent later");
    WRITE_STALL = ("SERVER_WRITE_TIMEOUT", "write-timeout", "30s", SPAN, "How long a peer may take nothing of what waits for it");
    LINGER = ("SERVER_LINGER_TIMEOUT", "linger-timeout", "1s", SPAN, "How long a closed connection's input is still read and thrown away");
    DRAIN = ("SERVER_SHUTDOWN_TIMEOUT", "shutdown-timeout", "500ms", "a span of time above 0 and up to 1m", "How long all connections together may take to end at the shutdown");
    REPORT_PERIOD = ("SERVER_REFUSAL_LOG_INTERVAL", "refusal-log-interval", "10s", SPAN, "How long lines are only counted before it is told how many");
    WAITING_PERIOD = ("SERVER_WAITING_LOG_INTERVAL", "waiting-log-interval", "1m", "a span of time up to 365d, as 500ms, 30s or 5m; 0 for never", "How often it is logged whom the draw waits for, when nothing else happens");
    MAX_LOG_LINES = ("SERVER_MAX_LOG_LINES", "max-log-lines", "500000", COUNT, "Lines of each kind that are logged in an interval; more are counted");
    LOG_INTERVAL = ("SERVER_LOG_INTERVAL", "log-interval", "10m", SPAN, "How long such an interval is");
    KEEPALIVE = ("SERVER_TCP_KEEPALIVE", "tcp-keepalive", "60s", "a span of whole seconds up to 32767s; 0 for never", "Silence after which TCP asks whether a peer still exists");
    ACCEPT_PAUSE = ("SERVER_ACCEPT_RETRY_DELAY", "accept-retry-delay", "100ms", SPAN, "How long accepting pauses when descriptors have run out");
}

/// The subcommand that asks a running server.
pub const HEALTHCHECK: &str = "healthcheck";

/// What the binary says of itself.
pub const PROGRAM: Program = Program {
    name: "server",
    version: env!("CARGO_PKG_VERSION"),
    about: "The lottery's central: takes bets, stores them durably, draws; echoes lines",
    file_name: "config.ini",
    prefixes: &["SERVER_", "LOGGING_"],
    table: TABLE,
    commands: &[Subcommand {
        name: HEALTHCHECK,
        about: "Ask the server that runs with this configuration for an echo, and end",
        operands: None,
    }],
    read: ini::read,
};

/// Everything that was set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub address: SocketAddr,
    /// The kernel's backlog.
    pub backlog: u32,
    /// Least important lines that are logged.
    pub level: LevelFilter,
    /// Agencies that the draw waits for.
    pub agencies: Agency,
    /// The ledger.
    pub storage: PathBuf,
    /// How it is kept.
    pub ledger: Options,
    /// The central's rules, for a wal of the size that is configured.
    pub rules: ProtocolConfig,
    /// `commit_max` of these isn't the default.
    commit_max_chosen: bool,
    /// The loop's limits.
    pub limits: Limits,
}

impl Config {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        let config = Self::parse(layers);
        layers.finish(config)
    }

    fn parse(layers: &mut Settings) -> Option<Self> {
        let port = layers.number(&PORT, 0..=u16::MAX);
        let bind = layers.require(&BIND, |text| text.trim().parse::<IpAddr>().ok());
        layers.text(&IP, |_| true);
        let backlog = layers.number(&BACKLOG, 1..=65_535);
        let level = layers.level(&LEVEL);
        let agencies = layers.number(&AGENCIES, 0..=AGENCIES_MAX);
        let storage = layers.text(&STORAGE, names_a_file);
        let sync = layers.require(&SYNC, parse_sync);
        let half_size = layers.size(&LOG_SIZE, LOG_SIZE_MIN..);
        let max_size = layers.large_size(&MAX_LEDGER, 1..);
        let min_free = layers.large_size(&MIN_FREE, ..);
        let rules = Self::rules(layers);
        let limits = Self::limits(layers);
        let (mut rules, half_size) = (rules?, half_size?.next_multiple_of(BLOCK));
        layers.read_as(&LOG_SIZE, settings::write_size(half_size as u64));
        let most = half_size / 4;
        let commit_max_chosen = !matches!(layers.raw(&COMMIT_MAX), Some((_, Origin::Default)));
        if !commit_max_chosen {
            // A smaller log needs no second setting.
            rules.commit_max = rules.commit_max.min(most);
            layers.read_as(&COMMIT_MAX, settings::write_size(rules.commit_max as u64));
        } else if rules.commit_max > most {
            layers.reject(&COMMIT_MAX, "at most a quarter of SERVER_WAL_SEGMENT_SIZE");
        }
        Some(Self {
            address: SocketAddr::new(bind?, port?),
            backlog: backlog?,
            level: level?,
            agencies: agencies?,
            storage: storage?.into(),
            ledger: Options {
                sync: sync?,
                half_size: half_size as u64,
                agencies: agencies?,
                max_size: max_size?,
                min_free: min_free?,
            },
            // The longest that a decoder leaves unconsumed: a line or a frame that isn't whole.
            limits: Limits { max_unconsumed: rules.max_line.max(FRAME_MAX), ..limits? },
            rules,
            commit_max_chosen,
        })
    }

    /// The rules for a ledger in which a commit of `room` bytes fits: its wal may be older than this
    /// configuration, and smaller. `None` when more was asked for.
    pub fn rules_within(&self, room: usize) -> Option<ProtocolConfig> {
        let commit_max = self.rules.commit_max.min(room);
        let fits = commit_max == self.rules.commit_max || !self.commit_max_chosen;
        fits.then(|| ProtocolConfig { commit_max, ..self.rules.clone() })
    }

    fn rules(layers: &mut Settings) -> Option<ProtocolConfig> {
        let echo_keep_alive = layers.boolean(&KEEP_ALIVE);
        let max_line = layers.size(&MAX_LINE, 1..);
        let commit_max = layers.size(&COMMIT_MAX, 1..);
        let max_pending_replies = layers.number(&PENDING_REPLIES, 1..=COUNT_MAX);
        let commit_retry_delay = layers.span(&COMMIT_RETRY, INSTANT..);
        let high_water = layers.size(&HIGH_WATER, 1..);
        let winners_budget = layers.size(&WINNERS_BUDGET, WINNERS_BUDGET_MIN..);
        let first_byte = limit(layers, &FIRST_BYTE);
        let whole_frame = limit(layers, &WHOLE_FRAME);
        let idle = limit(layers, &IDLE);
        let report_period = layers.span(&REPORT_PERIOD, INSTANT..);
        let waiting_report_period = limit(layers, &WAITING_PERIOD);
        let max_log_lines = layers.number(&MAX_LOG_LINES, 1..=COUNT_MAX as u64);
        let log_interval = layers.span(&LOG_INTERVAL, INSTANT..);
        Some(ProtocolConfig {
            echo_keep_alive: echo_keep_alive?,
            max_line: max_line?,
            first_byte: first_byte?,
            whole_frame: whole_frame?,
            idle: idle?,
            commit_max: commit_max?,
            max_pending_replies: max_pending_replies?,
            commit_retry_delay: commit_retry_delay?,
            high_water: high_water?,
            winners_budget: winners_budget?,
            report_period: report_period?,
            waiting_report_period: waiting_report_period?,
            max_log_lines: max_log_lines?,
            log_interval: log_interval?,
        })
    }

    fn limits(layers: &mut Settings) -> Option<Limits> {
        let max_connections = layers.number(&CONNECTIONS, 1..=COUNT_MAX);
        let reserved_connections = layers.number(&RESERVED, 0..=COUNT_MAX);
        let eviction_delay = layers.span(&EVICTION_DELAY, ..);
        let max_connections_per_address = layers.number(&PER_ADDRESS, 1..=COUNT_MAX);
        let max_connects_per_address = layers.number(&CONNECTS, 1..=1_000_000_000_u32);
        let unlimited_addresses = layers.require(&UNLIMITED, networks);
        let accept_budget = layers.number(&ACCEPTS, 1..=COUNT_MAX);
        let read_budget = layers.size(&READ, 1..);
        let turn_budget = layers.size(&TURN_BYTES, 1..);
        let max_buffered_bytes = layers.size(&MAX_BUFFERED, BUFFERED_MIN..);
        let socket_buffer_size = layers.size(&SOCKET_BUFFER, ..=SOCKET_BUFFER_MAX);
        let write_buffer_high = layers.size(&HIGH_WATER, 1..);
        let write_buffer_low = layers.size(&LOW_WATER, 1..);
        let write_timeout = layers.span(&WRITE_STALL, INSTANT..);
        let linger_timeout = layers.span(&LINGER, INSTANT..);
        let shutdown_timeout = layers.span(&DRAIN, INSTANT..=DRAIN_MAX);
        let tcp_keepalive = layers.span(&KEEPALIVE, ..=KEEPALIVE_MAX);
        let tcp_keepalive = whole_seconds(layers, tcp_keepalive);
        let accept_retry_delay = layers.span(&ACCEPT_PAUSE, INSTANT..);
        if let Some(least) =
            reserved_connections.zip(max_connections).map(|(few, all)| few.min(all / 4))
        {
            layers.read_as(&RESERVED, least.to_string());
        }
        let (write_buffer_high, write_buffer_low) = (write_buffer_high?, write_buffer_low?);
        if write_buffer_low >= write_buffer_high {
            layers.reject(&LOW_WATER, "less than SERVER_WRITE_BUFFER_HIGH");
        }
        Some(Limits {
            max_connections: max_connections?,
            reserved_connections: reserved_connections?,
            eviction_delay: eviction_delay?,
            max_connections_per_address: max_connections_per_address?,
            max_connects_per_address: max_connects_per_address?,
            unlimited_addresses: unlimited_addresses?,
            accept_budget: accept_budget?,
            read_budget: read_budget?,
            turn_budget: turn_budget?,
            max_buffered_bytes: max_buffered_bytes?,
            socket_buffer_size: socket_buffer_size?,
            max_unconsumed: Limits::default().max_unconsumed,
            write_buffer_high,
            write_buffer_low,
            write_timeout: write_timeout?,
            linger_timeout: linger_timeout?,
            shutdown_timeout: shutdown_timeout?,
            tcp_keepalive: tcp_keepalive?,
            accept_retry_delay: accept_retry_delay?,
        })
    }
}

/// A limit in time that may be absent. No limit is a value too: the outer `None` is an error.
#[expect(clippy::option_option, reason = "said above")]
fn limit(layers: &mut Settings, setting: &'static Setting) -> Option<Option<Duration>> {
    let span = layers.span(setting, ..=SPAN_MAX)?;
    Some((!span.is_zero()).then_some(span))
}

/// The kernel counts in seconds.
fn whole_seconds(layers: &mut Settings, span: Option<Duration>) -> Option<Duration> {
    let whole = span.filter(|span| span.subsec_nanos() == 0);
    if span.is_some() && whole.is_none() {
        layers.reject(&KEEPALIVE, KEEPALIVE.expected);
    }
    whole
}

/// Whether a path can be that of a file: it doesn't end as those of folders do.
fn names_a_file(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    !matches!(last, "" | "." | "..")
}

/// Networks with commas between them; nothing is none.
fn networks(text: &str) -> Option<Vec<Network>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}

fn parse_sync(text: &str) -> Option<Sync> {
    match text.trim() {
        "always" => Some(Sync::Always),
        "never" => Some(Sync::Never),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
