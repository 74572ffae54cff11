//! Log lines of connections: accepted, silent, closed.

use std::net::IpAddr;

use log::{Level, info, warn};
use reactor::CloseReason;
use runtime::log_within;

use super::log_budget::{Cause, Event, LogBudget};
use super::session::Session;

pub(crate) fn log_accepted(log: &mut LogBudget, session: &Session) {
    log_within!(
        log,
        Event::Accepted,
        session.log_level(),
        "action: accept_connections | result: success | ip: {}",
        session.ip()
    );
}

/// Logs that a connection which isn't an agency's was silent for too long.
pub(crate) fn log_silence(log: &mut LogBudget, ip: IpAddr, reason: &str) {
    if log.allows(Cause::Silence) {
        info!("action: receive_message | result: fail | ip: {ip} | error: {reason}");
    }
}

/// Logs that a connection is gone; during a shutdown at the level of its acceptance.
pub(crate) fn log_closed(
    log: &mut LogBudget,
    session: &Session,
    reason: &CloseReason,
    shutting_down: bool,
) {
    let ip = session.ip();
    if let Some(cause) = Cause::of(reason)
        && log.allows(cause)
    {
        warn!("action: close_connection | result: fail | ip: {ip} | reason: {reason}");
        return;
    }
    log_within!(
        log,
        Event::Closed,
        if shutting_down { session.log_level() } else { Level::Debug },
        "action: close_connection | result: success | ip: {ip} | reason: {reason}"
    );
}
