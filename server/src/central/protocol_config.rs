//! What can be set of both protocols.

use std::time::Duration;

use super::agency_addresses::AgencyAddresses;

/// What can be set of both protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolConfig {
    /// Whether an echo connection may send another line after the first.
    pub echo_keep_alive: bool,
    /// Most bytes of an echo line, its newline not counted.
    pub max_line_size: usize,
    /// How long a connection may be silent at first; `None` for ever.
    pub first_byte_timeout: Option<Duration>,
    /// How long TLS's handshake may take; `None` for ever.
    pub handshake_timeout: Option<Duration>,
    /// How long a line or frame may take from its first byte to its last; `None` for ever.
    pub frame_timeout: Option<Duration>,
    /// How long a connection that isn't an agency's may be silent later; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// From where each agency may connect.
    pub agency_addresses: AgencyAddresses,
    /// Bytes staged, rows and entries, after which they are committed without waiting for the end of
    /// the turn, to be synced there.
    pub group_commit_bytes: usize,
    /// Replies waiting for the storage above which no further request is taken.
    pub max_pending_replies: usize,
    /// How long nothing more of a kind is tried after the first commit that had no effect; twice as
    /// long after the next, up to some seconds.
    pub commit_retry_delay: Duration,
    /// Output waiting for one peer above which no more winners are written for it.
    pub write_buffer_high: usize,
    /// Bytes of the ledger read in one turn for all connections that are owed winners.
    pub winners_budget: usize,
    /// How long refusals of a kind are only counted after one was logged.
    pub refusal_log_interval: Duration,
    /// How long after a line of what the draw waits for it is logged again; `None` for never.
    pub waiting_log_interval: Option<Duration>,
    /// Lines of each other kind that are logged in an interval; more are counted.
    pub max_log_lines: u64,
    /// How long that interval is.
    pub log_interval: Duration,
}
