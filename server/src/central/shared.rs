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
    /// The process is ending.
    pub(crate) shutting_down: bool,
}

impl Shared {
    pub(crate) fn new(config: ProtocolConfig) -> Self {
        let log = LogBudget::new(config.max_log_lines);
        Self { config, sessions: Sessions::new(), log, shutting_down: false }
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

    /// Sets the timers of the intervals that a line has begun.
    pub(crate) fn set_log_timers(&mut self, cx: &mut impl Context) {
        let begun = self.log.take_begun();
        if begun.period {
            cx.set_timer(timers::LOG_REPORT, Some(self.config.refusal_log_interval));
        }
        if begun.interval {
            cx.set_timer(timers::LOG_REFILL, Some(self.config.log_interval));
        }
    }
}
