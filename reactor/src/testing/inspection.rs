//! What a test can see of a loop in memory, between its turns.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::Connection;
use crate::handler::{Context as _, Handler};
use crate::id::{ConnectionId, TimerId};
use crate::testing::link::Side;
use crate::testing::memory_loop::MemoryLoop;
use crate::testing::memory_system::MemorySystem;
use crate::testing::state::LinkId;

impl<H: Handler> MemoryLoop<H> {
    /// The connections that there are, in order of their slots: attached ones too.
    pub fn ids(&self) -> Vec<ConnectionId> {
        self.connections().table.iter().map(|(id, _)| id).collect()
    }

    /// The link of a connection, and the loop's end of it.
    pub fn link(&self, id: ConnectionId) -> Option<(LinkId, Side)> {
        let socket = self.connections().table.get(id)?.socket();
        Some((socket.link, socket.side))
    }

    /// The connection whose link it is.
    pub fn id(&self, link: LinkId) -> Option<ConnectionId> {
        let MemorySystem { shared, host, .. } = &self.connections().system;
        shared.get().connection_of(*host, link)
    }

    /// Whether a connection's input is delivered to the handler, and its output is sent.
    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.connections().table.get(id).is_some_and(Connection::is_open)
    }

    /// Whether the handler has paused reading from it.
    pub fn is_paused(&self, id: ConnectionId) -> bool {
        self.connections().table.get(id).is_some_and(Connection::is_intake_paused)
    }

    /// Bytes queued for a peer that its socket has not taken.
    pub fn unsent(&self, id: ConnectionId) -> usize {
        self.connections().unsent(id)
    }

    /// Bytes of input that the handler has not consumed.
    pub fn unconsumed(&self, id: ConnectionId) -> usize {
        let connection = self.connections().table.get(id);
        connection.map_or(0, |connection| connection.buffers.unconsumed())
    }

    /// Bytes of memory in the buffers and layers of all connections, and in spare chunks.
    pub fn held(&self) -> usize {
        self.connections().shares.held()
    }

    /// Time from the last turn to a connection's deadline, if the handler has set one.
    pub fn deadline(&self, id: ConnectionId) -> Option<Duration> {
        let due = self.connections().table.get(id)?.deadlines.handler_deadline()?;
        Some(self.connections().clock.moment().until(due))
    }

    /// The handler's timers that are set, and the time from the last turn until they fire.
    pub fn timers(&self) -> BTreeMap<TimerId, Duration> {
        let now = self.connections().clock.moment();
        let timers = self.connections().deadlines.handler_timers();
        timers.map(|(timer, due)| (timer, now.until(due))).collect()
    }

    /// The addresses of the end that called and the one that was called.
    pub fn addresses(&self, id: ConnectionId) -> Option<[SocketAddr; 2]> {
        let (link, _) = self.link(id)?;
        let state = self.connections().system.shared.get();
        state.links.get(&link).map(|placed| placed.addresses)
    }

    /// Whether the handler or a signal has asked for the end.
    pub fn is_shutting_down(&self) -> bool {
        let shutdown = self.connections().shutdown;
        shutdown.is_requested() || shutdown.has_begun()
    }
}
