//! Everything that can be set: each setting and limit of the server, declared once.
//!
//! Flags, `--help`, the keys of `config.ini`, the names of the environment and the tables of
//! `docs/configuration.md` come from here (`make settings-docs` writes them). How settings go together is
//! [`config`](crate::config)'s; the loop's limits are enforced by [`reactor::Limits`], the protocols'
//! by [`ProtocolConfig`](crate::central::ProtocolConfig).

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ledger::Durability;
use reactor::Network;
use runtime::logging::{Format, LevelFilter};
use runtime::settings::{DURATION_MAX, Names, Program, SIZE_MAX, Subcommand};
use wire::{Agency, DRAW_NAME_FORM, DrawName};

use crate::admin_address::{AdminAddress, is_host_name};
use crate::central::{AgencyAddresses, BadEntry};
use crate::commands;
use crate::ini;

/// Most agencies: a checkpoint with all of them must fit into a segment of the wal.
pub(crate) const AGENCIES_MAX: Agency = 10_000;

/// The smallest segment of a wal: has room for the largest checkpoint and the largest commit behind
/// it, which has a quarter of it and one request more.
pub(crate) const WAL_SEGMENT_MIN: u64 = 1 << 20;

/// Room for the smallest piece that winners are read in.
const WINNERS_BUDGET_MIN: u64 = 4 << 10;
const _: () = assert!(WINNERS_BUDGET_MIN >= crate::winners_scan::PIECE_MIN as u64);

/// Most bytes of anything that is held in memory. The kernel, which counts a socket's buffers in 32
/// bits and doubles them, takes as many.
const MEMORY_MAX: u64 = 1 << 30;

/// Sizes of what is held in memory.
const MEMORY: RangeInclusive<u64> = 1..=MEMORY_MAX;

/// Far more than any machine has of anything, and no sum of a few of them overflows.
const COUNT: RangeInclusive<u64> = 1..=1_000_000_000;

/// The least value that has room for any batch.
const ETCD_VALUE_MIN: u64 = 64 << 10;
const _: () = assert!(ETCD_VALUE_MIN >= crate::central::VALUE_MIN as u64);

/// With the account, and as base64, it stays below the 1.5 MiB that etcd takes in a request.
const ETCD_VALUE_MAX_MAX: u64 = 1 << 20;

/// Room for the largest value as base64, and for what no agency asks for.
const ETCD_REQUEST_BYTES_MIN: u64 = 2 << 20;

/// Members that may be named: etcd itself advises at most seven.
const ENDPOINTS_MAX: usize = 16;

/// Durations that are one.
const POSITIVE: RangeInclusive<Duration> = Duration::from_nanos(1)..=DURATION_MAX;

/// Longest silence after which Linux probes.
const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

/// Longer than any shutdown may take.
const SHUTDOWN_MAX: Duration = Duration::from_mins(1);

/// The subcommand that asks a running server.
pub const HEALTHCHECK: &str = "healthcheck";

/// The subcommand that writes the rows of the draw into a file.
pub const EXPORT: &str = "export";

/// The key of the draw's name.
pub const DRAW_KEY: &str = "SERVER_DRAW";

/// What the binary says of itself.
pub static PROGRAM: Program = Program {
    name: "server",
    version: env!("CARGO_PKG_VERSION"),
    about: "The lottery's central: takes bets, stores them durably, draws; echoes lines",
    file_name: "config.ini",
    prefixes: &["SERVER_", "LOGGING_"],
    table: TABLE,
    commands: &[
        Subcommand {
            name: HEALTHCHECK,
            about: "Ask the server that runs with this configuration for an echo, and end",
            operands: None,
            options: &[],
            commands: &[],
        },
        Subcommand {
            name: EXPORT,
            about: "Write the rows of the draw into FILE, as in bets.csv; - is standard output",
            operands: Some("FILE"),
            options: &[],
            commands: &[],
        },
        commands::LEDGER,
    ],
    read: ini::read,
};

/// What keeps the lottery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// Files of this machine.
    File,
    /// etcd, for several centrals.
    Etcd,
}

/// Whether connections use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// None may.
    Off,
    /// Each as it likes.
    Optional,
    /// All must.
    Required,
}

/// The name in the file is the one in the environment.
const fn names(key: &'static str, flag: &'static str) -> Names {
    Names::new(key, key, flag)
}

