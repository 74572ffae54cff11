//! Where the admin listener listens, and what its connections may cost where there are few descriptors.
//!
//! Knows nothing of what is served there.

use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use admin::events::Events;
use admin::limits::AdminLimits;
use admin::shared::Shared;
use reactor::{Bound, ListenerId, ListenerLimits};
use runtime::logging::{InProgress, Level, Line, Success};
use runtime::{EventLoop, log_line};

use crate::admin_address::AdminAddress;
use crate::admin_service::AdminService;
use crate::config::AdminConfig;
use crate::server_error::ServerError;
use crate::startup_log;

/// Clients that wait to be accepted.
const BACKLOG: u32 = 128;

/// Connections that are kept for the health check, and for addresses that agencies have called from.
const RESERVED: usize = 8;

/// Listens where an operator looks, at the socket that was passed on if there is one, and logs where that
/// is.
///
/// # Errors
/// The address can't be had, or the name leads to none.
pub fn listen(
    event_loop: &mut EventLoop,
    config: &AdminConfig,
    passed: Option<TcpListener>,
) -> Result<AdminService, ServerError> {
    let AdminConfig { address, tls, hosts, limits, .. } = config;
    let is_passed = passed.is_some();
    let bound = match passed {
        Some(passed) => adopt(event_loop, passed)?,
        None => bind(event_loop, address)?,
    };
    let (listener, listening) = event_loop
        .listen_apart(bound, BACKLOG, listener_limits(limits))
        .map_err(|source| ServerError::ListenAdmin { address: address.clone(), source })?;
    if is_passed {
        startup_log::warn_of_other_port("SERVER_ADMIN_ADDRESS", address.port(), listening);
    }
    let line = Line::new("listen_admin", Success).with("ip", listening.ip());
    log_line!(Level::Info, line.with("port", listening.port()).with("tls", tls));
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    let limits = limits_within(event_loop, listener, limits);
    let shared = Shared::new(limits, hosts.clone(), Events::new(epoch));
    Ok(AdminService::new(listener, *tls, shared))
}

fn adopt(event_loop: &EventLoop, passed: TcpListener) -> Result<Bound, ServerError> {
    let error = |source| ServerError::ListenPassed { listener: "SERVER_ADMIN_ADDRESS", source };
    event_loop.adopt(passed).map_err(error)
}

fn bind(event_loop: &EventLoop, address: &AdminAddress) -> Result<Bound, ServerError> {
    let resolved = address.resolve();
    let resolved = resolved
        .map_err(|source| ServerError::ResolveAdmin { address: address.clone(), source })?;
    let error = |source| ServerError::ListenAdmin { address: address.clone(), source };
    event_loop.bind(resolved).map_err(error)
}

/// The loop's limits for so many connections.
fn listener_limits(limits: &AdminLimits) -> ListenerLimits {
    ListenerLimits {
        max_connections: limits.connections,
        reserved_connections: RESERVED,
        max_connections_per_address: (limits.connections / 2).max(1),
        ..ListenerLimits::default()
    }
}

/// The limits that are left where there are fewer descriptors than asked for: streams are never closed
/// for others, so they must not take all connections.
fn limits_within(
    event_loop: &EventLoop,
    listener: ListenerId,
    limits: &AdminLimits,
) -> AdminLimits {
    let effective = event_loop.listener_limits(listener);
    let connections = effective.map_or(limits.connections, |limits| limits.max_connections);
    if connections >= limits.connections {
        return limits.clone();
    }
    let streams = limits.streams.min(connections / 2);
    let line = Line::new("listen_admin", InProgress)
        .with("connections", connections)
        .with("streams", streams)
        .with("warning", "the limit of open files leaves no more than these: raise it (ulimit -n)");
    log_line!(Level::Warn, line);
    AdminLimits { connections, streams, ..limits.clone() }
}
