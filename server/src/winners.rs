//! Where in the ledger the winners stand, agency by agency.
//!
//! Not who they are: documents of winners would grow with the ledger. How many an agency has, and
//! where its first one's row begins, is kept while bets are stored and made anew when the ledger is
//! read back; the documents are read from the ledger for whoever asks, see [`scan`](crate::scan).
//! So a draw takes no time however many bets there are, memory is bounded by the number of agencies,
//! and an agency without winners, or whose last winner has been found, needs no more of the ledger.

use std::collections::BTreeMap;

use wire::Agency;

use crate::bet;
use crate::ledger::StoredBet;

/// Rows of winning bets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WinningRows {
    /// How many.
    pub count: u64,
    /// Offset at which the first of them begins; 0 when there are none.
    pub first: u64,
}

impl WinningRows {
    /// Counts the row that begins at `offset`, behind all those that were counted before.
    pub fn add(&mut self, offset: u64) {
        self.append(Self { count: 1, first: offset });
    }

    /// Counts rows behind those that were counted before.
    fn append(&mut self, later: Self) {
        if self.count == 0 {
            self.first = later.first;
        }
        self.count += later.count;
    }
}

/// Rows of the winners by agency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WinnerIndex {
    agencies: BTreeMap<Agency, WinningRows>,
}

impl WinnerIndex {
    /// Rows of an agency's winners.
    pub fn of(&self, agency: Agency) -> WinningRows {
        self.agencies.get(&agency).copied().unwrap_or_default()
    }

    /// Counts a bet of a ledger that is read back, row by row, if it wins.
    pub fn visit(&mut self, stored: &StoredBet<'_>) {
        if bet::has_won(stored.bet.number) {
            self.add(stored.agency, WinningRows { count: 1, first: stored.offset });
        }
    }

    /// Counts rows of an agency behind all those that were counted before.
    pub fn add(&mut self, agency: Agency, rows: WinningRows) {
        if rows.count > 0 {
            self.agencies.entry(agency).or_default().append(rows);
        }
    }

    /// Takes over what `later` has counted, whose offsets are relative to `base`.
    pub fn append(&mut self, base: u64, later: &mut Self) {
        while let Some((agency, rows)) = later.agencies.pop_first() {
            self.add(agency, WinningRows { first: base + rows.first, ..rows });
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.agencies.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_is_kept_and_all_are_counted() {
        let (mut index, mut staged) = (WinnerIndex::default(), WinnerIndex::default());
        let mut batch = WinningRows::default();
        staged.add(7, batch);
        batch.add(10);
        batch.add(30);
        staged.add(7, batch);
        staged.add(7, WinningRows { count: 1, first: 50 });
        staged.add(9, WinningRows { count: 1, first: 0 });
        index.append(100, &mut staged);
        assert_eq!(staged, WinnerIndex::default());
        staged.add(7, WinningRows { count: 2, first: 5 });
        index.append(200, &mut staged);
        assert_eq!(index.of(7), WinningRows { count: 5, first: 110 });
        assert_eq!(index.of(9), WinningRows { count: 1, first: 100 });
        assert_eq!(index.of(8), WinningRows::default());
    }
}