runtime::settings! {
    /// All settings of the server.
    pub static TABLE;

    "General" {
        PORT: u16 = names("SERVER_PORT", "port")
            .number(0..=65_535)
            .noun("a TCP port")
            .zero("any free one")
            .default("12345")
            .help("Port to listen at")
            .details("with 0 the log says which it is");
        LISTEN_BACKLOG: u32 = names("SERVER_LISTEN_BACKLOG", "listen-backlog")
            .number(1..=65_535)
            .default("1024")
            .help("Connections that wait to be accepted")
            .details("in the kernel")
            .limit(
                "further SYNs are dropped; clients retransmit after about 1 s",
                "5 is the original's, and in the shipped file; where hundreds connect at once, most wait for a retransmission with it",
            );
        LOGGING_LEVEL: LevelFilter = names("LOGGING_LEVEL", "logging-level")
            .level()
            .default("INFO")
            .help("Minimum log level")
            .details("WARN means WARNING, CRITICAL means ERROR, TRACE means DEBUG");
        LOGGING_FORMAT: Format = names("LOGGING_FORMAT", "logging-format")
            .parsed("text|json", "text or json", |text| text.parse().ok())
            .default("text")
            .help("Form of log lines")
            .details("`json`: one object a line, see [log lines as JSON](operations.md#log-lines-as-json)");
        IP: String = names("SERVER_IP", "ip")
            .text("NAME", "a name", |text| Some(text.to_owned()))
            .default("server")
            .help("Name of the server in the original's file")
            .details("doesn't choose the address");
        BIND: IpAddr = names("SERVER_BIND", "bind")
            .parsed("IP", "an IP address", |text| text.trim().parse().ok())
            .default("0.0.0.0")
            .help("Address to listen at");
        DRAW: Option<DrawName> = names(DRAW_KEY, "draw")
            .parsed("NAME", DRAW_NAME_FORM, draw_name)
            .hint(hint_of_draw_name)
            .default("")
            .help("Name of the draw")
            .details("agencies whose `CLI_DRAW` isn't the same are refused with error 22; the ledger keeps it for ever; with nothing, the unnamed draw");
        AGENCIES: Agency = names("SERVER_AGENCIES", "agencies")
            .number(0..=AGENCIES_MAX as u64)
            .default("5")
            .help("Agencies that the draw waits for, from number 1")
            .limit(
                "a higher number is refused with error 5; the draw waits for all of them; with 0 the central is an echo server",
                "their accounts stay in memory, and all must fit into one checkpoint",
            );
    }

    "Trust" {
        AGENCY_ADDRESSES: AgencyAddresses = names("SERVER_AGENCY_ADDRESSES", "agency-addresses")
            .parsed(
                "ENTRIES",
                "agencies and their networks, as 1=10.0.0.0/8,2=192.0.2.7,*=2001:db8::/64, or nothing",
                |text| text.parse().ok(),
            )
            .hint(hint_of_agency_addresses)
            .default("")
            .help("From where each agency may connect")
            .details("from another one it is refused with error 21; an agency may have several entries, `*` stands for the agencies without one; each agency needs an entry, or the server doesn't start; with nothing, from any address");
        PLAINTEXT_WARNING: bool = names("SERVER_PLAINTEXT_WARNING", "plaintext-warning")
            .boolean("true or false")
            .default("true")
            .help("Warn when any host may speak for an agency")
            .details("at the start: it listens beyond loopback, no certificates are required, and `SERVER_AGENCY_ADDRESSES` is empty");
    }

    "Monitoring" {
        ADMIN_ADDRESS: Option<AdminAddress> = names("SERVER_ADMIN_ADDRESS", "admin-address")
            .parsed("HOST:PORT", "HOST:PORT, as 127.0.0.1:8080, [::1]:8080 or localhost:8080, or off", admin_address)
            .default("off")
            .help("Where an operator looks: page, metrics, health")
            .details("by HTTP, without a password: every client that reaches it can look, and change nothing; a name is looked up at the start, and is one of `SERVER_ADMIN_HOSTS`; with port 0 the log says which it is; `server healthcheck` asks there");
        ADMIN_HOSTS: Vec<String> = names("SERVER_ADMIN_HOSTS", "admin-hosts")
            .parsed("NAMES", "host names, as loteria.example,monitor, or nothing", host_names)
            .default("")
            .help("Names that it may be called by")
            .details("beside addresses and `localhost`; requests to others are refused with 421: a page elsewhere could have a browser ask in its name");
        ADMIN_TLS: bool = names("SERVER_ADMIN_TLS", "admin-tls")
            .boolean("true or false")
            .default("false")
            .help("HTTPS instead of HTTP")
            .details("with the certificate of `SERVER_TLS_CERT`; no client certificate is asked for if `SERVER_TLS_ANONYMOUS_ECHO` is true");
        METRICS_AGENCIES: Agency = names("SERVER_METRICS_AGENCIES", "metrics-agencies")
            .number(0..=AGENCIES_MAX as u64)
            .default("100")
            .help("Agencies with metrics of their own")
            .limit(
                "agencies with higher numbers are in the sums, and in `/status.json`",
                "each has four series, which Prometheus keeps for every scrape",
            );
        ADMIN_CONNECTIONS: usize = names("SERVER_ADMIN_CONNECTIONS", "admin-connections")
            .number(1..=10_000)
            .default("256")
            .help("Connections of the admin listener")
            .details("apart from `SERVER_MAX_CONNECTIONS`; of one address at most half of them; the last 8, or a quarter, are for `server healthcheck` and agencies' addresses")
            .limit(
                "for each new one the one silent longest is closed, if it has been so for a second and has no stream",
                "memory and descriptors",
            );
        ADMIN_STREAMS: usize = names("SERVER_ADMIN_STREAMS", "admin-streams")
            .number(0..=10_000)
            .default("128")
            .help("Pages that are kept up to date")
            .details("less than `SERVER_ADMIN_CONNECTIONS`; at most half of it unless set")
            .limit(
                "a further one is refused with 503, and tries again",
                "each is sent what changes, four times a second",
            );
        ADMIN_MAX_HEAD_SIZE: usize = names("SERVER_ADMIN_MAX_HEAD_SIZE", "admin-max-head-size")
            .size(1 << 10..=64 << 10)
            .default("16KiB")
            .help("Head of a request")
            .limit("refused with 431", "memory of each connection");
        ADMIN_HEAD_TIMEOUT: Duration = names("SERVER_ADMIN_HEAD_TIMEOUT", "admin-head-timeout")
            .duration(POSITIVE)
            .default("10s")
            .help("For the rest of a request that has begun")
            .limit("refused with 408", "slow heads hold connections");
        ADMIN_IDLE_TIMEOUT: Duration = names("SERVER_ADMIN_IDLE_TIMEOUT", "admin-idle-timeout")
            .duration(POSITIVE)
            .default("60s")
            .help("For the next request of a connection")
            .limit("the connection is closed", "unused connections");
    }

    "Storage" {
        STORAGE_PATH: PathBuf = names("SERVER_STORAGE_PATH", "storage-path")
            .text("PATH", "the path of a file", file)
            .default("./bets.csv")
            .help("The ledger, a regular file")
            .details("its WAL is beside it, as `bets.csv.wal`; `{draw}` in it stands for the draw's name");
        SYNC: Durability = names("SERVER_SYNC", "sync")
            .parsed("always|never", "always or never", parse_durability)
            .default("always")
            .help("Whether confirmed bets survive a power loss")
            .details("`always`: no confirmation before the WAL is synced; `never`: for throw-away runs");
        WAL_SEGMENT_SIZE: usize = names("SERVER_WAL_SEGMENT_SIZE", "wal-segment-size")
            .size(WAL_SEGMENT_MIN..=MEMORY_MAX)
            .default("8MiB")
            .formerly(names("SERVER_LOG_SIZE", "log-size"))
            .help("Size of each of a new WAL's two segments")
            .limit(
                "a checkpoint begins the other segment",
                "bounds the WAL on disk, and what a start takes of memory, up to twice as much",
            );
        GROUP_COMMIT_BYTES: usize = names("SERVER_GROUP_COMMIT_BYTES", "group-commit-bytes")
            .size(MEMORY)
            .default("512KiB")
            .formerly(names("SERVER_COMMIT_MAX", "commit-max"))
            .help("Staged bytes written before the turn ends")
            .details("at most a quarter of a segment, which is the default of a small one")
            .limit(
                "what is staged is written into the WAL in the middle of the turn",
                "the disk begins while the turn goes on; more falls out of the processor's cache",
            );
        MAX_LEDGER_SIZE: u64 = names("SERVER_MAX_LEDGER_SIZE", "max-ledger-size")
            .size(1..=SIZE_MAX)
            .default("64GiB")
            .help("Ledger size above which no bet is taken")
            .limit(
                "bets are answered with UNAVAILABLE, ends and the draw go on; a larger ledger still starts",
                "an agency may send for ever; raising it needs no other change",
            );
        MIN_FREE_BYTES: u64 = names("SERVER_MIN_FREE_BYTES", "min-free-bytes")
            .size(0..=SIZE_MAX)
            .zero("none")
            .default("64MiB")
            .help("Bytes kept free on the ledger's file system")
            .limit(
                "bets are answered with UNAVAILABLE, ends and the draw go on; a new WAL isn't made",
                "a full file system harms more than the central; checked with each MiB and after a failure",
            );
        COMMIT_RETRY_DELAY: Duration = names("SERVER_COMMIT_RETRY_DELAY", "commit-retry-delay")
            .duration(POSITIVE)
            .default("100ms")
            .help("Pause after a failed commit")
            .limit(
                "a commit is tried again; until then bets are answered with UNAVAILABLE, and the disk isn't asked",
                "a full disk costs no more than the responses; doubled with each failure in a row, up to 5 s",
            );
    }

    "Echo" {
        ECHO_KEEP_ALIVE: bool = names("SERVER_ECHO_KEEP_ALIVE", "echo-keep-alive")
            .boolean("true or false")
            .default("false")
            .help("Whether a connection may send many lines")
            .details("also `yes` or `no`, `on` or `off`, `1` or `0`");
        MAX_LINE_SIZE: usize = names("SERVER_MAX_LINE_SIZE", "max-line-size")
            .size(MEMORY)
            .default("64KiB")
            .formerly(names("SERVER_MAX_LINE", "max-line"))
            .help("Longest line")
            .limit(
                "an error line, then the connection is closed",
                "a line without end would fill the memory",
            );
    }

    "Several centrals" {
        STORE: StoreKind = names("SERVER_STORE", "store")
            .parsed("file|etcd", "file or etcd", parse_store)
            .default("file")
            .help("What keeps the lottery")
            .details("`etcd`: see [several centrals](cluster.md); `SERVER_DRAW` is needed then, and nothing of Storage is used but `SERVER_COMMIT_RETRY_DELAY`");
        ETCD_ENDPOINTS: Vec<String> = names("SERVER_ETCD_ENDPOINTS", "etcd-endpoints")
            .parsed("HOST:PORT,...", "up to 16 HOST:PORT, with commas between them", endpoints)
            .unset("needed with etcd")
            .help("etcd's members")
            .details("their client ports; names are resolved once, at the start, and one that has no address then is left out");
        ETCD_CA: PathBuf = names("SERVER_ETCD_CA", "etcd-ca")
            .text("PATH", "the path of a file", file)
            .unset("no TLS")
            .help("Who issues the certificates of etcd's members")
            .details("PEM; with it, members are spoken to over TLS");
        ETCD_CERT: PathBuf = names("SERVER_ETCD_CERT", "etcd-cert")
            .text("PATH", "the path of a file", file)
            .unset("none")
            .help("The central's certificate for etcd");
        ETCD_KEY: PathBuf = names("SERVER_ETCD_KEY", "etcd-key")
            .text("PATH", "the path of a file", file)
            .unset("needed with etcd-cert")
            .help("Its private key");
        ETCD_USER: String = names("SERVER_ETCD_USER", "etcd-user")
            .text("NAME", "a name", |text| Some(text.to_owned()))
            .unset("none")
            .help("The central's user in etcd");
        ETCD_PASSWORD_FILE: PathBuf = names("SERVER_ETCD_PASSWORD_FILE", "etcd-password-file")
            .text("PATH", "the path of a file", file)
            .unset("needed with etcd-user")
            .help("File with its password")
            .details("its first line; only its owner may be able to read it; read at the start");
        ETCD_REQUEST_TIMEOUT: Duration =
            names("SERVER_ETCD_REQUEST_TIMEOUT", "etcd-request-timeout")
                .duration(POSITIVE)
                .default("250ms")
                .help("For an answer of etcd")
                .limit(
                    "the same request is sent to the next member",
                    "for members with an election timeout of 300 ms; 500 ms with etcd's defaults",
                );
        ETCD_CONNECT_TIMEOUT: Duration =
            names("SERVER_ETCD_CONNECT_TIMEOUT", "etcd-connect-timeout")
                .duration(POSITIVE)
                .default("250ms")
                .help("For a connection to a member")
                .limit("the next member is asked", "one that is cut off doesn't answer at all");
        ETCD_PATIENCE: Duration = names("SERVER_ETCD_PATIENCE", "etcd-patience")
            .duration(POSITIVE)
            .default("3s")
            .help("How long an agency waits for etcd")
            .limit(
                "the agency is refused with error 23, and asks another central",
                "longer than an election; a central that is cut off keeps none waiting",
            );
        ETCD_VALUE_MAX: usize = names("SERVER_ETCD_VALUE_MAX", "etcd-value-max")
            .size(ETCD_VALUE_MIN..=ETCD_VALUE_MAX_MAX)
            .default("128KiB")
            .help("Bytes of rows in one transaction")
            .limit(
                "what comes beyond it waits for the next transaction of its agency",
                "larger ones carry more bets a second, and take longer each; etcd takes 1.5 MiB in all",
            );
        ETCD_MAX_REQUESTS: usize = names("SERVER_ETCD_MAX_REQUESTS", "etcd-max-requests")
            .number(8..=4096)
            .default("64")
            .help("Requests to etcd under way")
            .limit("agencies wait for each other", "etcd gets slower with more of them");
        ETCD_MAX_REQUEST_BYTES: usize =
            names("SERVER_ETCD_MAX_REQUEST_BYTES", "etcd-max-request-bytes")
                .size(ETCD_REQUEST_BYTES_MIN..=MEMORY_MAX)
                .default("3MiB")
                .help("Bytes of requests to etcd under way")
                .limit(
                    "agencies wait for each other; no agency is read when four times as much waits to be sent",
                    "bounds memory, and how far etcd falls behind",
                );
    }

    "TLS" {
        TLS: TlsMode = names("SERVER_TLS", "tls")
            .parsed("off|optional|required", "off, optional or required", parse_tls_mode)
            .default("off")
            .help("Whether connections use TLS 1.3")
            .details("`optional`: as each likes; `required`: without, only the health check is served");
        TLS_CERT: PathBuf = names("SERVER_TLS_CERT", "tls-cert")
            .text("PATH", "the path of a file", file)
            .unset("needed with TLS")
            .help("The server's certificate")
            .details("PEM; behind it those of the authorities between it and its root");
        TLS_KEY: PathBuf = names("SERVER_TLS_KEY", "tls-key")
            .text("PATH", "the path of a file", file)
            .unset("needed with TLS")
            .help("Its private key")
            .details("PEM: PKCS #8, PKCS #1 or SEC 1, without passphrase; may be in the certificate's file");
        TLS_CLIENT_CA: PathBuf = names("SERVER_TLS_CLIENT_CA", "tls-client-ca")
            .text("PATH", "the path of a file", file)
            .unset("needed with TLS")
            .help("Who issues agencies' certificates")
            .details("PEM: the certificates of one authority or more");
        TLS_CRL: PathBuf = names("SERVER_TLS_CRL", "tls-crl")
            .text("PATH", "the path of a file", file)
            .unset("none")
            .help("Their revocation lists")
            .details("PEM, one of each authority, also of those between; without it no revocation is noticed");
        TLS_TRUST_DOMAIN: String = names("SERVER_TLS_TRUST_DOMAIN", "tls-trust-domain")
            .parsed(
                "NAME",
                "a trust domain of a-z, 0-9, dots, dashes and underscores, as loteria",
                trust_domain,
            )
            .default("loteria")
            .help("The agencies' trust domain")
            .details("agency 7 is `spiffe://loteria/agencia/7`");
        TLS_ANONYMOUS_ECHO: bool = names("SERVER_TLS_ANONYMOUS_ECHO", "tls-anonymous-echo")
            .boolean("true or false")
            .default("true")
            .help("Echo without a client certificate");
        TLS_ALLOW_OPEN_KEY: bool = names("SERVER_TLS_ALLOW_OPEN_KEY", "tls-allow-open-key")
            .boolean("true or false")
            .default("false")
            .help("Take a key that others can read")
            .details(
                "or write, others than its owner; the password file for etcd too; for secrets that are \
                 mounted with fixed permissions",
            );
        TLS_ALLOW_EXPIRED_CRL: bool = names("SERVER_TLS_ALLOW_EXPIRED_CRL", "tls-allow-expired-crl")
            .boolean("true or false")
            .default("false")
            .help("Take expired revocation lists")
            .details("otherwise no agency gets in until there are new ones, and the server doesn't start");
        TLS_HANDSHAKE_TIMEOUT: Option<Duration> =
            names("SERVER_TLS_HANDSHAKE_TIMEOUT", "tls-handshake-timeout")
                .duration_or_none("no limit")
                .default("10s")
                .help("For a TLS handshake")
                .limit("the connection is closed", "half a handshake holds memory");
        MAX_HANDSHAKES: usize = names("SERVER_MAX_HANDSHAKES", "max-handshakes")
            .number(COUNT)
            .default("1024")
            .help("TLS handshakes at the same time")
            .limit(
                "the one that began first is closed for each new one",
                "handshakes that are begun and left don't hold slots and memory until their timeout",
            );
        HANDSHAKE_BUDGET: usize = names("SERVER_HANDSHAKE_BUDGET", "handshake-budget")
            .number(COUNT)
            .default("4")
            .help("Handshakes served in a turn")
            .limit(
                "the others are served in the next turn",
                "a handshake costs as much as hundreds of requests: many of them don't starve agencies",
            );
    }

    "Limits on connections" {
        MAX_CONNECTIONS: usize = names("SERVER_MAX_CONNECTIONS", "max-connections")
            .number(COUNT)
            .default("10000")
            .help("Open connections")
            .limit(
                "for each new connection the one silent longest is closed, never an agency's; if there is none, accepting pauses",
                "memory and descriptors; lowered to what RLIMIT_NOFILE allows, less 32 for everything else",
            );
        RESERVED_CONNECTIONS: usize = names("SERVER_RESERVED_CONNECTIONS", "reserved-connections")
            .number(0..=*COUNT.end())
            .default("64")
            .help("Of these, for known addresses")
            .details("exempt ones, and those that agencies connected from; at most a quarter of all")
            .limit(
                "any other address gets the slot of an evicted connection, or is closed at once",
                "the health check and known agencies get in however many others there are",
            );
        EVICTION_DELAY: Duration = names("SERVER_EVICTION_DELAY", "eviction-delay")
            .duration(Duration::ZERO..=DURATION_MAX)
            .zero("never")
            .default("1s")
            .help("Silence before eviction")
            .limit(
                "at the limit of connections, one that has been silent for longer is closed for each new one",
                "silent peers don't lock others out; every new peer has this long to speak",
            );
        MAX_CONNECTIONS_PER_ADDRESS: usize =
            names("SERVER_MAX_CONNECTIONS_PER_ADDRESS", "max-connections-per-address")
                .number(COUNT)
                .default("1000")
                .help("Open connections of one address")
                .limit(
                    "further connections of this address are closed at once",
                    "one address doesn't take all slots; an IPv6 host has a whole /64, which counts as one",
                );
        MAX_CONNECTS_PER_ADDRESS: u32 =
            names("SERVER_MAX_CONNECTS_PER_ADDRESS", "max-connects-per-address")
                .number(COUNT)
                .default("500")
                .help("Connects of one address in 1s")
                .limit(
                    "further connections of this address are closed until the second is over",
                    "opening and dropping connections doesn't keep the loop from serving",
                );
        UNLIMITED_ADDRESSES: Vec<Network> = names("SERVER_UNLIMITED_ADDRESSES", "unlimited-addresses")
            .parsed("NETWORKS", "networks, as 10.0.0.0/8,2001:db8::1, or nothing", networks)
            .default("127.0.0.0/8,::1/128")
            .help("Exempt networks")
            .details("their addresses have no limits of their own; those that many agencies share an address of (NAT) belong here");
        TCP_KEEPALIVE: Duration = names("SERVER_TCP_KEEPALIVE", "tcp-keepalive")
            .duration(Duration::ZERO..=KEEPALIVE_MAX)
            .whole_seconds()
            .zero("never")
            .default("60s")
            .formerly(names("SERVER_KEEPALIVE", "keepalive"))
            .help("Silence before TCP probes")
            .limit(
                "TCP probes three times, ten seconds apart, then the connection fails",
                "nothing else distinguishes a dead peer from an agency that waits",
            );
        ACCEPT_RETRY_DELAY: Duration = names("SERVER_ACCEPT_RETRY_DELAY", "accept-retry-delay")
            .duration(POSITIVE)
            .default("100ms")
            .formerly(names("SERVER_ACCEPT_PAUSE", "accept-pause"))
            .help("Pause when descriptors run out")
            .limit(
                "accepting is tried again",
                "after EMFILE the kernel doesn't say when descriptors are free again",
            );
    }

    "Limits on memory and on a turn of the loop" {
        ACCEPT_BUDGET: usize = names("SERVER_ACCEPT_BUDGET", "accept-budget")
            .number(COUNT)
            .default("64")
            .formerly(names("SERVER_ACCEPTS_PER_TURN", "accepts-per-turn"))
            .help("Connections accepted in a turn")
            .limit(
                "the rest is accepted in the next turn",
                "a storm of connects doesn't starve open connections",
            );
        READ_BUDGET: usize = names("SERVER_READ_BUDGET", "read-budget")
            .size(MEMORY)
            .default("64KiB")
            .formerly(names("SERVER_READ_PER_TURN", "read-per-turn"))
            .help("Bytes read from one connection in a turn")
            .limit(
                "the rest is read in the next turn",
                "a fast peer doesn't starve the others; bounds what a turn stages",
            );
        TURN_BUDGET: usize = names("SERVER_TURN_BUDGET", "turn-budget")
            .size(MEMORY)
            .default("4MiB")
            .formerly(names("SERVER_TURN_BYTES", "turn-bytes"))
            .help("Bytes read from and queued for all in a turn")
            .limit(
                "the other connections are served in the next turn, before those that were",
                "bounds how long a turn takes; so do 1 MiB of log lines, after which it serves no other connection",
            );
        WINNERS_BUDGET: usize = names("SERVER_WINNERS_BUDGET", "winners-budget")
            .size(WINNERS_BUDGET_MIN..=MEMORY_MAX)
            .default("256KiB")
            .help("Bytes of ledger read for winners in a turn")
            .limit(
                "the rest is read in the next turn",
                "winners are read from the ledger for all agencies that ask at once, and no other connection waits for that",
            );
        MAX_BUFFERED_BYTES: usize = names("SERVER_MAX_BUFFERED_BYTES", "max-buffered-bytes")
            .size(1 << 20..=MEMORY_MAX)
            .default("256MiB")
            .help("Input and output held for all connections")
            .details("a connection with TLS counts at least 16 KiB: ten thousand are 157 MiB of it")
            .limit(
                "nothing more is read in this turn; then the connections that hold the most are closed, until seven eighths are held; output that its peer is taking counts a fourth",
                "a thousand peers that each stay within their limits are too much together",
            );
        SOCKET_BUFFER_SIZE: usize = names("SERVER_SOCKET_BUFFER_SIZE", "socket-buffer-size")
            .size(0..=MEMORY_MAX)
            .zero("the kernel's own")
            .default("256KiB")
            .help("Kernel buffer of a connection, each way")
            .details("the kernel doubles the number")
            .limit(
                "the peer's TCP waits, or the server's output does",
                "bounds the kernel's share: twice this in each direction, at most twice `net.core.rmem_max` and `net.core.wmem_max`; all sockets together, `net.ipv4.tcp_mem`",
            );
        WRITE_BUFFER_HIGH: usize = names("SERVER_WRITE_BUFFER_HIGH", "write-buffer-high")
            .size(MEMORY)
            .default("256KiB")
            .formerly(names("SERVER_HIGH_WATER", "high-water"))
            .help("Unsent output above which reading pauses")
            .limit(
                "the peer isn't read, and isn't sent winners",
                "a peer that asks and doesn't read the responses costs this much and no more",
            );
        WRITE_BUFFER_LOW: usize = names("SERVER_WRITE_BUFFER_LOW", "write-buffer-low")
            .size(MEMORY)
            .default("64KiB")
            .formerly(names("SERVER_LOW_WATER", "low-water"))
            .help("Unsent output below which reading resumes")
            .limit(
                "a peer whose reading has paused is read again below it",
                "well below the high one, so that reading doesn't stop and go at every packet",
            );
        MAX_PENDING_REPLIES: usize = names("SERVER_MAX_PENDING_REPLIES", "max-pending-replies")
            .number(COUNT)
            .default("65536")
            .help("Replies that wait for the disk")
            .limit(
                "agencies aren't read until the disk has caught up",
                "a slow disk makes replies wait, and each holds memory",
            );
    }

    "Timeouts" {
        FIRST_BYTE_TIMEOUT: Option<Duration> =
            names("SERVER_FIRST_BYTE_TIMEOUT", "first-byte-timeout")
                .duration_or_none("no limit")
                .default("60s")
                .help("Silence of a new connection")
                .limit(
                    "the connection is closed",
                    "a connection that never speaks holds a slot",
                );
        FRAME_TIMEOUT: Option<Duration> = names("SERVER_FRAME_TIMEOUT", "frame-timeout")
            .duration_or_none("no limit")
            .default("30s")
            .help("From first to last byte of a frame or line")
            .limit(
                "error 15 or an error line, then the connection is closed",
                "half a frame, or a byte a minute, holds memory",
            );
        IDLE_TIMEOUT: Option<Duration> = names("SERVER_IDLE_TIMEOUT", "idle-timeout")
            .duration_or_none("no limit")
            .default("5m")
            .help("Silence after the first line")
            .limit(
                "the connection is closed; an agency may wait for the draw for ever",
                "an echo connection that was forgotten holds a slot",
            );
        WRITE_TIMEOUT: Duration = names("SERVER_WRITE_TIMEOUT", "write-timeout")
            .duration(POSITIVE)
            .default("30s")
            .formerly(names("SERVER_WRITE_STALL", "write-stall"))
            .help("For a peer to take any of its output")
            .limit("the connection is closed", "output that isn't read holds memory");
        LINGER_TIMEOUT: Duration = names("SERVER_LINGER_TIMEOUT", "linger-timeout")
            .duration(POSITIVE)
            .default("1s")
            .formerly(names("SERVER_LINGER", "linger"))
            .help("For a closed connection's input to end")
            .limit(
                "what the peer still sends is dropped with the connection",
                "closing with unread input would reset the connection and lose the last response",
            );
        SHUTDOWN_TIMEOUT: Duration = names("SERVER_SHUTDOWN_TIMEOUT", "shutdown-timeout")
            .duration(Duration::from_nanos(1)..=SHUTDOWN_MAX)
            .default("500ms")
            .formerly(names("SERVER_DRAIN", "drain"))
            .help("For all connections to end at shutdown")
            .limit(
                "connections that haven't ended are dropped",
                "a shutdown ends within the second that `docker stop -t 1` gives",
            );
    }

    "Log" {
        REFUSAL_LOG_INTERVAL: Duration = names("SERVER_REFUSAL_LOG_INTERVAL", "refusal-log-interval")
            .duration(POSITIVE)
            .default("10s")
            .formerly(names("SERVER_REPORT_PERIOD", "report-period"))
            .help("Between two counts of lines not logged")
            .limit(
                "what was refused meanwhile is logged as a count",
                "ten thousand hostile peers are a line, not ten thousand",
            );
        WAITING_LOG_INTERVAL: Option<Duration> =
            names("SERVER_WAITING_LOG_INTERVAL", "waiting-log-interval")
                .duration_or_none("never")
                .default("1m")
                .formerly(names("SERVER_WAITING_REPORT_PERIOD", "waiting-report-period"))
                .help("Between two lists of missing agencies")
                .limit(
                    "the agencies that the draw waits for are logged again",
                    "a lottery that waits says so, no more often than a person reads",
                );
        MAX_LOG_LINES: u64 = names("SERVER_MAX_LOG_LINES", "max-log-lines")
            .number(COUNT)
            .default("500000")
            .help("Lines of a kind per interval")
            .limit(
                "a warning; more lines of this kind are counted, and the counts logged as for refusals",
                "peers can't fill the log; five agencies with 100,000 batches each are logged to the line",
            );
        LOG_INTERVAL: Duration = names("SERVER_LOG_INTERVAL", "log-interval")
            .duration(POSITIVE)
            .default("10m")
            .help("The interval of max-log-lines")
            .limit(
                "as many lines of each kind are logged again",
                "bounds the lines of a kind in a day: 72 million",
            );
    }
}

