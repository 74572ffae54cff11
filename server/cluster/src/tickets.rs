//! Requests under way: what each is for, and the revision that its response can't be below.
//!
//! Reads and transactions are linearizable, so etcd's revision in the response to a request is no
//! lower than in any response that was there before the request was sent, whichever members respond and
//! however far behind others they are. One that is lower is of a store that was set back. (A term of Raft is
//! no such measure: a member counts it up alone while it is cut off.)
//!
//! Must not know what the requests say.

use std::collections::BTreeMap;

use etcd::{Header, Ticket};

use crate::error::Error;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads `meta`.
    ReadMeta,
    /// Creates `meta`.
    CreateMeta,
    /// Reads how far the lottery is.
    Poll,
    /// Holds the draw.
    Close,
    /// HELLO, commit or END, as the agency's stage says.
    Agency(u32),
    /// A page of the agency's winners.
    Page(u32),
}

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// The newest one.
    newest: u64,
    open: BTreeMap<Ticket, Open>,
    /// The highest revision of all responses so far.
    revision: i64,
}

#[derive(Debug)]
struct Open {
    purpose: Purpose,
    /// The highest revision when it was submitted: it was sent after that.
    revision: i64,
}

impl Tickets {
    /// The ticket that [`open`](Self::open) opens next.
    pub(crate) fn next(&self) -> Ticket {
        Ticket(self.newest + 1)
    }

    /// The request with the next ticket was submitted.
    pub(crate) fn open(&mut self, purpose: Purpose) -> Ticket {
        let ticket = self.next();
        self.newest += 1;
        self.open.insert(ticket, Open { purpose, revision: self.revision });
        ticket
    }

    /// The request is cancelled: nothing comes of it.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
    }

    /// The request is completed. What it was for; with the header of its response, if there is one.
    pub(crate) fn complete(
        &mut self,
        ticket: Ticket,
        header: Option<Header>,
    ) -> Result<Option<Purpose>, Error> {
        let Some(open) = self.open.remove(&ticket) else { return Ok(None) };
        if let Some(header) = header {
            if header.revision < open.revision {
                let (expected, found) = (open.revision, header.revision);
                return Err(Error::WentBack { expected, found });
            }
            self.revision = self.revision.max(header.revision);
        }
        Ok(Some(open.purpose))
    }

    /// Whether one for this is under way.
    pub(crate) fn has(&self, purpose: Purpose) -> bool {
        self.open.values().any(|open| open.purpose == purpose)
    }

    /// How many pages of winners are under way.
    pub(crate) fn pages(&self) -> usize {
        self.open.values().filter(|open| matches!(open.purpose, Purpose::Page(_))).count()
    }

    /// All that are under way; none is any more.
    pub(crate) fn take_all(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.open).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: i64) -> Header {
        Header { revision, ..Header::default() }
    }

    #[test]
    fn a_response_may_be_older_than_one_that_was_under_way_with_it() {
        let mut tickets = Tickets::default();
        let (first, second) = (tickets.open(Purpose::Poll), tickets.open(Purpose::Agency(3)));
        assert_eq!(tickets.complete(second, Some(at(9))), Ok(Some(Purpose::Agency(3))));
        assert_eq!(tickets.complete(first, Some(at(4))), Ok(Some(Purpose::Poll)));
        let third = tickets.open(Purpose::Close);
        assert!(tickets.has(Purpose::Close));
        assert_eq!(tickets.complete(third, Some(at(9))), Ok(Some(Purpose::Close)));
        assert!(!tickets.has(Purpose::Close));
    }

    #[test]
    fn a_response_to_what_was_asked_later_is_never_older() {
        let mut tickets = Tickets::default();
        let first = tickets.open(Purpose::Poll);
        assert_eq!(tickets.complete(first, Some(at(9))), Ok(Some(Purpose::Poll)));
        let second = tickets.open(Purpose::Poll);
        let error = Error::WentBack { expected: 9, found: 8 };
        assert_eq!(tickets.complete(second, Some(at(8))), Err(error));
    }

    #[test]
    fn what_is_cancelled_or_has_no_response_says_nothing() {
        let mut tickets = Tickets::default();
        let (first, second) = (tickets.open(Purpose::Poll), tickets.open(Purpose::Close));
        tickets.cancel(first);
        assert_eq!(tickets.complete(first, Some(at(0))), Ok(None));
        assert_eq!(tickets.complete(second, None), Ok(Some(Purpose::Close)));
        let third = tickets.open(Purpose::Page(1));
        assert_eq!(tickets.pages(), 1);
        assert_eq!(tickets.take_all(), [third]);
        assert_eq!(tickets.next(), Ticket(third.0 + 1));
    }
}
