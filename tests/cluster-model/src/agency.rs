//! An agency: HELLO, its batches, END, its winners; and all again from where WELCOME says, at any
//! central, whenever a connection ends.
//!
//! It must not know the store, or what centrals know of each other.

use crate::store::{CentralId, Position};

/// A bet of an agency's input. Each is a batch of its own; a central may store several as one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bet {
    /// Wins.
    Wins,
    /// Doesn't win.
    Loses,
    /// Is rejected.
    Invalid,
}

/// How far an agency has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Has said HELLO, or is about to.
    Introducing,
    /// Sends batches.
    Sending,
    /// Has sent END.
    Ending,
    /// Waits for the draw.
    Waiting,
    /// Has its winners.
    Done,
    /// Was told what can't be, and ends with an error.
    Failed,
}

/// What a central sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Response {
    /// The answer to HELLO.
    Welcome {
        /// Bets stored or rejected.
        consumed: Position,
        /// The agency's END was taken, or the draw was held.
        is_finished: bool,
    },
    /// STORED or REJECTED: everything before this position is in the store.
    Confirmed(Position),
    /// Nothing was stored from this position on: send it again.
    Unavailable(Position),
    /// END was taken.
    Finished,
    /// The winners.
    Winners(Vec<Position>),
    /// An error after which the agency connects again.
    Retry,
    /// An error that ends the agency: bets were sent after the draw.
    DrawWasHeld,
}

/// An agency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agency {
    /// Where it is connected.
    pub at: Option<CentralId>,
    /// Counts its connections, so that a central's response to an older one isn't taken for one to
    /// the newest.
    pub connection: u8,
    /// How far it has come.
    pub phase: Phase,
    /// Bets sent on this connection, or consumed before it.
    pub sent: Position,
    /// Everything before was confirmed to it.
    pub confirmed: Position,
    /// What it was sent after the draw.
    pub winners: Option<Vec<Position>>,
}

/// What an agency sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The batch at [`Agency::sent`].
    Batch,
    /// END.
    End,
}

impl Agency {
    /// An agency that hasn't connected.
    pub fn new() -> Self {
        Self {
            at: None,
            connection: 0,
            phase: Phase::Introducing,
            sent: 0,
            confirmed: 0,
            winners: None,
        }
    }

    /// Whether it goes on if it can.
    pub fn is_trying(&self) -> bool {
        !matches!(self.phase, Phase::Done | Phase::Failed)
    }

    /// Begins a new connection, with HELLO.
    pub fn connect(&mut self, central: CentralId) {
        self.at = Some(central);
        self.connection += 1;
        self.phase = Phase::Introducing;
    }

    /// Its connection is gone; it will begin another.
    pub fn disconnect(&mut self) {
        self.at = None;
        if self.is_trying() {
            self.phase = Phase::Introducing;
        }
    }

    /// What it may send now, with an input of `total` bets and at most `window` batches in flight.
    pub fn next(&self, total: Position, window: u8) -> Option<Next> {
        if self.at.is_none() || self.phase != Phase::Sending {
            return None;
        }
        if self.confirmed == total {
            return Some(Next::End);
        }
        (self.sent < total && self.sent - self.confirmed < window).then_some(Next::Batch)
    }

    /// Takes a response on its newest connection. What can't be makes it fail, loudly.
    pub fn on_response(&mut self, response: Response, total: Position) {
        match response {
            Response::Welcome { consumed, is_finished } => {
                let is_possible = consumed >= self.confirmed && (!is_finished || consumed == total);
                let phase = if is_finished { Phase::Waiting } else { Phase::Sending };
                self.phase = if is_possible { phase } else { Phase::Failed };
                self.confirmed = self.confirmed.max(consumed);
                self.sent = consumed;
            }
            Response::Confirmed(consumed) => self.confirmed = consumed,
            // "Nothing was stored of it" is said of the oldest batch in flight: of no other
            // position than the one confirmed.
            Response::Unavailable(consumed) if consumed == self.confirmed => {
                self.sent = consumed;
                self.phase = Phase::Sending;
            }
            Response::Unavailable(_) | Response::DrawWasHeld => self.phase = Phase::Failed,
            Response::Finished => self.phase = Phase::Waiting,
            Response::Winners(winners) => {
                self.winners = Some(winners);
                self.phase = Phase::Done;
            }
            Response::Retry => self.disconnect(),
        }
    }
}

impl Default for Agency {
    fn default() -> Self {
        Self::new()
    }
}
