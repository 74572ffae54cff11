//! Answers that wait for what they depend on to be durable.
//!
//! An answer is released by position: it leaves when the ledger has committed up to the number of
//! the commit that it belongs to. All answers go through here, those that depend on nothing as
//! well, so that each connection gets its answers in the order of its requests.

use std::collections::VecDeque;
use std::rc::Rc;

use reactor::ConnectionId;
use wire::{Agency, ErrorCode, Field, Position};

use crate::ledger::CommitNumber;
use crate::lottery::AgencyStanding;

/// What a peer will be told once it is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The introduction was accepted. The agency stands there.
    Welcome(AgencyStanding),
    /// A batch was stored.
    Stored {
        /// Position after it.
        consumed: Position,
        /// What the log says of it.
        log: StoredLog,
    },
    /// A batch had been consumed before.
    Duplicate {
        /// Position after it.
        consumed: Position,
    },
    /// A batch was consumed and rejected.
    Rejected {
        /// Position after it.
        consumed: Position,
        /// The bad bet in it, counted as the agency counts its input.
        position: Position,
        /// The same, counted from the first of the batch.
        index: u16,
        /// The bad field of that bet.
        field: Field,
        /// What was expected and found.
        text: String,
        /// What the log says of it.
        log: StoredLog,
    },
    /// The request had no effect; the storage can't take it now.
    Unavailable {
        /// Position to go on from.
        consumed: Position,
        /// Why: the same text for all whom a failed commit concerns.
        text: Rc<str>,
    },
    /// The end was noted.
    Finished {
        /// Bets of the agency in the ledger.
        stored: u64,
        /// Bets of the agency in rejected batches.
        rejected: u64,
    },
    /// The winners, as soon as the draw has run.
    Winners,
    /// The connection is refused, and ends.
    Refused {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        text: String,
    },
    /// The peer will send nothing more: when everything is said, the connection ends.
    NothingFollows,
}

/// What the log says of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredLog {
    /// Of a batch: how many bets.
    Batch {
        /// Bets in it.
        cantidad: u16,
    },
    /// Of a single bet: which one.
    Single {
        /// Document.
        dni: String,
        /// Number.
        numero: String,
    },
}

impl Answer {
    /// Whether it says something that is only true when the commit succeeds.
    fn depends_on_commit(&self) -> bool {
        match self {
            Self::Stored { .. }
            | Self::Duplicate { .. }
            | Self::Rejected { .. }
            | Self::Finished { .. }
            | Self::Winners => true,
            Self::Welcome(_)
            | Self::Unavailable { .. }
            | Self::Refused { .. }
            | Self::NothingFollows => false,
        }
    }
}

/// An answer, and whom it is for.
#[derive(Debug)]
pub struct Waiting {
    /// The connection.
    pub to: ConnectionId,
    /// Who it introduced itself as; 0 before that.
    pub agency: Agency,
    /// What it is told.
    pub answer: Answer,
}

/// The queue, oldest first.
#[derive(Debug, Default)]
pub struct Answers {
    /// Since the last commit.
    staged: Vec<Waiting>,
    /// Handed over with a commit, or behind one that was.
    submitted: VecDeque<(CommitNumber, Waiting)>,
}

impl Answers {
    /// Adds the answer to a request whose effects were staged just now.
    pub fn push(&mut self, to: ConnectionId, agency: Agency, answer: Answer) {
        self.staged.push(Waiting { to, agency, answer });
    }

    /// What was staged was handed over as commit `number`.
    pub fn submitted(&mut self, number: CommitNumber) {
        self.submitted.extend(self.staged.drain(..).map(|waiting| (number, waiting)));
    }

    /// What was staged had no effect: whoever was to be told of an effect is told that instead, and
    /// `standing` says where agencies stand now. Whatever is told waits for `number`. Gives back
    /// whom it concerns.
    pub fn unavailable(
        &mut self,
        number: CommitNumber,
        reason: &Rc<str>,
        standing: impl Fn(Agency) -> AgencyStanding,
    ) -> Vec<ConnectionId> {
        let mut concerned = Vec::new();
        for waiting in &mut self.staged {
            let standing = standing(waiting.agency);
            if waiting.answer.depends_on_commit() {
                let (consumed, text) = (standing.consumed, reason.clone());
                waiting.answer = Answer::Unavailable { consumed, text };
                concerned.push(waiting.to);
            } else if let Answer::Welcome(told) = &mut waiting.answer {
                *told = standing;
            }
        }
        self.submitted(number);
        concerned
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.staged.len() + self.submitted.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next answer that may leave when the ledger has committed up to `committed`.
    pub fn release(&mut self, committed: CommitNumber) -> Option<Waiting> {
        let (number, _) = self.submitted.front()?;
        if *number > committed {
            return None;
        }
        self.submitted.pop_front().map(|(_, waiting)| waiting)
    }
}
