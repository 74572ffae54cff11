//! An agency: sends its input to one central after another until it has its winners.
//!
//! A bet is known by its position, and what is stored of it follows from that.

use cluster::Phase;

/// Bets that an agency sends ahead of what was confirmed.
const WINDOW: u64 = 4;

/// What a central says to an agency.
#[derive(Debug)]
pub(crate) enum Response {
    Welcome {
        consumed: u64,
        checksum: u32,
        phase: Phase,
    },
    Confirmed(u64),
    Finished,
    Unavailable(u64),
    /// Connect again.
    Retry,
    DrawWasHeld,
    Winners(Vec<u8>),
}

/// What an agency does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Hello,
    /// All bets before this position were sent.
    Bets(u64),
    End,
    Nothing,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// HELLO isn't answered.
    Connecting,
    Sending,
    /// END was sent, or was taken before.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Agency {
    /// Its number, from 1 on.
    pub(crate) number: u32,
    total: u64,
    /// The central that it is connected to.
    pub(crate) at: Option<usize>,
    /// How often it has connected.
    pub(crate) connection: u32,
    /// How far this connection is.
    stage: Stage,
    sent: u64,
    /// Bets that are stored, as a central has said.
    pub(crate) confirmed: u64,
    pub(crate) has_finished: bool,
    pub(crate) is_done: bool,
}

impl Agency {
    pub(crate) fn new(number: u32, total: u64) -> Self {
        Self {
            number,
            total,
            at: None,
            connection: 0,
            stage: Stage::Connecting,
            sent: 0,
            confirmed: 0,
            has_finished: false,
            is_done: false,
        }
    }

    pub(crate) fn connect(&mut self, central: usize) {
        self.at = Some(central);
        self.connection += 1;
        self.stage = Stage::Connecting;
    }

    pub(crate) fn disconnect(&mut self) {
        self.at = None;
    }

    /// What it says next.
    pub(crate) fn next(&mut self, random: &mut fastrand::Rng) -> Request {
        if self.at.is_none() {
            return Request::Hello;
        }
        if self.stage != Stage::Sending {
            return Request::Nothing;
        }
        if self.sent == self.total {
            self.stage = Stage::Ended;
            return Request::End;
        }
        if self.sent - self.confirmed >= WINDOW {
            return Request::Nothing;
        }
        self.sent = self.total.min(self.sent + random.u64(1..=3));
        Request::Bets(self.sent)
    }

    /// Takes what its central says; what can't be is an error.
    pub(crate) fn on(&mut self, response: Response) -> Result<(), String> {
        let number = self.number;
        match response {
            Response::Welcome { consumed, checksum, phase } => {
                if checksum != checksum_of(number, consumed) {
                    return Err(format!("agency {number}: another input was consumed"));
                }
                self.goes_on_from(consumed)?;
                let is_open = phase == Phase::Open;
                if is_open && self.has_finished || !is_open && consumed != self.total {
                    return Err(format!("agency {number} can't be {phase:?}"));
                }
                self.stage = if is_open { Stage::Sending } else { Stage::Ended };
                self.has_finished = !is_open;
            }
            Response::Confirmed(consumed) if consumed > self.sent => {
                return Err(format!("agency {number}: what wasn't sent is confirmed"));
            }
            Response::Confirmed(consumed) => self.confirmed = self.confirmed.max(consumed),
            Response::Finished => self.has_finished = true,
            Response::Unavailable(consumed) => {
                self.stage = Stage::Sending;
                self.goes_on_from(consumed)?;
            }
            Response::Retry => self.disconnect(),
            Response::DrawWasHeld => return Err(format!("no draw without agency {number}")),
            Response::Winners(documents) => {
                if documents != winning_of(number, 0..self.total) {
                    return Err(format!("agency {number}: other winners"));
                }
                self.is_done = true;
                self.disconnect();
            }
        }
        Ok(())
    }

    fn goes_on_from(&mut self, consumed: u64) -> Result<(), String> {
        if consumed < self.confirmed {
            return Err(format!("agency {}: what was confirmed is gone", self.number));
        }
        (self.sent, self.confirmed) = (consumed, consumed);
        Ok(())
    }
}

/// How good a bet is.
fn is_valid(position: u64) -> bool {
    position % 5 != 3
}

fn wins(position: u64) -> bool {
    is_valid(position) && position % 4 == 1
}

/// How many of these bets are stored, rejected, and win.
pub(crate) fn counts(positions: std::ops::Range<u64>) -> [u64; 3] {
    let count = |is_one: fn(u64) -> bool| positions.clone().map(|at| u64::from(is_one(at))).sum();
    [count(is_valid), count(|at| !is_valid(at)), count(wins)]
}

/// The rows that are stored of these bets.
pub(crate) fn rows_of(agency: u32, positions: std::ops::Range<u64>) -> Vec<u8> {
    let rows = positions.filter(|at| is_valid(*at)).map(|at| format!("{agency},{at}\n"));
    rows.collect::<String>().into_bytes()
}

/// The documents of the winning ones.
pub(crate) fn winning_of(agency: u32, positions: std::ops::Range<u64>) -> Vec<u8> {
    let documents = positions.filter(|at| wins(*at)).map(|at| format!("{agency}00{at}\n"));
    documents.collect::<String>().into_bytes()
}

/// What stands for the checksum of the first bets.
pub(crate) fn checksum_of(agency: u32, consumed: u64) -> u32 {
    let consumed = u32::try_from(consumed).expect("a few");
    consumed.wrapping_mul(0x9e37_79b1).wrapping_add(if consumed == 0 { 0 } else { agency })
}
