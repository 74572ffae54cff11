//! What comes of responses and failures: a request is completed, or tried again.

use std::time::Instant;

use http1::{ResponseError, ResponsePart};

use crate::client::Client;
use crate::client::actions::{ConnectionNumber, Queued};
use crate::client::connections::{Asked, End, Stage, Work};
use crate::client::events::{Completion, Event};
use crate::client::heads::Heads;
use crate::client::members::Failure;
use crate::client::requests::{Pending, REFUSED_DELAY};
use crate::client::token::Token;
use crate::outcome::{self, Outcome, Refusal};
use crate::response::Header;

/// How many tries of a request may find the token no longer valid: a member that is behind the others
/// may not know a new one yet.
const REFUSED_TOKENS_MAX: u8 = 3;

/// The code of gRPC for an argument that isn't valid: also for a token older than the users' rights.
const INVALID_ARGUMENT: u32 = 3;

impl Client {
    /// Decodes what has arrived; how much is used up.
    pub(super) fn decode(&mut self, number: ConnectionNumber, input: &[u8], now: Instant) -> usize {
        let mut used = 0;
        loop {
            let Some(connection) = self.connections.get_mut(number) else { return input.len() };
            if !matches!(connection.stage, Stage::Busy(_)) {
                if used < input.len() {
                    // A response without a request.
                    self.give_up(number, now);
                }
                return input.len();
            }
            let next = match connection.decoder.decode(&input[used..]) {
                Ok(next) => next,
                Err(error) => {
                    self.refuse_response(number, &error, now);
                    return input.len();
                }
            };
            used += next.used;
            match next.part {
                Some(ResponsePart::Head(head)) => connection.head = Some(head),
                Some(ResponsePart::Body(piece)) if connection.is_watch => {
                    self.take_piece_of_watch(number, piece, now);
                }
                Some(ResponsePart::Body(piece)) => connection.body.extend_from_slice(piece),
                Some(ResponsePart::End) => self.finish(number, now),
                None => return used,
            }
        }
    }

    /// What arrives can't be read. A response that is too large would be so again: it isn't asked for
    /// again, unless it is an error.
    fn refuse_response(&mut self, number: ConnectionNumber, error: &ResponseError, now: Instant) {
        if let ResponseError::BodyTooLarge { .. } = error
            && let Some(connection) = self.connections.get(number)
            && connection.head.is_some_and(|head| head.status == 200)
            && let Stage::Busy(Work::Request(slot)) = connection.stage
        {
            self.completed(slot, Completion::TooLarge);
            return self.close(number);
        }
        self.give_up(number, now);
    }

