//! The lottery itself: the account of each agency, what a request does, when the draw runs.
//!
//! ```text
//!  request ──> validated against pending ──> staged: entries, rows
//!                                               │ appended(lsn)       │ roll_back
//!                                               v                     v
//!                      committed <──commit── in flight        pending as before
//! ```
//!
//! Two states of every agency: *pending* includes what was staged, *committed* what is durable.
//! Requests are validated against the first, responses report the second. An entry is applied to each
//! of them once.
//!
//! Pure: knows no connection, no clock, no file and no store. Its user hands what is staged to a store,
//! and reports the outcome.

mod account;
pub mod batch;
pub mod entry;
pub mod fast_path;
pub mod refusal;
pub mod staged;
pub mod standing;
pub mod state;
pub mod winners;

use std::collections::VecDeque;

use ledger::Lsn;
use wire::bet::InvalidBet;
use wire::{Agency, Batch, DrawName, Position};

pub use account::{Account, AgencyStanding};
use batch::BatchWinners;
pub use entry::Entry;
pub use refusal::{DrawMismatch, Refusal};
pub use staged::Staged;
pub use standing::Standing;
use state::Before;
pub use state::State;
use winners::{Stripes, WinnerIndex, WinnersByAgency, WinningRows};

/// What became of a batch. Nothing of it is durable before the commit that it is staged in.
#[derive(Debug)]
pub enum BatchOutcome<'a> {
    /// Staged: its bets will be in the ledger.
    Stored,
    /// Staged: it will count as consumed, without any of its bets, because of this one.
    Rejected(InvalidBet<'a>),
    /// It was consumed before.
    Duplicate,
}

/// Agencies and draw.
#[derive(Debug)]
pub struct Lottery {
    /// What its draw is called, if it has a name.
    draw: Option<DrawName>,
    agencies: Agency,
    /// What is durable.
    committed: State,
    /// What was handed over and isn't durable yet, oldest first.
    in_flight: VecDeque<(Lsn, Entry)>,
    /// What committed will be when everything in flight and staged is durable.
    pending: State,
    /// Agencies of the lottery that have finished, in pending.
    finished: Agency,
    staged: Staged,
    /// What each staged entry has changed in pending.
    undo: Vec<Before>,
    /// Bytes of rows that were handed over.
    rows_len: u64,
    winners: WinnerIndex,
    /// Winners among the staged bets, with the offsets that they will have.
    staged_winners: WinnersByAgency,
}

impl Lottery {
    /// A lottery of agencies 1 to `agencies` and of the unnamed draw, with this much of it durable: its
    /// state, bytes of rows, and where in these the winners are.
    pub fn new(agencies: Agency, committed: State, rows_len: u64, winners: WinnerIndex) -> Self {
        let finished = (1..=agencies).map(|agency| committed.account(agency).finished);
        Self {
            draw: None,
            agencies,
            finished: finished.map(Agency::from).sum(),
            pending: committed.clone(),
            committed,
            in_flight: VecDeque::new(),
            staged: Staged::default(),
            undo: Vec::new(),
            rows_len,
            winners,
            staged_winners: WinnersByAgency::default(),
        }
    }

    /// The same, of this draw.
    #[must_use]
    pub fn of_draw(self, draw: Option<DrawName>) -> Self {
        Self { draw, ..self }
    }

    /// What its draw is called, if it has a name.
    pub fn draw(&self) -> Option<DrawName> {
        self.draw
    }

    /// Agencies that take part, from number 1 on.
    pub fn agencies(&self) -> Agency {
        self.agencies
    }

