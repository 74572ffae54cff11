//! What the requests of an agency come to.
//!
//! Knows no connection: the lottery judges a request, and the reply says what became of it.

use wire::{Agency, Batch, Position};

use super::commit_backoff::{CommitBackoff, Suspended};
use super::reply::{BatchLog, Reply};
use crate::ledger::Ledger;
use crate::lottery::{AgencyStanding, Lottery, Refusal, Taken};

/// Stages a batch; `log` is what the log will say of it.
///
/// # Errors
/// As of [`Lottery::take`].
pub(crate) fn batch<L: Ledger>(
    lottery: &mut Lottery<L>,
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
        Taken::Duplicate => Reply::Duplicate { consumed },
        Taken::Stored => Reply::Stored { consumed, log: log(batch) },
        Taken::Rejected(invalid) => Reply::Rejected {
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
///
/// # Errors
/// As of [`Lottery::end`].
pub(crate) fn end<L: Ledger>(
    lottery: &mut Lottery<L>,
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
