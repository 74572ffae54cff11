//! Backpressure of the storage: agencies that aren't read until it has caught up.

use std::collections::BTreeSet;

use reactor::{ConnectionId, Context};
use wire::Agency;

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

    /// Takes requests again of all of them but those for whose agency this says that it is full.
    pub(crate) fn resume(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        is_full: impl Fn(Option<Agency>) -> bool,
    ) {
        self.paused.retain(|connection| {
            let session = shared.sessions.lottery(*connection);
            if is_full(session.and_then(|session| session.agency())) {
                return true;
            }
            shared.resume_reading(cx, *connection);
            false
        });
    }

    /// This connection isn't resumed any more.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.paused.remove(&connection);
    }
}
