//! The requests of one agency whose lottery is in etcd: judged, gathered until they are written, and
//! their replies until that is known to be done.
//!
//! ```text
//!  batch ──> gathered ──take_commit──> under way ──committed──> replies leave
//!  END ────> ended ─────take_end──────> under way ──ended─────> replies leave
//!                                            └─ unavailable: all that isn't durable had no effect
//! ```
//!
//! What is written is counted in *steps*; a reply leaves when the step is durable that was the last one
//! when it was queued. Knows no etcd, no other agency and no session.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use reactor::ConnectionId;
use wire::bet;
use wire::{Agency, Batch, Checksum, Position};

use super::reply::Reply;
use super::reply_queue::PendingReply;
use super::requests::Judge;
use crate::lottery::batch::{self, BatchWinners};
use crate::lottery::{Account, AgencyStanding, BatchOutcome, Refusal};
use crate::row;

/// Batches that were taken and aren't written yet.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Rows to be stored.
    pub(crate) rows: Vec<u8>,
    /// Documents of winning bets among them, each with a line feed behind it.
    pub(crate) winning: Vec<u8>,
    /// How many those are.
    pub(crate) winners: u64,
    /// Bets in the rows.
    pub(crate) stored: u64,
    /// Bets in rejected batches.
    pub(crate) rejected: u64,
    /// Checksum of all bets of the agency up to the last of these.
    pub(crate) checksum: Checksum,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.stored + self.rejected == 0
    }

    /// Bytes of rows and documents.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.winning.len()
    }
}

/// What is to be written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// What has gathered.
    Commit,
    /// That the agency has finished.
    End,
}

/// One agency's requests.
#[derive(Debug)]
pub(crate) struct Lane {
    agency: Agency,
    /// Its connection.
    pub(crate) to: ConnectionId,
    /// Its account when everything is written; `None` while the account isn't known.
    pending: Option<Account>,
    drawn: bool,
    gathered: Gathered,
    /// END was taken and isn't written yet.
    ended: bool,
    /// Since when something is under way.
    under_way: Option<Instant>,
    /// It is in the queue of those that have something to write.
    pub(crate) is_queued: bool,
    /// Steps that were written, or are under way.
    begun: u64,
    /// Steps that are durable.
    durable: u64,
    replies: VecDeque<(u64, PendingReply)>,
}

impl Lane {
    /// The requests of an agency that has introduced itself on this connection; its account isn't known.
    pub(crate) fn new(agency: Agency, to: ConnectionId) -> Self {
        Self {
            agency,
            to,
            pending: None,
            drawn: false,
            gathered: Gathered::default(),
            ended: false,
            under_way: None,
            is_queued: false,
            begun: 0,
            durable: 0,
            replies: VecDeque::new(),
        }
    }

    /// The account is known: WELCOME leaves.
    pub(crate) fn open(&mut self, account: Account, drawn: bool) {
        (self.pending, self.drawn) = (Some(account), drawn);
        let reply = Reply::Welcome(account.standing(drawn));
        self.queue(PendingReply { to: self.to, agency: self.agency, reply });
    }

    /// The draw was held.
    pub(crate) fn draw(&mut self) {
        self.drawn = true;
    }

