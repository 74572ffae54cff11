//! The lottery itself: where each agency stands, what a request does, when the draw runs.
//!
//! Two states of every agency: the one in the ledger, and the one `ahead` of it by what this turn
//! has staged. Requests are judged by the second, answers are told from the first, and
//! [`commit`](Lottery::commit) makes them one, or goes back.
//!
//! Knows no connection, no clock and no file: the ledger is behind a trait.

use std::io;

use wire::bet::{self, InvalidBet};
use wire::{Agency, Batch, Checksum, ErrorCode, MessageError, Phase, Position};

use crate::ledger::{
    Account, Commit, CommitNumber, Entry, Ledger, LedgerError, State, SubmitError, SyncTarget,
};
use crate::standing::Standing;
use crate::winners::{Stripes, WinnerIndex, WinnersByAgency, WinningRows};

/// What became of a batch. Nothing of it is durable before the commit that it is staged in.
#[derive(Debug)]
pub enum Taken<'a> {
    /// Staged: its bets will be in the ledger.
    Stored,
    /// Staged: it will count as consumed, without any of its bets, because of this one.
    Rejected(InvalidBet<'a>),
    /// It was consumed before.
    Duplicate,
}

/// Why a request is refused. Each ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not one of the lottery's agencies.
    #[error("agencies are numbered 1 to {agencies} (SERVER_AGENCIES), found {found}")]
    UnknownAgency {
        /// The number found.
        found: Agency,
        /// How many there are.
        agencies: Agency,
    },
    /// The batch begins beyond what was consumed.
    #[error("the next batch begins at position {expected}, found one at {found}")]
    Gap {
        /// Position expected.
        expected: Position,
        /// Position found.
        found: Position,
    },
    /// The batch begins before what was consumed, and ends after it.
    #[error("the next batch begins at position {expected}, found one at {found} with {count} bets")]
    Overlap {
        /// Position expected.
        expected: Position,
        /// Position found.
        found: Position,
        /// Bets in it.
        count: u16,
    },
    /// The agency has said that nothing follows.
    #[error("agency {agency} ended its input at position {total}: no bet is taken after that")]
    Finished {
        /// The agency.
        agency: Agency,
        /// Its total.
        total: Position,
    },
    /// The draw has run.
    #[error(
        "the draw was held, no bet is taken after it: for another lottery stop the central, remove its \
         bets.csv and bets.csv.wal, and start it again"
    )]
    Drawn,
    /// The total isn't what was consumed.
    #[error("the end's total must be the position reached, {expected}, found {found}")]
    WrongTotal {
        /// Position reached.
        expected: Position,
        /// Total found.
        found: Position,
    },
    /// Winners are for those who have finished.
    #[error("agency {agency} must end its input (END) before it asks for winners")]
    NotFinished {
        /// The agency.
        agency: Agency,
    },
    /// The bets of a batch don't fit its body.
    #[error(transparent)]
    Malformed(#[from] MessageError),
}

impl Refusal {
    /// The number that travels.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownAgency { .. } => ErrorCode::UnknownAgency,
            Self::Gap { .. } => ErrorCode::Gap,
            Self::Overlap { .. } => ErrorCode::Overlap,
            Self::Finished { .. } => ErrorCode::Finished,
            Self::Drawn => ErrorCode::Drawn,
            Self::WrongTotal { .. } => ErrorCode::WrongTotal,
            Self::NotFinished { .. } => ErrorCode::NotFinished,
            Self::Malformed(_) => ErrorCode::Malformed,
        }
    }
}

/// What a commit came to.
#[derive(Debug)]
pub enum Committed {
    /// Everything staged, maybe nothing, was handed over: what depends on it waits until the ledger
    /// has committed up to this number.
    Submitted(CommitNumber),
    /// Nothing was done yet: what was staged stays staged until the next syncs have ended.
    Busy,
    /// Nothing was done, and nothing of what was staged holds any more. Even that waits until the
    /// ledger has committed up to this number.
    Unavailable(CommitNumber, LedgerError),
}

/// Where an agency stands: all that it is told when it introduces itself.
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

/// Agencies, ledger and draw.
#[derive(Debug)]
pub struct Lottery<L> {
    ledger: L,
    agencies: Agency,
    /// What the ledger's state will be after the next commit.
    ahead: State,
    /// Agencies of the lottery that have finished, in the state ahead.
    finished: Agency,
    staged: Commit,
    winners: WinnerIndex,
    /// Winners among the staged bets, with the offsets that they will have.
    staged_winners: WinnersByAgency,
}

impl<L: Ledger> Lottery<L> {
    /// A lottery of agencies 1 to `agencies`, as the ledger left it. `winners` are those in the
    /// ledger.
    pub fn new(ledger: L, agencies: Agency, winners: WinnerIndex) -> Self {
        let ahead = ledger.state().clone();
        let finished = (1..=agencies).map(|agency| Agency::from(ahead.account(agency).finished));
        let finished = finished.sum();
        Self {
            ahead,
            finished,
            ledger,
            agencies,
            staged: Commit::default(),
            winners,
            staged_winners: WinnersByAgency::default(),
        }
    }

