//! Log lines of the listening socket. Knows no connection.

use reactor::ListenerEvent;
use runtime::logging::{Fail, InProgress, Level, Line, Success};
use runtime::{log_line, log_within};

use super::log_budget::{Cause, Event, LogBudget};

const ACCEPT: &str = "accept_connections";

/// Logs what happens to the listening socket.
#[derive(Debug)]
pub(crate) struct ListenerLog {
    /// A connection was accepted, and that the listener waits for the next one hasn't been logged.
    accepted: bool,
    /// No connection is accepted: the limit is reached, or something has run out.
    paused: bool,
    /// How often that began.
    pauses: u64,
}

impl Default for ListenerLog {
    /// The first wait matters.
    fn default() -> Self {
        Self { accepted: true, paused: false, pauses: 0 }
    }
}

impl ListenerLog {
    /// A connection was accepted that is logged at `level`.
    pub(crate) fn note_accepted(&mut self, level: Level) {
        self.accepted |= level == Level::Info;
    }

    /// Whether further clients have to wait outside.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// How often they had to, since the start.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses
    }

    /// Logs an event. That the listener waits for the next connection matters only after one.
    pub(crate) fn log(&mut self, budget: &mut LogBudget, event: &ListenerEvent) {
        match event {
            ListenerEvent::Paused { .. } => {
                self.paused = true;
                self.pauses += 1;
            }
            ListenerEvent::Resumed => self.paused = false,
            _ => {}
        }
        let waiting = matches!(event, ListenerEvent::Waiting);
        let matters = waiting && std::mem::take(&mut self.accepted);
        log_event(budget, event, if matters { Level::Info } else { Level::Debug });
    }
}

/// Logs an event; `waiting` is the level of the wait for the next connection.
fn log_event(budget: &mut LogBudget, event: &ListenerEvent, waiting: Level) {
    match event {
        ListenerEvent::Waiting => {
            log_within!(budget, Event::Accepting, waiting, Line::new(ACCEPT, InProgress));
        }
        ListenerEvent::Paused { connections, error } => {
            let cause = Cause::of_pause(error.as_ref());
            if budget.allows(cause) {
                let reason = error.as_ref().map_or(String::new(), |error| format!(" ({error})"));
                let line = Line::new(ACCEPT, InProgress).with("connections", connections);
                log_line!(Level::Warn, line.with("error", format_args!("{cause}{reason}")));
            }
        }
        ListenerEvent::Refused { peer, reason } => {
            let cause = Cause::from(*reason);
            if budget.allows(cause) {
                let ip = peer.ip().to_canonical();
                log_line!(Level::Warn, Line::new(ACCEPT, Fail).with("ip", ip).with("error", cause));
            }
        }
        ListenerEvent::Failed { error } => {
            let lost = format_args!("a connection that was gone before it was accepted ({error})");
            let line = Line::new(ACCEPT, InProgress).with("lost", lost);
            log_within!(budget, Event::Accepting, Level::Debug, line);
        }
        ListenerEvent::Resumed => {
            let line = Line::new(ACCEPT, InProgress).with("resumed", "after a pause");
            log_within!(budget, Event::Accepting, Level::Debug, line);
        }
        ListenerEvent::Closed => log_line!(Level::Info, Line::new("close_listener", Success)),
        _ => {}
    }
}
