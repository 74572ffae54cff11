//! Any bytes as a batch: what the fast path calls plain is what the slow path makes of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::lottery::fast_path;
use server::row;
use wire::{Agency, Batch, bet};

const AGENCY: Agency = 12;

/// Rows, and where those of winners begin, bet by bet; none when one of the bets isn't good.
fn checked(batch: &Batch<'_>) -> Option<(Vec<u8>, Vec<usize>)> {
    let (mut rows, mut winners) = (Vec::new(), Vec::new());
    for bet in batch.bets() {
        let bet = bet.ok()?;
        let checked = bet::check(&bet).ok()?;
        if bet::has_won(checked.number) {
            winners.push(rows.len());
        }
        row::encode(AGENCY, &checked, &mut rows);
    }
    Some((rows, winners))
}

fuzz_target!(|input: (u8, &[u8])| {
    let batch = Batch { position: 0, count: u16::from(input.0), encoded: input.1 };
    let (mut rows, mut winners) = (Vec::new(), Vec::new());
    if fast_path::push_rows(AGENCY, &batch, &mut rows, |offset| winners.push(offset)) {
        assert_eq!(Some((rows, winners)), checked(&batch));
    }
});