    /// A response is whole.
    fn finish(&mut self, number: ConnectionNumber, now: Instant) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        let Stage::Busy(work) = std::mem::replace(&mut connection.stage, Stage::Idle) else {
            return;
        };
        connection.deadline = None;
        let is_kept = !connection.is_watch && connection.head.is_some_and(|head| head.keeps_alive);
        let (asked, (head, body)) = (Asked::on(connection), connection.take_response());
        self.complete(work, head.map_or(0, |head| head.status), &body, asked, now);
        match self.connections.get_mut(number) {
            Some(connection) if is_kept => connection.keep(body),
            Some(_) => self.close(number),
            None => {}
        }
        self.close_useless();
    }

    fn complete(&mut self, work: Work, status: u16, body: &[u8], asked: Asked, now: Instant) {
        match work {
            Work::Request(slot) => self.complete_request(slot, status, body, asked, now),
            Work::Token => self.complete_token(status, body, asked, now),
            Work::Watch => self.end_watch(&outcome::of_watch(status, body), asked, now),
            Work::Cancelled => {}
        }
    }

    fn complete_request(
        &mut self,
        slot: usize,
        status: u16,
        body: &[u8],
        asked: Asked,
        now: Instant,
    ) {
        let Some(pending) = self.requests.get(slot) else { return };
        let is_first_refusal = pending.refused_tokens == 0 && self.token != Token::Unneeded;
        let outcome = outcome::of_request(pending.kind, status, body);
        match outcome {
            Outcome::Unavailable => self.counters.unavailable += 1,
            Outcome::Unknown => self.counters.unknown += 1,
            _ => self.members.on_response(asked.member, asked.connection),
        }
        match outcome {
            Outcome::Done(response) => {
                if self.is_same_cluster(response.header(), asked.member) {
                    self.completed(slot, Completion::Done(response));
                }
            }
            Outcome::NoSpace => self.refused(slot, Completion::NoSpace, now),
            Outcome::Unauthorized(refusal) => self.refuse_token(slot, refusal, asked, now),
            Outcome::Misused(refusal)
                if is_first_refusal && refusal.code == Some(INVALID_ARGUMENT) =>
            {
                self.refuse_token(slot, refusal, asked, now);
            }
            Outcome::Misused(refusal) => self.refused(slot, Completion::Misused(refusal), now),
            Outcome::Unavailable | Outcome::Unknown => {
                self.retry(slot, now);
                self.fail_member(asked, Failure::Responded, now);
            }
        }
    }

    fn completed(&mut self, slot: usize, completion: Completion) {
        let Some(ticket) = self.requests.remove(slot) else { return };
        let counter = match completion {
            Completion::Done(_) => &mut self.counters.done,
            Completion::NoSpace => &mut self.counters.no_space,
            Completion::Unauthorized(_) => &mut self.counters.unauthorized,
            Completion::Misused(_) => &mut self.counters.misused,
            Completion::TooLarge => &mut self.counters.too_large,
        };
        *counter += 1;
        self.events.push_back(Event::Completed { ticket, completion });
    }

    /// A try has done nothing. That ends the request, unless an earlier try may have done something.
    fn refused(&mut self, slot: usize, completion: Completion, now: Instant) {
        if self.requests.get(slot).is_some_and(Pending::may_have_written) {
            self.counters.refused_after_unknown += 1;
            return self.requests.retry_at(slot, now + REFUSED_DELAY);
        }
        self.completed(slot, completion);
    }

    /// Nothing is known of a try.
    fn retry(&mut self, slot: usize, now: Instant) {
        let newest = self.connections.newest();
        let Some(pending) = self.requests.get_mut(slot) else { return };
        pending.is_unknown = true;
        pending.newer_than = newest;
        self.requests.retry_at(slot, now + self.config.retry_delay);
    }

    /// The token of a try wasn't valid, or may not have been.
    fn refuse_token(&mut self, slot: usize, refusal: Refusal, asked: Asked, now: Instant) {
        let Some(pending) = self.requests.get_mut(slot) else { return };
        pending.refused_tokens = pending.refused_tokens.saturating_add(1);
        let refused = pending.refused_tokens;
        self.drop_token(asked);
        if self.token == Token::Unneeded || refused > REFUSED_TOKENS_MAX {
            return self.refused(slot, Completion::Unauthorized(refusal), now);
        }
        if refused == 1 {
            self.requests.retry_now(slot);
        } else {
            self.requests.retry_at(slot, now + self.config.retry_delay);
        }
    }

    /// Asks for another token, unless that was done since.
    pub(super) fn drop_token(&mut self, asked: Asked) {
        if self.token == Token::Held && asked.token == self.token_number {
            self.token = Token::Missing(None);
        }
    }

    fn complete_token(&mut self, status: u16, body: &[u8], asked: Asked, now: Instant) {
        match outcome::of_token(status, body) {
            Outcome::Done(response) => {
                self.members.on_response(asked.member, asked.connection);
                if self.is_same_cluster(response.header, asked.member) {
                    self.take_token(&response.token, now);
                }
            }
            Outcome::Unauthorized(refusal) | Outcome::Misused(refusal) => {
                self.members.on_response(asked.member, asked.connection);
                self.reject_credentials(&refusal, now);
            }
            Outcome::NoSpace | Outcome::Unavailable | Outcome::Unknown => {
                self.token = Token::Missing(Some(now + self.config.retry_delay));
                self.fail_member(asked, Failure::Responded, now);
            }
        }
    }

    fn take_token(&mut self, token: &str, now: Instant) {
        let endpoints = self.config.endpoints.iter();
        match endpoints.map(|endpoint| Heads::new(endpoint, Some(token))).collect() {
            Ok(heads) => {
                self.heads = heads;
                self.token = Token::Held;
                self.token_number += 1;
                self.counters.tokens += 1;
            }
            Err(error) => {
                let refusal = Refusal { status: 200, code: None, message: error.to_string() };
                self.reject_credentials(&refusal, now);
            }
        }
    }

    /// Without a token, nothing that waits is done.
    fn reject_credentials(&mut self, refusal: &Refusal, now: Instant) {
        self.token = Token::Missing(Some(now + self.config.retry_delay));
        while let Some(slot) = self.requests.first_ready() {
            self.requests.take_first_ready();
            self.refused(slot, Completion::Unauthorized(refusal.clone()), now);
        }
        if self.watching.is_due(now) {
            self.watching.on_ended(now, self.config.retry_delay);
        }
    }

    /// Gives a connection up, and what was asked on it.
    pub(super) fn give_up(&mut self, connection: ConnectionNumber, now: Instant) {
        self.actions.push_back(Queued::Close(connection));
        self.lose(connection, End::OfPatience, now);
    }

    /// Nothing more comes on a connection.
    pub(super) fn lose(&mut self, number: ConnectionNumber, end: End, now: Instant) {
        let Some(mut connection) = self.connections.remove(number) else { return };
        let asked = Asked::on(&connection);
        match connection.stage {
            Stage::Connecting => {
                self.counters.failed_connects += 1;
                if connection.is_watch {
                    self.watching.on_ended(now, self.config.retry_delay);
                }
                self.fail_member(asked, Failure::Silent, now);
            }
            // It has sent a response without a request.
            Stage::Idle if end == End::OfPatience => self.fail_member(asked, Failure::Silent, now),
            Stage::Idle => {}
            Stage::Busy(Work::Watch) => {
                // While it is in force, it has no deadline, and its end says nothing of the member.
                let is_in_force = connection.deadline.is_none();
                self.end_watch(&Outcome::Unknown, asked, now);
                if !is_in_force {
                    self.fail_member(asked, Failure::Silent, now);
                }
            }
            Stage::Busy(work) => {
                if end == End::OfConnection && connection.decoder.finish(&[]) == Ok(true) {
                    let (head, body) = connection.take_response();
                    let status = head.map_or(0, |head| head.status);
                    return self.complete(work, status, &body, asked, now);
                }
                self.lose_work(work, now);
                self.fail_member(asked, Failure::Silent, now);
            }
        }
    }

    fn lose_work(&mut self, work: Work, now: Instant) {
        match work {
            Work::Request(slot) => {
                self.counters.unknown += 1;
                self.retry(slot, now);
            }
            Work::Token => self.token = Token::Missing(Some(now + self.config.retry_delay)),
            Work::Watch | Work::Cancelled => {}
        }
    }

    /// Another member is asked from now on, if there is one.
    pub(super) fn fail_member(&mut self, asked: Asked, failure: Failure, now: Instant) {
        let newest = self.connections.newest();
        if self.members.on_failed(asked.member, asked.connection, newest, failure, now) {
            self.close_useless();
            self.leave_watch(asked.member, now);
        }
    }

    /// Whether the same cluster has responded as ever; if not, the client stops.
    pub(super) fn is_same_cluster(&mut self, header: Header, endpoint: usize) -> bool {
        if header.raft_term > self.raft_term {
            self.counters.elections += u64::from(self.raft_term > 0);
            self.raft_term = header.raft_term;
        }
        if header.cluster_id == 0 {
            return true;
        }
        let expected = *self.cluster_id.get_or_insert(header.cluster_id);
        let is_same = expected == header.cluster_id;
        if !is_same {
            self.stop();
            let found = header.cluster_id;
            self.events.push_back(Event::OtherCluster { expected, found, endpoint });
        }
        is_same
    }

    fn stop(&mut self) {
        while let Some(connection) = self.connections.first() {
            self.close(connection);
        }
        self.requests.clear();
        self.watching.turn_off();
        self.is_stopped = true;
    }
}
