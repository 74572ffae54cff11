//! An agency in mode `apuesta`: one bet by hand.
//!
//! The agency's input is here what it sent before, and then this bet. A first bet that was stored
//! by an earlier run is recognised by its checksum, and so is one whose answer this run has lost.

use std::borrow::Cow;

use log::{Level, error, info};
use runtime::log_within;
use runtime::logging::{Escaped, EscapedOnce};
use wire::bet::{self, check_field};
use wire::field::FIELDS;
use wire::{BatchBuilder, Bet, Checksum, Field, Position, Push, Request, Response, VERSION};

use crate::log_budget::{Line, LogBudget};
use crate::session::agency_session::{Action, AgencySession, Prepared};
use crate::session::failure::{Failure, expect_position};

/// The bet, and how far it is.
#[derive(Debug)]
pub struct SingleBet {
    id: wire::Agency,
    fields: [String; FIELDS],
    batch: BatchBuilder,
    /// The bet is to be checked before it is sent.
    check: bool,
    /// Where it was sent to last, on this connection or an earlier one.
    sent: Option<Sent>,
    stage: Stage,
    outcome: Option<Outcome>,
    log_budget: LogBudget,
}

/// What is under way on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Introducing,
    Sending,
    /// The central couldn't store it: it is sent again later.
    Held,
    Done,
}

/// Where the bet was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    position: Position,
    /// The agency's checksum once the bet is consumed there.
    after: Checksum,
    /// Bets of the agency that had been rejected before.
    rejected: u64,
}

impl Sent {
    /// The position behind the bet. Nothing is sent to the last one that there is.
    fn after_it(&self) -> Position {
        self.position + 1
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Stored,
    Rejected { reason: String },
}

impl SingleBet {
    /// A bet of these fields, in the order in which they travel.
    ///
    /// # Panics
    /// When a field is over 255 bytes: the configuration takes none.
    pub fn new(id: wire::Agency, fields: [String; FIELDS]) -> Self {
        let mut batch = BatchBuilder::new();
        let bet = Bet::from_fields(fields.each_ref().map(String::as_bytes));
        assert_eq!(batch.push(&bet), Ok(Push::Added), "the configuration checks the lengths");
        Self {
            id,
            fields,
            batch,
            check: false,
            sent: None,
            stage: Stage::Introducing,
            outcome: None,
            log_budget: LogBudget::default(),
        }
    }

    /// The same, but it is checked before it is sent.
    #[must_use]
    pub fn checking_first(mut self) -> Self {
        self.check = true;
        self
    }

    /// Logs each field that no central takes; says whether there is none.
    fn is_valid(&self) -> bool {
        let fields = Field::ALL.into_iter().zip(&self.fields);
        let invalid = fields.filter_map(|(field, text)| {
            let reason = check_field(field, text.as_bytes()).err()?;
            Some((field, text, reason))
        });
        let logged = invalid.map(|(field, text, reason)| {
            error!(
                "action: check_data | result: fail | field: {field} | value: {} | error: {reason}: \
                 expected {}",
                Escaped(text.as_bytes()),
                bet::expected(field)
            );
        });
        logged.count() + self.marked_names() == 0
    }

    /// Logs each name with a byte order mark in it, as the check of a file does; says how many there are.
    fn marked_names(&self) -> usize {
        let names = Field::ALL.into_iter().zip(&self.fields);
        let names = names.filter(|(field, _)| matches!(field, Field::FirstName | Field::LastName));
        let marked = names.filter(|(_, text)| {
            check_field(Field::FirstName, text.as_bytes()).is_ok() && text.contains('\u{feff}')
        });
        let logged = marked.map(|(field, text)| {
            error!(
                "action: check_data | result: fail | field: {field} | value: {} | error: byte order \
                 mark (U+FEFF) in a name: remove it",
                Escaped(text.as_bytes())
            );
        });
        logged.count()
    }

    /// The bet as it is, or will be, once it was sent behind `position` others.
    fn behind(&self, position: Position, before: Checksum, rejected: u64) -> Sent {
        let after = before.extended(self.batch.batch(position).encoded);
        Sent { position, after, rejected }
    }

    /// Sends the bet behind those that were sent before, unless it is already among them.
    fn on_welcome(
        &mut self,
        consumed: Position,
        checksum: Checksum,
        rejected: u64,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let by_an_earlier_run = self.behind(0, Checksum::default(), 0);
        let known = [self.sent, Some(by_an_earlier_run)].into_iter().flatten();
        let mut known = known.filter(|sent| consumed == sent.after_it());
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
                return Err(Failure::Unsettled { position, consumed });
            }
            if position > consumed {
                return Err(Failure::LostBets { acknowledged: position, consumed });
            }
        }
        self.sent = Some(self.behind(consumed, checksum, rejected));
        Ok(self.send(consumed, out))
    }

    fn send(&mut self, position: Position, out: &mut Vec<u8>) -> Action {
        self.stage = Stage::Sending;
        Request::Bet(self.batch.batch(position)).encode(out);
        Action::AwaitResponse
    }

    /// The central can't store it now: it is sent again later.
    fn hold(&mut self, reason: &str) -> Action {
        let [.., document, _, number] =
            self.fields.each_ref().map(|field| Escaped(field.as_bytes()));
        log_within!(
            self.log_budget,
            Line::BetDeferred,
            Level::Warn,
            "action: apuesta_enviada | result: in_progress | dni: {document} | numero: {number} | error: {}",
            EscapedOnce(reason)
        );
        self.stage = Stage::Held;
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

    fn shown(&self) -> [Escaped<'_>; FIELDS] {
        self.fields.each_ref().map(|field| Escaped(field.as_bytes()))
    }
}

