//! Gives etcd's client what waits, as far as there is room.
//!
//! Room for what no agency asks for is kept free, so that no number of agencies can keep the draw from being
//! held. Must not know what comes of requests.

use std::time::Instant;

use etcd::{Client, Request, SubmitError, Ticket};

use super::{Beginning, ClusterStore, Commit, NotTaken};
use crate::agencies::{Fence, Stage, Write};
use crate::config::{RESERVED_REQUESTS, SMALL_REQUEST_BYTES};
use crate::tickets::{Purpose, Tickets};
use crate::transactions::{self, Basis, Draw, Stored};

/// Pages of winners under way at once: they are large.
pub(super) const PAGES_UNDER_WAY: usize = 8;

/// Bytes that are kept free for [`RESERVED_REQUESTS`].
const RESERVED_BYTES: usize = RESERVED_REQUESTS * SMALL_REQUEST_BYTES;

/// Hands requests to the client, each with a ticket.
pub(super) struct Submitter<'a> {
    client: &'a mut Client,
    tickets: &'a mut Tickets,
    now: Instant,
}

impl Submitter<'_> {
    pub(super) fn submit(
        &mut self,
        request: &Request<'_>,
        purpose: Purpose,
    ) -> Result<Ticket, SubmitError> {
        self.client.submit(request, self.tickets.next(), self.now)?;
        Ok(self.tickets.open(purpose))
    }
}

/// What a HELLO asks next.
enum HelloStep {
    Read,
    Fence(Fence),
}

impl ClusterStore {
    /// What came of an input, and what can go on now.
    pub(super) fn advance(&mut self, now: Instant) {
        self.take_events(now);
        self.submit_beginning(now);
        self.submit_close(now);
        self.submit_poll(now);
        while self.submit_hello(now) {}
        while self.submit_page(now) {}
    }

    /// When [`advance`](Self::advance) submits something by itself.
    pub(super) fn next_submission(&self) -> Option<Instant> {
        let begin = match self.beginning {
            Beginning::Reading(at) => Some((at, Purpose::ReadMeta)),
            Beginning::New | Beginning::Creating(_) | Beginning::Begun(_) | Beginning::Stopped => {
                None
            }
        };
        let poll = self.poll.at.map(|at| (at, Purpose::Poll));
        let close = self.close_at.map(|at| (at, Purpose::Close));
        let timed = [begin, poll, close].into_iter().flatten();
        timed.filter(|(_, purpose)| !self.tickets.has(*purpose)).map(|(at, _)| at).min()
    }

    /// The draw, once it is known, and the way to ask something.
    pub(super) fn draw_and_submitter(&mut self, now: Instant) -> Option<(Draw<'_>, Submitter<'_>)> {
        let Beginning::Begun(meta) = &self.beginning else { return None };
        let draw = Draw { keys: &self.keys, meta };
        let submitter = Submitter { client: &mut self.client, tickets: &mut self.tickets, now };
        Some((draw, submitter))
    }

    /// The way to ask something, whether the draw is known or not.
    pub(super) fn submitter(&mut self, now: Instant) -> Submitter<'_> {
        Submitter { client: &mut self.client, tickets: &mut self.tickets, now }
    }

    /// Whether there is room for a request that stores so many bytes.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        let limits = &self.config.etcd;
        let (requests, taken) = (self.client.requests(), self.client.request_bytes());
        requests + RESERVED_REQUESTS < limits.max_requests
            && taken + request_bytes(bytes) + RESERVED_BYTES <= limits.max_request_bytes
    }

    pub(super) fn cancel(&mut self, ticket: Option<Ticket>, now: Instant) {
        let Some(ticket) = ticket else { return };
        self.tickets.cancel(ticket);
        self.client.cancel(ticket, now);
    }

    pub(super) fn submit_commit(
        &mut self,
        agency: u32,
        write: Write,
        commit: &Commit<'_>,
        now: Instant,
    ) -> Result<(), NotTaken> {
        let found = commit.rows.len() + commit.winning.len();
        let max = max_commit_bytes(self.config.etcd.max_request_bytes);
        if found > max {
            return Err(NotTaken::TooLarge { max, found });
        }
        if !self.has_room_for(found) {
            return Err(NotTaken::Full);
        }
        let stored = Stored { rows: commit.rows, winning: commit.winning };
        let not_open = NotTaken::NotOpen { agency };
        let (draw, mut submitter) = self.draw_and_submitter(now).ok_or(not_open)?;
        let basis = Basis { draw, agency, known: Some(write.known) };
        let ticket = transactions::commit(&basis, &write.wanted, stored, |request| {
            submitter.submit(request, Purpose::Agency(agency))
        });
        self.agencies.writes(agency, write, ticket.map_err(|_| NotTaken::Full)?, now);
        self.advance(now);
        Ok(())
    }

    pub(super) fn submit_end(
        &mut self,
        agency: u32,
        write: Write,
        now: Instant,
    ) -> Result<(), NotTaken> {
        if !self.has_room_for(0) {
            return Err(NotTaken::Full);
        }
        let not_open = NotTaken::NotOpen { agency };
        let (draw, mut submitter) = self.draw_and_submitter(now).ok_or(not_open)?;
        let basis = Basis { draw, agency, known: Some(write.known) };
        let ticket = transactions::end(&basis, &write.wanted, |request| {
            submitter.submit(request, Purpose::Agency(agency))
        });
        self.agencies.writes(agency, write, ticket.map_err(|_| NotTaken::Full)?, now);
        self.advance(now);
        Ok(())
    }

    /// Whether a HELLO could go on.
    fn submit_hello(&mut self, now: Instant) -> bool {
        let Some(agency) = self.agencies.first_hello() else { return false };
        let step = match self.stage(agency) {
            Some(Stage::Reading) => HelloStep::Read,
            Some(Stage::Fencing(fence)) => HelloStep::Fence(*fence),
            _ => return false,
        };
        if !self.has_room_for(0) {
            return false;
        }
        let Some((draw, mut submitter)) = self.draw_and_submitter(now) else { return false };
        let purpose = Purpose::Agency(agency);
        let ticket = match step {
            HelloStep::Read => transactions::read_account(draw, agency, |request| {
                submitter.submit(request, purpose)
            }),
            HelloStep::Fence(Fence { known, wanted }) => {
                let basis = Basis { draw, agency, known };
                transactions::hello(&basis, &wanted, |request| submitter.submit(request, purpose))
            }
        };
        let Ok(ticket) = ticket else { return false };
        self.agencies.submitted(agency, ticket, now);
        true
    }
}

/// At least as many bytes as a request has that stores so many.
fn request_bytes(stored: usize) -> usize {
    stored.div_ceil(3) * 4 + SMALL_REQUEST_BYTES
}

/// The most that a commit may store, so that it has room once nothing else is under way.
fn max_commit_bytes(max_request_bytes: usize) -> usize {
    (max_request_bytes - RESERVED_BYTES - SMALL_REQUEST_BYTES) / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_commit_fits_beside_what_is_reserved() {
        for max in [RESERVED_BYTES + SMALL_REQUEST_BYTES, 100_000, 100_001, 3 << 20] {
            let largest = max_commit_bytes(max);
            assert!(request_bytes(largest) + RESERVED_BYTES <= max, "{max}");
        }
    }
}
