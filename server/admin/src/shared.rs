//! What the connections of the admin listener share.

use http1::StatusCode;

use crate::events::Events;
use crate::host::Hosts;
use crate::limits::AdminLimits;

/// What all sessions share: limits, names, events, and what is counted.
#[derive(Debug)]
pub struct Shared {
    /// What connections may cost.
    pub limits: AdminLimits,
    /// Which hosts a request may be meant for.
    pub hosts: Hosts,
    /// What streams are sent.
    pub events: Events,
    /// Responses so far.
    pub responses: Responses,
    /// Streams of events at the moment.
    streams: usize,
}

/// Responses since the start, by the first digit of their status code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Responses {
    /// 2xx: answered.
    pub answered: u64,
    /// 4xx: refused, the client's fault.
    pub refused: u64,
    /// 5xx: not answered, for no fault of the client's: not ready, or too many streams. Another version
    /// of HTTP is among them.
    pub failed: u64,
}

impl Shared {
    /// Nothing was answered yet.
    pub fn new(limits: AdminLimits, hosts: Hosts, events: Events) -> Self {
        Self { limits, hosts, events, responses: Responses::default(), streams: 0 }
    }

    /// Streams of events at the moment. While there are any, the caller ticks.
    pub fn streams(&self) -> usize {
        self.streams
    }

    pub(crate) fn may_stream(&self) -> bool {
        self.streams < self.limits.streams
    }

    pub(crate) fn open_stream(&mut self) {
        self.streams += 1;
    }

    pub(crate) fn close_stream(&mut self) {
        self.streams -= 1;
        if self.streams == 0 {
            self.events.forget();
        }
    }

    pub(crate) fn count(&mut self, status_code: StatusCode) {
        let counter = match status_code.number() / 100 {
            2 => &mut self.responses.answered,
            4 => &mut self.responses.refused,
            _ => &mut self.responses.failed,
        };
        *counter += 1;
    }
}
