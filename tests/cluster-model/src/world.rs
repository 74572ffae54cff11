//! The bounds of what is explored: who takes part, and what may go wrong how often.
//!
//! It must not know what comes of it.

use crate::agency::Bet;
use crate::store::Session;

/// HELLOs of an agency, again and again, that no run of the scheme comes to.
pub const SESSIONS_MAX: Session = 24;

/// What goes wrong, as often as [`World::faults`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A central gives a try up. The request may reach etcd later, or never; or it has, and its
    /// answer is lost.
    TimeOut,
    /// An agency's connection ends, and its central doesn't know.
    Leave,
    /// A central is killed, and starts with empty memory.
    Restart,
    /// etcd has no space for a request.
    NoSpace,
}

/// The bounds of what is explored.
#[derive(Debug, Clone)]
pub struct World {
    /// By agency: its input.
    pub inputs: Vec<Vec<Bet>>,
    /// Centrals.
    pub centrals: usize,
    /// Batches that an agency has in flight at most.
    pub window: u8,
    /// Faults that happen at most, in all.
    pub faults: u8,
    /// Of which kinds.
    pub kinds: Vec<Fault>,
    /// An operator deletes the draw, at any time.
    pub is_deleted: bool,
    /// etcd is backed up at any time, and restored at any later time.
    pub is_restored: bool,
}

impl World {
    /// Two agencies at two centrals, and nothing goes wrong. The first bet of one is rejected.
    pub fn small() -> Self {
        Self::of(vec![vec![Bet::Invalid, Bet::Wins], vec![Bet::Loses]])
    }

    /// The same with an agency alone, that has more to send.
    pub fn alone() -> Self {
        Self::of(vec![vec![Bet::Wins, Bet::Loses, Bet::Invalid]])
    }

    /// The same with two agencies that have next to nothing to send: it is all about the draw.
    pub fn draw() -> Self {
        Self::of(vec![vec![Bet::Wins], vec![]])
    }

    fn of(inputs: Vec<Vec<Bet>>) -> Self {
        Self {
            inputs,
            centrals: 2,
            window: 2,
            faults: 0,
            kinds: Vec::new(),
            is_deleted: false,
            is_restored: false,
        }
    }

    /// The same, with faults.
    #[must_use]
    pub fn with(self, faults: u8, kinds: &[Fault]) -> Self {
        Self { faults, kinds: kinds.to_vec(), ..self }
    }

    /// The same, in which the draw is deleted.
    #[must_use]
    pub fn deleted(self) -> Self {
        Self { is_deleted: true, ..self }
    }

    /// The same, in which etcd is restored.
    #[must_use]
    pub fn restored(self) -> Self {
        Self { is_restored: true, ..self }
    }
}