    /// Whether there is such an agency.
    ///
    /// # Errors
    /// [`Refusal::UnknownAgency`].
    pub fn admit(&self, agency: Agency) -> Result<(), Refusal> {
        if (1..=self.agencies).contains(&agency) {
            return Ok(());
        }
        Err(Refusal::UnknownAgency { found: agency, agencies: self.agencies })
    }

    /// Takes a batch, whole or not at all.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is staged then.
    pub fn take<'a>(&mut self, agency: Agency, batch: &Batch<'a>) -> Result<Taken<'a>, Refusal> {
        if !self.is_next(agency, batch)? {
            return Ok(Taken::Duplicate);
        }
        let checksum = self.ahead.account(agency).checksum.extended(batch.encoded);
        let bad = self.stage_rows(agency, batch)?;
        let stored = bad.is_none();
        self.stage(Entry::Batch { agency, count: batch.count, stored, checksum });
        Ok(bad.map_or(Taken::Stored, Taken::Rejected))
    }

    /// Whether a batch goes on where its agency stands; it was consumed before otherwise. Its bets
    /// aren't looked at.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn is_next(&self, agency: Agency, batch: &Batch<'_>) -> Result<bool, Refusal> {
        let account = self.ahead.account(agency);
        let (found, expected) = (batch.position, account.consumed);
        if batch.end().is_some_and(|end| end <= expected) {
            return Ok(false);
        }
        if self.ahead.drawn {
            return Err(Refusal::Drawn);
        }
        if account.finished {
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

    /// Stages the rows of a batch, or none of them when one bet is bad or the batch is malformed.
    fn stage_rows<'a>(
        &mut self,
        agency: Agency,
        batch: &Batch<'a>,
    ) -> Result<Option<InvalidBet<'a>>, MessageError> {
        let mark = self.staged.mark();
        if self.stage_plain_rows(agency, batch) {
            return Ok(None);
        }
        self.staged.roll_back(mark);
        let outcome = self.stage_checked_rows(agency, batch);
        if !matches!(outcome, Ok(None)) {
            self.staged.roll_back(mark);
        }
        outcome
    }

    /// The quick way, which nearly all batches go.
    fn stage_plain_rows(&mut self, agency: Agency, batch: &Batch<'_>) -> bool {
        let (mut winners, base) = (WinningRows::default(), self.ledger.rows_len());
        let stripes = &mut self.winners.stripes;
        let plain = self.staged.push_plain_rows(agency, batch, |offset| {
            winners.add(base + offset as u64);
            stripes.mark(base + offset as u64);
        });
        if plain {
            self.staged_winners.add(agency, winners);
        }
        plain
    }

    fn stage_checked_rows<'a>(
        &mut self,
        agency: Agency,
        batch: &Batch<'a>,
    ) -> Result<Option<InvalidBet<'a>>, MessageError> {
        let (mut bets, mut winners) = (batch.bets(), WinningRows::default());
        let base = self.ledger.rows_len();
        for index in 0..batch.count {
            let Some(bet) = bets.next() else { break };
            let bet = bet?;
            match bet::check(&bet) {
                Ok(checked) => {
                    if bet::has_won(checked.number) {
                        let offset = base + self.staged.rows().len() as u64;
                        winners.add(offset);
                        self.winners.stripes.mark(offset);
                    }
                    self.staged.push_row(agency, &checked);
                }
                Err(invalid) => {
                    // What follows isn't judged any more, but it must be there.
                    bets.try_for_each(|bet| bet.map(drop))?;
                    return Ok(Some(invalid.at(index)));
                }
            }
        }
        // Bytes after the last bet, if any, are an error too.
        bets.try_for_each(|bet| bet.map(drop))?;
        self.staged_winners.add(agency, winners);
        Ok(None)
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
        let account = self.ahead.account(agency);
        let repeated = account.finished && total == account.consumed;
        if repeated {
            return Ok(false);
        }
        if self.ahead.drawn {
            return Err(Refusal::Drawn);
        }
        if total != account.consumed {
            return Err(Refusal::WrongTotal { expected: account.consumed, found: total });
        }
        Ok(true)
    }

    /// Whether the agency may ask for its winners, now or before the draw.
    ///
    /// # Errors
    /// [`Refusal::NotFinished`].
    pub fn may_ask_winners(&self, agency: Agency) -> Result<(), Refusal> {
        if self.ahead.drawn || self.ahead.account(agency).finished {
            return Ok(());
        }
        Err(Refusal::NotFinished { agency })
    }

    fn stage(&mut self, entry: Entry) {
        self.ahead.apply(&entry);
        self.staged.push_entry(entry);
    }

    fn draw_when_all_finished(&mut self) {
        let all = self.finished == self.agencies;
        if all && self.agencies > 0 && !self.ahead.drawn {
            self.stage(Entry::Drawn);
        }
    }

    /// Bytes of the record that what is staged becomes, rows and entries.
    pub fn staged_len(&self) -> usize {
        self.staged.record_len()
    }

    /// Whether anything is staged.
    pub fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Whether bets are staged that go into the ledger.
    pub fn stages_rows(&self) -> bool {
        !self.staged.rows().is_empty()
    }

    /// Hands everything staged to the ledger, as one commit.
    ///
    /// # Errors
    /// What the process must not survive: it is unknown what is durable.
    pub fn commit(&mut self) -> Result<Committed, LedgerError> {
        // It depends on nobody's request: it is due until it is committed, also after a crash or a
        // commit that had no effect.
        self.draw_when_all_finished();
        if !self.staged.is_empty() {
            match self.ledger.submit(&self.staged) {
                Ok(()) => {}
                Err(SubmitError::Busy) => return Ok(Committed::Busy),
                Err(SubmitError::Unavailable(reason)) => return Ok(self.go_back(reason)),
                Err(SubmitError::Fatal(error)) => return Err(error),
            }
            self.staged.clear();
            self.winners.by_agency.append(&mut self.staged_winners);
        }
        Ok(Committed::Submitted(self.ledger.submitted()))
    }

    /// Makes everything handed over durable, here and now.
    ///
    /// # Errors
    /// What the process must not survive: it is unknown what is durable.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        self.ledger.sync()
    }

    /// What is to be synced elsewhere, see [`Ledger::begin_sync`].
    ///
    /// # Errors
    /// As of [`sync`](Self::sync).
    pub fn begin_sync(&mut self) -> Result<Option<SyncTarget>, LedgerError> {
        self.ledger.begin_sync()
    }

    /// That sync has ended so.
    ///
    /// # Errors
    /// As of [`sync`](Self::sync).
    pub fn end_sync(&mut self, result: io::Result<()>) -> Result<(), LedgerError> {
        self.ledger.end_sync(result)
    }

    /// Whether such a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.ledger.is_syncing()
    }

    /// Begins the ledger's graceful end: nothing is staged any more.
    pub fn begin_close(&mut self) {
        self.ledger.begin_close();
    }

    /// Whether that end is durable.
    pub fn is_closed(&self) -> bool {
        self.ledger.is_closed()
    }

    fn go_back(&mut self, reason: LedgerError) -> Committed {
        for entry in self.staged.entries() {
            self.ahead.restore(entry, self.ledger.state());
            // Each of them was staged once: by an agency that hadn't finished.
            self.finished -= Agency::from(matches!(entry, Entry::Finished { .. }));
        }
        self.staged.clear();
        self.staged_winners.clear();
        Committed::Unavailable(self.ledger.submitted(), reason)
    }

    /// The last commit that was handed over.
    pub fn submitted(&self) -> CommitNumber {
        self.ledger.submitted()
    }

    /// Answers may leave that wait for a commit up to this one.
    pub fn committed(&self) -> CommitNumber {
        self.ledger.committed()
    }

    /// Where an agency will stand when everything staged is durable.
    pub fn agency_standing(&self, agency: Agency) -> AgencyStanding {
        let Account { consumed, checksum, stored, rejected, finished } = self.ahead.account(agency);
        let phase = match finished {
            _ if self.ahead.drawn => Phase::Drawn,
            true => Phase::Finished,
            false => Phase::Open,
        };
        AgencyStanding { consumed, checksum, stored, rejected, phase }
    }

    /// Whether the draw stands in the ledger.
    pub fn is_drawn(&self) -> bool {
        self.ledger.state().drawn
    }

    /// Where the rows of an agency's winners are in the ledger.
    pub fn winning_rows(&self, agency: Agency) -> WinningRows {
        debug_assert!(self.is_drawn(), "winners are told after the draw");
        self.winners.by_agency.of(agency)
    }

    /// Where in the ledger rows of winners are.
    pub fn winner_stripes(&self) -> &Stripes {
        &self.winners.stripes
    }

    /// Whether the draw is still to come.
    pub fn awaits_draw(&self) -> bool {
        self.agencies > 0 && !self.ahead.drawn
    }

    /// Agencies that have finished, those included whose end isn't durable yet.
    pub fn finished(&self) -> Agency {
        self.finished
    }

    /// Whether any agency has sent anything.
    pub fn has_begun(&self) -> bool {
        self.ahead.accounts().next().is_some()
    }

    /// Whether an agency has ended its input.
    pub fn has_finished(&self, agency: Agency) -> bool {
        self.ahead.account(agency).finished
    }

    /// How many agencies have finished, who is missing.
    pub fn standing(&self) -> Standing {
        Standing::new(self.ledger.state(), self.agencies)
    }

    /// The same when everything staged is in the ledger: what [`finished`](Self::finished) counts.
    pub fn standing_ahead(&self) -> Standing {
        Standing::new(&self.ahead, self.agencies)
    }

    /// The ledger.
    pub fn ledger(&self) -> &L {
        &self.ledger
    }

    /// The ledger, to be closed.
    pub fn into_ledger(self) -> L {
        self.ledger
    }
}
