//! Backpressure of the storage: agencies that aren't read until it has caught up.

use std::collections::BTreeSet;

use reactor::{ConnectionId, Context};

use super::lottery_session::LotterySession;
use super::shared::Shared;

#[derive(Debug, Default)]
pub(crate) struct Backpressure {
    paused: BTreeSet<ConnectionId>,
}

impl Backpressure {
    /// Takes no further request of this connection, unless none is taken anyway.
    pub(crate) fn pause(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        connection: ConnectionId,
    ) {
        let Some(session) = shared.sessions.get(connection) else { return };
        if !session.lottery().is_some_and(LotterySession::pause_for_storage) {
            return;
        }
        // The rest of its frame may have come.
        session.forget_partial();
        self.paused.insert(connection);
        cx.pause_reading(connection);
        cx.set_deadline(connection, None);
    }

    /// Takes requests of all of them again.
    pub(crate) fn resume(&mut self, cx: &mut impl Context, shared: &mut Shared) {
        for connection in std::mem::take(&mut self.paused) {
            shared.resume_reading(cx, connection);
        }
    }

    /// This connection isn't resumed any more.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.paused.remove(&connection);
    }
}
