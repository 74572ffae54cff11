//! What the connections of the admin listener share.

use std::time::{SystemTime, UNIX_EPOCH};

use http1::{Response, StatusCode};

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
    date: Date,
}

/// The time as HTTP writes it, which changes once a second.
#[derive(Debug)]
struct Date {
    /// Seconds since 1970.
    seconds: u64,
    text: String,
}

impl Date {
    fn new(time: SystemTime) -> Self {
        Self { seconds: seconds(time), text: httpdate::fmt_http_date(time) }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
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
        let date = Date::new(UNIX_EPOCH);
        Self { limits, hosts, events, responses: Responses::default(), streams: 0, date }
    }

    /// What time it is, to be said before anything is answered.
    pub fn set_time(&mut self, time: SystemTime) {
        if self.date.seconds != seconds(time) {
            self.date = Date::new(time);
        }
    }

    /// The response, dated.
    pub fn dated<'a>(&'a self, response: Response<'a>) -> Response<'a> {
        response.date(&self.date.text)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http1::{AfterResponse, Method};

    use super::*;

    #[test]
    fn a_response_has_the_time_at_which_it_is_made() {
        let mut shared = Shared::new(AdminLimits::default(), Hosts::default(), Events::new(1));
        for (seconds, date) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778, "Sun, 06 Nov 1994 08:49:38 GMT"),
        ] {
            shared.set_time(UNIX_EPOCH + Duration::from_secs(seconds));
            let mut out = Vec::new();
            let response = shared.dated(Response::text(StatusCode::Ok));
            response.write(Method::Head, AfterResponse::Close, b"", &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!("\r\nDate: {date}\r\n")), "{text}");
        }
    }
}
