//! An agency in mode `apuesta`: one bet by hand.
//!
//! The agency's input is what it sent before, followed by this bet. A first bet that an earlier run
//! has stored is recognized by its checksum, and so is one whose response this run has lost.
//!
//! | stage | is over when | then |
//! |---|---|---|
//! | `Introducing` | WELCOME arrived | `Sending`; `Done` if the bet was consumed before |
//! | `Sending` | STORED or REJECTED arrived | `Done` |
//! | | UNAVAILABLE arrived | `Deferred` |
//! | `Deferred` | the pause is over | `Sending` |
//! | any but `Done` | another connection was established | `Introducing` |

use std::borrow::Cow;

use runtime::logging::{Fail, InProgress, Level, Line, LineResult, Success};
use runtime::{log_line, log_within};
use wire::bet::{self, check_field};
use wire::field::FIELDS;
use wire::{BatchBuilder, Bet, Checksum, DrawName, Field, Position, Push, Request, Response};

use crate::log_budget::{Kind, LogBudget};
use crate::session::agency_session::{Action, AgencySession, Prepared};
use crate::session::failure::{Failure, expect_position};

/// The session.
#[derive(Debug)]
pub struct SingleBet {
    id: wire::Agency,
    /// Which draw the bet is for.
    draw: Option<DrawName>,
    fields: [String; FIELDS],
    batch: BatchBuilder,
    checks_first: bool,
    /// The last attempt, on this connection or an earlier one.
    sent: Option<Sent>,
    stage: Stage,
    outcome: Option<Outcome>,
    log_budget: LogBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Introducing,
    Sending,
    Deferred,
    Done,
}

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    position: Position,
    /// Checksum of the agency's bets up to this one.
    after: Checksum,
    /// Bets of the agency that were rejected before.
    rejected: u64,
}

impl Sent {
    /// The position after the bet. It exists: nothing is sent to the last position.
    fn next_position(&self) -> Position {
        self.position + 1
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Stored,
    Rejected { reason: String },
}

impl SingleBet {
    /// A session for a bet of the unnamed draw, of these fields in the order of [`Field::ALL`].
    ///
    /// # Panics
    /// When a field is over 255 bytes: the configuration accepts none.
    pub fn new(id: wire::Agency, fields: [String; FIELDS]) -> Self {
        let mut batch = BatchBuilder::new();
        let bet = Bet::from_fields(fields.each_ref().map(String::as_bytes));
        assert_eq!(batch.push(&bet), Ok(Push::Added), "the configuration checks the lengths");
        Self {
            id,
            draw: None,
            fields,
            batch,
            checks_first: false,
            sent: None,
            stage: Stage::Introducing,
            outcome: None,
            log_budget: LogBudget::default(),
        }
    }

    /// The same, of this draw.
    #[must_use]
    pub fn of_draw(self, draw: Option<DrawName>) -> Self {
        Self { draw, ..self }
    }

    /// The same, but it is checked before it is sent.
    #[must_use]
    pub fn checking_first(mut self) -> Self {
        self.checks_first = true;
        self
    }

    /// Returns whether the bet is valid; logs each field that isn't.
    fn is_valid(&self) -> bool {
        let fields = Field::ALL.into_iter().zip(&self.fields);
        let invalid = fields.filter_map(|(field, text)| {
            let reason = check_field(field, text.as_bytes()).err()?;
            Some((field, text, reason))
        });
        let logged = invalid.map(|(field, text, reason)| {
            let error = format_args!("{reason}: expected {}", bet::expected(field));
            log_line!(Level::Error, invalid_field(field, text).with("error", error));
        });
        logged.count() + self.log_byte_order_marks() == 0
    }

    /// Logs each name with a byte order mark in it, as the check of a file does; returns their number.
    fn log_byte_order_marks(&self) -> usize {
        let names = Field::ALL.into_iter().zip(&self.fields);
        let names = names.filter(|(field, _)| matches!(field, Field::FirstName | Field::LastName));
        let marked = names.filter(|(_, text)| {
            check_field(Field::FirstName, text.as_bytes()).is_ok() && text.contains('\u{feff}')
        });
        let logged = marked.map(|(field, text)| {
            let error = "byte order mark (U+FEFF) in a name: remove it";
            log_line!(Level::Error, invalid_field(field, text).with("error", error));
        });
        logged.count()
    }

    /// An attempt at `position`, after bets with the checksum `before`.
    fn attempt(&self, position: Position, before: Checksum, rejected: u64) -> Sent {
        let after = before.extended(self.batch.batch(position).encoded);
        Sent { position, after, rejected }
    }

