//! A store driven by hand, as its tests need it: entries in, and the state that they lead to.

use ledger::{Storage, Work};
use wire::{Bet, Checksum, bet};

use super::file_store::Opened;
use super::interface::{AppendError, Store as _};
use crate::lottery::{Entry, Staged};
use crate::row;

pub(super) fn batch(agency: u32, count: u16, stored: bool) -> Entry {
    Entry::Batch { agency, count, stored, checksum: Checksum(0x0102_0304) }
}

/// These entries, with a row for each bet that is stored.
pub(super) fn staged(entries: &[Entry]) -> Staged {
    let mut staged = Staged::default();
    for entry in entries {
        if let Entry::Batch { agency, count, stored: true, .. } = *entry {
            for index in 0..count {
                let (document, number) = (format!("{:08}", 30_000_000 + u32::from(index)), "7574");
                let fields = ["Íñigo, \"Tito\"", "Paz", &document, "2000-02-29", number];
                let bet = Bet::from_fields(fields.map(str::as_bytes));
                row::encode(agency, &bet::check(&bet).expect("a good bet"), staged.rows_mut());
            }
        }
        staged.push_entry(*entry);
    }
    staged
}

impl<S: Storage> Opened<S> {
    /// Appends a commit, and waits for the disk if it must.
    pub(super) fn append(&mut self, staged: &Staged) -> Result<(), AppendError> {
        let appended = match self.store.append(staged) {
            Err(AppendError::Busy) => {
                self.sync();
                self.store.append(staged)
            }
            result => result,
        };
        appended?;
        for entry in staged.entries() {
            self.state.apply(entry);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        self.try_sync().expect("nothing fails");
    }

    pub(super) fn try_sync(&mut self) -> Result<(), super::StoreError> {
        while let Some(work) = self.store.begin_sync()? {
            match work {
                Work::Snapshot => self.store.checkpoint(&self.state)?,
                Work::Sync(target) => {
                    let result = self.store.sync_here(target);
                    self.store.end_sync(result)?;
                }
            }
        }
        Ok(())
    }

    /// A commit in a turn of its own.
    pub(super) fn make_durable(&mut self, entries: &[Entry]) {
        self.append(&staged(entries)).expect("there is space");
        self.sync();
        assert_eq!(self.store.durable_lsn(), self.store.appended_lsn());
    }

    pub(super) fn close(self) {
        assert!(self.store.close(&self.state).expect("nothing fails"));
    }
}
