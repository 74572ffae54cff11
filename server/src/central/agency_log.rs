//! Log lines of agencies' connections: who introduced itself, ended its input, superseded another.

use runtime::log_within;
use runtime::logging::{Level, Line, Success};

use super::log_budget::{Event, LogBudget};
use super::peer::Peer;

/// Logs that HELLO was accepted.
pub(crate) fn log_hello(log: &mut LogBudget, peer: &Peer) {
    let line = || Line::new("receive_hello", Success).with_all(peer);
    log_within!(log, Event::HelloReceived, peer.level(), line());
}

/// Logs that END was accepted. It isn't durable yet.
pub(crate) fn log_end(log: &mut LogBudget, peer: &Peer) {
    let line = || Line::new("receive_end", Success).with_all(peer);
    log_within!(log, Event::EndReceived, peer.level(), line());
}

/// Logs that an agency's new connection supersedes the one that it had: it came back before the
/// central knew that the old one was lost, or two programs run as this agency.
pub(crate) fn log_superseded(log: &mut LogBudget, new: &Peer, old: &Peer) {
    log_within!(
        log,
        Event::Superseded,
        Level::Warn,
        Line::new("supersede_connection", Success)
            .with_all(new)
            .with("superseded_ip", old.ip)
            .with_some("superseded_serial", old.serial.as_ref())
    );
}
