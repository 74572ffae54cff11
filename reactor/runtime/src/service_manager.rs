//! The service manager that has started the program, if one has: systemd, or what speaks like it.
//!
//! It is told how the program is ([sd_notify(3)](https://www.freedesktop.org/software/systemd/man/sd_notify.html)):
//! that it is ready, stops or reads its files again, how far it is in a line for people, that a long
//! start goes on, and, by turns of the loop, that the loop isn't stuck. It may have opened sockets for
//! the program to listen at.
//!
//! | file | what it is for |
//! |---|---|
//! | `notify_socket` | the socket at which it hears |
//! | `news` | what it is to know, and what it has been told |
//! | `watchdog` | when it has to hear that the loop turns |
//! | `passed_sockets` | [`take_passed_sockets`]: sockets that it passes on |
//!
//! What it says comes by the environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`, `LISTEN_FDS`,
//! `LISTEN_PID`, `LISTEN_FDNAMES`). The programs start no others, so nobody inherits it from them.
//!
//! Knows no unit and no program. Nothing here blocks, and without a service manager nothing is done.

mod news;
mod notify_socket;
mod passed_sockets;
mod watchdog;

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::log_line;
use crate::logging::{Fail, Level, Line};

use news::{News, Phase};
use notify_socket::{NotifySocket, Sent};
pub use passed_sockets::{PassedSocket, PassedSocketsError, take_passed_sockets};
use watchdog::Watchdog;

/// How long news waits that the service manager had no room for, when nothing else happens.
const RETRY: Duration = Duration::from_millis(50);

/// A handle to it; all clones are of one. The default is a program that nobody manages.
#[derive(Debug, Clone, Default)]
pub struct ServiceManager(Option<Rc<RefCell<Link>>>);

#[derive(Debug)]
struct Link {
    socket: NotifySocket,
    watchdog: Option<Watchdog>,
    news: News,
    /// It has failed, which was logged.
    has_failed: bool,
}

impl ServiceManager {
    /// The one that the environment names. What can't be used there is logged as a warning, and does
    /// without: a lottery isn't worse for it.
    pub fn from_environment() -> Self {
        Self::of(|name| env::var_os(name), Instant::now())
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>, now: Instant) -> Self {
        let Some(name) = variable(notify_socket::VARIABLE).filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let socket = match NotifySocket::open(&name) {
            Ok(socket) => socket,
            Err(error) => {
                warn(&error);
                return Self::default();
            }
        };
        let watchdog = Watchdog::of(variable, std::process::id(), now).unwrap_or_else(|error| {
            warn(&error);
            None
        });
        let link = Link { socket, watchdog, news: News::default(), has_failed: false };
        Self(Some(Rc::new(RefCell::new(link))))
    }

    /// Whether there is one: what it would be told needn't be made otherwise.
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// The program does what it is there for, from now on or again behind [`reloading`](Self::reloading).
    pub fn ready(&self) {
        self.tell(News::ready);
    }

    /// The program reads its files again, until it says that it is [`ready`](Self::ready). No effect
    /// before it was and while it stops.
    pub fn reloading(&self) {
        let Some(link) = &self.0 else { return };
        let mut link = link.borrow_mut();
        if link.news.phase() == Phase::Ready {
            // A manager that asked for it tells this reload from an older one by the time.
            let message = format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros());
            if link.send(&message) {
                link.news.told_reloading();
            }
        }
    }

    /// The program ends.
    pub fn stopping(&self) {
        self.tell(News::stopping);
    }

    /// How far it is, for people, in a line.
    pub fn status(&self, status: &impl Display) {
        self.tell(|news| news.status(status));
    }

    /// A start or an end that takes long goes on, and may take this much longer from now on.
    pub fn extend_timeout(&self, by: Duration) {
        if let Some(link) = &self.0 {
            link.borrow_mut().send(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
        }
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        if let Some(link) = &self.0 {
            let mut link = link.borrow_mut();
            change(&mut link.news);
            link.tell();
        }
    }

    /// A turn of the loop is complete. Returns whether the service manager was told something.
    pub(crate) fn on_turn_end(&self) -> bool {
        let Some(link) = &self.0 else { return false };
        link.borrow_mut().on_turn_end(Instant::now())
    }

    /// How long the loop may wait until it makes the next turn; `None` for as long as nothing happens.
    pub(crate) fn longest_wait(&self) -> Option<Duration> {
        self.0.as_ref()?.borrow().longest_wait(Instant::now())
    }
}

impl Link {
    fn on_turn_end(&mut self, now: Instant) -> bool {
        let was_behind = self.news.is_behind();
        self.tell();
        let is_due = self.watchdog.is_some_and(|watchdog| watchdog.is_due(now));
        if is_due && self.send("WATCHDOG=1") {
            self.watchdog = self.watchdog.map(|watchdog| watchdog.fed(now));
        }
        was_behind || is_due
    }

    fn longest_wait(&self, now: Instant) -> Option<Duration> {
        let retry = self.news.is_behind().then_some(RETRY);
        let watchdog = self.watchdog.map(|watchdog| watchdog.left(now));
        retry.into_iter().chain(watchdog).min()
    }

    /// Tells what isn't known yet, as far as there is room.
    fn tell(&mut self) {
        if let Some(message) = self.news.message()
            && self.send(&message)
        {
            self.news.told();
        }
    }

    /// Sends a message; false when there is no room now. One that can't be sent at all is lost, which is
    /// logged once.
    fn send(&mut self, message: &str) -> bool {
        match self.socket.send(message) {
            Ok(Sent::Yes) => true,
            Ok(Sent::NoRoom) => false,
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    warn(&error);
                }
                true
            }
        }
    }
}

fn warn(error: &io::Error) {
    let line = Line::new("notify_service_manager", Fail);
    log_line!(Level::Warn, line.with_bytes("error", error.to_string()));
}

/// Microseconds of the clock that the service manager compares with.
fn monotonic_micros() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

#[cfg(test)]
mod tests;
