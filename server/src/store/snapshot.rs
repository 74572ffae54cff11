//! The lottery's state in a checkpoint.
//!
//! ```text
//!  format 0   state                                                   of the first version
//!  format 1   length of what follows, 2 | number of agencies, 4 | name of the draw, 0 to 64 | state
//! ```
//!
//! The name is the rest of what the length counts; the unnamed draw has none, as it had before draws had
//! names.

use ledger::Snapshot;
use wire::{Agency, DrawName};

use super::terms::Terms;
use crate::lottery::State;

/// Says nothing of the lottery.
const STATE_ALONE: u8 = 0;

/// Says for which lottery it is.
const OF_A_LOTTERY: u8 = 1;

/// Bytes of the length of what says for which lottery.
const LEN_LEN: usize = size_of::<u16>();

/// Bytes of the number of its agencies.
const AGENCIES_LEN: usize = size_of::<Agency>();

/// Bytes of a snapshot with an account for each agency.
pub(super) fn encoded_len(terms: Terms) -> usize {
    LEN_LEN + AGENCIES_LEN + name(&terms).len() + State::encoded_len(terms.agencies as usize)
}

/// The draw's name; nothing of the unnamed one.
fn name(terms: &Terms) -> &[u8] {
    terms.draw.as_ref().map_or(&[], DrawName::as_bytes)
}

/// Makes `out` the bytes of a snapshot; `terms` is for which lottery the ledger is, if it says so.
pub(crate) fn encode<'b>(
    terms: Option<Terms>,
    state: &State,
    out: &'b mut Vec<u8>,
) -> Snapshot<'b> {
    out.clear();
    if let Some(terms) = &terms {
        let name = name(terms);
        let len = u16::try_from(AGENCIES_LEN + name.len()).expect("a name is short");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&terms.agencies.to_be_bytes());
        out.extend_from_slice(name);
    }
    state.encode(out);
    let format = if terms.is_some() { OF_A_LOTTERY } else { STATE_ALONE };
    Snapshot { format, bytes: out }
}

/// For which lottery the ledger is, if it says so, and the state; `None` when it isn't one.
pub(crate) fn decode(snapshot: Snapshot<'_>) -> Option<(Option<Terms>, State)> {
    let (terms, rest) = match snapshot.format {
        STATE_ALONE => (None, snapshot.bytes),
        OF_A_LOTTERY => {
            let (terms, rest) = decode_terms(snapshot.bytes)?;
            (Some(terms), rest)
        }
        _ => return None,
    };
    Some((terms, State::decode(rest)?))
}

/// For which lottery, and what follows. What says more than can be a name was written by a later
/// version.
fn decode_terms(bytes: &[u8]) -> Option<(Terms, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (terms, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let (agencies, name) = terms.split_first_chunk()?;
    let draw = match name {
        [] => None,
        name => Some(DrawName::try_from(name).ok()?),
    };
    Some((Terms { agencies: Agency::from_be_bytes(*agencies), draw }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lottery::Entry;

    fn named(agencies: Agency, draw: &str) -> Terms {
        Terms { agencies, draw: Some(draw.parse().expect("a name")) }
    }

    fn state(agencies: Agency) -> State {
        let mut state = State::default();
        for agency in 1..=agencies {
            state.apply(&Entry::Finished { agency });
        }
        state
    }

    #[test]
    fn a_snapshot_is_read_back_and_is_as_long_as_it_was_said() {
        let longest = "a".repeat(64);
        for agencies in [0, 1, 7, 100] {
            let (state, mut bytes) = (state(agencies), Vec::new());
            for terms in [None, Some(9.into()), Some(named(9, "-"))] {
                let snapshot = encode(terms, &state, &mut bytes);
                assert_eq!(decode(snapshot), Some((terms, state.clone())));
            }
            for terms in [agencies.into(), named(agencies, "x"), named(agencies, &longest)] {
                let snapshot = encode(Some(terms), &state, &mut bytes);
                assert_eq!(decode(snapshot), Some((Some(terms), state.clone())));
                assert_eq!(bytes.len(), encoded_len(terms));
            }
        }
    }

    /// What an earlier version writes and reads.
    #[test]
    fn the_unnamed_draw_adds_no_byte() {
        let mut bytes = Vec::new();
        encode(Some(3.into()), &state(0), &mut bytes);
        assert_eq!(bytes, [0, 4, 0, 0, 0, 3, 0]);
        encode(Some(named(3, "a.b")), &state(0), &mut bytes);
        assert_eq!(bytes, [&[0, 7, 0, 0, 0, 3][..], b"a.b", &[0]].concat());
    }

    #[test]
    fn a_snapshot_of_the_first_version_says_nothing_of_the_lottery() {
        // Not drawn, one account.
        let mut bytes = vec![0];
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(&[0; 28]);
        bytes.push(1);
        let decoded = decode(Snapshot { format: 0, bytes: &bytes });
        let (terms, state) = decoded.expect("it can still be read");
        assert_eq!(terms, None);
        assert!(state.account(1).finished);
    }

    #[test]
    fn a_lottery_of_which_more_is_said_is_not_taken_for_less() {
        let mut bytes = Vec::new();
        encode(Some(3.into()), &state(3), &mut bytes);
        assert_eq!(decode(Snapshot { format: 2, bytes: &bytes }), None);
        for len in [0, 3, 5, 200] {
            bytes[1] = len;
            assert_eq!(decode(Snapshot { format: 1, bytes: &bytes }), None, "{len}");
        }
        // A name that is too long, and two that are none.
        for name in [&[b'a'; 65][..], b"..", b"a\0"] {
            let len = u8::try_from(4 + name.len()).expect("short");
            let bytes = [&[0, len, 0, 0, 0, 3], name, &[0]].concat();
            assert_eq!(decode(Snapshot { format: 1, bytes: &bytes }), None, "{name:?}");
        }
    }
}
