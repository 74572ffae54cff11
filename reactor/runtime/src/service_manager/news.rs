//! What the service manager is to know, and what of it it has been told.
//!
//! Only the newest is kept: however often something changes while the service manager hears nothing, it
//! costs no memory. Knows no socket.

use std::fmt::{Display, Write as _};

use crate::logging::Escaped;

/// Where the program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Phase {
    #[default]
    Starting,
    /// Files are read again. Told at once or not at all; never wanted.
    Reloading,
    Ready,
    Stopping,
}

#[derive(Debug, Default)]
pub(super) struct News {
    wanted: Facts,
    told: Facts,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Facts {
    phase: Phase,
    /// One line, which has no other assignment in it.
    status: String,
}

impl News {
    /// The phase that is to be known.
    pub(super) fn phase(&self) -> Phase {
        self.wanted.phase
    }

    /// No effect while it stops.
    pub(super) fn ready(&mut self) {
        self.wanted.phase = self.wanted.phase.max(Phase::Ready);
    }

    pub(super) fn stopping(&mut self) {
        self.wanted.phase = Phase::Stopping;
    }

    pub(super) fn status(&mut self, status: &impl Display) {
        self.wanted.status = Escaped(status.to_string().as_bytes()).to_string();
    }

    /// It knows that files are read again, and not yet that this is over.
    pub(super) fn told_reloading(&mut self) {
        self.told.phase = Phase::Reloading;
    }

    /// Whether there is something that it doesn't know.
    pub(super) fn is_behind(&self) -> bool {
        self.wanted != self.told
    }

    /// What it doesn't know, as a message.
    pub(super) fn message(&self) -> Option<String> {
        if !self.is_behind() {
            return None;
        }
        let mut message = String::new();
        if self.wanted.phase != self.told.phase {
            message.push_str(match self.wanted.phase {
                Phase::Starting | Phase::Reloading => "",
                Phase::Ready => "READY=1\n",
                Phase::Stopping => "STOPPING=1\n",
            });
        }
        if self.wanted.status != self.told.status {
            write!(message, "STATUS={}", self.wanted.status).expect("a String takes everything");
        }
        Some(message)
    }

    /// It knows all of it.
    pub(super) fn told(&mut self) {
        self.told.clone_from(&self.wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let mut news = News::default();
        assert_eq!(news.message(), None);
        news.status(&"reads");
        assert_eq!(news.message().unwrap(), "STATUS=reads");
        news.ready();
        assert_eq!(news.message().unwrap(), "READY=1\nSTATUS=reads");
        news.told();
        news.ready();
        news.status(&"reads");
        assert_eq!(news.message(), None);
    }

    #[test]
    fn who_hears_nothing_hears_the_newest_later() {
        let mut news = News::default();
        news.ready();
        for count in 0..1000 {
            news.status(&count);
        }
        news.stopping();
        assert_eq!(news.message().unwrap(), "STOPPING=1\nSTATUS=999");
    }

    #[test]
    fn a_reload_is_over_once_it_is_ready_again() {
        let mut news = News::default();
        news.ready();
        news.told();
        news.told_reloading();
        assert_eq!(news.message().unwrap(), "READY=1\n");
        news.told();
        assert_eq!(news.message(), None);
    }

    #[test]
    fn who_stops_is_not_ready_again() {
        let mut news = News::default();
        news.stopping();
        news.ready();
        assert_eq!(news.phase(), Phase::Stopping);
    }

    #[test]
    fn a_status_is_one_line_whatever_is_in_it() {
        let mut news = News::default();
        news.status(&"a file\nREADY=1\0");
        let message = news.message().unwrap();
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.starts_with("STATUS=a file"), "{message}");
        news.status(&"x".repeat(100_000));
        assert!(news.message().unwrap().len() < 2000);
    }
}
