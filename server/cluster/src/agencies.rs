//! The agencies that are served here, and where each of them is.
//!
//! Each has one place: what it repeats costs nothing. HELLOs, and those who ask for winners, wait for room
//! in the order in which they came. Must not know how anything is asked of etcd.

use std::collections::BTreeMap;
use std::time::Instant;

use etcd::Ticket;

use crate::account::Account;

/// Where an agency is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// HELLO: its account is read, or will be.
    Reading,
    /// HELLO: the fence is put, or will be.
    Fencing(Fence),
    /// It may commit or end.
    Open(Account),
    /// A commit or END is under way.
    Writing(Write),
    /// It has finished, or the draw was held: it may ask for winners.
    Finished { account: Account, pages: Pages },
}

/// A session that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The account as it was read; `None` if it wasn't there.
    pub(crate) known: Option<Account>,
    /// With the new session.
    pub(crate) wanted: Account,
}

/// A commit or END.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    /// The account before it.
    pub(crate) known: Account,
    /// And behind it.
    pub(crate) wanted: Account,
}

impl Write {
    /// Whether it is END.
    pub(crate) fn is_end(&self) -> bool {
        self.wanted.is_finished
    }
}

/// How far an agency's winners were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    /// The last key that was read; `None` before the first page.
    pub(crate) last: Option<Vec<u8>>,
    /// Documents up to it.
    pub(crate) documents: u64,
}

impl Stage {
    /// That of an agency with this account, and nothing under way.
    pub(crate) fn of(account: Account) -> Self {
        if account.is_finished {
            Self::Finished { account, pages: Pages::default() }
        } else {
            Self::Open(account)
        }
    }
}

/// An agency that is served.
#[derive(Debug)]
pub(crate) struct Agency {
    pub(crate) stage: Stage,
    /// The request that is under way for it.
    pub(crate) ticket: Option<Ticket>,
    /// Since when it waits for etcd; waiting for the draw is another matter.
    pub(crate) since: Option<Instant>,
    /// Its place in a queue, while it is in one. What it says first comes first: a HELLO keeps it.
    place: u64,
}

/// Agencies by their places, the oldest first.
type Queue = BTreeMap<u64, u32>;

#[derive(Debug, Default)]
pub(crate) struct Agencies {
    all: BTreeMap<u32, Agency>,
    /// HELLOs whose next request isn't under way.
    hellos: Queue,
    /// Those that have asked for winners, and whose page isn't under way.
    pages: Queue,
    /// The newest place.
    newest: u64,
}

impl Agencies {
    pub(crate) fn get(&self, agency: u32) -> Option<&Agency> {
        self.all.get(&agency)
    }

    /// A HELLO, unless one is there whose fence isn't under way. The request of what was before it, which
    /// is to be cancelled.
    ///
    /// A fence that is under way may have been put long ago, and superseded since: the agency may know
    /// more than the account that it would be answered with.
    pub(crate) fn hello(&mut self, agency: u32, now: Instant) -> Option<Ticket> {
        let will_fence = |found: &Agency| match found.stage {
            Stage::Reading => true,
            Stage::Fencing(_) => found.ticket.is_none(),
            Stage::Open(_) | Stage::Writing(_) | Stage::Finished { .. } => false,
        };
        if self.get(agency).is_some_and(will_fence) {
            return None;
        }
        let ticket = self.remove(agency);
        self.newest += 1;
        let place = self.newest;
        let added = Agency { stage: Stage::Reading, ticket: None, since: Some(now), place };
        self.all.insert(agency, added);
        self.hellos.insert(place, agency);
        ticket
    }

    /// The agency isn't served any more. Its request, which is to be cancelled.
    pub(crate) fn remove(&mut self, agency: u32) -> Option<Ticket> {
        let removed = self.all.remove(&agency)?;
        self.hellos.remove(&removed.place);
        self.pages.remove(&removed.place);
        removed.ticket
    }

    /// None is served any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The HELLO that has waited longest for room.
    pub(crate) fn first_hello(&self) -> Option<u32> {
        self.hellos.values().next().copied()
    }

    /// Who has waited longest for a page of winners.
    pub(crate) fn first_page(&self) -> Option<u32> {
        self.pages.values().next().copied()
    }

    /// Asks for the next page, unless that was asked, or the agency hasn't finished.
    pub(crate) fn ask_page(&mut self, agency: u32) {
        let Some(found) = self.all.get_mut(&agency) else { return };
        let is_asked = found.ticket.is_some() || self.pages.contains_key(&found.place);
        if is_asked || !matches!(found.stage, Stage::Finished { .. }) {
            return;
        }
        self.newest += 1;
        found.place = self.newest;
        self.pages.insert(found.place, agency);
    }

