//! From a batch to its rows: the fast path for nearly all, the slow path for the others, bet by bet.

use wire::bet::{self, InvalidBet};
use wire::{Agency, Batch, MessageError};

use super::fast_path;
use super::winners::{Stripes, WinningRows};
use crate::row;

/// Winners among the rows that are staged for one batch.
#[derive(Debug)]
pub struct BatchWinners<'s> {
    /// Bytes of rows before those staged.
    base: u64,
    rows: WinningRows,
    /// None: where they are isn't kept.
    stripes: Option<&'s mut Stripes>,
}

impl<'s> BatchWinners<'s> {
    /// None yet; `base` bytes of rows come before those staged.
    pub fn new(base: u64, stripes: &'s mut Stripes) -> Self {
        Self { base, rows: WinningRows::default(), stripes: Some(stripes) }
    }

    /// None yet, of rows whose offsets count from the first that is staged.
    pub fn of_staged() -> Self {
        Self { base: 0, rows: WinningRows::default(), stripes: None }
    }

    /// Those of the batch.
    pub fn rows(&self) -> WinningRows {
        self.rows
    }

    /// The row that begins at this offset of those staged wins.
    fn add(&mut self, offset: usize) {
        let offset = self.base + offset as u64;
        self.rows.add(offset);
        if let Some(stripes) = &mut self.stripes {
            stripes.mark(offset);
        }
    }

    fn forget(&mut self) {
        self.rows = WinningRows::default();
    }
}

/// Appends the rows of a batch, or none of them when one bet is invalid, which it returns, or the
/// batch is malformed.
///
/// # Errors
/// The bets don't fit the batch's body.
pub fn push_rows<'a>(
    agency: Agency,
    batch: &Batch<'a>,
    rows: &mut Vec<u8>,
    winners: &mut BatchWinners<'_>,
) -> Result<Option<InvalidBet<'a>>, MessageError> {
    let savepoint = rows.len();
    if fast_path::push_rows(agency, batch, rows, |offset| winners.add(offset)) {
        return Ok(None);
    }
    rows.truncate(savepoint);
    winners.forget();
    let outcome = push_checked_rows(agency, batch, rows, winners);
    if !matches!(outcome, Ok(None)) {
        rows.truncate(savepoint);
        winners.forget();
    }
    outcome
}

/// The slow path.
fn push_checked_rows<'a>(
    agency: Agency,
    batch: &Batch<'a>,
    rows: &mut Vec<u8>,
    winners: &mut BatchWinners<'_>,
) -> Result<Option<InvalidBet<'a>>, MessageError> {
    let mut bets = batch.bets();
    for index in 0..batch.count {
        let Some(bet) = bets.next() else { break };
        match bet::check(&bet?) {
            Ok(bet) => {
                if bet::has_won(bet.number) {
                    winners.add(rows.len());
                }
                row::encode(agency, &bet, rows);
            }
            Err(invalid) => {
                // What follows isn't judged any more, but it must be there.
                bets.try_for_each(|bet| bet.map(drop))?;
                return Ok(Some(invalid.at(index)));
            }
        }
    }
    // Bytes after the last bet, if any, are an error too.
    bets.try_for_each(|bet| bet.map(drop))?;
    Ok(None)
}
