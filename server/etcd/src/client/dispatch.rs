//! Gives waiting work to connections: to those that are idle, or to new ones, to the member that is
//! asked now.

use std::time::Instant;

use crate::client::Client;
use crate::client::actions::{ConnectionNumber, Queued};
use crate::client::connections::{Stage, Work};
use crate::client::token::Token;

/// How it stands with the connections to a member.
#[derive(Default)]
struct Census {
    busy: usize,
    connecting: usize,
    idle: usize,
    /// An idle one that is new enough.
    fit: Option<ConnectionNumber>,
    /// An idle one that isn't.
    stale: Option<ConnectionNumber>,
}

impl Client {
    /// Lets everything go on that can. To be called after each input.
    pub(super) fn dispatch(&mut self, now: Instant) {
        self.wakes_at = None;
        if self.is_stopped {
            return;
        }
        self.requests.on_time(now);
        while self.dispatch_one(now) {}
        self.start_watch(now);
        let token = match self.token {
            Token::Missing(not_before) => not_before,
            Token::Unneeded | Token::Asked | Token::Held => None,
        };
        // What could have gone on at once, and hasn't, waits for a connection or a member.
        let times = [self.requests.next_ready(), self.watching.next_start(), token];
        let later = times.into_iter().flatten().filter(|time| *time > now);
        self.wakes_at = later.chain(self.wakes_at).min();
    }

    /// Whether anything was done.
    fn dispatch_one(&mut self, now: Instant) -> bool {
        let Some((work, newer_than)) = self.next_work(now) else { return false };
        let Some(member) = self.choose(now) else { return false };
        let census = self.census(member, newer_than);
        let is_suspect = self.members.is_suspect(member);
        let limit = if is_suspect { 1 } else { self.config.connections_per_member };
        if census.busy >= limit {
            return false;
        }
        if let Some(connection) = census.fit {
            self.begin(connection, work, now);
            return true;
        }
        let waiting = if work == Work::Token { 1 } else { self.requests.ready() };
        if census.connecting >= waiting || census.busy + census.connecting >= limit {
            return false;
        }
        if census.busy + census.connecting + census.idle >= self.config.connections_per_member {
            let Some(stale) = census.stale else { return false };
            self.close(stale);
        }
        self.connect(member, false, now);
        true
    }

    /// What is to be asked, and on a connection newer than which.
    fn next_work(&self, now: Instant) -> Option<(Work, ConnectionNumber)> {
        match self.token {
            Token::Unneeded | Token::Held => {
                let slot = self.requests.first_ready()?;
                Some((Work::Request(slot), self.requests.get(slot)?.newer_than))
            }
            Token::Missing(not_before) => {
                let is_waiting = self.requests.ready() > 0 || self.watching.is_due(now);
                let is_time = not_before.is_none_or(|time| time <= now);
                (is_waiting && is_time).then_some((Work::Token, ConnectionNumber(0)))
            }
            Token::Asked => None,
        }
    }

    /// The member to ask now.
    fn choose(&mut self, now: Instant) -> Option<usize> {
        let before = self.members.current();
        let Some(member) = self.members.choose(now) else {
            self.wakes_at = self.members.next_choice();
            return None;
        };
        if member != before {
            self.counters.member_changes += 1;
            self.close_useless();
        }
        Some(member)
    }

    fn census(&self, member: usize, newer_than: ConnectionNumber) -> Census {
        let mut census = Census::default();
        for connection in self.connections.to(member) {
            match connection.stage {
                Stage::Connecting => census.connecting += 1,
                Stage::Busy(_) => census.busy += 1,
                Stage::Idle => {
                    census.idle += 1;
                    let is_fit = connection.number > newer_than;
                    let place = if is_fit { &mut census.fit } else { &mut census.stale };
                    *place = Some(connection.number);
                }
            }
        }
        census
    }

    /// Asks for a connection.
    fn connect(&mut self, member: usize, is_watch: bool, now: Instant) -> ConnectionNumber {
        let deadline = now + self.config.connect_timeout;
        let connection = self.connections.open(member, is_watch, deadline);
        self.actions.push_back(Queued::Connect { connection, endpoint: member });
        self.counters.connects += 1;
        connection
    }

    /// Asks on a connection that is idle.
    pub(super) fn begin(&mut self, number: ConnectionNumber, work: Work, now: Instant) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        connection.stage = Stage::Busy(work);
        let timeout = match work {
            Work::Token => self.config.token_timeout,
            Work::Request(_) | Work::Watch | Work::Cancelled => self.config.request_timeout,
        };
        connection.deadline = Some(now + timeout);
        connection.token = self.token_number;
        match work {
            Work::Request(_) => self.requests.take_first_ready(),
            Work::Token => self.token = Token::Asked,
            Work::Watch | Work::Cancelled => {}
        }
        self.actions.push_back(Queued::Send(number));
    }

    fn start_watch(&mut self, now: Instant) {
        let has_token = matches!(self.token, Token::Unneeded | Token::Held);
        if !has_token || !self.watching.is_due(now) {
            return;
        }
        if let Some(member) = self.choose(now) {
            let connection = self.connect(member, true, now);
            self.watching.on_connecting(connection);
        }
    }

    /// Closes a connection on which nothing is asked.
    pub(super) fn close(&mut self, connection: ConnectionNumber) {
        self.connections.remove(connection);
        self.actions.push_back(Queued::Close(connection));
    }

    /// Closes what is idle and goes to another member than the one that is asked now, or is older than
    /// the last failure of that one: if it were used, the member would never be known to be well again.
    pub(super) fn close_useless(&mut self) {
        let (members, current) = (&self.members, self.members.current());
        while let Some(idle) = self
            .connections
            .find_idle(|one| one.member != current || members.is_outdated(current, one.number))
        {
            self.connections.remove(idle);
            self.actions.push_back(Queued::Close(idle));
        }
    }
}
