//! Plain bets, a batch at a time: the fast path to what [`bet::check`] and [`row::encode`] come to.
//!
//! A bet is plain when it is good and its row is the bytes that it came in, with a comma in place
//! of each length; nearly all are. Numbers and dates are looked at bet by bet. Names are looked at
//! when all rows of the batch are written, as one piece of text, many bytes at a time: if it is
//! UTF-8, each name is, and if it holds no more separators than rows need, no name holds any.
//!
//! Says only that a batch is plain, or that it doesn't know: then each bet has to be checked by
//! itself, on the slow path, which finds what is wrong with it.
//!
//! [`row::encode`]: crate::row::encode

use wire::field::FIELDS;
use wire::{Agency, Batch, Bet, bet};

/// End of a row.
const END: &[u8] = b"\r\n";

/// Commas in a row, and its end.
const SEPARATORS: usize = FIELDS + END.len();

/// Appends the rows of a batch of plain bets, and calls `winner` with the offset in `rows` at which the row
/// of each winning bet begins. Returns whether it is such a batch; if not, what was appended and called
/// means nothing.
#[must_use]
pub fn push_rows(
    agency: Agency,
    batch: &Batch<'_>,
    rows: &mut Vec<u8>,
    mut winner: impl FnMut(usize),
) -> bool {
    let count = usize::from(batch.count);
    // Don't allocate for a count the body can't hold.
    if count * FIELDS > batch.encoded.len() {
        return false;
    }
    let agency = agency.to_string();
    let added = count * (agency.len() + END.len());
    let start = rows.len();
    rows.resize(start + batch.encoded.len() + added, 0);
    let end = rows.len();
    let mut room = &mut rows[start..];
    let mut bets = batch.bets();
    while let Some(bet) = bets.next_encoded() {
        let Ok((bet, received)) = bet else { return false };
        if !may_be_plain(&bet) {
            return false;
        }
        if bet::has_won(bet.number) {
            winner(end - room.len());
        }
        room = write_row(agency.as_bytes(), &bet, received, room);
    }
    are_plain(&rows[start..], count)
}

/// Whether nothing but its names can keep a bet from being plain.
fn may_be_plain(bet: &Bet<'_>) -> bool {
    !bet::may_be_blank(bet.first_name)
        && !bet::may_be_blank(bet.last_name)
        && bet::document(bet.document).is_some()
        && bet::date(bet.birthdate).is_some()
        && bet::number(bet.number).is_some_and(|number| number.len() == bet.number.len())
}

/// Writes a row to the front of `room`; returns what follows it.
fn write_row<'r>(
    agency: &[u8],
    bet: &Bet<'_>,
    received: &[u8],
    room: &'r mut [u8],
) -> &'r mut [u8] {
    let (first, room) = room.split_at_mut(agency.len());
    let (row, room) = room.split_at_mut(received.len());
    let (end, room) = room.split_at_mut(END.len());
    first.copy_from_slice(agency);
    row.copy_from_slice(received);
    end.copy_from_slice(END);
    let mut at = 0;
    for field in bet.fields() {
        row[at] = b',';
        at += 1 + field.len();
    }
    room
}

/// Whether the names in these rows need no quotes, and are UTF-8 without control characters.
fn are_plain(rows: &[u8], count: usize) -> bool {
    let mut found = Marks::default();
    let (pieces, rest) = rows.as_chunks::<PIECE>();
    for piece in pieces {
        found.add(piece);
    }
    found.add(rest);
    found.separators == count * SEPARATORS
        && (!found.beyond_ascii
            || memchr::memchr(0xC2, rows).is_none() && simdutf8::basic::from_utf8(rows).is_ok())
}

/// Bytes that are counted together: many enough for a processor to compare them side by side, few
/// enough that a byte holds their number.
const PIECE: usize = 128;

#[derive(Debug, Default)]
struct Marks {
    /// Bytes that separate fields or rows, or that only a closer look distinguishes from such.
    separators: usize,
    /// Whether there are characters beyond ASCII.
    beyond_ascii: bool,
}

