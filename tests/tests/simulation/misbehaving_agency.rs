//! An agency that sends batches out of order: again, from the middle, from too far ahead, or across
//! the central's position. The bets are the agency's own.

use std::borrow::Cow;

use client::log_budget::LogBudget;
use client::session::agency;
use client::session::agency_session::{Action, AgencySession};
use client::session::failure::Failure;
use client::source::memory_source::MemorySource;
use fastrand::Rng;
use wire::{Agency, BatchBuilder, Bet, DrawName, Position, Push, Request, Response};

use crate::invariants::Fields;

/// The session.
#[derive(Debug)]
pub(crate) struct MisbehavingAgency {
    agency: Agency,
    draw: Option<DrawName>,
    bets: Vec<Fields>,
    random: Rng,
    consumed: Position,
    left: u8,
    log_budget: LogBudget,
}

impl MisbehavingAgency {
    pub(crate) fn new(
        agency: Agency,
        draw: Option<DrawName>,
        bets: Vec<Fields>,
        random: Rng,
    ) -> Self {
        let log_budget = LogBudget::default();
        Self { agency, draw, bets, random, consumed: 0, left: 6, log_budget }
    }

    /// Some batch near the central's position; none when nothing is left to send.
    fn send(&mut self, out: &mut Vec<u8>) -> Action {
        let near = usize::try_from(self.consumed).expect("small") + 3;
        let position = self.random.usize(..=near).min(self.bets.len());
        let mut batch = BatchBuilder::new();
        for fields in self.bets[position..].iter().take(self.random.usize(1..8)) {
            let bet = Bet::from_fields(fields.each_ref().map(Vec::as_slice));
            assert_eq!(batch.push(&bet), Ok(Push::Added), "a few bets fit");
        }
        if self.left == 0 || batch.is_empty() {
            return Action::Done;
        }
        self.left -= 1;
        Request::Batch(batch.batch(position as u64)).encode(out);
        Action::AwaitResponse
    }
}

impl AgencySession for MisbehavingAgency {
    fn on_connect(&mut self, out: &mut Vec<u8>) {
        Request::Hello { agency: self.agency, draw: self.draw }.encode(out);
    }

    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        match *response {
            Response::Welcome { consumed, .. } => self.consumed = consumed,
            Response::Stored { consumed } | Response::Rejected { consumed, .. } => {
                self.consumed = consumed.max(self.consumed);
            }
            Response::Unavailable { .. } => return Ok(Action::BackOff),
            Response::Error { code, reason } => {
                return Err(Failure::Refused { code, reason: reason.to_owned() });
            }
            Response::Finished { .. } | Response::Winners(_) | Response::UnknownError { .. } => {
                unreachable!("never asked for")
            }
        }
        Ok(self.send(out))
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        Ok(self.send(out))
    }

    fn expected_response(&self) -> Option<Cow<'static, str>> {
        None
    }

    fn acknowledged(&self) -> u64 {
        self.consumed
    }

    fn log_budget(&mut self) -> &mut LogBudget {
        &mut self.log_budget
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn announce(&self) {}
}

/// An agency, as it must be or misbehaving.
#[derive(Debug)]
pub(crate) enum AnySession {
    Agency(Box<agency::Agency<MemorySource>>),
    Misbehaving(MisbehavingAgency),
}

impl AgencySession for AnySession {
    fn on_connect(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Agency(agency) => agency.on_connect(out),
            Self::Misbehaving(session) => session.on_connect(out),
        }
    }

    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        match self {
            Self::Agency(agency) => agency.on_response(response, out),
            Self::Misbehaving(session) => session.on_response(response, out),
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        match self {
            Self::Agency(agency) => agency.resume(out),
            Self::Misbehaving(session) => session.resume(out),
        }
    }

    fn waits_for_draw(&self) -> bool {
        matches!(self, Self::Agency(agency) if agency.waits_for_draw())
    }

    fn expected_response(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Agency(agency) => agency.expected_response(),
            Self::Misbehaving(session) => session.expected_response(),
        }
    }

    fn acknowledged(&self) -> u64 {
        match self {
            Self::Agency(agency) => agency.acknowledged(),
            Self::Misbehaving(session) => session.acknowledged(),
        }
    }

    fn log_budget(&mut self) -> &mut LogBudget {
        match self {
            Self::Agency(agency) => agency.log_budget(),
            Self::Misbehaving(session) => session.log_budget(),
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Agency(agency) => agency.is_complete(),
            Self::Misbehaving(session) => session.is_complete(),
        }
    }

    fn announce(&self) {}
}
