//! What the admin listener's connections may cost.

use std::time::Duration;

/// Limits of the admin listener that are settings. Those that aren't: [`RESPONSES_MAX`],
/// [`OUTPUT_MAX`], [`REQUESTS_MAX`], and what [`http1`] bounds in a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminLimits {
    /// Connections at a time, streams of events among them; 256 by default. For a further
    /// one the one that has been silent longest is closed, never a stream.
    pub connections: usize,
    /// Streams of events at a time; 128 by default. A further one is refused with 503.
    pub streams: usize,
    /// Bytes of a request's head; 16 KiB by default. A longer one is refused with 431, or with 414 when
    /// its first line alone is too long.
    pub max_head_bytes: usize,
    /// From the first byte of a request until its head is whole; 10 s by default. Then it is refused
    /// with 408.
    pub request_timeout: Duration,
    /// From when it is accepted, or has its response, until its next request begins; 60 s by default.
    /// Then the connection closes.
    pub idle_timeout: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            streams: 128,
            max_head_bytes: 16 * 1024,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
        }
    }
}

/// Responses to pipelined requests that are written at once; further ones once these have left.
pub const RESPONSES_MAX: usize = 16;

/// Bytes of bodies from which on no further response is made at once. One response may be longer: it is
/// written whole.
pub const OUTPUT_MAX: usize = 256 * 1024;

/// Requests that a connection may make: the response to the last one closes it, so that no client
/// holds a connection for ever.
pub const REQUESTS_MAX: u16 = 1000;
