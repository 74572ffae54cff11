//! The account of one agency, and what it says of a request.
//!
//! Knows no other agency: whether the draw was held it is told.

use wire::{Agency, Batch, Checksum, Phase, Position};

use super::refusal::Refusal;

/// How far an agency is: what WELCOME reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgencyStanding {
    /// Bets of its input that were consumed.
    pub consumed: Position,
    /// Checksum of these.
    pub checksum: Checksum,
    /// Of these, in the ledger.
    pub stored: u64,
    /// Of these, in rejected batches.
    pub rejected: u64,
    /// How far the lottery is for it.
    pub phase: Phase,
}

/// One agency's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Bets of its input that were consumed: stored or rejected.
    pub consumed: Position,
    /// Of these, in the ledger.
    pub stored: u64,
    /// Of these, in rejected batches.
    pub rejected: u64,
    /// Checksum of the bets consumed.
    pub checksum: Checksum,
    /// It has ended its input.
    pub finished: bool,
}

impl Account {
    /// A batch was consumed, with this checksum behind it.
    pub(crate) fn consume(&mut self, count: u16, stored: bool, checksum: Checksum) {
        let count = u64::from(count);
        self.consumed += count;
        *if stored { &mut self.stored } else { &mut self.rejected } += count;
        self.checksum = checksum;
    }

    /// Whether a batch begins at the agency's position; it was consumed before otherwise. Its bets
    /// aren't looked at.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn is_next(&self, agency: Agency, batch: &Batch<'_>, drawn: bool) -> Result<bool, Refusal> {
        let (found, expected) = (batch.position, self.consumed);
        if batch.end().is_some_and(|end| end <= expected) {
            return Ok(false);
        }
        if drawn {
            return Err(Refusal::Drawn);
        }
        if self.finished {
            return Err(Refusal::Finished { agency, total: expected });
        }
        if found > expected || batch.end().is_none() {
            return Err(Refusal::Gap { expected, found });
        }
        if found < expected {
            return Err(Refusal::Overlap { expected, found, count: batch.count });
        }
        Ok(true)
    }

    /// Whether an end is news; the agency has finished before otherwise.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn is_first_end(&self, total: Position, drawn: bool) -> Result<bool, Refusal> {
        let repeated = self.finished && total == self.consumed;
        if repeated {
            return Ok(false);
        }
        if drawn {
            return Err(Refusal::Drawn);
        }
        if total != self.consumed {
            return Err(Refusal::WrongTotal { expected: self.consumed, found: total });
        }
        Ok(true)
    }

    /// Whether the agency may ask for its winners, now or before the draw.
    ///
    /// # Errors
    /// [`Refusal::NotFinished`].
    pub fn may_ask_winners(&self, agency: Agency, drawn: bool) -> Result<(), Refusal> {
        if drawn || self.finished {
            return Ok(());
        }
        Err(Refusal::NotFinished { agency })
    }

    /// How far the agency is.
    pub fn standing(&self, drawn: bool) -> AgencyStanding {
        let Self { consumed, checksum, stored, rejected, finished } = *self;
        let phase = match finished {
            _ if drawn => Phase::Drawn,
            true => Phase::Finished,
            false => Phase::Open,
        };
        AgencyStanding { consumed, checksum, stored, rejected, phase }
    }
}
