//! Batches: fills the window, matches responses to what is in flight, and ends the input.

use runtime::log_within;
use runtime::logging::{InProgress, Level, Line, Success};
use wire::{Request, Response};

use super::account::Account;
use super::stage::Stage;
use super::{Agency, InFlight};
use crate::log_budget::Kind;
use crate::session::agency_session::Action;
use crate::session::failure::{Failure, expect_position};
use crate::source::bet_source::BetSource;
use crate::source::data_check;
use crate::source::error::InputError;

impl<S: BetSource> Agency<S> {
    /// Fills the window; ends the input once all of it is answered.
    pub(super) fn send(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        let window = if self.pace.period.is_zero() { self.pace.window } else { 1 };
        while self.input_error.is_none() && self.in_flight.len() < window {
            let before = self.input.position();
            self.input_error = self.read_batch().err();
            if self.batch.is_empty() {
                break;
            }
            let (count, position) = (self.batch.count(), before.bets);
            Request::Batch(self.batch.batch(position)).encode(out);
            log_within!(
                self.log_budget,
                Kind::BatchSent,
                Level::Debug,
                Line::new("batch_enviado", InProgress)
                    .with("cantidad", count)
                    .with("posicion", position)
            );
            self.in_flight.push_back(InFlight { before, count });
        }
        if !self.in_flight.is_empty() {
            return Ok(Action::AwaitResponse);
        }
        match self.input_error.take() {
            Some(error) => Err(self.input_failure(error)),
            None => self.end(out),
        }
    }

    /// Sends END, if the input still ends here.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        if let Some(wait) = self.input.wait_at_end() {
            return Ok(Action::Pause(wait));
        }
        self.verify()?;
        if self.warns_of_no_bets && self.input.position().bets == 0 {
            self.warns_of_no_bets = false;
            data_check::warn_of_no_bets(&self.input.name());
        }
        self.stage = Stage::Ending;
        Request::End { total: self.input.position().bets }.encode(out);
        Ok(Action::AwaitResponse)
    }

    /// Handles the response to the oldest batch in flight.
    pub(super) fn on_batch_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let Some(&InFlight { before, count }) = self.in_flight.front() else {
            return Err(self.unexpected(response));
        };
        let after = before.bets + u64::from(count);
        match (*response, self.stage) {
            (Response::Stored { consumed }, Stage::Sending) => {
                expect_position("STORED", after, consumed)?;
                self.account.on_stored(count);
                log_within!(
                    self.log_budget,
                    Kind::BatchConfirmed,
                    Level::Debug,
                    Line::new("batch_confirmado", Success)
                        .with("cantidad", count)
                        .with("posicion", consumed)
                );
            }
            (Response::Rejected { consumed, index, field, reason }, Stage::Sending) => {
                expect_position("REJECTED", after, consumed)?;
                self.account.on_rejected(count, index)?;
                self.log_rejected(before, count, index, field, reason);
            }
            (Response::Unavailable { consumed, reason }, Stage::Sending) => {
                expect_position("UNAVAILABLE", before.bets, consumed)?;
                log_within!(
                    self.log_budget,
                    Kind::BatchDeferred,
                    Level::Warn,
                    Line::new("batch_enviado", InProgress)
                        .with("cantidad", count)
                        .with("error", reason)
                );
                self.stage = Stage::Rewinding { to: before };
            }
            (Response::Unavailable { consumed, .. }, Stage::Rewinding { to }) => {
                expect_position("UNAVAILABLE", to.bets, consumed)?;
            }
            _ => return Err(self.unexpected(response)),
        }
        self.in_flight.pop_front();
        self.after_batch(out)
    }

    /// Once the last batch in flight is answered: rewinds if one was deferred. Sends more otherwise.
    fn after_batch(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        if let Stage::Rewinding { to } = self.stage {
            if !self.in_flight.is_empty() {
                return Ok(Action::AwaitResponse);
            }
            self.input.seek(to)?;
            self.stage = Stage::Sending;
            return Ok(Action::BackOff);
        }
        let next = self.in_flight.front().map(|batch| batch.before);
        self.confirmed = next.unwrap_or_else(|| self.input.position());
        if self.pace.period.is_zero() {
            self.send(out)
        } else {
            Ok(Action::Pause(self.pace.period))
        }
    }

    /// Reads the next batch of an input that is still the one that was opened. It is empty at the end,
    /// and when an error is returned.
    fn read_batch(&mut self) -> Result<(), InputError> {
        let read = self.input.next_batch(&mut self.batch, self.pace.max_amount);
        // After a pause, what was read before it may be out of date.
        let verified =
            if self.pace.period.is_zero() { self.input.verify_read() } else { self.input.verify() };
        let checked = verified.and(read);
        if checked.is_err() {
            self.batch.clear();
        }
        checked
    }

    pub(super) fn verify(&self) -> Result<(), Failure> {
        self.input.verify().map_err(|error| self.input_failure(error))
    }

    pub(super) fn input_failure(&self, error: InputError) -> Failure {
        let Account { stored, rejected, .. } = self.account;
        Failure::InputFailed { error, stored, rejected }
    }
}
