//! Answers that wait for what they depend on to be durable.
//!
//! An answer is released by position: it leaves when the ledger has committed up to the number of
//! the commit that it belongs to. All answers go through here, those that depend on nothing as
//! well, so that each connection gets its answers in the order of its requests.

use std::collections::VecDeque;

use reactor::Token;
use wire::{Agency, ErrorCode, Field, Position};

use crate::ledger::CommitNumber;

/// What a peer will be told once it is true. Where an agency stands is looked up then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The introduction was accepted.
    Welcome,
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
        /// The bad bet in it.
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
        /// Why.
        text: String,
    },
    /// The end was noted.
    Finished,
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
            | Self::Finished
            | Self::Winners => true,
            Self::Welcome
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
    pub to: Token,
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
    pub fn push(&mut self, to: Token, agency: Agency, answer: Answer) {
        self.staged.push(Waiting { to, agency, answer });
    }

    /// What was staged was handed over as commit `number`.
    pub fn submitted(&mut self, number: CommitNumber) {
        self.submitted.extend(self.staged.drain(..).map(|waiting| (number, waiting)));
    }

    /// What was staged had no effect: whoever was to be told of an effect is told that instead.
    /// Whatever is told waits for `number`, the last commit there was. Gives back whom it concerns.
    pub fn unavailable(&mut self, number: CommitNumber, reason: &str) -> Vec<Token> {
        let mut concerned = Vec::new();
        for waiting in &mut self.staged {
            if waiting.answer.depends_on_commit() {
                waiting.answer = Answer::Unavailable { text: reason.to_owned() };
                concerned.push(waiting.to);
            }
        }
        self.submitted(number);
        concerned
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
