//! A lottery as the checker sees it.
//!
//! It must not know anything by itself: it only puts the parts together.

use stateright::{Model, Property};

use crate::invariants;
use crate::lottery::Lottery;
use crate::state::{State, Step};
use crate::world::SESSIONS_MAX;

impl Model for Lottery {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.world, self.counts_changes())]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.add_steps(state, steps);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.take(&mut state, step);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::of(self)
    }

    /// Where HELLO is tried again without end, a run isn't followed to it.
    fn within_boundary(&self, state: &State) -> bool {
        state.sessions.iter().all(|sessions| *sessions <= SESSIONS_MAX)
    }
}
