//! Every limit of the loop, with its reason and what happens when it is reached.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::addresses::Network;

/// Least memory for all buffers together: room for what one connection is served with.
const BUFFERED_MIN: usize = 64 * 1024;

/// Descriptors reserved for what isn't a connection: standard streams, poll, signals, listener, the
/// files of the handler; and for connections that are evicted, until the end of the turn.
const RESERVED_DESCRIPTORS: u64 = 32;

/// Most connections of a listener that are evicted in one turn. They keep their descriptors until its
/// end, beside those that take their place: descriptors for both are reserved.
pub(crate) const EVICTION_BUDGET: usize = 16;

/// Descriptors reserved for each further listener beside its connections: its socket, and its
/// connections that are evicted, until the end of the turn.
const RESERVED_PER_LISTENER: usize = 1 + EVICTION_BUDGET;

/// What one process, one peer and one turn may cost.
///
/// Numbers, budgets and memory of all connections together are those of the main listener's; a further
/// listener has [`ListenerLimits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. At the limit, each new one evicts the one that has been silent
    /// longest, see [`eviction_delay`](Self::eviction_delay); if none is evictable, accepting pauses
    /// and new peers wait in the kernel's backlog.
    pub max_connections: usize,
    /// Of these, the last ones, which are kept for trusted addresses: those in
    /// [`unlimited_addresses`](Self::unlimited_addresses), and those for which
    /// [`Handler::is_trusted`](crate::Handler::is_trusted) is true. At most a quarter.
    pub reserved_connections: usize,
    /// Connections of one address (of IPv6: of one /64) at the same time.
    pub max_connections_per_address: usize,
    /// Connections that one address may make in a second, at least one.
    pub max_connects_per_address: u32,
    /// Networks whose addresses have no limits of their own.
    pub unlimited_addresses: Vec<Network>,
    /// Silence after which a connection is evictable; zero for never. However many connect, each new
    /// peer has this long to send something.
    pub eviction_delay: Duration,
    /// Connections accepted in one turn, at least one. Keeps a storm of connects from starving the
    /// connections that are open.
    pub accept_budget: usize,
    /// Bytes read from one connection in one turn, at least one. Also the size of the shared read
    /// buffer, less [`max_unconsumed`](Self::max_unconsumed).
    pub read_budget: usize,
    /// Bytes read from all connections and queued for them while they are served in one turn, at
    /// least one; the connections that are left come first in the next turn. Input that was kept
    /// counts again when it is delivered again. Bounds how long a turn takes.
    pub turn_budget: usize,
    /// Connections served in one turn while the handshake of their [layer](crate::Layer) isn't complete,
    /// at least one; the others come in later turns. A handshake costs as much as the requests of
    /// hundreds of peers.
    pub handshake_budget: usize,
    /// Handshakes of layers at the same time that aren't complete, at least one. Above it the one that
    /// began first is closed.
    pub max_handshakes: usize,
    /// Bytes of memory in the buffers of all connections together, at least 64 KiB. When it is
    /// reached, nothing more is read in this turn. When fifteen sixteenths of it are still held after
    /// the flush, the connections that hold the most are closed until seven eighths are held; output of
    /// which the peer has taken some in the last 100 ms counts a fourth. What a handler queues at once for one connection may exceed it for a moment.
    pub max_buffered_bytes: usize,
    /// Bytes of input that a connection may leave unconsumed: the largest frame or line. More
    /// closes it.
    pub max_unconsumed: usize,
    /// Queued bytes, which neither the socket nor a layer has taken, above which a connection isn't read.
    pub write_buffer_high: usize,
    /// Queued bytes below which it is read again.
    pub write_buffer_low: usize,
    /// A connection whose socket takes nothing for this long, while output waits, is closed.
    pub write_timeout: Duration,
    /// How long a connection that was closed in order may go on sending before it is dropped.
    pub linger_timeout: Duration,
    /// How long the shutdown may take, with all connections together.
    pub shutdown_timeout: Duration,
    /// Silence after which TCP probes whether the peer still exists; zero for never. Nothing else
    /// distinguishes a half-open connection from one that waits for long. The kernel counts in whole
    /// seconds, from one to 32,767; a value outside is taken as the nearest.
    pub tcp_keepalive: Duration,
    /// Bytes that the kernel may hold of an accepted connection in each direction; zero leaves it to
    /// the kernel, which then lets a connection have several MiB. The kernel doubles the number for
    /// its own overhead, and takes no more than `net.core.rmem_max` and `net.core.wmem_max`.
    pub socket_buffer_size: usize,
    /// How long accepting pauses when descriptors have run out, unless a connection is closed before.
    pub accept_retry_delay: Duration,
}

