//! `server ledger check` of a draw that etcd keeps: every account against its values, at one revision.
//!
//! Counts, order, and what is there for agencies that have finished, are compared where values are read. What
//! takes knowing a bet is here: the form of each row, whose it is, and that the documents of winners are those
//! of the winning rows, in their order. The checksum of an agency's input isn't verified: rows don't have what
//! it is of.

use cluster::{Account, ExportEvent};
use wire::{Agency, Checksum, bet};

use super::error::KeepError;
use super::report::{Line, Place, Report};
use crate::config::{Config, EtcdConfig};
use crate::exporting::{self, Exported, Signals, What};
use crate::lottery;
use crate::row;

/// Verifies the draw that is configured.
///
/// # Errors
/// [`KeepError`]: what is wrong with it, or why it can't be read.
pub fn check(config: &Config, etcd: &EtcdConfig) -> Result<Report, KeepError> {
    let mut audit = Audit::default();
    let take = |event| audit.take(event);
    let (Exported { revision, .. }, is_drawn) =
        exporting::read(config, etcd, What::Everything, Signals::EndAtOnce, take)?;
    let draw = etcd.draw.as_str().to_owned();
    Ok(Report {
        place: Place::Etcd { draw, revision },
        draw: None,
        agencies: Some(config.terms.agencies),
        is_drawn,
        lines: audit.lines,
        remarks: Vec::new(),
    })
}

/// Documents of winners: how many, and CRC-32 of all of them, each with a line feed behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Winners {
    count: u64,
    checksum: Checksum,
}

impl Winners {
    fn add(&mut self, document: &[u8]) {
        self.count += 1;
        self.checksum = self.checksum.extended(document).extended(b"\n");
    }
}

/// What was read of an agency so far, and of those before it.
#[derive(Debug, Default)]
struct Audit {
    /// Whose rows these were; 0 before the first.
    owner: Agency,
    /// Rows of several agencies, or one that isn't a bet.
    wrong: Option<KeepError>,
    /// By its rows.
    winners: Winners,
    /// By what is kept of winners.
    documents: Winners,
    lines: Vec<Line>,
}

impl Audit {
    fn take(&mut self, event: ExportEvent) -> Result<(), KeepError> {
        match event {
            ExportEvent::Rows(rows) => self.take_rows(&rows),
            ExportEvent::Documents(documents) => {
                let all = documents.strip_suffix(b"\n").unwrap_or(&documents);
                all.split(|byte| *byte == b'\n').for_each(|document| self.documents.add(document));
                Ok(())
            }
            ExportEvent::Agency { agency, account } => self.end_agency(agency, account),
            ExportEvent::Done { .. } | ExportEvent::Failed(_) => Ok(()),
        }
    }

    fn take_rows(&mut self, rows: &[u8]) -> Result<(), KeepError> {
        let loaded = row::load_bets(rows, |stored| {
            if self.owner != 0 && self.owner != stored.agency {
                let (owner, found) = (self.owner, stored.agency);
                self.wrong.get_or_insert(KeepError::EtcdOwner { owner, found });
            }
            self.owner = stored.agency;
            if bet::has_won(stored.bet.number) {
                self.winners.add(stored.bet.document);
            }
        });
        loaded.map_err(KeepError::EtcdRow)?;
        self.wrong.take().map_or(Ok(()), Err)
    }

    fn end_agency(&mut self, agency: Agency, account: Option<Account>) -> Result<(), KeepError> {
        let (owner, winners, documents) = (self.owner, self.winners, self.documents);
        (self.owner, self.winners, self.documents) = Default::default();
        if owner != 0 && owner != agency {
            return Err(KeepError::EtcdOwner { owner: agency, found: owner });
        }
        if winners != documents {
            let (expected, found) = (winners.count, documents.count);
            return Err(KeepError::EtcdWinners { agency, expected, found });
        }
        if let Some(account) = account {
            let Account { consumed, stored, rejected, checksum, is_finished, .. } = account;
            let (checksum, finished) = (Checksum(checksum), is_finished);
            let account = lottery::Account { consumed, stored, rejected, checksum, finished };
            self.lines.push(Line { agency, account, winners: winners.count });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[u8] = b"2,Ana,Paz,30,2000-01-01,7574\r\n2,Ana,Paz,31,2000-01-01,7\r\n";

    fn account() -> Account {
        Account { consumed: 2, stored: 2, winners: 1, ..Account::default() }
    }

    fn ended(rows: &[u8], documents: &[u8], agency: Agency) -> Result<Vec<Line>, KeepError> {
        let mut audit = Audit::default();
        audit.take(ExportEvent::Rows(rows.to_vec()))?;
        if !documents.is_empty() {
            audit.take(ExportEvent::Documents(documents.to_vec()))?;
        }
        audit.take(ExportEvent::Agency { agency, account: Some(account()) })?;
        assert_eq!((audit.owner, audit.winners), (0, Winners::default()));
        Ok(audit.lines)
    }

    #[test]
    fn rows_and_winners_that_agree_are_a_line() {
        let lines = ended(ROWS, b"30\n", 2).expect("they agree");
        assert_eq!((lines[0].agency, lines[0].winners, lines[0].account.stored), (2, 1, 2));
    }

    #[test]
    fn what_does_not_agree_is_named() {
        for (rows, documents, agency, expected) in [
            (ROWS, &b"31\n"[..], 2, "agency 2: the documents of its 1 winners"),
            (ROWS, b"", 2, "agency 2: the documents of its 1 winners"),
            (ROWS, b"30\n30\n", 2, "agency 2: the documents of its 1 winners"),
            (ROWS, b"30\n", 3, "a row of agency 2 among those of agency 3"),
            (
                b"1,A,B,1,2000-01-01,1\r\n2,A,B,1,2000-01-01,1\r\n",
                b"",
                1,
                "a row of agency 2 among",
            ),
            (b"1,A,B,1,2000-02-30,1\r\n", b"", 1, "row 1 at byte 0: birthdate"),
        ] {
            let error = ended(rows, documents, agency).expect_err("they don't");
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(error.is_damage());
        }
    }
}