impl AgencySession for SingleBet {
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        if self.check && !self.is_valid() {
            return Err(Failure::InvalidBet);
        }
        Ok(Prepared::Ready)
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
        match (*response, self.stage, self.sent) {
            (Response::Welcome { consumed, checksum, rejected, .. }, Stage::Introducing, _) => {
                self.on_welcome(consumed, checksum, rejected, out)
            }
            (Response::Stored { consumed }, Stage::Sending, Some(sent)) => {
                expect_position("STORED", sent.after_it(), consumed)?;
                Ok(self.stored())
            }
            (Response::Rejected { consumed, index: 0, reason, .. }, Stage::Sending, Some(sent)) => {
                expect_position("REJECTED", sent.after_it(), consumed)?;
                Ok(self.rejected(reason))
            }
            (Response::Unavailable { consumed, reason }, Stage::Sending, Some(sent)) => {
                expect_position("UNAVAILABLE", sent.position, consumed)?;
                Ok(self.hold(reason))
            }
            _ => Err(Failure::unexpected(response, self.expected_response())),
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        let held = self.sent.filter(|_| self.stage == Stage::Held);
        Ok(held.map_or(Action::AwaitResponse, |sent| self.send(sent.position, out)))
    }

    fn expected_response(&self) -> Option<Cow<'static, str>> {
        match self.stage {
            Stage::Introducing => Some("the answer to HELLO".into()),
            Stage::Sending => Some("the answer to the bet".into()),
            Stage::Held | Stage::Done => None,
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
            Stage::Sending | Stage::Held => "sending",
            Stage::Done => "done",
        }
    }

    fn announce(&self) {
        let [.., document, _, number] = self.shown();
        match &self.outcome {
            None => {}
            Some(Outcome::Stored) => {
                info!(
                    "action: apuesta_enviada | result: success | dni: {document} | numero: {number}"
                );
            }
            Some(Outcome::Rejected { reason }) => {
                let reason = EscapedOnce(reason);
                error!(
                    "action: apuesta_enviada | result: fail | dni: {document} | numero: {number} | \
                     error: {reason}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Field, FrameDecoder, Phase};

    fn single_bet() -> SingleBet {
        SingleBet::new(1, ["Ana", "Paz", "12345678", "2000-01-01", "7574"].map(Into::into))
    }

    fn welcome(consumed: Position, checksum: Checksum) -> Response<'static> {
        rejecting(consumed, checksum, 0)
    }

    fn rejecting(consumed: Position, checksum: Checksum, rejected: u64) -> Response<'static> {
        Response::Welcome { consumed, checksum, rejected, phase: Phase::Open }
    }

    fn sent_at(out: &[u8]) -> Position {
        let frame = FrameDecoder::default().decode(out).unwrap().unwrap();
        let Ok(Request::Bet(batch)) = Request::decode(frame) else { panic!("no bet: {frame:?}") };
        batch.position
    }

    #[test]
    fn a_bet_goes_behind_those_that_were_sent_before() {
        for consumed in [0, 1, 41] {
            let (mut session, mut out) = (single_bet(), Vec::new());
            let next = session.on_response(&welcome(consumed, Checksum(99)), &mut out).unwrap();
            assert_eq!((next, sent_at(&out)), (Action::AwaitResponse, consumed));
            let next = session.on_response(&Response::Stored { consumed: consumed + 1 }, &mut out);
            assert_eq!(next.unwrap(), Action::Done);
            assert!(session.is_complete());
        }
    }

    /// As in a file, and whatever the central would say of it.
    #[test]
    fn a_byte_order_mark_in_a_name_is_refused_before_anybody_is_called() {
        let mark = "\u{feff}";
        for (names, is_good) in [
            ([format!("{mark}Ana"), "Paz".into()], false),
            (["Ana".into(), format!("Pa{mark}z")], false),
            ([mark.into(), "Paz".into()], false),
            (["Ana".into(), "Paz".into()], true),
        ] {
            let [first, last] = names;
            let fields = [first, last, "1".into(), "2000-01-01".into(), "7".into()];
            let prepared = SingleBet::new(1, fields).checking_first().prepare();
            assert_eq!(prepared.is_ok(), is_good, "{prepared:?}");
        }
    }

    #[test]
    fn a_lost_answer_does_not_store_it_twice() {
        // Bets of the agency that were rejected before don't matter, one more does.
        for (before, after, stored) in [(0, 0, true), (3, 3, true), (0, 1, false), (3, 4, false)] {
            let (mut session, mut out) = (single_bet(), Vec::new());
            let checksum = Checksum(99);
            let _ = session.on_response(&rejecting(5, checksum, before), &mut out).unwrap();
            let checksum = checksum.extended(session.batch.batch(5).encoded);
            out.clear();
            session.on_connect(&mut Vec::new());
            let next = session.on_response(&rejecting(6, checksum, after), &mut out).unwrap();
            assert_eq!((next, out.len()), (Action::Done, 0));
            assert_eq!(session.is_complete(), stored);
        }
    }

    #[test]
    fn a_lost_request_is_sent_again() {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        out.clear();
        session.on_connect(&mut Vec::new());
        let next = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        assert_eq!((next, sent_at(&out)), (Action::AwaitResponse, 5));
    }

    #[test]
    fn it_is_not_sent_again_when_nobody_can_tell_whether_it_arrived() {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        out.clear();
        session.on_connect(&mut Vec::new());
        for (consumed, checksum) in [(6, Checksum(1)), (7, Checksum(2))] {
            let failure = session.on_response(&welcome(consumed, checksum), &mut out).unwrap_err();
            assert!(matches!(failure, Failure::Unsettled { position: 5, .. }), "{failure}");
            assert!(out.is_empty() && !session.is_complete());
        }
    }

    #[test]
    fn an_unavailable_storage_is_asked_again() {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        out.clear();
        let full = Response::Unavailable { consumed: 5, reason: "full" };
        assert_eq!(session.on_response(&full, &mut out).unwrap(), Action::BackOff);
        assert_eq!((session.resume(&mut out).unwrap(), sent_at(&out)), (Action::AwaitResponse, 5));
    }

    #[test]
    fn an_answer_to_nothing_is_out_of_order() {
        let failure = single_bet().on_response(&Response::Stored { consumed: 1 }, &mut Vec::new());
        assert!(matches!(failure, Err(Failure::OutOfOrder { .. })));
        // Nor is one owed between UNAVAILABLE and the next attempt, or WELCOME at any time but first.
        let (full, reason) = (Response::Unavailable { consumed: 5, reason: "full" }, "bad");
        let rejected = Response::Rejected { consumed: 6, index: 0, field: Field::Number, reason };
        for (before, then) in [
            (Some(&full), Response::Stored { consumed: 6 }),
            (Some(&full), rejected),
            (Some(&full), full),
            (None, welcome(5, Checksum(99))),
            (None, Response::Finished { stored: 6, rejected: 0 }),
        ] {
            let (mut session, mut out) = (single_bet(), Vec::new());
            let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
            if let Some(before) = before {
                assert_eq!(session.on_response(before, &mut out).unwrap(), Action::BackOff);
            }
            let failure = session.on_response(&then, &mut out).unwrap_err();
            assert!(matches!(failure, Failure::OutOfOrder { .. }), "{failure}");
            assert_eq!(session.acknowledged(), 0);
        }
    }

    #[test]
    fn an_answer_to_another_bet_is_an_error() {
        let reason = "bad";
        for bad in [
            Response::Stored { consumed: 5 },
            Response::Stored { consumed: u64::MAX },
            Response::Rejected { consumed: 5, index: 0, field: Field::Number, reason },
            Response::Rejected { consumed: 6, index: 1, field: Field::Number, reason },
            Response::Unavailable { consumed: 6, reason },
        ] {
            let (mut session, mut out) = (single_bet(), Vec::new());
            let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
            let failure = session.on_response(&bad, &mut out).unwrap_err();
            assert!(!failure.is_transient() && !session.is_complete(), "{failure}");
        }
    }

    #[test]
    fn a_welcome_that_cannot_be_is_an_error_and_nothing_is_sent() {
        for (consumed, rejected) in [(u64::MAX, 0), (3, 4), (0, u64::MAX)] {
            let (mut session, mut out) = (single_bet(), Vec::new());
            let welcome = rejecting(consumed, Checksum(99), rejected);
            let failure = session.on_response(&welcome, &mut out).unwrap_err();
            assert!(matches!(failure, Failure::Violation { .. }) && out.is_empty(), "{failure}");
        }
        let (mut session, mut out) = (single_bet(), Vec::new());
        let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        session.on_connect(&mut Vec::new());
        let failure = session.on_response(&welcome(4, Checksum(98)), &mut out).unwrap_err();
        assert!(matches!(failure, Failure::LostBets { acknowledged: 5, consumed: 4 }), "{failure}");
    }

    #[test]
    fn the_same_first_bet_of_a_second_run_is_confirmed_again() {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let after = Checksum::default().extended(session.batch.batch(0).encoded);
        assert_eq!(session.on_response(&welcome(1, after), &mut out).unwrap(), Action::Done);
        assert!(out.is_empty() && session.is_complete());
    }
}