    /// A page that was under way has to be asked for again.
    pub(crate) fn repeat_page(&mut self, agency: u32) {
        if let Some(found) = self.all.get_mut(&agency) {
            found.ticket = None;
            self.pages.insert(found.place, agency);
        }
    }

    /// The request that it waited for room with is under way.
    pub(crate) fn submitted(&mut self, agency: u32, ticket: Ticket, now: Instant) {
        let Some(found) = self.all.get_mut(&agency) else { return };
        found.ticket = Some(ticket);
        found.since.get_or_insert(now);
        self.hellos.remove(&found.place);
        self.pages.remove(&found.place);
    }

    /// A write is under way.
    pub(crate) fn writes(&mut self, agency: u32, write: Write, ticket: Ticket, now: Instant) {
        if let Some(found) = self.all.get_mut(&agency) {
            found.stage = Stage::Writing(write);
            found.ticket = Some(ticket);
            found.since = Some(now);
        }
    }

    /// HELLO goes on with the fence.
    pub(crate) fn fences(&mut self, agency: u32, fence: Fence) {
        if let Some(found) = self.all.get_mut(&agency) {
            found.stage = Stage::Fencing(fence);
            found.ticket = None;
            self.hellos.insert(found.place, agency);
        }
    }

    /// Nothing is under way any more.
    pub(crate) fn rests(&mut self, agency: u32, stage: Stage) {
        if let Some(found) = self.all.get_mut(&agency) {
            found.stage = stage;
            found.ticket = None;
            found.since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos_wait_in_their_order_and_once_each() {
        let (mut agencies, now) = (Agencies::default(), Instant::now());
        for agency in [7, 3, 7, 5, 7] {
            assert_eq!(agencies.hello(agency, now), None);
        }
        assert_eq!((agencies.hellos.len(), agencies.all.len()), (3, 3));
        assert_eq!(agencies.first_hello(), Some(7));
        agencies.submitted(7, Ticket(1), now);
        assert_eq!(agencies.first_hello(), Some(3));
        let fence = Fence { known: None, wanted: Account::default() };
        agencies.fences(7, fence);
        assert_eq!(agencies.first_hello(), Some(7), "what has begun goes on first");
        agencies.remove(7);
        agencies.remove(3);
        assert_eq!(agencies.first_hello(), Some(5));
    }

    #[test]
    fn a_hello_does_not_take_a_fence_for_its_own_that_may_be_older() {
        let (mut agencies, now) = (Agencies::default(), Instant::now());
        agencies.hello(7, now);
        agencies.submitted(7, Ticket(1), now);
        assert_eq!(agencies.hello(7, now), None, "what is read is compared later");
        agencies.fences(7, Fence { known: None, wanted: Account::default() });
        assert_eq!(agencies.hello(7, now), None, "it isn't sent yet");
        agencies.submitted(7, Ticket(2), now);
        assert_eq!(agencies.hello(7, now), Some(Ticket(2)));
        assert_eq!(agencies.get(7).map(|found| &found.stage), Some(&Stage::Reading));
    }

    #[test]
    fn a_hello_ends_the_session_before_it_with_its_request() {
        let (mut agencies, now) = (Agencies::default(), Instant::now());
        agencies.hello(7, now);
        agencies.rests(7, Stage::of(Account::default()));
        let write = Write { known: Account::default(), wanted: Account::default() };
        agencies.writes(7, write, Ticket(4), now);
        assert_eq!(agencies.hello(7, now), Some(Ticket(4)));
        assert_eq!(agencies.get(7).map(|found| &found.stage), Some(&Stage::Reading));
        assert_eq!(agencies.get(7).and_then(|found| found.ticket), None);
    }

    #[test]
    fn winners_are_for_those_who_have_finished_and_a_page_at_a_time() {
        let (mut agencies, now) = (Agencies::default(), Instant::now());
        agencies.hello(7, now);
        agencies.rests(7, Stage::of(Account::default()));
        agencies.ask_page(7);
        assert_eq!(agencies.first_page(), None);
        let account = Account { is_finished: true, ..Account::default() };
        agencies.rests(7, Stage::of(account));
        agencies.ask_page(7);
        agencies.ask_page(7);
        assert_eq!(agencies.pages.len(), 1);
        agencies.submitted(7, Ticket(1), now);
        agencies.ask_page(7);
        assert_eq!(agencies.first_page(), None, "it is under way");
        agencies.repeat_page(7);
        assert_eq!(agencies.first_page(), Some(7));
        agencies.remove(7);
        assert_eq!(agencies.first_page(), None);
    }
}
