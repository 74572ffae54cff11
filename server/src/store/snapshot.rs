//! The lottery's state in a checkpoint.
//!
//! ```text
//!  format 0   state                                                   of the first version
//!  format 1   length of what follows, 2 | number of agencies, 4 | state
//! ```

use ledger::Snapshot;
use wire::Agency;

use crate::lottery::State;

/// Says nothing of the lottery.
const STATE_ALONE: u8 = 0;

/// Says for which lottery it is.
const OF_A_LOTTERY: u8 = 1;

/// Bytes that say for which lottery: the number of its agencies. Their length comes first, so
/// that more may be said of it, as its name.
const LOTTERY_LEN: u16 = 4;

/// Bytes of a snapshot before the state.
const FIELDS_LEN: usize = 2 + LOTTERY_LEN as usize;

/// Bytes of a snapshot with so many accounts.
pub(super) const fn encoded_len(agencies: usize) -> usize {
    FIELDS_LEN + State::encoded_len(agencies)
}

/// Makes `out` the bytes of a snapshot; `agencies` is for how many the ledger is, if it says so.
pub(super) fn encode<'b>(
    agencies: Option<Agency>,
    state: &State,
    out: &'b mut Vec<u8>,
) -> Snapshot<'b> {
    out.clear();
    if let Some(agencies) = agencies {
        out.extend_from_slice(&LOTTERY_LEN.to_be_bytes());
        out.extend_from_slice(&agencies.to_be_bytes());
    }
    state.encode(out);
    let format = if agencies.is_some() { OF_A_LOTTERY } else { STATE_ALONE };
    Snapshot { format, bytes: out }
}

/// For how many agencies the ledger is, if it says so, and the state; `None` when it isn't one.
pub(super) fn decode(snapshot: Snapshot<'_>) -> Option<(Option<Agency>, State)> {
    let (agencies, rest) = match snapshot.format {
        STATE_ALONE => (None, snapshot.bytes),
        OF_A_LOTTERY => decode_lottery(snapshot.bytes)?,
        _ => return None,
    };
    Some((agencies, State::decode(rest)?))
}

/// The number of agencies, and what follows it. Nothing else is known of a lottery: what says more
/// was written by a later version.
fn decode_lottery(bytes: &[u8]) -> Option<(Option<Agency>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (agencies, rest) = rest.split_first_chunk()?;
    let known = u16::from_be_bytes(*len) == LOTTERY_LEN;
    known.then_some((Some(Agency::from_be_bytes(*agencies)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lottery::Entry;

    fn state(agencies: Agency) -> State {
        let mut state = State::default();
        for agency in 1..=agencies {
            state.apply(&Entry::Finished { agency });
        }
        state
    }

    #[test]
    fn a_snapshot_is_read_back_and_is_as_long_as_it_was_said() {
        for agencies in [0, 1, 7, 100] {
            let (state, mut bytes) = (state(agencies), Vec::new());
            for lottery in [None, Some(agencies), Some(9)] {
                let snapshot = encode(lottery, &state, &mut bytes);
                assert_eq!(decode(snapshot), Some((lottery, state.clone())));
            }
            assert_eq!(bytes.len(), encoded_len(agencies as usize));
        }
    }

    #[test]
    fn a_snapshot_of_the_first_version_says_nothing_of_the_lottery() {
        // Not drawn, one account.
        let mut bytes = vec![0];
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(&[0; 28]);
        bytes.push(1);
        let decoded = decode(Snapshot { format: 0, bytes: &bytes });
        let (agencies, state) = decoded.expect("it can still be read");
        assert_eq!(agencies, None);
        assert!(state.account(1).finished);
    }

    #[test]
    fn a_lottery_of_which_more_is_said_is_not_taken_for_less() {
        let mut bytes = Vec::new();
        encode(Some(3), &state(3), &mut bytes);
        bytes[1] = 5;
        assert_eq!(decode(Snapshot { format: 1, bytes: &bytes }), None);
        assert_eq!(decode(Snapshot { format: 2, bytes: &bytes }), None);
    }
}
