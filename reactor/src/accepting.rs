//! What becomes of a peer that was accepted, and of accepting when it fails.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::connection::State;
use crate::connections::{Connections, Key};
use crate::handler::{Handler, ListenerEvent, RefuseReason};
use crate::listener::Listener;

/// Makes a connection of an accepted socket, or refuses the peer.
pub(crate) fn let_in<S: Handler>(
    connections: &mut Connections,
    handler: &mut S,
    stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    let now = connections.moment();
    let address = match connections.addresses.admit(peer.ip(), now) {
        Ok(address) => address,
        Err(excess) => {
            refuse(connections, handler, peer, excess.into());
            return Ok(());
        }
    };
    if !make_place(connections, handler, peer) {
        connections.addresses.leave(address, now);
        refuse(connections, handler, peer, RefuseReason::Reserved);
        return Ok(());
    }
    let inserted = connections.insert(stream, State::Open);
    if inserted.is_err() {
        connections.addresses.leave(address, now);
    }
    let id = inserted?;
    if let Some(connection) = connections.get(id) {
        connection.address = address;
    }
    connections.counters.accepted += 1;
    handler.on_open(connections, id, peer);
    Ok(())
}

/// Whether there is a place for a peer, maybe by evicting somebody.
fn make_place<S: Handler>(connections: &mut Connections, handler: &S, peer: SocketAddr) -> bool {
    let left = connections.limits.max_connections.saturating_sub(connections.staying());
    if left > connections.limits.reserved_connections {
        return true;
    }
    let trusted = || connections.addresses.is_unlimited(peer.ip()) || handler.is_trusted(peer);
    (left > 0 && trusted()) || connections.evict()
}

fn refuse<S: Handler>(
    connections: &mut Connections,
    handler: &mut S,
    peer: SocketAddr,
    reason: RefuseReason,
) {
    connections.counters.refused += 1;
    handler.on_listener_event(connections, &ListenerEvent::Refused { peer, reason });
}

/// Accepting pauses until a connection ends or, when the kernel refused, some time has passed. So it
/// does when somebody may have been silent for long enough by then.
pub(crate) fn pause<S: Handler>(
    connections: &mut Connections,
    listener: &mut Listener,
    handler: &mut S,
    error: Option<io::Error>,
) {
    if error.is_some() || !connections.limits.eviction_delay.is_zero() {
        connections.set_loop_alarm(Key::Accept, Some(connections.limits.accept_retry_delay));
    }
    if listener.pause() {
        connections.counters.accept_pauses += 1;
        let event = ListenerEvent::Paused { connections: connections.peers(), error };
        handler.on_listener_event(connections, &event);
    }
}

/// Tells the handler of a connection that was gone before it was accepted.
pub(crate) fn lose<S: Handler>(connections: &mut Connections, handler: &mut S, error: &io::Error) {
    let number = error.raw_os_error();
    let error = number.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
    handler.on_listener_event(connections, &ListenerEvent::Failed { error });
}