/// Limits of a further listener. They are apart from those of the main one: its connections don't count
/// towards [`Limits::max_connections`], [`Limits::turn_budget`] and [`Limits::max_buffered_bytes`], nor
/// towards what an address may have there. What a single connection may cost is the same as
/// everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at the same time, at least one. At the limit, each new one evicts the one of this
    /// listener that has been silent longest; if none is evictable, accepting at this listener pauses.
    /// At most a quarter of the connections that the process's limit of descriptors allows.
    pub max_connections: usize,
    /// Of these, the last ones, which are kept for peers for which
    /// [`Handler::is_trusted`](crate::Handler::is_trusted) is true. At most a quarter.
    pub reserved_connections: usize,
    /// Connections of one address (of IPv6: of one /64) at the same time.
    pub max_connections_per_address: usize,
    /// Silence after which a connection is evictable; zero for never.
    pub eviction_delay: Duration,
    /// Bytes read from its connections and queued for them while they are served in one turn, at least
    /// one. They are served before those of the main listener, whatever these may still read; so this
    /// bounds how long they keep the others waiting.
    pub turn_budget: usize,
    /// Bytes of memory in the buffers of its connections together, at least 64 KiB, as
    /// [`Limits::max_buffered_bytes`].
    pub max_buffered_bytes: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            reserved_connections: 0,
            max_connections_per_address: usize::MAX,
            eviction_delay: Duration::from_secs(1),
            turn_budget: 256 * 1024,
            max_buffered_bytes: 64 * 1024 * 1024,
        }
    }
}

impl ListenerLimits {
    /// The limits that a loop can keep which has room for `allowed` connections.
    pub(crate) fn effective(mut self, allowed: usize) -> Self {
        self.max_connections = self.max_connections.min(allowed / 4).max(1);
        self.reserved_connections = self.reserved_connections.min(self.max_connections / 4);
        self.turn_budget = self.turn_budget.max(1);
        self.max_buffered_bytes = self.max_buffered_bytes.max(BUFFERED_MIN);
        self
    }

    /// Descriptors that are reserved for this listener.
    pub(crate) fn descriptors(&self) -> usize {
        self.max_connections.saturating_add(RESERVED_PER_LISTENER)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            reserved_connections: 0,
            max_connections_per_address: usize::MAX,
            max_connects_per_address: u32::MAX,
            unlimited_addresses: Vec::new(),
            eviction_delay: Duration::ZERO,
            accept_budget: 64,
            read_budget: 64 * 1024,
            turn_budget: 4 * 1024 * 1024,
            handshake_budget: 4,
            max_handshakes: 1024,
            max_buffered_bytes: 256 * 1024 * 1024,
            max_unconsumed: 64 * 1024,
            write_buffer_high: 256 * 1024,
            write_buffer_low: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::from_millis(500),
            tcp_keepalive: Duration::from_mins(1),
            socket_buffer_size: 0,
            accept_retry_delay: Duration::from_millis(100),
        }
    }
}

impl Limits {
    /// The limits that a loop can keep: the number of connections is lowered to what `allowed` says,
    /// and no budget is zero, which would keep the loop spinning.
    pub(crate) fn effective(mut self, allowed: usize) -> Self {
        self.max_connections = self.max_connections.min(allowed);
        self.reserved_connections = self.reserved_connections.min(self.max_connections / 4);
        self.read_budget = self.read_budget.max(1);
        self.turn_budget = self.turn_budget.max(1);
        self.handshake_budget = self.handshake_budget.max(1);
        self.max_handshakes = self.max_handshakes.max(1);
        self.max_buffered_bytes = self.max_buffered_bytes.max(BUFFERED_MIN);
        self.accept_budget = self.accept_budget.max(1);
        self
    }

    /// Those of the connections of the main listener.
    pub(crate) fn main(&self) -> ListenerLimits {
        ListenerLimits {
            max_connections: self.max_connections,
            reserved_connections: self.reserved_connections,
            max_connections_per_address: self.max_connections_per_address,
            eviction_delay: self.eviction_delay,
            turn_budget: self.turn_budget,
            max_buffered_bytes: self.max_buffered_bytes,
        }
    }
}

/// How many connections the process's limit of descriptors has room for, once it is raised as far as
/// the process may.
pub(crate) fn connections_allowed() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    let Some(current) = current else { return usize::MAX };
    usize::try_from(current.saturating_sub(RESERVED_DESCRIPTORS).max(1)).unwrap_or(usize::MAX)
}