impl Marks {
    /// Of at most [`PIECE`] bytes.
    #[inline]
    fn add(&mut self, bytes: &[u8]) {
        let (mut separators, mut all) = (0_u8, 0_u8);
        for &byte in bytes {
            let separates = (byte < b' ') | matches!(byte, b',' | b'"' | 0x7F);
            separators += u8::from(separates);
            all |= byte;
        }
        self.separators += usize::from(separators);
        self.beyond_ascii |= !all.is_ascii();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::{BatchBuilder, Push};

    use super::*;
    use crate::row;

    type Fields = (String, String, String, String, String);

    fn batch_of(bets: &[Fields]) -> BatchBuilder {
        let mut builder = BatchBuilder::new();
        for (first, last, document, birthdate, number) in bets {
            let fields = [first, last, document, birthdate, number];
            assert_eq!(
                builder.push(&Bet::from_fields(fields.map(String::as_bytes))),
                Ok(Push::Added)
            );
        }
        builder
    }

    /// What the slow path comes to, bet by bet: rows, and where those of winners begin.
    fn checked(agency: Agency, batch: &Batch<'_>) -> Option<(Vec<u8>, Vec<usize>)> {
        let (mut rows, mut winners) = (Vec::new(), Vec::new());
        for bet in batch.bets() {
            let bet = bet.ok()?;
            let checked = bet::check(&bet).ok()?;
            if bet::has_won(checked.number) {
                winners.push(rows.len());
            }
            row::encode(agency, &checked, &mut rows);
        }
        Some((rows, winners))
    }

    fn plain(agency: Agency, batch: &Batch<'_>) -> Option<(Vec<u8>, Vec<usize>)> {
        let (mut rows, mut winners) = (b"1,before\r\n".to_vec(), Vec::new());
        let start = rows.len();
        push_rows(agency, batch, &mut rows, |offset| winners.push(offset - start))
            .then(|| (rows.split_off(start), winners))
    }

    fn ordinary() -> impl Strategy<Value = Fields> {
        (
            "[A-ZÁÉÍÓÚÑ][a-záéíóúüñ' ]{0,12}",
            "[A-ZÁÉÍÓÚÑ][a-záéíóúüñ' ]{0,12}",
            "[0-9]{1,20}",
            "(19[0-9]{2}|2000)-(0[1-9]|1[012])-(0[1-9]|1[0-9]|2[0-8])",
            "0|[1-9][0-9]{0,8}|7574",
        )
    }

    /// Something is odd about most of these.
    fn odd() -> impl Strategy<Value = Fields> {
        (
            "[A-ZÑ\u{80}\u{a0}\u{ad}\u{34f}\u{200b}\u{3000}, \"\r\n\u{7f}]?[a-zñ\u{85}\u{a0},\" ]{0,3}",
            "[ \u{34f}\u{61c}\u{2800}\u{3000}]{0,2}[a-z\u{1F600}]{0,2}",
            "[0-9a]{0,22}",
            "(0000|1900|2000|1999)-(0[0-9]|1[0-3])-(3[0-2]|29|0[01])|[0-9-]{0,11}",
            "0{0,3}[0-9]{0,8}|429496729[0-9]|7574|-1",
        )
    }

    proptest! {
        #[test]
        fn whatever_is_called_plain_is_what_the_slow_path_comes_to(
            agency in 1..20_000_u32,
            mut bets in prop::collection::vec(ordinary(), 0..20),
            odd in odd(), place in any::<prop::sample::Index>(),
        ) {
            bets.insert(place.index(bets.len() + 1), odd);
            let builder = batch_of(&bets);
            let batch = builder.batch(0);
            if let Some(found) = plain(agency, &batch) {
                prop_assert_eq!(Some(found), checked(agency, &batch));
            }
        }

        #[test]
        fn ordinary_bets_are_plain(
            agency in 1..20_000_u32, bets in prop::collection::vec(ordinary(), 1..100),
        ) {
            let builder = batch_of(&bets);
            let batch = builder.batch(0);
            prop_assert!(checked(agency, &batch).is_some());
            prop_assert_eq!(plain(agency, &batch), checked(agency, &batch));
        }

        /// Damaged bytes, and counts that are lies.
        #[test]
        fn any_bytes_are_as_the_slow_path_takes_them(
            bets in prop::collection::vec(ordinary(), 1..4),
            count in 1..6_u16, place in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let builder = batch_of(&bets);
            let mut encoded = builder.batch(0).encoded.to_vec();
            let place = place.index(encoded.len());
            encoded[place] = byte;
            let batch = Batch { position: 0, count, encoded: &encoded };
            if let Some(found) = plain(1, &batch) {
                prop_assert_eq!(Some(found), checked(1, &batch));
            }
        }
    }

    #[test]
    fn what_is_good_but_not_plain_is_left_to_the_slow_path() {
        let good = ("Ana", "Paz", "30904465", "1999-03-17", "7574");
        let cases = [
            ("Paz, Ana", good.1, good.4),
            ("Ana \"Tita\"", good.1, good.4),
            (" Ana", good.1, good.4),
            (good.0, "\u{a0}Paz", good.4),
            (good.0, good.1, "07574"),
        ];
        for (first, last, number) in cases {
            let bet = (first, last, good.2, good.3, number);
            let owned = (bet.0.into(), bet.1.into(), bet.2.into(), bet.3.into(), bet.4.into());
            let builder = batch_of(&[owned]);
            assert!(checked(1, &builder.batch(0)).is_some(), "{bet:?}");
            assert_eq!(plain(1, &builder.batch(0)), None, "{bet:?}");
        }
    }
}
