//! What happens to a listening socket, for an operator.

use std::io;
use std::net::SocketAddr;

/// What can happen to a listening socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenerEvent {
    /// Every connection was accepted: it waits for the next.
    Waiting,
    /// Accepting pauses: no descriptors or no memory are left, `accept` failed otherwise, or there are
    /// [`Limits::max_connections`](crate::Limits::max_connections) or, at a further listener,
    /// [`ListenerLimits::max_connections`](crate::ListenerLimits::max_connections). The loop tries again by
    /// itself.
    Paused {
        /// Connections there are of this listener.
        connections: usize,
        /// What `accept` returned; `None` at the limit.
        error: Option<io::Error>,
    },
    /// Accepting goes on after a pause.
    Resumed,
    /// `accept` returned an error of one connection, which is gone.
    Failed {
        /// What it returned.
        error: io::Error,
    },
    /// A peer was refused: its connection is closed at once.
    Refused {
        /// Who.
        peer: SocketAddr,
        /// Why.
        reason: RefuseReason,
    },
    /// The listening socket is closed.
    Closed,
}

/// Why a peer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefuseReason {
    /// Its address has [`Limits::max_connections_per_address`](crate::Limits::max_connections_per_address).
    AddressConnections,
    /// Its address has made [`Limits::max_connects_per_address`](crate::Limits::max_connects_per_address).
    AddressConnects,
    /// The remaining connections are reserved for trusted addresses, and none can be evicted.
    Reserved,
}