    /// Sends the bet after those that were sent before, unless it is the last of them.
    fn on_welcome(
        &mut self,
        consumed: Position,
        checksum: Checksum,
        rejected: u64,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let by_an_earlier_run = self.attempt(0, Checksum::default(), 0);
        let known = [self.sent, Some(by_an_earlier_run)].into_iter().flatten();
        let mut known = known.filter(|sent| consumed == sent.next_position());
        if let Some(sent) = known.find(|sent| sent.after == checksum) {
            // It is the last one consumed, so one rejected more is this one.
            let is_rejected = rejected > sent.rejected;
            let reason = "the central has rejected it before, and said why then";
            return Ok(if is_rejected { self.rejected(reason) } else { self.stored() });
        }
        if consumed == Position::MAX || rejected > consumed {
            let expected = "a position with room for a bet, and no more rejected than consumed";
            let found = format!("{consumed} consumed and {rejected} rejected");
            return Err(Failure::Violation {
                message: "WELCOME",
                expected: expected.into(),
                found,
            });
        }
        if let Some(Sent { position, .. }) = self.sent {
            if position < consumed {
                return Err(Failure::InDoubt { position, consumed });
            }
            if position > consumed {
                return Err(Failure::LostBets { acknowledged: position, consumed });
            }
        }
        self.sent = Some(self.attempt(consumed, checksum, rejected));
        Ok(self.send(consumed, out))
    }

    fn send(&mut self, position: Position, out: &mut Vec<u8>) -> Action {
        self.stage = Stage::Sending;
        Request::Bet(self.batch.batch(position)).encode(out);
        Action::AwaitResponse
    }

    /// The central can't store it now: sends it again later.
    fn defer(&mut self, reason: &str) -> Action {
        log_within!(
            self.log_budget,
            Kind::BetDeferred,
            Level::Warn,
            self.line(InProgress).with("error", reason)
        );
        self.stage = Stage::Deferred;
        Action::BackOff
    }

    fn stored(&mut self) -> Action {
        self.outcome = Some(Outcome::Stored);
        self.stage = Stage::Done;
        Action::Done
    }

    fn rejected(&mut self, reason: &str) -> Action {
        self.outcome = Some(Outcome::Rejected { reason: reason.to_owned() });
        self.stage = Stage::Done;
        Action::Done
    }

    /// What became of the bet.
    fn line(&self, result: LineResult) -> Line {
        let [.., document, _, number] = &self.fields;
        Line::new("apuesta_enviada", result)
            .with_bytes("dni", document)
            .with_bytes("numero", number)
    }
}

fn invalid_field(field: Field, text: &str) -> Line {
    Line::new("check_data", Fail).with("field", field).with_bytes("value", text)
}

impl AgencySession for SingleBet {
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        if self.checks_first && !self.is_valid() {
            return Err(Failure::InvalidBet);
        }
        Ok(Prepared::Ready)
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
        match (*response, self.stage, self.sent) {
            (Response::Welcome { consumed, checksum, rejected, .. }, Stage::Introducing, _) => {
                self.on_welcome(consumed, checksum, rejected, out)
            }
            (Response::Stored { consumed }, Stage::Sending, Some(sent)) => {
                expect_position("STORED", sent.next_position(), consumed)?;
                Ok(self.stored())
            }
            (Response::Rejected { consumed, index: 0, reason, .. }, Stage::Sending, Some(sent)) => {
                expect_position("REJECTED", sent.next_position(), consumed)?;
                Ok(self.rejected(reason))
            }
            (Response::Unavailable { consumed, reason }, Stage::Sending, Some(sent)) => {
                expect_position("UNAVAILABLE", sent.position, consumed)?;
                Ok(self.defer(reason))
            }
            _ => Err(Failure::unexpected(response, self.expected_response())),
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        let deferred = self.sent.filter(|_| self.stage == Stage::Deferred);
        Ok(deferred.map_or(Action::AwaitResponse, |sent| self.send(sent.position, out)))
    }

    fn expected_response(&self) -> Option<Cow<'static, str>> {
        match self.stage {
            Stage::Introducing => Some("the answer to HELLO".into()),
            Stage::Sending => Some("the answer to the bet".into()),
            Stage::Deferred | Stage::Done => None,
        }
    }

    fn acknowledged(&self) -> u64 {
        u64::from(self.outcome.is_some())
    }

    fn log_budget(&mut self) -> &mut LogBudget {
        &mut self.log_budget
    }

    fn is_complete(&self) -> bool {
        self.outcome == Some(Outcome::Stored)
    }

    fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Introducing => "introducing",
            Stage::Sending | Stage::Deferred => "sending",
            Stage::Done => "done",
        }
    }

    fn announce(&self) {
        match &self.outcome {
            None => {}
            Some(Outcome::Stored) => log_line!(Level::Info, self.line(Success)),
            Some(Outcome::Rejected { reason }) => {
                log_line!(Level::Error, self.line(Fail).with("error", reason));
            }
        }
    }
}

#[cfg(test)]
mod tests;
