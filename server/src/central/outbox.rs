//! What leaves to agencies: replies as log lines and as responses, and what is counted of them.

use std::time::Instant;

use reactor::Context;

use super::backend::Backend;
use super::peer::Peer;
use super::reply::Reply;
use super::reply_log;
use super::reply_queue::PendingReply;
use super::shared::Shared;
use super::tally::Tally;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    tally: Tally,
}

impl Outbox {
    /// What the replies have said that have left.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The draw is durable, and was not at the start.
    pub(crate) fn note_draw(&mut self, now: Instant) {
        self.tally.drawn = Some(now);
    }

    /// Sends every reply that may leave.
    pub(crate) fn send_durable(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        backend: &mut impl Backend,
    ) {
        while let Some(pending) = backend.pop_reply() {
            if let Some(session) = shared.sessions.lottery(pending.to) {
                session.reply_sent();
            }
            self.write_response(cx, shared, backend, pending);
        }
    }

    /// Logs a reply and sends its response; closes the connection behind the last one.
    pub(crate) fn write_response(
        &mut self,
        cx: &mut impl Context,
        shared: &mut Shared,
        backend: &mut impl Backend,
        PendingReply { to, agency, reply }: PendingReply,
    ) {
        reply_log::log_reply(&mut shared.log, agency, &reply);
        self.tally.note(cx.now(), agency, &reply);
        if let Some(response) = reply.response() {
            cx.send_with(to, |out| response.encode(out));
        }
        match reply {
            Reply::Winners if shared.sessions.lottery(to).is_some() => {
                backend.request_winners(to, agency);
            }
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
}
