//! Replies that wait until what they depend on is durable.
//!
//! A reply leaves by position: when everything up to the commit that it belongs to is durable. All
//! replies go through here, those that depend on nothing as well, so that each connection gets its
//! replies in the order of its requests.
//!
//! ```text
//!  push ──> staged ──appended(n)──> (n, reply) ──pop_durable(>= n)──> sent
//!                  ──unavailable(n)─> the same, as UNAVAILABLE
//! ```

use std::collections::VecDeque;
use std::rc::Rc;

use ledger::Lsn;
use reactor::ConnectionId;
use wire::Agency;

use super::reply::Reply;
use crate::lottery::AgencyStanding;

/// A reply, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReply {
    pub(crate) to: ConnectionId,
    /// Who the connection introduced itself as; 0 before that.
    pub(crate) agency: Agency,
    pub(crate) reply: Reply,
}

/// The queue, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    /// Since the last commit.
    staged: Vec<PendingReply>,
    /// Handed over with a commit, or behind one that was.
    appended: VecDeque<(Lsn, PendingReply)>,
}

impl ReplyQueue {
    /// Adds the reply to a request whose effects were staged just now.
    pub(crate) fn push(&mut self, pending: PendingReply) {
        self.staged.push(pending);
    }

    /// What was staged was handed over as commit `lsn`.
    pub(crate) fn appended(&mut self, lsn: Lsn) {
        self.appended.extend(self.staged.drain(..).map(|pending| (lsn, pending)));
    }

    /// What was staged had no effect: replies that report one become UNAVAILABLE, and `standing`
    /// returns how far agencies are now. All of them wait for `lsn`. Returns the connections
    /// whose requests had no effect.
    pub(crate) fn unavailable(
        &mut self,
        lsn: Lsn,
        reason: &Rc<str>,
        standing: impl Fn(Agency) -> AgencyStanding,
    ) -> Vec<ConnectionId> {
        let mut concerned = Vec::new();
        for pending in &mut self.staged {
            let standing = standing(pending.agency);
            if pending.reply.depends_on_commit() {
                let (consumed, reason) = (standing.consumed, reason.clone());
                let is_batch = pending.reply.is_of_batch();
                pending.reply = Reply::Unavailable { consumed, reason, is_batch };
                concerned.push(pending.to);
            } else if let Reply::Welcome(announced) = &mut pending.reply {
                *announced = standing;
            }
        }
        self.appended(lsn);
        concerned
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.staged.len() + self.appended.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the next reply that may leave when everything up to `durable` is durable.
    pub(crate) fn pop_durable(&mut self, durable: Lsn) -> Option<PendingReply> {
        let (lsn, _) = self.appended.front()?;
        if *lsn > durable {
            return None;
        }
        self.appended.pop_front().map(|(_, pending)| pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Checksum, Phase};

    const ONE: ConnectionId = ConnectionId::new(1, 1);
    const TWO: ConnectionId = ConnectionId::new(2, 1);

    fn pending(to: ConnectionId, agency: Agency, reply: Reply) -> PendingReply {
        PendingReply { to, agency, reply }
    }

    fn at(consumed: u64) -> AgencyStanding {
        let (checksum, phase) = (Checksum::default(), Phase::Open);
        AgencyStanding { consumed, checksum, stored: 0, rejected: 0, phase }
    }

    fn pop(queue: &mut ReplyQueue, durable: u64) -> Vec<(ConnectionId, Reply)> {
        let next = || queue.pop_durable(Lsn(durable));
        std::iter::from_fn(next).map(|pending| (pending.to, pending.reply)).collect()
    }

    #[test]
    fn a_reply_leaves_when_its_commit_is_durable_and_not_before_an_earlier_one() {
        let mut queue = ReplyQueue::default();
        let duplicate = |consumed| Reply::Duplicate { consumed };
        queue.push(pending(ONE, 1, duplicate(1)));
        assert_eq!(pop(&mut queue, u64::MAX), [], "it isn't handed over");
        queue.appended(Lsn(1));
        queue.push(pending(TWO, 2, duplicate(2)));
        queue.appended(Lsn(3));
        queue.push(pending(ONE, 1, Reply::CloseAfterReplies));
        assert_eq!(queue.len(), 3);
        assert_eq!(pop(&mut queue, 0), []);
        assert_eq!(pop(&mut queue, 2), [(ONE, duplicate(1))]);
        queue.appended(Lsn(3));
        assert_eq!(pop(&mut queue, 3), [(TWO, duplicate(2)), (ONE, Reply::CloseAfterReplies)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_had_no_effect_is_reported_as_that_and_a_welcome_says_where_the_agency_stands_now() {
        let mut queue = ReplyQueue::default();
        queue.push(pending(ONE, 1, Reply::Welcome(at(7))));
        queue.push(pending(ONE, 1, Reply::Finished { stored: 7, rejected: 0 }));
        queue.push(pending(TWO, 2, Reply::CloseAfterReplies));
        let reason = Rc::from("full");
        let standing = |agency| at(u64::from(agency));
        assert_eq!(queue.unavailable(Lsn(4), &reason, standing), [ONE]);
        assert_eq!(pop(&mut queue, 3), []);
        let expected = [
            (ONE, Reply::Welcome(at(1))),
            (ONE, Reply::Unavailable { consumed: 1, reason, is_batch: false }),
            (TWO, Reply::CloseAfterReplies),
        ];
        assert_eq!(pop(&mut queue, 4), expected);
    }
}
