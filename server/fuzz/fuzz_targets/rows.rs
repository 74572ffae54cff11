//! Any bytes are rows or an error; what was read encodes to rows that read the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::row::{self, load_bets};

/// The rows encoded anew, and whether all of it was rows.
fn encoded(rows: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let loaded = load_bets(rows, |stored| row::encode(stored.agency, &stored.bet, &mut out));
    (out, loaded.is_ok())
}

fuzz_target!(|input: &[u8]| {
    let (rows, _) = encoded(input);
    assert_eq!(encoded(&rows), (rows.clone(), true));
});
