//! An agency in mode `loteria`: its whole input in batches, then its winners.
//!
//! The position in the input is the sequence number. Whatever breaks, WELCOME reports how many bets
//! the central has consumed, and the agency continues exactly there: no bet is lost or stored twice.
//!
//! | file | what it is for |
//! |---|---|
//! | [`stage`] | the stages, and which follows which |
//! | [`catch_up`] | from WELCOME to the central's position in the input |
//! | [`batches`] | the batches in flight, and END |
//! | [`account`] | what the central acknowledged, compared with what it reports |
//! | [`rejected`] | log lines about rejected batches |

mod account;
mod batches;
mod catch_up;
mod rejected;
mod stage;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use runtime::logging::{InProgress, Level, Line, Success};
use runtime::{log_line, log_within};
use wire::{BatchBuilder, DrawName, Phase, Position, Request, Response};

use account::Account;
use stage::{CentralState, Stage};

use crate::log_budget::{Kind, LogBudget};
use crate::progress::Progress;
use crate::session::agency_session::{Action, AgencySession, Prepared};
use crate::session::failure::{Failure, expect_position};
use crate::source::bet_source::{BetSource, Checking};
use crate::source::error::InputError;
use crate::source::input::{Input, InputPosition};

/// How an agency sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Most bets in a batch.
    pub max_amount: u16,
    /// Most batches in flight; only one when there is a pause.
    pub window: usize,
    /// Pause between a response and the next batch.
    pub period: Duration,
}

/// The agency.
#[derive(Debug)]
pub struct Agency<S> {
    id: wire::Agency,
    /// Which draw its bets are for.
    draw: Option<DrawName>,
    pace: Pace,
    input: Input<S>,
    batch: BatchBuilder,
    /// Oldest first; at most [`Pace::window`].
    in_flight: VecDeque<InFlight>,
    stage: Stage,
    /// Everything before it was stored or rejected.
    confirmed: InputPosition,
    account: Account,
    /// Why the input can't be read further; responses to what is in flight are still awaited.
    input_error: Option<InputError>,
    has_logged_rejected: bool,
    /// An empty input is still to be logged: no check has done it.
    warns_of_no_bets: bool,
    log_budget: LogBudget,
}

/// A batch that was sent and not answered.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    before: InputPosition,
    count: u16,
}

impl<S: BetSource> Agency<S> {
    /// An agency of the unnamed draw that hasn't sent anything.
    pub fn new(id: wire::Agency, pace: Pace, source: S) -> Self {
        Self {
            id,
            draw: None,
            pace,
            input: Input::new(source),
            batch: BatchBuilder::new(),
            in_flight: VecDeque::new(),
            stage: Stage::Introducing,
            confirmed: InputPosition::default(),
            account: Account::new(),
            input_error: None,
            has_logged_rejected: false,
            warns_of_no_bets: true,
            log_budget: LogBudget::default(),
        }
    }

    /// The same, of this draw.
    #[must_use]
    pub fn of_draw(self, draw: Option<DrawName>) -> Self {
        Self { draw, ..self }
    }

    /// The same, but its input is checked before it is sent.
    #[must_use]
    pub fn checking_first(mut self) -> Self {
        self.stage = Stage::Checking;
        self.warns_of_no_bets = false;
        self
    }

    /// Asks for the winners.
    fn ask(&mut self, out: &mut Vec<u8>) -> Action {
        self.stage = Stage::Asking;
        self.account.on_winners_requested();
        self.log_rejected_before_draw();
        Request::Winners.encode(out);
        Action::AwaitResponse
    }

    /// UNAVAILABLE in response to END or the question for winners: tries again later.
    fn defer(
        &mut self,
        consumed: Position,
        reason: &str,
        deferred: Stage,
    ) -> Result<Action, Failure> {
        expect_position("UNAVAILABLE", self.confirmed.bets, consumed)?;
        log_within!(
            self.log_budget,
            Kind::EndDeferred,
            Level::Warn,
            Line::new("finish", InProgress).with("error", reason)
        );
        self.stage = deferred;
        Ok(Action::BackOff)
    }

