//! What agencies are sent: replies as soon as they are durable, and lists of winners.
//!
//! ```text
//!  queue ──> reply queue ──send_durable──> response
//!                               └─ WINNERS ──begin_winners──> list ──send_winners──> frames
//! ```

use std::rc::Rc;
use std::time::Instant;

use ledger::Lsn;
use reactor::{ConnectionId, Context};
use wire::Agency;

use super::lottery_session::LotterySession;
use super::peer::Peer;
use super::reply::Reply;
use super::reply_log;
use super::reply_queue::{PendingReply, ReplyQueue};
use super::shared::Shared;
use super::tally::Tally;
use super::winners_delivery::WinnersDelivery;
use crate::lottery::{AgencyStanding, Lottery};
use crate::store::{ReadRows, StoreError};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    replies: ReplyQueue,
    winners: WinnersDelivery,
    tally: Tally,
}

impl Outbox {
    /// Replies that wait.
    pub(crate) fn len(&self) -> usize {
        self.replies.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// What the replies have said that have left.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The draw is durable, and was not at the start.
    pub(crate) fn note_draw(&mut self, now: Instant) {
        self.tally.drawn = Some(now);
    }

    /// Queues the reply to a request whose effects were staged just now.
    pub(crate) fn queue_reply(&mut self, session: &mut LotterySession, pending: PendingReply) {
        session.reply_queued();
        self.replies.push(pending);
    }

    /// Queues the last reply to a connection, behind those that it is owed.
    pub(crate) fn queue_last_reply(&mut self, last: PendingReply) {
        self.replies.push(last);
    }

    /// As [`ReplyQueue::appended`].
    pub(crate) fn appended(&mut self, lsn: Lsn) {
        self.replies.appended(lsn);
    }

    /// As [`ReplyQueue::unavailable`].
    pub(crate) fn unavailable(
        &mut self,
        lsn: Lsn,
        reason: &Rc<str>,
        standing: impl Fn(Agency) -> AgencyStanding,
    ) -> Vec<ConnectionId> {
        self.replies.unavailable(lsn, reason, standing)
    }

    /// Sends every reply whose commit is durable.
    pub(crate) fn send_durable(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        durable: Lsn,
    ) {
        while let Some(pending) = self.replies.pop_durable(durable) {
            if let Some(session) = shared.sessions.lottery(pending.to) {
                session.reply_sent();
            }
            self.write_response(cx, shared, pending);
        }
    }

    /// Logs a reply and sends its response; closes the connection behind the last one.
    pub(crate) fn write_response(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        PendingReply { to, agency, reply }: PendingReply,
    ) {
        reply_log::log_reply(&mut shared.log, agency, &reply);
        self.tally.note(cx.now(), agency, &reply);
        if let Some(response) = reply.response() {
            cx.send_with(to, |out| response.encode(out));
        }
        match reply {
            Reply::Winners if shared.sessions.lottery(to).is_some() => self.winners.request(to),
            Reply::Error { error, serial } => {
                if let Some(session) = shared.sessions.get(to) {
                    let agency = (agency != 0).then_some(agency);
                    let peer = Peer { agency, ip: session.ip(), serial };
                    reply_log::log_error(&mut shared.log, &peer, &error);
                }
                cx.close(to);
            }
            Reply::CloseAfterReplies => cx.close(to),
            _ => {}
        }
    }

    /// Begins the lists of winners that are owed: the draw is durable.
    pub(crate) fn begin_winners(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        lottery: &Lottery,
    ) {
        for connection in self.winners.take_due() {
            let session = shared.sessions.lottery(connection);
            let Some(agency) = session.and_then(|session| session.agency()) else { continue };
            let rows = lottery.winning_rows(agency);
            if self.winners.begin(cx, connection, agency, rows) {
                shared.resume_reading(cx, connection);
            }
        }
    }

    /// Sends one piece of the winners that are owed.
    ///
    /// # Errors
    /// As of [`WinnersDelivery::advance`].
    pub(crate) fn send_winners(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        lottery: &Lottery,
        rows: &impl ReadRows,
    ) -> Result<(), StoreError> {
        let (budget, max_unsent) = (shared.config.winners_budget, shared.config.write_buffer_high);
        for connection in
            self.winners.advance(cx, rows, lottery.winner_stripes(), budget, max_unsent)?
        {
            shared.resume_reading(cx, connection);
        }
        Ok(())
    }

    /// The connection's output has room again.
    pub(crate) fn resume_writing(&mut self, connection: ConnectionId) {
        self.winners.resume_writing(connection);
    }

    /// No winners are sent to this connection any more.
    pub(crate) fn forget_winners(&mut self, connection: ConnectionId) {
        self.winners.forget(connection);
    }
}
