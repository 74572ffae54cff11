//! What is watched, and when the next connection for it begins.

use std::time::{Duration, Instant};

use crate::client::actions::ConnectionNumber;
use crate::client::members::AVOIDED_MAX;
use crate::request::write_watch;

/// What is watched, and how it stands.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    /// The body that asks for it.
    body: Vec<u8>,
    stage: WatchStage,
    /// Ends since it was last in force.
    failures: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum WatchStage {
    /// Nothing is watched.
    #[default]
    Off,
    /// It begins then.
    Waiting(Instant),
    /// It has a connection, or will have.
    On(ConnectionNumber),
}

impl Watching {
    /// A watch that begins now.
    pub(crate) fn new(key: &[u8], range_end: &[u8], now: Instant) -> Self {
        let mut body = Vec::new();
        write_watch(key, range_end, &mut body);
        Self { body, stage: WatchStage::Waiting(now), failures: 0 }
    }

    pub(crate) fn connection(&self) -> Option<ConnectionNumber> {
        match self.stage {
            WatchStage::On(connection) => Some(connection),
            WatchStage::Off | WatchStage::Waiting(_) => None,
        }
    }

    pub(crate) fn on_created(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_start().is_some_and(|time| time <= now)
    }

    pub(crate) fn next_start(&self) -> Option<Instant> {
        match self.stage {
            WatchStage::Waiting(time) => Some(time),
            WatchStage::Off | WatchStage::On(_) => None,
        }
    }

    pub(crate) fn on_connecting(&mut self, connection: ConnectionNumber) {
        self.stage = WatchStage::On(connection);
    }

    /// Begins again after `delay`, after twice as much with each further time.
    pub(crate) fn on_ended(&mut self, now: Instant, delay: Duration) {
        if self.stage != WatchStage::Off {
            let doubled = delay.saturating_mul(1 << self.failures.min(16));
            self.stage = WatchStage::Waiting(now + doubled.min(AVOIDED_MAX));
            self.failures = self.failures.saturating_add(1);
        }
    }

    pub(crate) fn turn_off(&mut self) {
        self.stage = WatchStage::Off;
    }
}
