//! An agency in mode `loteria`: its whole input in batches, then its winners.
//!
//! The position in the input is the sequence number. Whatever breaks, the central says how far it
//! has come, and the agency goes on exactly there: no bet is lost, none is sent to be stored twice.
//! What a central says is compared with what it has said before ([`account`]), and is an answer to
//! what was asked, or an error.

mod account;
mod rejected;
mod stage;
mod stop;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use log::{Level, debug, info};
use runtime::log_within;
use runtime::logging::{Escaped, EscapedOnce};
use wire::{BatchBuilder, Checksum, Phase, Position, Request, Response, VERSION};

use account::Account;
use stage::Stage;

use crate::log_budget::{Line, LogBudget};
use crate::progress::Progress;
use crate::session::agency_session::{Action, AgencySession, Prepared};
use crate::session::failure::{Failure, expect_position};
use crate::source::bet_source::{BetSource, Checking};
use crate::source::data_check;
use crate::source::error::InputError;
use crate::source::input::{Input, InputPosition};

/// Bets that are skipped in one turn: some milliseconds' worth, so that a signal is still heard.
const SKIPPED_PER_TURN: u64 = 20_000;

/// Bytes of the input that are skipped in one turn, whatever rows they make: less than a second's
/// worth of a slow disk.
const SKIPPED_BYTES_PER_TURN: u64 = 1 << 20;

/// How an agency sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Most bets in a batch.
    pub max_amount: u16,
    /// Batches that may be unanswered; one alone when there is a pause.
    pub window: usize,
    /// Pause between an answer and the next batch.
    pub period: Duration,
}

/// The agency.
#[derive(Debug)]
pub struct Agency<S> {
    id: wire::Agency,
    pace: Pace,
    input: Input<S>,
    batch: BatchBuilder,
    /// Sent and not answered, oldest first.
    outstanding: VecDeque<Outstanding>,
    stage: Stage,
    /// The place after everything that the central has confirmed.
    confirmed: InputPosition,
    account: Account,
    /// Why the input goes no further; what is under way is still waited for.
    stopped: Option<InputError>,
    /// It has logged that bets were rejected, when all were sent.
    has_logged_rejected: bool,
    /// It hasn't logged that there are no bets, and no check has.
    warns_of_no_bets: bool,
    log_budget: LogBudget,
}

/// A batch that was sent and not answered.
#[derive(Debug, Clone, Copy)]
struct Outstanding {
    before: InputPosition,
    count: u16,
}

impl<S: BetSource> Agency<S> {
    /// An agency that hasn't sent anything.
    pub fn new(id: wire::Agency, pace: Pace, source: S) -> Self {
        Self {
            id,
            pace,
            input: Input::new(source),
            batch: BatchBuilder::new(),
            outstanding: VecDeque::new(),
            stage: Stage::Introducing,
            confirmed: InputPosition::default(),
            account: Account::new(),
            stopped: None,
            has_logged_rejected: false,
            warns_of_no_bets: true,
            log_budget: LogBudget::default(),
        }
    }

    /// The same, but its input is checked before it is sent.
    #[must_use]
    pub fn checking_first(mut self) -> Self {
        self.stage = Stage::Checking;
        self.warns_of_no_bets = false;
        self
    }

    fn on_welcome(
        &mut self,
        consumed: Position,
        checksum: Checksum,
        rejected: u64,
        phase: Phase,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        log_within!(
            self.log_budget,
            Line::Introduced,
            Level::Debug,
            "action: introduce | result: success | client_id: {} | posicion: {consumed}",
            self.id
        );
        self.account.on_welcome(consumed, rejected, phase)?;
        if let Some(error) = self.stopped.take() {
            return Err(self.stopped_by(error));
        }
        // After a cut it is nearly always a place that we remember.
        let known = self.outstanding.iter().map(|outstanding| outstanding.before);
        let known = known.chain([self.input.position(), self.confirmed]);
        let place = known
            .into_iter()
            .find(|place| place.position == consumed && place.checksum == checksum)
            .unwrap_or_default();
        self.outstanding.clear();
        self.input.seek(place)?;
        self.stage = Stage::Skipping { consumed, checksum, phase };
        self.resume(out)
    }

    /// Reads on to where the central stands, a slice at a time.
    fn skip(&mut self, consumed: Position) -> Result<Action, Failure> {
        let mut budget = SKIPPED_PER_TURN;
        let end = self.input.position().source.offset + SKIPPED_BYTES_PER_TURN;
        loop {
            let InputPosition { position: found, source, .. } = self.input.position();
            let left = consumed.saturating_sub(found);
            if left == 0 {
                return Ok(Action::AwaitResponse);
            }
            if budget == 0 || source.offset >= end {
                return Ok(Action::Yield);
            }
            let most = u16::try_from(left.min(budget)).unwrap_or(u16::MAX);
            let read = self.input.next_batch(&mut self.batch, most);
            read.map_err(|error| self.stopped_by(error))?;
            if self.batch.is_empty() {
                self.verify()?;
                return Err(Failure::ShortInput { consumed, found });
            }
            budget -= u64::from(self.batch.count()).min(budget);
        }
    }

