//! What the requests of an agency come to.
//!
//! Knows no connection: a [`Judge`] judges a request, and the reply says what became of it.

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

/// Who judges requests, and stages what they do: as the methods of [`Lottery`] of these names.
pub(crate) trait Judge {
    fn is_next(&self, agency: Agency, batch: &Batch<'_>) -> Result<bool, Refusal>;

    fn take<'a>(&mut self, agency: Agency, batch: &Batch<'a>) -> Result<BatchOutcome<'a>, Refusal>;

    fn is_first_end(&self, agency: Agency, total: Position) -> Result<bool, Refusal>;

    fn end(&mut self, agency: Agency, total: Position) -> Result<(), Refusal>;

    fn may_ask_winners(&self, agency: Agency) -> Result<(), Refusal>;

    fn agency_standing(&self, agency: Agency) -> AgencyStanding;
}

impl Judge for Lottery {
    fn is_next(&self, agency: Agency, batch: &Batch<'_>) -> Result<bool, Refusal> {
        self.is_next(agency, batch)
    }

    fn take<'a>(&mut self, agency: Agency, batch: &Batch<'a>) -> Result<BatchOutcome<'a>, Refusal> {
        self.take(agency, batch)
    }

    fn is_first_end(&self, agency: Agency, total: Position) -> Result<bool, Refusal> {
        self.is_first_end(agency, total)
    }

    fn end(&mut self, agency: Agency, total: Position) -> Result<(), Refusal> {
        self.end(agency, total)
    }

    fn may_ask_winners(&self, agency: Agency) -> Result<(), Refusal> {
        self.may_ask_winners(agency)
    }

    fn agency_standing(&self, agency: Agency) -> AgencyStanding {
        self.agency_standing(agency)
    }
}

/// Performs a request of an agency that has introduced itself. Nothing of it is durable yet.
///
/// # Errors
/// [`Refusal`]; nothing is staged then.
pub(crate) fn perform(
    lottery: &mut impl Judge,
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
    lottery: &mut impl Judge,
    backoff: &CommitBackoff,
    agency: Agency,
    batch: &Batch<'_>,
    log: impl FnOnce(&Batch<'_>) -> BatchLog,
) -> Result<Reply, Refusal> {
    if let Some(reason) = backoff.suspends(Suspended::Rows)
        && lottery.is_next(agency, batch) == Ok(true)
    {
        let consumed = lottery.agency_standing(agency).consumed;
        return Ok(Reply::Unavailable { consumed, reason, is_batch: true });
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
    lottery: &mut impl Judge,
    backoff: &CommitBackoff,
    agency: Agency,
    total: Position,
) -> Result<Reply, Refusal> {
    if let Some(reason) = backoff.suspends(Suspended::All)
        && lottery.is_first_end(agency, total) == Ok(true)
    {
        let consumed = lottery.agency_standing(agency).consumed;
        return Ok(Reply::Unavailable { consumed, reason, is_batch: false });
    }
    lottery.end(agency, total)?;
    let AgencyStanding { stored, rejected, .. } = lottery.agency_standing(agency);
    Ok(Reply::Finished { stored, rejected })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use ledger::Lsn;
    use wire::{BatchBuilder, Bet, Push};

    use super::*;
    use crate::lottery::State;
    use crate::lottery::winners::WinnerIndex;

    fn bets(documents: &[&str]) -> BatchBuilder {
        let mut builder = BatchBuilder::new();
        for document in documents {
            let fields = ["Ana", "Paz", document, "2000-01-01", "7574"].map(str::as_bytes);
            assert_eq!(builder.push(&Bet::from_fields(fields)), Ok(Push::Added));
        }
        builder
    }

    fn lottery() -> Lottery {
        Lottery::new(1, State::default(), 0, WinnerIndex::default())
    }

    fn open() -> CommitBackoff {
        CommitBackoff::new(Duration::from_secs(1))
    }

    fn suspended(what: Suspended) -> CommitBackoff {
        let mut backoff = open();
        backoff.on_failure(what, &Rc::from("full"));
        backoff
    }

    fn perform(
        lottery: &mut Lottery,
        backoff: &CommitBackoff,
        request: Request<'_>,
    ) -> Result<Reply, Refusal> {
        super::perform(lottery, backoff, 1, &request)
    }

    fn unavailable(consumed: Position, is_batch: bool) -> Reply {
        Reply::Unavailable { consumed, reason: "full".into(), is_batch }
    }

    #[test]
    fn a_batch_is_stored_rejected_or_a_duplicate_and_the_log_names_its_kind() {
        let (mut lottery, backoff) = (lottery(), open());
        let (one, bad) = (bets(&["1"]), bets(&["2", "x"]));
        let stored = perform(&mut lottery, &backoff, Request::Bet(one.batch(0)));
        let log = BatchLog::Single { document: "1".into(), number: "7574".into() };
        assert_eq!(stored, Ok(Reply::Stored { consumed: 1, log }));
        let rejected = perform(&mut lottery, &backoff, Request::Batch(bad.batch(1)));
        let Ok(Reply::Rejected { consumed: 3, position: 2, index: 1, log, .. }) = rejected else {
            panic!("{rejected:?}");
        };
        assert_eq!(log, BatchLog::Batch { count: 2 });
        let again = perform(&mut lottery, &backoff, Request::Batch(bad.batch(1)));
        assert_eq!(again, Ok(Reply::Duplicate { consumed: 3 }));
    }

    #[test]
    fn while_rows_are_suspended_only_the_next_batch_is_unavailable() {
        let (mut lottery, one) = (lottery(), bets(&["1"]));
        perform(&mut lottery, &open(), Request::Batch(one.batch(0))).unwrap();
        lottery.appended(Lsn(1));
        let backoff = suspended(Suspended::Rows);
        let next = perform(&mut lottery, &backoff, Request::Batch(one.batch(1)));
        assert_eq!(next, Ok(unavailable(1, true)));
        let duplicate = perform(&mut lottery, &backoff, Request::Batch(one.batch(0)));
        assert_eq!(duplicate, Ok(Reply::Duplicate { consumed: 1 }));
        let gap = perform(&mut lottery, &backoff, Request::Batch(one.batch(5)));
        assert_eq!(gap, Err(Refusal::Gap { expected: 1, found: 5 }));
        assert!(lottery.staged().is_empty());
        let end = perform(&mut lottery, &backoff, Request::End { total: 1 });
        assert_eq!(end, Ok(Reply::Finished { stored: 1, rejected: 0 }), "it has no rows");
    }

    #[test]
    fn while_all_is_suspended_the_first_end_is_unavailable_and_a_repeated_one_is_not() {
        let (mut lottery, backoff) = (lottery(), suspended(Suspended::All));
        let end = || Request::End { total: 0 };
        assert_eq!(perform(&mut lottery, &backoff, end()), Ok(unavailable(0, false)));
        assert!(lottery.staged().is_empty());
        let not_finished = perform(&mut lottery, &backoff, Request::Winners);
        assert_eq!(not_finished, Err(Refusal::NotFinished { agency: 1 }));
        let finished = Ok(Reply::Finished { stored: 0, rejected: 0 });
        assert_eq!(perform(&mut lottery, &open(), end()), finished);
        assert_eq!(perform(&mut lottery, &backoff, end()), finished);
        assert_eq!(perform(&mut lottery, &backoff, Request::Winners), Ok(Reply::Winners));
    }
}