/// A path that can be that of a file: it doesn't end as those of folders do.
fn file(path: &str) -> Option<PathBuf> {
    let last = path.rsplit('/').next().unwrap_or_default();
    (!matches!(last, "" | "." | "..")).then(|| path.into())
}

#[expect(clippy::option_option, reason = "an address, `off`, or neither")]
fn admin_address(text: &str) -> Option<Option<AdminAddress>> {
    match text.trim() {
        "off" => Some(None),
        text => AdminAddress::parse(text).map(Some),
    }
}

fn host_names(text: &str) -> Option<Vec<String>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| is_host_name(name).then(|| name.to_ascii_lowercase())).collect()
}

fn parse_store(text: &str) -> Option<StoreKind> {
    match text.trim() {
        "file" => Some(StoreKind::File),
        "etcd" => Some(StoreKind::Etcd),
        _ => None,
    }
}

/// Members with commas between them, each once.
fn endpoints(text: &str) -> Option<Vec<String>> {
    let mut members: Vec<String> = Vec::new();
    for member in text.split(',').map(str::trim) {
        let (host, port) = member.rsplit_once(':')?;
        let is_member = !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0);
        if !is_member || members.iter().any(|known| known == member) {
            return None;
        }
        members.push(member.to_owned());
    }
    (members.len() <= ENDPOINTS_MAX).then_some(members)
}