    /// The input must be the one that was sent before; then it goes on by phase.
    fn skipped(
        &mut self,
        consumed: Position,
        expected: Checksum,
        phase: Phase,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let place = self.input.position();
        if place.checksum != expected {
            self.verify()?;
            let found = place.checksum;
            return Err(Failure::OtherInput { consumed, expected, found });
        }
        self.confirmed = place;
        if phase == Phase::Open {
            self.stage = Stage::Sending;
            return self.send(out);
        }
        self.input.next_batch(&mut self.batch, 1)?;
        if !self.batch.is_empty() {
            return Err(match phase {
                Phase::Drawn => Failure::Drawn { consumed },
                _ => Failure::LongInput { consumed },
            });
        }
        Ok(self.ask(out))
    }

    /// Fills the window; at the end of the input, and when all is answered, says so.
    fn send(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        let window = if self.pace.period.is_zero() { self.pace.window } else { 1 };
        while self.stopped.is_none() && self.outstanding.len() < window {
            let before = self.input.position();
            self.stopped = self.read_batch().err();
            if self.batch.is_empty() {
                break;
            }
            let (count, position) = (self.batch.count(), before.position);
            Request::Batch(self.batch.batch(position)).encode(out);
            log_within!(
                self.log_budget,
                Line::BatchSent,
                Level::Debug,
                "action: batch_enviado | result: in_progress | cantidad: {count} | posicion: {position}"
            );
            self.outstanding.push_back(Outstanding { before, count });
        }
        if !self.outstanding.is_empty() {
            return Ok(Action::AwaitResponse);
        }
        match self.stopped.take() {
            Some(error) => Err(self.stopped_by(error)),
            None => self.end(out),
        }
    }

    /// Says that this is all, if it still is.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        if let Some(wait) = self.input.wait_at_end() {
            return Ok(Action::Pause(wait));
        }
        self.verify()?;
        if self.warns_of_no_bets && self.input.position().position == 0 {
            self.warns_of_no_bets = false;
            data_check::warn_of_no_bets(&self.input.name());
        }
        self.stage = Stage::Ending;
        Request::End { total: self.input.position().position }.encode(out);
        Ok(Action::AwaitResponse)
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Action {
        self.stage = Stage::Asking;
        self.account.on_winners_requested();
        self.log_rejected_before_draw();
        Request::Winners.encode(out);
        Action::AwaitResponse
    }

    /// An answer to the oldest batch that has none.
    fn on_batch_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let Some(&Outstanding { before, count }) = self.outstanding.front() else {
            return Err(self.unexpected(response));
        };
        let after = before.position + u64::from(count);
        match (*response, self.stage) {
            (Response::Stored { consumed }, Stage::Sending) => {
                expect_position("STORED", after, consumed)?;
                self.account.on_stored(count);
                log_within!(
                    self.log_budget,
                    Line::BatchConfirmed,
                    Level::Debug,
                    "action: batch_confirmado | result: success | cantidad: {count} | posicion: {consumed}"
                );
            }
            (Response::Rejected { consumed, index, field, reason }, Stage::Sending) => {
                expect_position("REJECTED", after, consumed)?;
                self.account.on_rejected(count, index)?;
                self.log_rejected(before, count, index, field, reason);
            }
            (Response::Unavailable { consumed, reason }, Stage::Sending) => {
                expect_position("UNAVAILABLE", before.position, consumed)?;
                log_within!(
                    self.log_budget,
                    Line::BatchHeld,
                    Level::Warn,
                    "action: batch_enviado | result: in_progress | cantidad: {count} | error: {}",
                    EscapedOnce(reason)
                );
                self.stage = Stage::Rewinding { to: before };
            }
            (Response::Unavailable { consumed, .. }, Stage::Rewinding { to }) => {
                expect_position("UNAVAILABLE", to.position, consumed)?;
            }
            _ => return Err(self.unexpected(response)),
        }
        self.outstanding.pop_front();
        self.after_batch(out)
    }

    fn after_batch(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        if let Stage::Rewinding { to } = self.stage {
            if !self.outstanding.is_empty() {
                return Ok(Action::AwaitResponse);
            }
            self.input.seek(to)?;
            self.stage = Stage::Sending;
            return Ok(Action::BackOff);
        }
        let next = self.outstanding.front().map(|outstanding| outstanding.before);
        self.confirmed = next.unwrap_or_else(|| self.input.position());
        if self.pace.period.is_zero() {
            self.send(out)
        } else {
            Ok(Action::Pause(self.pace.period))
        }
    }

    /// The central can't note the end, or the question, now: `held` waits for another attempt.
    fn hold(&mut self, consumed: Position, reason: &str, held: Stage) -> Result<Action, Failure> {
        expect_position("UNAVAILABLE", self.confirmed.position, consumed)?;
        log_within!(
            self.log_budget,
            Line::EndHeld,
            Level::Warn,
            "action: finish | result: in_progress | error: {}",
            EscapedOnce(reason)
        );
        self.stage = held;
        Ok(Action::BackOff)
    }

    fn on_winners(&mut self, winners: &wire::Winners<'_>) -> Result<Action, Failure> {
        self.account.on_winners(winners)?;
        for document in winners.documents() {
            log_within!(
                self.log_budget,
                Line::Winner,
                Level::Debug,
                "action: ganador | result: success | dni: {}",
                Escaped(document)
            );
        }
        self.stage = if winners.last { Stage::Done } else { Stage::Listing };
        Ok(if winners.last { Action::Done } else { Action::AwaitResponse })
    }

    fn unexpected(&self, response: &Response<'_>) -> Failure {
        Failure::unexpected(response, self.expected_response())
    }

    /// Winners that it was told of.
    pub fn winners(&self) -> u64 {
        self.account.winners
    }
}

