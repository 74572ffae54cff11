//! Where in the ledger the winners are.
//!
//! Not who they are: documents of winners would grow with the ledger. Of each agency's winners it is
//! known how many there are and where the row of the first one begins, and of the ledger in which of
//! a fixed number of stripes such rows begin at all. Kept while bets are stored and made anew when
//! the ledger is read back; the documents are read from the ledger when an agency asks, see
//! [`winners_scan`](crate::winners_scan). So a draw takes no time however many bets there are, and memory is bounded
//! by the number of agencies.

use std::collections::BTreeMap;
use std::ops::Range;

use wire::Agency;
use wire::bet;

use crate::row::StoredBet;

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

    fn append(&mut self, later: Self) {
        if self.count == 0 {
            self.first = later.first;
        }
        self.count += later.count;
    }
}

/// Rows of winning bets by agency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WinnersByAgency {
    agencies: BTreeMap<Agency, WinningRows>,
}

impl WinnersByAgency {
    /// Those of an agency.
    pub fn of(&self, agency: Agency) -> WinningRows {
        self.agencies.get(&agency).copied().unwrap_or_default()
    }

    /// Counts rows of an agency behind all those that were counted before.
    pub fn add(&mut self, agency: Agency, rows: WinningRows) {
        if rows.count > 0 {
            self.agencies.entry(agency).or_default().append(rows);
        }
    }

    /// Takes over what `later` has counted.
    pub fn append(&mut self, later: &mut Self) {
        while let Some((agency, rows)) = later.agencies.pop_first() {
            self.add(agency, rows);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.agencies.clear();
    }
}

/// In which parts of the ledger rows of winners begin: a bit for each of a fixed number of stripes of
/// the same length. When the ledger outgrows them, stripes become twice as long.
///
/// One bet in some thousands wins, so most of a large ledger isn't read to find them.
#[derive(Debug, Clone)]
pub struct Stripes {
    /// An even number of them; 64 stripes each, the first in the lowest bit.
    words: Box<[u64]>,
    /// A stripe has 2 to the power of this many bytes.
    len_log2: u32,
}

impl Default for Stripes {
    /// 64 KiB in all, for 2 GiB of ledger before stripes have more than 4 KiB.
    fn default() -> Self {
        Self::new(8192, 12)
    }
}

impl Stripes {
    fn new(words: usize, len_log2: u32) -> Self {
        Self { words: vec![0; words].into_boxed_slice(), len_log2 }
    }

    /// Notes that the row of a winner begins at `offset`. Noting too much makes reading slower and
    /// nothing wrong: what isn't committed after all needs not be taken back.
    pub fn mark(&mut self, offset: u64) {
        loop {
            let (word, bit) = self.place(offset);
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
                return;
            }
            self.double();
        }
    }

    /// The word of the stripe that `offset` is in, and its bit there.
    fn place(&self, offset: u64) -> (usize, u64) {
        let stripe = offset >> self.len_log2;
        (usize::try_from(stripe / 64).unwrap_or(usize::MAX), 1 << (stripe % 64))
    }

    /// Makes one stripe of every two.
    fn double(&mut self) {
        let pair = |word: u64, pair: u32| u64::from((word >> (2 * pair)) & 0b11 != 0) << pair;
        let pairs = |word: u64| (0..u64::BITS / 2).fold(0, |all, one| all | pair(word, one));
        let (words, _) = self.words.as_chunks();
        let doubled = words.iter().map(|[low, high]| pairs(*low) | (pairs(*high) << 32));
        let mut doubled: Vec<_> = doubled.collect();
        doubled.resize(self.words.len(), 0);
        self.words = doubled.into_boxed_slice();
        self.len_log2 += 1;
    }

    /// The next bytes from `from` on that lie in marked stripes: at least the first of these stripes,
    /// and as many of those right behind it as it takes for `enough` bytes.
    pub fn next_run(&self, from: u64, enough: u64) -> Option<Range<u64>> {
        let start = self.next_marked(from)?;
        let mut end = start;
        while end - start < enough && self.is_marked(end) {
            end = ((end >> self.len_log2) + 1) << self.len_log2;
        }
        Some(start..end)
    }

