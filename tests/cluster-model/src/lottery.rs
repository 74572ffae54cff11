//! A lottery as the checker explores it: which steps are possible in a state.
//!
//! It must not know what a step does.

use crate::agency::Bet;
use crate::request::Try;
use crate::scheme::{AccountCompare, Scheme};
use crate::state::{Of, State, Step};
use crate::store::{AgencyId, CentralId, Position};
use crate::world::{Fault, World};

/// A lottery: what the checker explores.
#[derive(Debug, Clone)]
pub struct Lottery {
    /// The scheme, or a mutation.
    pub scheme: Scheme,
    /// The bounds.
    pub world: World,
}

impl Lottery {
    pub(crate) fn counts_changes(&self) -> bool {
        self.scheme.account_compare == AccountCompare::Revision || self.world.is_restored
    }

    /// Bets of an agency's input.
    pub fn total(&self, agency: AgencyId) -> Position {
        Position::try_from(self.world.inputs[agency].len()).expect("a few")
    }

    /// Positions of an agency's bets that are this good, before `end`.
    pub fn positions(
        &self,
        agency: AgencyId,
        end: Position,
        is_wanted: impl Fn(Bet) -> bool,
    ) -> Vec<Position> {
        let input = &self.world.inputs[agency];
        (0..end).filter(|at| is_wanted(input[usize::from(*at)])).collect()
    }

    /// Adds the steps that are possible in `state`.
    pub(crate) fn add_steps(&self, state: &State, steps: &mut Vec<Step>) {
        for agency in 0..state.agencies.len() {
            self.add_agency_steps(state, agency, steps);
        }
        for central in 0..state.centrals.len() {
            self.add_central_steps(state, central, steps);
        }
        let late = 0..state.late.len();
        steps.extend(late.flat_map(|at| [Step::ApplyLate(at), Step::Lose(at)]));
        self.add_faults(state, steps);
        self.add_operator_steps(state, steps);
    }

    fn add_agency_steps(&self, state: &State, agency: AgencyId, steps: &mut Vec<Step>) {
        let id = agency;
        let agency = &state.agencies[id];
        if agency.at.is_none() && agency.is_trying() {
            // Centrals are alike: the first connection of all is to the first.
            let is_first = id == 0 && agency.connection == 0;
            let serving = state.centrals.iter().enumerate().filter(|(_, c)| !c.is_stopped);
            let choice = serving.map(|(central, _)| Step::Connect(id, central));
            steps.extend(choice.take(if is_first { 1 } else { usize::MAX }));
        }
        if agency.next(self.total(id), self.world.window).is_some() {
            steps.push(Step::Send(id));
        }
    }

    fn add_central_steps(&self, state: &State, id: CentralId, steps: &mut Vec<Step>) {
        let central = &state.centrals[id];
        let agencies = 0..self.world.inputs.len();
        for agency in agencies.clone() {
            if central.can_write(agency) {
                steps.push(Step::Write(id, agency));
            }
            let is_waiting = state.service(id, agency).is_some_and(|service| service.is_waiting);
            if is_waiting && central.draw.is_some() {
                steps.push(Step::SendWinners(id, agency));
            }
        }
        for of in agencies.map(Of::Agency).chain([Of::Draw]) {
            match state.request(id, of).map(|request| &request.newest) {
                Some(Try::Asked) => steps.push(Step::Apply(id, of)),
                Some(Try::Answered(_)) => steps.push(Step::Answer(id, of)),
                None => (),
            }
        }
        steps.extend([Step::Poll(id), Step::Announce(id)]);
    }

    fn add_faults(&self, state: &State, steps: &mut Vec<Step>) {
        if state.faults_left == 0 {
            return;
        }
        for kind in &self.world.kinds {
            match kind {
                Fault::Leave => {
                    let agencies = state.agencies.iter().enumerate();
                    let connected = agencies.filter(|(_, agency)| agency.at.is_some());
                    steps.extend(connected.map(|(agency, _)| Step::Leave(agency)));
                }
                Fault::Restart => steps.extend((0..state.centrals.len()).map(Step::Restart)),
                Fault::TimeOut | Fault::NoSpace => self.add_request_faults(state, *kind, steps),
            }
        }
    }

    fn add_request_faults(&self, state: &State, kind: Fault, steps: &mut Vec<Step>) {
        for central in 0..state.centrals.len() {
            for of in (0..self.world.inputs.len()).map(Of::Agency).chain([Of::Draw]) {
                match state.request(central, of).map(|request| &request.newest) {
                    Some(_) if kind == Fault::TimeOut => steps.push(Step::TimeOut(central, of)),
                    Some(Try::Asked) => steps.push(Step::NoSpace(central, of)),
                    _ => (),
                }
            }
        }
    }

    fn add_operator_steps(&self, state: &State, steps: &mut Vec<Step>) {
        if self.world.is_deleted && !state.was_deleted {
            steps.push(Step::Delete);
        }
        if self.world.is_restored && !state.was_restored {
            steps.push(if state.backup.is_none() { Step::BackUp } else { Step::Restore });
        }
    }
}
