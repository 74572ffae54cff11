//! Log lines of the listening socket. Knows no connection.

use log::{Level, info, warn};
use reactor::ListenerEvent;
use runtime::log_within;

use super::log_budget::{Cause, Event, LogBudget};

/// Logs what happens to the listening socket.
#[derive(Debug)]
pub(crate) struct ListenerLog {
    /// A connection was accepted, and that the listener waits for the next one hasn't been logged.
    accepted: bool,
}

impl Default for ListenerLog {
    /// The first wait matters.
    fn default() -> Self {
        Self { accepted: true }
    }
}

impl ListenerLog {
    /// A connection was accepted that is logged at `level`.
    pub(crate) fn note_accepted(&mut self, level: Level) {
        self.accepted |= level == Level::Info;
    }

    /// Logs an event. That the listener waits for the next connection matters only after one.
    pub(crate) fn log(&mut self, budget: &mut LogBudget, event: &ListenerEvent) {
        let waiting = matches!(event, ListenerEvent::Waiting);
        let matters = waiting && std::mem::take(&mut self.accepted);
        log_event(budget, event, if matters { Level::Info } else { Level::Debug });
    }
}

/// Logs an event; `waiting` is the level of the wait for the next connection.
fn log_event(budget: &mut LogBudget, event: &ListenerEvent, waiting: Level) {
    match event {
        ListenerEvent::Waiting => {
            let level = waiting;
            log_within!(
                budget,
                Event::Accepting,
                level,
                "action: accept_connections | result: in_progress"
            );
        }
        ListenerEvent::Paused { connections, error } => {
            let cause = Cause::of_pause(error.as_ref());
            if budget.allows(cause) {
                let reason = error.as_ref().map_or(String::new(), |error| format!(" ({error})"));
                warn!(
                    "action: accept_connections | result: in_progress | \
                     connections: {connections} | error: {cause}{reason}"
                );
            }
        }
        ListenerEvent::Refused { peer, reason } => {
            let cause = Cause::from(*reason);
            if budget.allows(cause) {
                let ip = peer.ip().to_canonical();
                warn!("action: accept_connections | result: fail | ip: {ip} | error: {cause}");
            }
        }
        ListenerEvent::Failed { error } => log_within!(
            budget,
            Event::Accepting,
            Level::Debug,
            "action: accept_connections | result: in_progress | \
             lost: a connection that was gone before it was accepted ({error})"
        ),
        ListenerEvent::Resumed => log_within!(
            budget,
            Event::Accepting,
            Level::Debug,
            "action: accept_connections | result: in_progress | resumed: after a pause"
        ),
        ListenerEvent::Closed => info!("action: close_listener | result: success"),
        _ => {}
    }
}
