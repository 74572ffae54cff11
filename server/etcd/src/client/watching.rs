//! The watch: a connection whose response doesn't end. When it does, another begins, perhaps at another
//! member.

use std::time::Instant;

use crate::client::Client;
use crate::client::actions::ConnectionNumber;
use crate::client::connections::Asked;
use crate::client::events::{Change, Event};
use crate::client::members::Failure;
use crate::client::watch_state::Watching;
use crate::outcome::Outcome;
use crate::watch_line::{EventKind, WatchEvent, WatchLine};

impl Client {
    /// Watches one key, or with a `range_end` that isn't empty all keys from `key` on before it, instead
    /// of what was watched before. [`Event::WatchStarted`] follows, each time that it comes into force.
    ///
    /// A watch that doesn't come into force is tried at another member. Later it is silent while nothing
    /// changes, and as silent when its member hangs: that is noticed by requests alone. A driver that must
    /// not miss a change reads now and then.
    pub fn watch(&mut self, key: &[u8], range_end: &[u8], now: Instant) {
        self.unwatch();
        if self.is_stopped {
            return;
        }
        self.watching = Watching::new(key, range_end, now);
        self.dispatch(now);
    }

    /// Watches nothing any more.
    pub fn unwatch(&mut self) {
        if let Some(connection) = self.watching.connection() {
            self.close(connection);
        }
        self.watching = Watching::default();
    }

    /// Closes the watch if it goes to this member, which has failed.
    pub(super) fn leave_watch(&mut self, member: usize, now: Instant) {
        let Some(number) = self.watching.connection() else { return };
        if self.connections.get(number).is_some_and(|connection| connection.member == member) {
            self.close(number);
            self.watching.on_ended(now, self.config.retry_delay);
        }
    }

    pub(super) fn take_piece_of_watch(
        &mut self,
        number: ConnectionNumber,
        piece: &[u8],
        now: Instant,
    ) {
        let max = self.config.max_response_bytes;
        let Some(connection) = self.connections.get_mut(number) else { return };
        if connection.head.is_none_or(|head| head.status != 200) {
            // An error, which isn't long.
            if connection.body.len() + piece.len() > max {
                return self.give_up(number, now);
            }
            return connection.body.extend_from_slice(piece);
        }
        let mut lines = Vec::new();
        let fed = connection.lines.feed(piece, max, |line| lines.push(WatchLine::parse(line)));
        for line in lines {
            self.take_line(number, line, now);
        }
        if fed.is_err() {
            self.give_up(number, now);
        }
    }

    /// Takes a line, or `None` for what isn't one; ignored when the watch has ended before it.
    fn take_line(&mut self, number: ConnectionNumber, line: Option<WatchLine>, now: Instant) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        let asked = Asked::on(connection);
        match line {
            Some(WatchLine::Created(header)) => {
                connection.deadline = None;
                self.watching.on_created();
                self.members.on_response(asked.member, number);
                if self.is_same_cluster(header, asked.member) {
                    self.counters.watches += 1;
                    self.events.push_back(Event::WatchStarted(header));
                }
            }
            Some(WatchLine::Changed(header, events)) => {
                if self.is_same_cluster(header, asked.member) && !events.is_empty() {
                    let changes = events.into_iter().map(change).collect();
                    self.events.push_back(Event::Changed(header, changes));
                }
            }
            Some(WatchLine::Ended(outcome)) => {
                self.close(number);
                self.end_watch(&outcome, asked, now);
            }
            None => self.give_up(number, now),
        }
    }

    /// The watch has ended; its connection is closed, or will be.
    pub(super) fn end_watch(&mut self, outcome: &Outcome<()>, asked: Asked, now: Instant) {
        self.watching.on_ended(now, self.config.retry_delay);
        match outcome {
            Outcome::Unauthorized(_) | Outcome::Misused(_) => self.drop_token(asked),
            Outcome::Unavailable => self.fail_member(asked, Failure::Responded, now),
            Outcome::Done(()) | Outcome::NoSpace | Outcome::Unknown => {}
        }
    }
}

fn change(event: WatchEvent) -> Change {
    let value = match event.kind {
        EventKind::Put => Some(event.kv.value),
        EventKind::Delete => None,
    };
    Change { key: event.kv.key, value }
}