    /// Takes a batch, whole or not at all.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is staged then.
    pub fn take<'a>(
        &mut self,
        agency: Agency,
        batch: &Batch<'a>,
    ) -> Result<BatchOutcome<'a>, Refusal> {
        if !self.is_next(agency, batch)? {
            return Ok(BatchOutcome::Duplicate);
        }
        let checksum = self.pending.account(agency).checksum.extended(batch.encoded);
        let mut winners = BatchWinners::new(self.rows_len, &mut self.winners.stripes);
        let invalid = batch::push_rows(agency, batch, self.staged.rows_mut(), &mut winners)?;
        self.staged_winners.add(agency, winners.rows());
        let stored = invalid.is_none();
        self.stage(Entry::Batch { agency, count: batch.count, stored, checksum });
        Ok(invalid.map_or(BatchOutcome::Stored, BatchOutcome::Rejected))
    }

    /// Whether a batch begins at its agency's position; it was consumed before otherwise. Its bets
    /// aren't looked at.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn is_next(&self, agency: Agency, batch: &Batch<'_>) -> Result<bool, Refusal> {
        self.pending.account(agency).is_next(agency, batch, self.pending.drawn)
    }

    /// Notes that an agency has sent everything. The last one sets off the draw, in the same commit.
    /// Repeated with the same total it is right at any time.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is staged then.
    pub fn end(&mut self, agency: Agency, total: Position) -> Result<(), Refusal> {
        if self.is_first_end(agency, total)? {
            self.stage(Entry::Finished { agency });
            self.finished += 1;
            self.draw_when_all_finished();
        }
        Ok(())
    }

    /// Whether an end is news; the agency has finished before otherwise.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn is_first_end(&self, agency: Agency, total: Position) -> Result<bool, Refusal> {
        self.pending.account(agency).is_first_end(total, self.pending.drawn)
    }

    /// Whether the agency may ask for its winners, now or before the draw.
    ///
    /// # Errors
    /// [`Refusal::NotFinished`].
    pub fn may_ask_winners(&self, agency: Agency) -> Result<(), Refusal> {
        self.pending.account(agency).may_ask_winners(agency, self.pending.drawn)
    }

    fn stage(&mut self, entry: Entry) {
        self.undo.push(self.pending.apply(&entry));
        self.staged.push_entry(entry);
    }

    /// Stages the draw if it is due. It depends on no request: it is due until it is committed, also
    /// after a crash or a commit that had no effect.
    pub fn draw_when_all_finished(&mut self) {
        let all = self.finished == self.agencies;
        if all && self.agencies > 0 && !self.pending.drawn {
            self.stage(Entry::Drawn);
        }
    }

    /// What is to be handed over to the store.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }

    /// The store has taken everything staged, and will report it as durable with this number.
    pub fn appended(&mut self, lsn: Lsn) {
        self.in_flight.extend(self.staged.entries().iter().map(|entry| (lsn, *entry)));
        self.rows_len += self.staged.rows().len() as u64;
        self.winners.by_agency.append(&mut self.staged_winners);
        self.staged.clear();
        self.undo.clear();
    }

    /// Everything staged had no effect.
    pub fn roll_back(&mut self) {
        for before in self.undo.drain(..).rev() {
            self.pending.undo(before);
        }
        for entry in self.staged.entries() {
            // Each of them was staged once: by an agency that hadn't finished.
            self.finished -= Agency::from(matches!(entry, Entry::Finished { .. }));
        }
        self.staged.clear();
        self.staged_winners.clear();
    }

    /// Everything that was handed over up to this number is durable.
    pub fn commit(&mut self, durable: Lsn) {
        while let Some((lsn, entry)) = self.in_flight.front()
            && *lsn <= durable
        {
            self.committed.apply(entry);
            self.in_flight.pop_front();
        }
    }

    /// What is durable.
    pub fn committed(&self) -> &State {
        &self.committed
    }

    /// What will be durable when everything is that was handed over.
    pub fn into_appended(mut self) -> State {
        for (_, entry) in self.in_flight.drain(..) {
            self.committed.apply(&entry);
        }
        self.committed
    }

    /// How far an agency will be when everything staged is durable.
    pub fn agency_standing(&self, agency: Agency) -> AgencyStanding {
        self.pending.account(agency).standing(self.pending.drawn)
    }

    /// Whether the draw is durable.
    pub fn is_drawn(&self) -> bool {
        self.committed.drawn
    }

    /// Where the rows of an agency's winners are in the ledger.
    pub fn winning_rows(&self, agency: Agency) -> WinningRows {
        debug_assert!(self.is_drawn(), "winners are sent after the draw");
        self.winners.by_agency.of(agency)
    }

    /// Where in the ledger rows of winners are.
    pub fn winner_stripes(&self) -> &Stripes {
        &self.winners.stripes
    }

    /// Whether the draw is still to come.
    pub fn awaits_draw(&self) -> bool {
        self.agencies > 0 && !self.pending.drawn
    }

    /// Agencies that have finished, those included whose end isn't durable yet.
    pub fn finished(&self) -> Agency {
        self.finished
    }

    /// Whether any agency has sent anything.
    pub fn has_begun(&self) -> bool {
        self.pending.accounts().next().is_some()
    }

    /// Whether an agency has ended its input.
    pub fn has_finished(&self, agency: Agency) -> bool {
        self.pending.account(agency).finished
    }

    /// How many agencies have finished, who is missing: what is durable of it.
    pub fn standing(&self) -> Standing {
        Standing::new(&self.committed, self.agencies)
    }

    /// The same when everything staged is durable: what [`finished`](Self::finished) counts.
    pub fn pending_standing(&self) -> Standing {
        Standing::new(&self.pending, self.agencies)
    }
}

#[cfg(test)]
mod tests;