    fn is_marked(&self, offset: u64) -> bool {
        let (word, bit) = self.place(offset);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The next byte from `from` on that lies in a marked stripe.
    fn next_marked(&self, from: u64) -> Option<u64> {
        let (word, bit) = self.place(from);
        let rest = self.words.get(word..)?;
        // In the first word, stripes before this one don't count.
        let ahead = |index: usize| if index == 0 { !(bit - 1) } else { u64::MAX };
        let marked = rest.iter().enumerate().map(|(index, word)| (index, word & ahead(index)));
        let (index, marked) = { marked }.find(|(_, marked)| *marked != 0)?;
        let stripe = (word + index) as u64 * 64 + u64::from(marked.trailing_zeros());
        Some(from.max(stripe << self.len_log2))
    }
}

/// Everything that is known of where winners are.
#[derive(Debug, Clone, Default)]
pub struct WinnerIndex {
    /// How many each agency has, and where they begin.
    pub by_agency: WinnersByAgency,
    /// Where all of them are.
    pub stripes: Stripes,
}

impl WinnerIndex {
    /// Counts a bet of a ledger that is read back, row by row, if it wins.
    pub fn visit(&mut self, stored: &StoredBet<'_>) {
        if bet::has_won(stored.bet.number) {
            let rows = WinningRows { count: 1, first: stored.offset };
            self.by_agency.add(stored.agency, rows);
            self.stripes.mark(stored.offset);
        }
    }

    /// One with few and short stripes.
    #[cfg(test)]
    pub(crate) fn with_short_stripes() -> Self {
        Self { stripes: Stripes::new(2, 4), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_row_is_kept_and_all_are_counted() {
        let (mut all, mut staged) = (WinnersByAgency::default(), WinnersByAgency::default());
        let mut batch = WinningRows::default();
        staged.add(7, batch);
        batch.add(110);
        batch.add(130);
        staged.add(7, batch);
        staged.add(7, WinningRows { count: 1, first: 150 });
        staged.add(9, WinningRows { count: 1, first: 0 });
        all.append(&mut staged);
        assert_eq!(staged, WinnersByAgency::default());
        staged.add(7, WinningRows { count: 2, first: 205 });
        all.append(&mut staged);
        assert_eq!(all.of(7), WinningRows { count: 5, first: 110 });
        assert_eq!(all.of(9), WinningRows { count: 1, first: 0 });
        assert_eq!(all.of(8), WinningRows::default());
    }

    proptest! {
        /// However often they were doubled: runs are whole stripes, and those that were marked.
        #[test]
        fn runs_are_the_stripes_that_were_marked(
            offsets in prop::collection::vec(0..10_000_u64, 0..60), scale in 0..20_u32,
            from in any::<prop::sample::Index>(), enough in 1..500_u64,
        ) {
            let mut stripes = Stripes::new(2, 4);
            let offsets: Vec<_> = offsets.iter().map(|offset| offset << scale).collect();
            for offset in &offsets {
                stripes.mark(*offset);
            }
            let len = 1 << stripes.len_log2;
            let most = offsets.iter().max().copied().unwrap_or_default();
            prop_assert!(len == 16 || most / (len / 2) >= 128, "not longer than needed");
            let from = from.index(10_000) as u64;
            let (mut at, mut marked) = (from, Vec::new());
            while let Some(run) = stripes.next_run(at, enough) {
                prop_assert!(run.start >= at && run.end > run.start && run.end % len == 0);
                prop_assert!(run.end - run.start < enough + len);
                marked.extend((run.start / len)..(run.end / len));
                at = run.end;
            }
            let mut expected: Vec<_> = offsets.iter().map(|offset| offset / len).collect();
            expected.retain(|stripe| *stripe >= from / len);
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(marked, expected);
        }
    }
}
