//! Log lines of connections: accepted, silent, closed.

use std::net::IpAddr;

use reactor::CloseReason;
use runtime::logging::{Fail, Level, Line, Success};
use runtime::{log_line, log_within};

use super::log_budget::{Cause, Event, LogBudget};
use super::session::Session;

pub(crate) fn log_accepted(log: &mut LogBudget, session: &Session) {
    log_within!(
        log,
        Event::Accepted,
        session.log_level(),
        Line::new("accept_connections", Success).with("ip", session.ip())
    );
}

/// Logs that a connection which isn't an agency's was silent for too long.
pub(crate) fn log_silence(log: &mut LogBudget, ip: IpAddr, reason: &str) {
    if log.allows(Cause::Silence) {
        let line = Line::new("receive_message", Fail).with("ip", ip).with("error", reason);
        log_line!(Level::Info, line);
    }
}

/// Logs that a connection which isn't an agency's is refused.
pub(crate) fn log_refused(log: &mut LogBudget, ip: IpAddr, cause: Cause) {
    if log.allows(cause) {
        let line = Line::new("refuse_connection", Fail).with("ip", ip).with("error", cause);
        log_line!(Level::Warn, line);
    }
}

/// Logs that a connection is gone; during a shutdown at the level of its acceptance.
pub(crate) fn log_closed(
    log: &mut LogBudget,
    session: &Session,
    reason: &CloseReason,
    shutting_down: bool,
) {
    let line = |result| {
        Line::new("close_connection", result).with("ip", session.ip()).with("reason", reason)
    };
    if let Some(cause) = Cause::of(reason)
        && log.allows(cause)
    {
        log_line!(Level::Warn, line(Fail));
        return;
    }
    log_within!(
        log,
        Event::Closed,
        if shutting_down { session.log_level() } else { Level::Debug },
        line(Success)
    );
}