impl<S: BetSource> AgencySession for Agency<S> {
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        if self.stage != Stage::Checking {
            return Ok(Prepared::Ready);
        }
        Ok(match self.input.check()? {
            Checking::Going => Prepared::Again(Duration::ZERO),
            Checking::Waiting(time) => Prepared::Again(time),
            Checking::Done => {
                self.stage = Stage::Introducing;
                Prepared::Ready
            }
        })
    }

    fn on_connect(&mut self, out: &mut Vec<u8>) {
        self.stage = Stage::Introducing;
        Request::Hello { version: VERSION, agency: self.id }.encode(out);
    }

    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        match (*response, self.stage) {
            (Response::Welcome { consumed, checksum, rejected, phase }, Stage::Introducing) => {
                self.on_welcome(consumed, checksum, rejected, phase, out)
            }
            (_, Stage::Sending | Stage::Rewinding { .. }) => self.on_batch_response(response, out),
            (Response::Finished { stored, rejected }, Stage::Ending) => {
                self.account.on_finished(stored, rejected)?;
                debug!(
                    "action: finish | result: success | stored: {stored} | rejected: {rejected}"
                );
                Ok(self.ask(out))
            }
            (Response::Unavailable { consumed, reason }, Stage::Ending) => {
                self.hold(consumed, reason, Stage::EndHeld)
            }
            (Response::Unavailable { consumed, reason }, Stage::Asking) => {
                self.hold(consumed, reason, Stage::AskHeld)
            }
            (Response::Winners(winners), Stage::Asking | Stage::Listing) => {
                self.on_winners(&winners)
            }
            _ => Err(self.unexpected(response)),
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        match self.stage {
            Stage::Skipping { consumed, checksum, phase } => match self.skip(consumed)? {
                Action::AwaitResponse => self.skipped(consumed, checksum, phase, out),
                not_there_yet => Ok(not_there_yet),
            },
            Stage::Sending => self.send(out),
            Stage::EndHeld => self.end(out),
            Stage::AskHeld => Ok(self.ask(out)),
            Stage::Done => Ok(Action::Done),
            Stage::Checking
            | Stage::Introducing
            | Stage::Rewinding { .. }
            | Stage::Ending
            | Stage::Asking
            | Stage::Listing => Ok(Action::AwaitResponse),
        }
    }

    fn waits_for_draw(&self) -> bool {
        self.stage == Stage::Asking
    }

    fn expected_response(&self) -> Option<Cow<'static, str>> {
        match (self.stage, self.outstanding.front()) {
            (Stage::Sending | Stage::Rewinding { .. }, Some(Outstanding { before, count })) => {
                let last = before.position + u64::from(*count) - 1;
                Some(format!("the answer to bets {} to {last}", before.position).into())
            }
            (stage, _) => stage.expected_response().map(Cow::Borrowed),
        }
    }

    /// Positions, and then the end and the result.
    fn acknowledged(&self) -> u64 {
        let end = u64::from(self.account.phase != Phase::Open);
        self.confirmed.position + end + u64::from(self.stage == Stage::Done)
    }

    fn log_budget(&mut self) -> &mut LogBudget {
        &mut self.log_budget
    }

    fn is_complete(&self) -> bool {
        self.stage == Stage::Done && self.account.rejected == 0
    }

    fn announce(&self) {
        if self.stage != Stage::Done {
            return;
        }
        let winners = self.account.winners;
        info!("action: consulta_ganadores | result: success | cant_ganadores: {winners}");
        self.log_rejected_bets(
            "the draw was held, only another lottery takes them, put right; see docs/operations.md \
             \"Rejected bets\"",
        );
    }

    fn stage(&self) -> &'static str {
        self.stage.name()
    }

    fn progress(&self) -> Progress {
        let (InputPosition { position, source, .. }, size) = (self.confirmed, self.input.size());
        let bytes =
            if self.stage == Stage::Checking { self.input.checked() } else { source.offset };
        Progress { bets: position, rejected: self.account.rejected, bytes, size }
    }

    fn close(self) {
        self.input.close();
    }
}

#[cfg(test)]
mod tests;