    /// Whether the draw was held, but the agency hasn't finished as far as is known here.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.drawn && self.pending.is_some_and(|account| !account.finished)
    }

    /// Whether the account is known.
    pub(crate) fn is_open(&self) -> bool {
        self.pending.is_some()
    }

    /// The account when everything is written.
    pub(crate) fn pending(&self) -> Account {
        self.pending.unwrap_or_default()
    }

    /// Whether no further request is taken: the account isn't known, or another batch might make what has
    /// gathered larger than `max` bytes.
    pub(crate) fn is_full(&self, max: usize, request_max: usize) -> bool {
        !self.is_open() || self.gathered.len() + request_max > max
    }

    /// What is to be written next, if anything, and nothing is under way.
    pub(crate) fn next(&self) -> Option<Next> {
        match () {
            () if self.under_way.is_some() || !self.is_open() => None,
            () if !self.gathered.is_empty() => Some(Next::Commit),
            () if self.ended => Some(Next::End),
            () => None,
        }
    }

    /// What has gathered: for [`Next::Commit`].
    pub(crate) fn gathered(&self) -> &Gathered {
        &self.gathered
    }

    /// What is next is under way.
    pub(crate) fn begin(&mut self, next: Next, now: Instant) {
        match next {
            // Its memory too is let go: there may be thousands of agencies.
            Next::Commit => self.gathered = Gathered::default(),
            Next::End => self.ended = false,
        }
        self.under_way = Some(now);
        self.begun += 1;
    }

    /// What was under way is durable. Returns since when it was.
    pub(crate) fn done(&mut self) -> Option<Instant> {
        self.durable = self.begun;
        self.under_way.take()
    }

    /// Nothing that isn't durable had an effect: its replies become UNAVAILABLE. The agency goes on from
    /// this account, which those say too that were UNAVAILABLE behind it. Returns whether there were any.
    pub(crate) fn unavailable(&mut self, account: Account, reason: &Rc<str>) -> bool {
        self.pending = Some(account);
        self.gathered = Gathered::default();
        (self.ended, self.under_way) = (false, None);
        let mut any = false;
        for (step, pending) in &mut self.replies {
            let is_durable = std::mem::replace(step, self.durable) <= self.durable;
            if is_durable {
                continue;
            }
            let consumed = account.consumed;
            match &mut pending.reply {
                Reply::Unavailable { consumed: expected, .. } => *expected = consumed,
                reply if reply.depends_on_commit() => {
                    any = true;
                    let (is_batch, reason) = (reply.is_of_batch(), reason.clone());
                    *reply = Reply::Unavailable { consumed, reason, is_batch };
                }
                _ => {}
            }
        }
        self.begun = self.durable;
        any
    }

    /// Queues a reply behind the effects of all requests so far.
    pub(crate) fn queue(&mut self, pending: PendingReply) {
        let step = self.begun + u64::from(!self.gathered.is_empty()) + u64::from(self.ended);
        self.replies.push_back((step, pending));
    }

    /// Removes the next reply that may leave.
    pub(crate) fn pop_reply(&mut self) -> Option<PendingReply> {
        let (step, _) = self.replies.front()?;
        if *step > self.durable {
            return None;
        }
        self.replies.pop_front().map(|(_, pending)| pending)
    }

    /// Replies that wait.
    pub(crate) fn waiting_replies(&self) -> usize {
        self.replies.len()
    }

    /// The replies that close a connection, of those that wait: the others are of no use any more.
    pub(crate) fn into_last_replies(self) -> impl Iterator<Item = PendingReply> {
        let replies = self.replies.into_iter().map(|(_, pending)| pending);
        replies.filter(|pending| {
            matches!(pending.reply, Reply::Error { .. } | Reply::CloseAfterReplies)
        })
    }

    fn add_winners(&mut self, first: usize) {
        for line in self.gathered.rows[first..].split_inclusive(|byte| *byte == b'\n') {
            // The rows were encoded just now.
            if let Ok(Some(row)) = row::outline_if(line, bet::has_won) {
                self.gathered.winning.extend_from_slice(row.document);
                self.gathered.winning.push(b'\n');
            }
        }
    }
}

impl Judge for Lane {
    fn is_next(&self, agency: Agency, batch: &Batch<'_>) -> Result<bool, Refusal> {
        self.pending().is_next(agency, batch, self.drawn)
    }

    fn take<'a>(&mut self, agency: Agency, batch: &Batch<'a>) -> Result<BatchOutcome<'a>, Refusal> {
        if !self.is_next(agency, batch)? {
            return Ok(BatchOutcome::Duplicate);
        }
        let before = self.gathered.rows.len();
        let mut winners = BatchWinners::of_staged();
        let invalid = batch::push_rows(agency, batch, &mut self.gathered.rows, &mut winners)?;
        let rows = winners.rows();
        if rows.count > 0 {
            self.add_winners(before);
            self.gathered.winners += rows.count;
        }
        let (count, stored) = (batch.count, invalid.is_none());
        let mut account = self.pending();
        let checksum = account.checksum.extended(batch.encoded);
        let of_kind = if stored { &mut self.gathered.stored } else { &mut self.gathered.rejected };
        *of_kind += u64::from(count);
        self.gathered.checksum = checksum;
        account.consume(count, stored, checksum);
        self.pending = Some(account);
        Ok(invalid.map_or(BatchOutcome::Stored, BatchOutcome::Rejected))
    }

    fn is_first_end(&self, _: Agency, total: Position) -> Result<bool, Refusal> {
        self.pending().is_first_end(total, self.drawn)
    }

    fn end(&mut self, agency: Agency, total: Position) -> Result<(), Refusal> {
        if self.is_first_end(agency, total)? {
            self.ended = true;
            self.pending = Some(Account { finished: true, ..self.pending() });
        }
        Ok(())
    }

    fn may_ask_winners(&self, agency: Agency) -> Result<(), Refusal> {
        self.pending().may_ask_winners(agency, self.drawn)
    }

    fn agency_standing(&self, _: Agency) -> AgencyStanding {
        self.pending().standing(self.drawn)
    }
}

#[cfg(test)]
mod tests;
