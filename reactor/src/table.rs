//! The connections by their ids: a slab of slots, and the generation of each slot's connection.

use slab::Slab;

use crate::connection::Connection;
use crate::id::ConnectionId;
use crate::system::Socket;

/// Slots from here on are never used: their numbers name other sources and timers of the loop.
const SLOTS_MAX: usize = (u32::MAX - 15) as usize;

/// All connections.
#[derive(Debug)]
pub(crate) struct Table<S> {
    slots: Slab<Connection<S>>,
    /// Of the youngest connection.
    generation: u32,
}

impl<S: Socket> Table<S> {
    /// No connections yet, with room for so many.
    pub(crate) fn with_capacity(connections: usize) -> Self {
        Self { slots: Slab::with_capacity(connections), generation: 0 }
    }

    /// The id that the next connection gets; `None` when there are too many.
    pub(crate) fn next_id(&mut self) -> Option<ConnectionId> {
        let slot = self.slots.vacant_key();
        let slot = u32::try_from(slot).ok().filter(|_| slot < SLOTS_MAX)?;
        Some(self.new_id(slot))
    }

    /// An id that names no connection, now or later.
    pub(crate) fn vacant_id(&mut self) -> ConnectionId {
        self.new_id(u32::MAX)
    }

    fn new_id(&mut self, slot: u32) -> ConnectionId {
        self.generation = self.generation.wrapping_add(1);
        ConnectionId::new(slot, self.generation)
    }

    /// Inserts a connection that was made with [`next_id`](Self::next_id).
    pub(crate) fn insert(&mut self, connection: Connection<S>) {
        self.slots.insert(connection);
    }

    /// Takes out a connection, which must be there.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Connection<S> {
        self.slots.remove(id.slot())
    }

    /// The connection that an id names, unless it was removed.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection<S>> {
        self.slots.get(id.slot()).filter(|found| found.generation() == id.generation())
    }

    /// The connection that an id names, unless it was removed.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection<S>> {
        self.slots.get_mut(id.slot()).filter(|found| found.generation() == id.generation())
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All connections with their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection<S>)> {
        self.slots.iter().map(|(slot, connection)| {
            let slot = u32::try_from(slot).expect("next_id gives no larger one");
            (ConnectionId::new(slot, connection.generation()), connection)
        })
    }
}