fn parse_tls_mode(text: &str) -> Option<TlsMode> {
    match text.trim() {
        "off" => Some(TlsMode::Off),
        "optional" => Some(TlsMode::Optional),
        "required" => Some(TlsMode::Required),
        _ => None,
    }
}

/// Longest trust domain of SPIFFE, in bytes.
const TRUST_DOMAIN_MAX: usize = 255;

/// A trust domain by the rules of the SPIFFE ID specification, section 2.1.
fn trust_domain(text: &str) -> Option<String> {
    let text = text.trim();
    let is_of_domain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let fits = (1..=TRUST_DOMAIN_MAX).contains(&text.len());
    (fits && text.bytes().all(is_of_domain)).then(|| text.to_owned())
}

/// Networks with commas between them; an empty text has none.
fn networks(text: &str) -> Option<Vec<Network>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}

/// Which entry is wrong.
fn hint_of_agency_addresses(text: &str) -> String {
    let entries: Result<AgencyAddresses, BadEntry> = text.parse();
    entries.map_or_else(|error| error.to_string(), |_| String::new())
}

#[expect(clippy::option_option, reason = "a name, none, or neither")]
fn draw_name(text: &str) -> Option<Option<DrawName>> {
    DrawName::parse_optional(text).ok()
}

/// What is wrong with the name.
fn hint_of_draw_name(text: &str) -> String {
    DrawName::parse_optional(text).map_or_else(|error| error.to_string(), |_| String::new())
}

fn parse_durability(text: &str) -> Option<Durability> {
    match text.trim() {
        "always" => Some(Durability::Synced),
        "never" => Some(Durability::NotSynced),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
