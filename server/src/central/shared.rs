//! What both protocols of the port share.

use reactor::{ConnectionId, Context};

use super::log_budget::LogBudget;
use super::protocol_config::ProtocolConfig;
use super::sessions::Sessions;
use super::timers;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ProtocolConfig,
    pub(crate) sessions: Sessions,
    pub(crate) log: LogBudget,
    /// A signal has asked the process to end.
    pub(crate) stopping: bool,
}

impl Shared {
    pub(crate) fn new(config: ProtocolConfig) -> Self {
        let log = LogBudget::new(config.max_log_lines);
        Self { config, sessions: Sessions::new(), log, stopping: false }
    }

    /// Takes nothing more from this connection; it closes when its output has left.
    pub(crate) fn close(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if let Some(session) = self.sessions.get(connection) {
            session.close();
        }
        cx.close(connection);
    }

    /// Takes requests of this connection again.
    pub(crate) fn resume_reading(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.sessions.lottery(connection) else { return };
        session.resume();
        cx.resume_reading(connection);
    }

    /// Sets the timers of spans of time that were begun by a line.
    pub(crate) fn set_log_timers(&mut self, cx: &mut impl Context) {
        let begun = self.log.take_begun();
        if begun.period {
            cx.set_timer(timers::LOG_REPORT, Some(self.config.report_period));
        }
        if begun.interval {
            cx.set_timer(timers::LOG_REFILL, Some(self.config.log_interval));
        }
    }
}
