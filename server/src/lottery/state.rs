//! The state of the lottery: what all entries so far add up to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use wire::{Agency, Checksum};

use super::account::Account;
use super::entry::Entry;

/// The accounts of all agencies, and whether the draw has run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    accounts: BTreeMap<Agency, Account>,
    /// The draw has run.
    pub drawn: bool,
}

/// What an entry has changed, as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// An account; `None` when the agency had none.
    Account(Agency, Option<Account>),
    /// Whether the draw had run.
    Drawn(bool),
}

/// Bytes of an account in a checkpoint.
const ENCODED_LEN: usize = 4 + 8 + 8 + 8 + 4 + 1;

impl State {
    /// An agency's account; an empty one when it has never sent anything.
    pub fn account(&self, agency: Agency) -> Account {
        self.accounts.get(&agency).copied().unwrap_or_default()
    }

    /// Sets an agency's account, whatever it was.
    pub(crate) fn set_account(&mut self, agency: Agency, account: Account) {
        self.accounts.insert(agency, account);
    }

    /// All agencies that have an account.
    pub fn accounts(&self) -> impl Iterator<Item = (Agency, &Account)> {
        self.accounts.iter().map(|(agency, account)| (*agency, account))
    }

    /// The highest number of an agency that has an account; 0 when there is none.
    pub fn highest_agency(&self) -> Agency {
        self.accounts.last_key_value().map_or(0, |(agency, _)| *agency)
    }

    /// Makes it the state after this entry too. Returns what the entry has changed, see
    /// [`undo`](Self::undo).
    pub fn apply(&mut self, entry: &Entry) -> Before {
        match *entry {
            Entry::Batch { agency, count, stored, checksum } => {
                self.change(agency, |account| account.consume(count, stored, checksum))
            }
            Entry::Finished { agency } => self.change(agency, |account| account.finished = true),
            Entry::Drawn => Before::Drawn(std::mem::replace(&mut self.drawn, true)),
        }
    }

    fn change(&mut self, agency: Agency, change: impl FnOnce(&mut Account)) -> Before {
        match self.accounts.entry(agency) {
            Slot::Vacant(slot) => {
                change(slot.insert(Account::default()));
                Before::Account(agency, None)
            }
            Slot::Occupied(mut slot) => {
                let before = *slot.get();
                change(slot.get_mut());
                Before::Account(agency, Some(before))
            }
        }
    }

    /// Takes an entry back: the last one that was applied and not taken back.
    pub fn undo(&mut self, before: Before) {
        match before {
            Before::Account(agency, Some(account)) => drop(self.accounts.insert(agency, account)),
            Before::Account(agency, None) => drop(self.accounts.remove(&agency)),
            Before::Drawn(drawn) => self.drawn = drawn,
        }
    }

    /// Appends the state as a checkpoint keeps it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.drawn));
        for (agency, account) in &self.accounts {
            out.extend_from_slice(&agency.to_be_bytes());
            out.extend_from_slice(&account.consumed.to_be_bytes());
            out.extend_from_slice(&account.stored.to_be_bytes());
            out.extend_from_slice(&account.rejected.to_be_bytes());
            out.extend_from_slice(&account.checksum.0.to_be_bytes());
            out.push(u8::from(account.finished));
        }
    }

    /// Bytes that [`encode`](Self::encode) appends for so many agencies.
    pub(crate) const fn encoded_len(agencies: usize) -> usize {
        1 + agencies * ENCODED_LEN
    }

    /// The state back from these bytes; `None` when they aren't one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&drawn, rest) = bytes.split_first()?;
        let mut state = Self { accounts: BTreeMap::new(), drawn: drawn == 1 };
        let (accounts, []) = rest.as_chunks::<ENCODED_LEN>() else { return None };
        for account in accounts {
            let (agency, account) = decode_account(account)?;
            state.accounts.insert(agency, account);
        }
        Some(state)
    }
}

fn decode_account(bytes: &[u8; ENCODED_LEN]) -> Option<(Agency, Account)> {
    let (agency, rest) = bytes.split_first_chunk()?;
    let (consumed, rest) = rest.split_first_chunk()?;
    let (stored, rest) = rest.split_first_chunk()?;
    let (rejected, rest) = rest.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let account = Account {
        consumed: u64::from_be_bytes(*consumed),
        stored: u64::from_be_bytes(*stored),
        rejected: u64::from_be_bytes(*rejected),
        checksum: Checksum(u32::from_be_bytes(*checksum)),
        finished: rest == [1],
    };
    Some((u32::from_be_bytes(*agency), account))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let entry = prop_oneof![
            8 => (1..5_u32, 1..200_u16, any::<bool>(), any::<u32>()).prop_map(
                |(agency, count, stored, checksum)| Entry::Batch {
                    agency,
                    count,
                    stored,
                    checksum: Checksum(checksum)
                }
            ),
            1 => (1..5_u32).prop_map(|agency| Entry::Finished { agency }),
            1 => Just(Entry::Drawn),
        ];
        prop::collection::vec(entry, 0..40)
    }

    proptest! {
        #[test]
        fn a_checkpoint_brings_the_state_back(entries in entries()) {
            let mut state = State::default();
            for entry in &entries {
                state.apply(entry);
            }
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            prop_assert_eq!(State::decode(&bytes), Some(state));
        }

        #[test]
        fn undoing_entries_from_the_last_to_the_first_is_rolling_back(
            before in entries(), undone in entries(),
        ) {
            let mut state = State::default();
            for entry in &before {
                state.apply(entry);
            }
            let earlier = state.clone();
            let undo: Vec<_> = undone.iter().map(|entry| state.apply(entry)).collect();
            for before in undo.into_iter().rev() {
                state.undo(before);
            }
            prop_assert_eq!(state, earlier);
        }

        #[test]
        fn any_bytes_are_a_state_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = State::decode(&bytes);
        }

        #[test]
        fn consumed_is_stored_and_rejected(entries in entries()) {
            let mut state = State::default();
            for entry in &entries {
                state.apply(entry);
            }
            for (_, account) in state.accounts() {
                prop_assert_eq!(account.consumed, account.stored + account.rejected);
            }
        }
    }
}