    fn on_winners(&mut self, winners: &wire::Winners<'_>) -> Result<Action, Failure> {
        self.account.on_winners(winners)?;
        for document in winners.documents() {
            log_within!(
                self.log_budget,
                Kind::Winner,
                Level::Debug,
                Line::new("ganador", Success).with_bytes("dni", document)
            );
        }
        self.stage = if winners.last { Stage::Done } else { Stage::Listing };
        Ok(if winners.last { Action::Done } else { Action::AwaitResponse })
    }

    fn unexpected(&self, response: &Response<'_>) -> Failure {
        Failure::unexpected(response, self.expected_response())
    }

    /// Winners received so far.
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
            Checking::InProgress => Prepared::Pending(Duration::ZERO),
            Checking::Waiting(time) => Prepared::Pending(time),
            Checking::Done => {
                self.stage = Stage::Introducing;
                Prepared::Ready
            }
        })
    }

    fn on_connect(&mut self, out: &mut Vec<u8>) {
        self.stage = Stage::Introducing;
        Request::Hello { agency: self.id, draw: self.draw }.encode(out);
    }

    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        match (*response, self.stage) {
            (Response::Welcome { consumed, checksum, rejected, phase }, Stage::Introducing) => {
                self.on_welcome(CentralState { consumed, checksum, phase }, rejected, out)
            }
            (_, Stage::Sending | Stage::Rewinding { .. }) => self.on_batch_response(response, out),
            (Response::Finished { stored, rejected }, Stage::Ending) => {
                self.account.on_finished(stored, rejected)?;
                let line = Line::new("finish", Success).with("stored", stored);
                log_line!(Level::Debug, line.with("rejected", rejected));
                Ok(self.ask(out))
            }
            (Response::Unavailable { consumed, reason }, Stage::Ending) => {
                self.defer(consumed, reason, Stage::EndDeferred)
            }
            (Response::Unavailable { consumed, reason }, Stage::Asking) => {
                self.defer(consumed, reason, Stage::AskDeferred)
            }
            (Response::Winners(winners), Stage::Asking | Stage::Listing) => {
                self.on_winners(&winners)
            }
            _ => Err(self.unexpected(response)),
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        match self.stage {
            Stage::CatchingUp { with } => self.catch_up(with, out),
            Stage::Sending => self.send(out),
            Stage::EndDeferred => self.end(out),
            Stage::AskDeferred => Ok(self.ask(out)),
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
        match (self.stage, self.in_flight.front()) {
            (Stage::Sending | Stage::Rewinding { .. }, Some(InFlight { before, count })) => {
                let last = before.bets + u64::from(*count) - 1;
                Some(format!("the answer to bets {} to {last}", before.bets).into())
            }
            (stage, _) => stage.expected_response().map(Cow::Borrowed),
        }
    }

    /// Bets confirmed, plus one for the end, plus one for the result.
    fn acknowledged(&self) -> u64 {
        let end = u64::from(self.account.phase != Phase::Open);
        self.confirmed.bets + end + u64::from(self.stage == Stage::Done)
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
        let line = Line::new("consulta_ganadores", Success);
        log_line!(Level::Info, line.with("cant_ganadores", self.account.winners));
        self.log_rejected_bets(
            "the draw was held, only another lottery takes them, put right; see docs/operations.md \
             \"Rejected bets\"",
        );
    }

    fn stage(&self) -> &'static str {
        self.stage.name()
    }

    fn progress(&self) -> Progress {
        let (InputPosition { bets, source, .. }, size) = (self.confirmed, self.input.size());
        let bytes =
            if self.stage == Stage::Checking { self.input.checked() } else { source.offset };
        Progress { bets, rejected: self.account.rejected, bytes, size }
    }

    fn close(self) {
        self.input.close();
    }
}

#[cfg(test)]
mod tests;
