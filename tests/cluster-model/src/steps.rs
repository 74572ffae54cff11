//! What each step does.
//!
//! It must not know which are possible: each is asked for only when it is.

use std::sync::Arc;

use crate::agency::{Next, Phase, Response};
use crate::central::{Central, Surroundings};
use crate::lottery::Lottery;
use crate::request::Try;
use crate::state::{Of, State, Step};
use crate::store::{AgencyId, CentralId};

impl Lottery {
    /// Takes a step that is possible.
    pub(crate) fn take(&self, state: &mut State, step: Step) {
        match step {
            Step::Connect(agency, central) => self.connect(state, agency, central),
            Step::Send(agency) => self.send(state, agency),
            Step::Apply(central, of) => {
                let txn = Arc::clone(&state.request_mut(central, of).txn);
                let answer = state.apply(&txn);
                state.request_mut(central, of).newest = Try::Answered(answer);
            }
            Step::ApplyLate(at) => {
                let txn = state.late.remove(at);
                state.apply(&txn);
            }
            Step::Lose(at) => {
                state.late.remove(at);
            }
            Step::Write(..)
            | Step::Answer(..)
            | Step::Poll(_)
            | Step::Announce(_)
            | Step::SendWinners(..) => self.take_central_step(state, step),
            Step::TimeOut(..) | Step::Leave(_) | Step::Restart(_) | Step::NoSpace(..) => {
                self.take_fault(state, step);
            }
            Step::Delete | Step::BackUp | Step::Restore => {
                Self::take_operator_step(state, step);
            }
        }
    }

    /// A central takes a step for an agency, which gets what it responds if it is still there.
    fn serve(
        &self,
        state: &mut State,
        (central, agency): (CentralId, AgencyId),
        step: impl FnOnce(&mut Central, &mut Surroundings<'_>) -> Option<Response>,
    ) {
        let before = state.centrals[central].clone();
        let store = Arc::clone(&state.store);
        let mut with = Surroundings {
            scheme: &self.scheme,
            inputs: &self.world.inputs,
            store: &store,
            sessions: &mut state.sessions,
        };
        let response = step(&mut state.centrals[central], &mut with);
        let is_connected =
            before.services[agency].as_ref().is_none_or(|s| state.is_connected(agency, central, s));
        if let Some(response) = response.filter(|_| is_connected) {
            let total = self.total(agency);
            state.agencies[agency].on_response(response, total);
        }
        if state.centrals[central].is_stopped {
            state.forget(central, &before);
        }
    }

    fn connect(&self, state: &mut State, agency: AgencyId, central: CentralId) {
        let forgotten = state.service(central, agency).and_then(|service| service.request.clone());
        if let Some(request) = forgotten.filter(|request| request.newest == Try::Asked) {
            state.add_late([request.txn]);
        }
        state.centrals[central].services[agency] = None;
        state.agencies[agency].connect(central);
        let connection = state.agencies[agency].connection;
        self.serve(state, (central, agency), |c, with| c.on_hello(agency, connection, with));
    }

    fn send(&self, state: &mut State, agency: AgencyId) {
        let next = state.agencies[agency].next(self.total(agency), self.world.window);
        let Some(central) = state.agencies[agency].at else { return };
        let Some(service) = &mut state.centrals[central].services[agency] else { return };
        if next == Some(Next::End) {
            state.agencies[agency].phase = Phase::Ending;
            service.has_end = true;
        } else {
            state.agencies[agency].sent += 1;
            service.received = state.agencies[agency].sent;
        }
    }

    fn time_out(&self, state: &mut State, central: CentralId, of: Of) {
        let request = state.request_mut(central, of);
        if request.newest == Try::Asked {
            let txn = Arc::clone(&request.txn);
            state.add_late([txn]);
        }
        match of {
            Of::Agency(agency) => {
                self.serve(state, (central, agency), |c, with| c.on_time_out(agency, with));
            }
            Of::Draw => state.centrals[central].on_close_unknown(),
        }
    }

    fn restart(&self, state: &mut State, central: CentralId) {
        let before = state.centrals[central].clone();
        state.forget(central, &before);
        let meta = Arc::make_mut(&mut state.store).create_meta();
        state.centrals[central] = Central::new(central, meta, self.world.inputs.len());
    }

    fn take_fault(&self, state: &mut State, step: Step) {
        state.faults_left -= 1;
        match step {
            Step::TimeOut(central, of) => self.time_out(state, central, of),
            Step::Leave(agency) => state.agencies[agency].disconnect(),
            Step::Restart(central) => self.restart(state, central),
            Step::NoSpace(central, Of::Agency(agency)) => {
                self.serve(state, (central, agency), |c, with| c.on_no_space(agency, with.scheme));
            }
            _ => (),
        }
    }

    fn take_operator_step(state: &mut State, step: Step) {
        match step {
            Step::Delete => {
                Arc::make_mut(&mut state.store).delete_all();
                state.was_deleted = true;
            }
            Step::BackUp => state.backup = Some(Arc::clone(&state.store)),
            _ => {
                state.store = state.backup.take().expect("a backup");
                state.was_restored = true;
            }
        }
    }

    fn take_central_step(&self, state: &mut State, step: Step) {
        match step {
            Step::Write(central, agency) => {
                let input = &self.world.inputs[agency];
                state.centrals[central].write(agency, &self.scheme, input);
            }
            Step::Answer(central, Of::Agency(agency)) => {
                self.serve(state, (central, agency), |c, with| c.on_answer(agency, with));
            }
            Step::Answer(central, Of::Draw) => self.serve(state, (central, 0), |c, _| {
                c.on_close_answer();
                None
            }),
            Step::Poll(central) => self.serve(state, (central, 0), |c, with| {
                c.poll(with.store, with.scheme);
                None
            }),
            Step::SendWinners(central, agency) => {
                self.serve(state, (central, agency), |c, with| {
                    c.send_winners(agency, with.store, with.scheme)
                });
            }
            Step::Announce(central) => {
                let store = Arc::clone(&state.store);
                if state.centrals[central].announce(&store) {
                    let by = store.closed().expect("who closed the draw");
                    state.announce(by);
                }
            }
            _ => (),
        }
    }
}
