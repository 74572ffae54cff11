//! The sessions of all connections, by the slots of their ids.

use reactor::ConnectionId;

use super::lottery_session::LotterySession;
use super::session::{Activity, Session};

/// Slots that are allocated at the beginning: the system gives memory when it is first used, and a
/// list that doesn't grow leaves no gaps behind.
const SLOTS_RESERVED: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Sessions {
    slots: Vec<Option<Session>>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::with_capacity(SLOTS_RESERVED) }
    }

    /// Adds the session of a connection that was opened.
    pub(crate) fn insert(&mut self, connection: ConnectionId, session: Session) {
        if self.slots.len() <= connection.slot() {
            self.slots.resize_with(connection.slot() + 1, || None);
        }
        self.slots[connection.slot()] = Some(session);
    }

    /// Takes the session of a connection that is gone out.
    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<Session> {
        let slot = self.slots.get_mut(connection.slot())?;
        slot.take_if(|session| session.is_named(connection))
    }

    pub(crate) fn get(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        let session = self.slots.get_mut(connection.slot())?.as_mut();
        session.filter(|session| session.is_named(connection))
    }

    /// The session of a connection that speaks the lottery protocol, and isn't closing.
    pub(crate) fn lottery(&mut self, connection: ConnectionId) -> Option<&mut LotterySession> {
        self.get(connection)?.lottery()
    }

    /// Connections that aren't closing.
    pub(crate) fn open(&self) -> Vec<ConnectionId> {
        let sessions = self.slots.iter().enumerate();
        sessions.filter_map(|(slot, session)| session.as_ref()?.name_if_open(slot)).collect()
    }

    /// How many connections there are.
    pub(crate) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// What each of them speaks and does.
    pub(crate) fn activities(&self) -> impl Iterator<Item = Activity> {
        self.slots.iter().flatten().map(Session::activity)
    }
}
