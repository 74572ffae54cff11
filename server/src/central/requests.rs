//! What the requests of an agency come to.
//!
//! Knows no connection: the lottery judges a request, and the reply says what became of it.

use runtime::log_within;
use runtime::logging::{Level, Line, Success};
use wire::{Agency, Batch, Position, Request};

use super::commit_backoff::{CommitBackoff, Suspended};
use super::log_budget::{Event, LogBudget};
use super::reply::{BatchLog, Reply};
use super::reply_log;
use crate::lottery::{AgencyStanding, BatchOutcome, Lottery, Refusal};

/// Logs that a batch was received.
pub(crate) fn log_received(
    log: &mut LogBudget,
    agency: Agency,
    request: &Request<'_>,
    bytes: usize,
) {
    if let Request::Bet(batch) | Request::Batch(batch) = request {
        log_within!(
            log,
            Event::BatchReceived,
            Level::Debug,
            Line::new("receive_batch", Success)
                .with("agency", agency)
                .with("posicion", batch.position)
                .with("cantidad", batch.count)
                .with("bytes", bytes)
        );
    }
}

/// Performs a request of an agency that has introduced itself. Nothing of it is durable yet.
///
/// # Errors
/// [`Refusal`]; nothing is staged then.
pub(crate) fn perform(
    lottery: &mut Lottery,
    backoff: &CommitBackoff,
    agency: Agency,
    request: &Request<'_>,
) -> Result<Reply, Refusal> {
    match request {
        Request::Bet(batch) => take(lottery, backoff, agency, batch, reply_log::of_single),
        Request::Batch(batch) => take(lottery, backoff, agency, batch, reply_log::of_batch),
        Request::End { total } => end(lottery, backoff, agency, *total),
        Request::Winners => lottery.may_ask_winners(agency).map(|()| Reply::Winners),
        Request::Hello { .. } => unreachable!("an introduction needs the connection"),
    }
}

/// Stages a batch; `log` is what the log will say of it.
fn take(
    lottery: &mut Lottery,
    backoff: &CommitBackoff,
    agency: Agency,
    batch: &Batch<'_>,
    log: impl FnOnce(&Batch<'_>) -> BatchLog,
) -> Result<Reply, Refusal> {
    if let Some(reason) = backoff.suspends(Suspended::Rows)
        && lottery.is_next(agency, batch) == Ok(true)
    {
        let consumed = lottery.agency_standing(agency).consumed;
        return Ok(Reply::Unavailable { consumed, reason });
    }
    let consumed = batch.end().unwrap_or(Position::MAX);
    Ok(match lottery.take(agency, batch)? {
        BatchOutcome::Duplicate => Reply::Duplicate { consumed },
        BatchOutcome::Stored => Reply::Stored { consumed, log: log(batch) },
        BatchOutcome::Rejected(invalid) => Reply::Rejected {
            consumed,
            position: batch.position + u64::from(invalid.index),
            index: invalid.index,
            field: invalid.field,
            reason: invalid.to_string(),
            log: log(batch),
        },
    })
}

/// Stages the end of an agency's input, and the draw behind the last one.
fn end(
    lottery: &mut Lottery,
    backoff: &CommitBackoff,
    agency: Agency,
    total: Position,
) -> Result<Reply, Refusal> {
    if let Some(reason) = backoff.suspends(Suspended::All)
        && lottery.is_first_end(agency, total) == Ok(true)
    {
        let consumed = lottery.agency_standing(agency).consumed;
        return Ok(Reply::Unavailable { consumed, reason });
    }
    lottery.end(agency, total)?;
    let AgencyStanding { stored, rejected, .. } = lottery.agency_standing(agency);
    Ok(Reply::Finished { stored, rejected })
}
