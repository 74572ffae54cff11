//! What happens to the listening socket, as log lines. Knows no connection.

use log::{Level, info, warn};
use reactor::ListenerEvent;
use runtime::log_within;

use crate::log_budget::{Cause, Event, LogBudget};

/// Logs an event. Whoever waits for the next connection says so at level INFO only when
/// `somebody_came` since the last time.
pub(crate) fn log_event(budget: &mut LogBudget, event: &ListenerEvent, somebody_came: bool) {
    match event {
        ListenerEvent::Waiting => {
            let level = if somebody_came { Level::Info } else { Level::Debug };
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
