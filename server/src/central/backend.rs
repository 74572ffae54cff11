//! The seam between the central and what keeps its lottery.
//!
//! Facts of the lottery (a batch was stored or rejected, an agency has finished, the draw was held) go
//! to a backend as requests of agencies, and come back as replies: in the order of each agency's
//! requests, and not before what they say is durable.
//!
//! ```text
//!  HELLO ──introduce──> WELCOME, once the account is known ──┐
//!  request ──perform──> reply ──queue──> advance ──> durable ┴─pop_reply──> response
//!                                           ├─ take_unavailable: had no effect, the agency resumes
//!                                           └─ take_refused: the connection closes with an ERROR
//! ```
//!
//! | backend | what keeps the lottery | accounts are known |
//! |---|---|---|
//! | [`LedgerBackend`](super::LedgerBackend) | files of this machine | from the start |
//! | [`ClusterBackend`](super::ClusterBackend) | etcd, for several centrals | from an agency's HELLO on |
//!
//! A backend knows connections by number alone, and no session.

use std::error::Error;
use std::time::Instant;

use admin::exposition::Exposition;
use admin::view::NotReady;
use reactor::{CloseReason, ConnectionId, Context, TimerId};
use wire::{Agency, Request};

use super::group_commit::CommitDurations;
use super::log_budget::LogBudget;
use super::protocol_error::ProtocolError;
use super::reply::Reply;
use super::reply_queue::PendingReply;
use crate::lottery::standing::Standing;
use crate::lottery::{Account, AgencyStanding, Refusal};
use crate::store::Terms;

/// What keeps the lottery.
pub trait Backend {
    /// What the process must not survive.
    type Fatal: Error + 'static;

    /// Which lottery it is.
    fn terms(&self) -> Terms;

    /// Whether the draw was held.
    fn is_drawn(&self) -> bool;

    /// Whether the draw is still to come.
    fn awaits_draw(&self) -> bool;

    /// Whether any agency has sent anything.
    fn has_begun(&self) -> bool;

    /// Agencies that have finished, those included whose end isn't durable yet.
    fn finished(&self) -> Agency;

    /// Whether an agency has ended its input, durably or not.
    fn has_finished(&self, agency: Agency) -> bool;

    /// How far the lottery is: what is durable of it.
    fn standing(&self) -> Standing;

    /// The same when everything is durable that was taken: what [`finished`](Self::finished) counts.
    fn pending_standing(&self) -> Standing;

    /// What is durable of an agency.
    fn account(&self, agency: Agency) -> Account;

    /// How many winners an agency has; `None` before the draw, and while it isn't known.
    fn winners(&self, agency: Agency) -> Option<u64>;

    /// When an agency was last seen to have come further at another central.
    fn progress_elsewhere(&self, agency: Agency) -> Option<Instant> {
        let _ = agency;
        None
    }

    /// An agency has introduced itself on this connection: its WELCOME is queued, or will be once its
    /// account is known. Until then [`is_full`](Self::is_full) holds for it.
    fn introduce(&mut self, cx: &mut impl Context, to: ConnectionId, agency: Agency);

    /// The connection of an agency is gone.
    fn leave(&mut self, cx: &mut impl Context, connection: ConnectionId, agency: Agency) {
        let _ = (cx, connection, agency);
    }

    /// How far an agency will be when everything is durable that was taken of it.
    fn agency_standing(&self, agency: Agency) -> AgencyStanding;

    /// Performs a request of an agency that has introduced itself. Nothing of it is durable yet.
    ///
    /// # Errors
    /// [`Refusal`]; the request has no effect then.
    fn perform(&mut self, agency: Agency, request: &Request<'_>) -> Result<Reply, Refusal>;

    /// Queues a reply behind the effects of all requests so far.
    fn queue(&mut self, pending: PendingReply);

    /// Whether so much waits for the storage that no further request of this agency is taken. `None`
    /// is a connection that hasn't introduced itself. So is it when `max_replies` wait.
    fn is_full(&self, agency: Option<Agency>, max_replies: usize) -> bool;

    /// Hands over what was taken when it is too much to wait for the end of the turn.
    fn commit_if_large(&mut self, log: &mut LogBudget);

    /// Hands over what the turn has taken, and learns what has become durable.
    ///
    /// # Errors
    /// What the process must not survive.
    fn advance(
        &mut self,
        cx: &mut impl Context,
        log: &mut LogBudget,
        shutting_down: bool,
    ) -> Result<(), Self::Fatal>;

    /// Connections whose requests had no effect, since the last call.
    fn take_unavailable(&mut self) -> Vec<ConnectionId>;

    /// Connections that can't go on here, and why, since the last call.
    fn take_refused(&mut self) -> Vec<(ConnectionId, ProtocolError)> {
        Vec::new()
    }

    /// Removes the next reply that may leave.
    fn pop_reply(&mut self) -> Option<PendingReply>;

    /// A connection is owed its agency's winners.
    fn request_winners(&mut self, to: ConnectionId, agency: Agency);

    /// Sends winners that are owed, in pieces, if the draw was held: reads at most `budget` bytes, for
    /// connections with at most `max_unsent` bytes of output. Returns those whose lists are complete.
    ///
    /// # Errors
    /// They can't be read; what the process must not survive.
    fn send_winners(
        &mut self,
        cx: &mut impl Context,
        budget: usize,
        max_unsent: usize,
    ) -> Result<Vec<ConnectionId>, Self::Fatal>;

    /// No winners are sent to this connection any more.
    fn forget_winners(&mut self, connection: ConnectionId);

    /// The connection's output has room again.
    fn resume_writing(&mut self, connection: ConnectionId);

    /// The loop begins.
    fn on_start(&mut self, cx: &mut impl Context);

    /// Whether a connection is the backend's own, and no peer's.
    fn owns(&self, connection: ConnectionId) -> bool;

    /// A connection that the backend has asked for is established.
    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The layer of one of its connections is established.
    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// Input of one of its connections; returns how many bytes were taken.
    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize;

    /// One of its connections has ended, or couldn't be had, and why; `None` when its peer has ended it.
    fn on_lost(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        reason: Option<&CloseReason>,
    );

    /// A timer that isn't the central's has fired.
    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId);

    /// Looks whether the storage is still there: [`advance`](Self::advance) fails otherwise.
    fn verify(&mut self) {}

    /// Whether nothing is under way that a shutdown waits for.
    fn is_idle(&self) -> bool;

    /// Why no bet is taken now, if so.
    fn not_ready(&self) -> Option<NotReady>;

    /// Bytes that the bets take, and how many they may; zero where that isn't known.
    fn usage(&self) -> (u64, Option<u64>);

    /// How long commits took.
    fn commit_durations(&self) -> &CommitDurations;

    /// Commits that had no effect, though there was room.
    fn commit_failures(&self) -> u64;

    /// Number of the newest durable commit, where commits are numbered.
    fn wal_position(&self) -> Option<u64> {
        None
    }

    /// Metrics that no other backend has.
    fn write_metrics(&self, out: &mut Exposition) {
        let _ = out;
    }
}
