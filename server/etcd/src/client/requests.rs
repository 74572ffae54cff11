//! Requests that aren't completed: their bodies as they were written once, and the order in which they are
//! tried.
//!
//! Knows no connection but its number, and no member.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::client::actions::ConnectionNumber;
use crate::outcome::Kind;
use crate::request::Request;

/// Buffers that are kept for the bodies of further requests.
pub const SPARE_BUFFERS: usize = 16;

/// Bytes of the largest buffer that is kept.
pub const SPARE_BUFFER_MAX: usize = 256 << 10;

/// How long a transaction waits that is refused while nothing is known of an earlier try of it: for want
/// of space, rights or sense, of which none comes soon.
pub const REFUSED_DELAY: Duration = Duration::from_secs(1);

/// Identifies a request to the driver, which chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Why a request isn't taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Another cluster has responded: nothing is taken any more.
    #[error("expected the same cluster as before, found another: nothing is asked any more")]
    Stopped,
    /// Too many requests are open: submit it again when one of them is completed.
    #[error("expected at most {max} requests at once, found more")]
    TooMany {
        /// [`Config::max_requests`](crate::Config::max_requests).
        max: usize,
    },
    /// Their bodies have too many bytes together: likewise.
    #[error("expected at most {max} bytes of requests at once, found more")]
    TooManyBytes {
        /// [`Config::max_request_bytes`](crate::Config::max_request_bytes).
        max: usize,
    },
    /// It alone has too many bytes: it will never be taken.
    #[error("expected a request of at most {max} bytes, found {found}")]
    TooLarge {
        /// [`Config::max_request_bytes`](crate::Config::max_request_bytes).
        max: usize,
        /// Its bytes.
        found: usize,
    },
}

/// A request that isn't completed.
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) kind: Kind,
    /// The same bytes in every try.
    pub(crate) body: Vec<u8>,
    /// It is sent on newer connections alone.
    pub(crate) newer_than: ConnectionNumber,
    /// Nothing is known of an earlier try.
    pub(crate) is_unknown: bool,
    /// For how many of its tries the token was no longer valid.
    pub(crate) refused_tokens: u8,
}

/// Without what is in its body: values.
impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("ticket", &self.ticket)
            .field("kind", &self.kind)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Pending {
    /// Whether an earlier try may have written, or may write yet. A read has nothing to do late.
    pub(crate) fn may_have_written(&self) -> bool {
        self.is_unknown && self.kind == Kind::Txn
    }
}

/// Every request is in one of three states: ready, delayed, or on a connection.
#[derive(Debug)]
pub(crate) struct Requests {
    max: usize,
    max_bytes: usize,
    pending: Slab<Pending>,
    ready: VecDeque<usize>,
    /// By their times.
    delayed: VecDeque<(Instant, usize)>,
    /// Of all bodies.
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl Requests {
    pub(crate) fn new(max: usize, max_bytes: usize) -> Self {
        let (pending, ready, delayed) = (Slab::new(), VecDeque::new(), VecDeque::new());
        Self { max, max_bytes, pending, ready, delayed, bytes: 0, spare: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn submit(
        &mut self,
        request: &Request<'_>,
        ticket: Ticket,
    ) -> Result<(), SubmitError> {
        if self.pending.len() >= self.max {
            return Err(SubmitError::TooMany { max: self.max });
        }
        let mut body = self.spare.pop().unwrap_or_default();
        request.write(&mut body);
        if let Err(error) = self.check_bytes(body.len()) {
            self.keep(body);
            return Err(error);
        }
        self.bytes += body.len();
        let kind = match request {
            Request::Txn(_) => Kind::Txn,
            Request::Range(_) => Kind::Range,
        };
        let newer_than = ConnectionNumber(0);
        let pending =
            Pending { ticket, kind, body, newer_than, is_unknown: false, refused_tokens: 0 };
        self.ready.push_back(self.pending.insert(pending));
        Ok(())
    }

    fn check_bytes(&self, found: usize) -> Result<(), SubmitError> {
        let max = self.max_bytes;
        if found > max {
            return Err(SubmitError::TooLarge { max, found });
        }
        if self.bytes + found > max {
            return Err(SubmitError::TooManyBytes { max });
        }
        Ok(())
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&Pending> {
        self.pending.get(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut Pending> {
        self.pending.get_mut(slot)
    }

    /// Where the request with this ticket is.
    pub(crate) fn find(&self, ticket: Ticket) -> Option<usize> {
        self.pending.iter().find(|(_, pending)| pending.ticket == ticket).map(|(slot, _)| slot)
    }

    /// What is tried next, and how many there are.
    pub(crate) fn first_ready(&self) -> Option<usize> {
        self.ready.front().copied()
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The first one is on a connection now.
    pub(crate) fn take_first_ready(&mut self) {
        self.ready.pop_front();
    }

    /// It isn't on a connection any more, and goes on one again at once.
    pub(crate) fn retry_now(&mut self, slot: usize) {
        self.ready.push_back(slot);
    }

    /// The same later.
    pub(crate) fn retry_at(&mut self, slot: usize, at: Instant) {
        let position = self.delayed.partition_point(|(other, _)| *other <= at);
        self.delayed.insert(position, (at, slot));
    }

    /// Makes those ready that have waited long enough.
    pub(crate) fn on_time(&mut self, now: Instant) {
        while let Some(&(_, slot)) = self.delayed.front().filter(|(at, _)| *at <= now) {
            self.delayed.pop_front();
            self.ready.push_back(slot);
        }
    }

    /// When the next one becomes ready.
    pub(crate) fn next_ready(&self) -> Option<Instant> {
        self.delayed.front().map(|(at, _)| *at)
    }

    /// It is completed, wherever it is.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Ticket> {
        let pending = self.pending.try_remove(slot)?;
        self.ready.retain(|&other| other != slot);
        self.delayed.retain(|&(_, other)| other != slot);
        self.bytes -= pending.body.len();
        self.keep(pending.body);
        Some(pending.ticket)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max, self.max_bytes);
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BUFFER_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Range;

    #[test]
    fn no_request_shows_its_body() {
        let mut requests = Requests::new(1, 100);
        requests.submit(&Request::Range(Range::of_key(b"key")), Ticket(1)).expect("room");
        let length = requests.bytes();
        let expected =
            format!("Pending {{ ticket: Ticket(1), kind: Range, body_len: {length}, .. }}");
        assert_eq!(format!("{:?}", requests.pending[0]), expected);
    }
}
