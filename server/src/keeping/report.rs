//! What a check has found, as a table for people and as JSON for programs.
//!
//! Personal data isn't shown: counts, checksums and places alone.

use std::fmt::Write as _;
use std::path::Path;

use ledger::{Inspection, Remark};
use serde_json::json;
use wire::{Agency, DrawName};

use super::audit::{Audit, Tally};
use crate::lottery::Account;

/// An agency of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which.
    pub agency: Agency,
    /// Its account.
    pub account: Account,
    /// Its winning rows.
    pub winners: u64,
}

/// What is kept where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a ledger.
    Ledger {
        /// Its rows.
        path: String,
        /// A central has it open.
        in_use: bool,
        /// Its last end was a graceful one.
        is_clean: bool,
        /// Bytes of rows.
        bytes: u64,
        /// CRC-32 of these.
        crc: u32,
    },
    /// In etcd.
    Etcd {
        /// The name that the draw has there.
        draw: String,
        /// The revision that all is of.
        revision: i64,
    },
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where.
    pub place: Place,
    /// What the draw of a ledger is called, if it has a name.
    pub draw: Option<DrawName>,
    /// Of how many agencies, if that is known.
    pub agencies: Option<Agency>,
    /// The draw has run.
    pub is_drawn: bool,
    /// The agencies that have sent anything.
    pub lines: Vec<Line>,
    /// What is worth knowing besides.
    pub remarks: Vec<Remark>,
}

impl Report {
    /// Of a ledger.
    pub fn of_ledger(path: &Path, found: &Inspection, audit: &Audit<'_>) -> Self {
        let line = |(agency, account): (Agency, &Account)| {
            let Tally { winners, .. } = audit.tallies.get(&agency).copied().unwrap_or_default();
            Line { agency, account: *account, winners }
        };
        Self {
            place: Place::Ledger {
                path: path.display().to_string(),
                in_use: found.in_use,
                is_clean: found.is_clean,
                bytes: found.rows_len,
                crc: found.rows_crc,
            },
            draw: audit.recorded.and_then(|terms| terms.draw),
            agencies: audit.recorded.map(|terms| terms.agencies),
            is_drawn: audit.state.drawn,
            lines: audit.state.accounts().map(line).collect(),
            remarks: found.remarks.clone(),
        }
    }

    fn sum(&self, of: impl Fn(&Line) -> u64) -> u64 {
        self.lines.iter().map(of).sum()
    }

    fn finished(&self) -> usize {
        self.lines.iter().filter(|line| line.account.finished).count()
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::from(
            "agency      consumed        stored      rejected       winners  checksum  finished\n",
        );
        for Line { agency, account, winners } in &self.lines {
            let Account { consumed, stored, rejected, checksum, finished } = account;
            let finished = if *finished { "yes" } else { "no" };
            // A String takes everything.
            let _ = writeln!(
                out,
                "{agency:>6}  {consumed:>12}  {stored:>12}  {rejected:>12}  {winners:>12}  {checksum}  \
                 {finished:>8}"
            );
        }
        let _ = writeln!(
            out,
            "   all  {:>12}  {:>12}  {:>12}  {:>12}            {:>8}",
            self.sum(|line| line.account.consumed),
            self.sum(|line| line.account.stored),
            self.sum(|line| line.account.rejected),
            self.sum(|line| line.winners),
            self.of_agencies(),
        );
        let drawn = if self.is_drawn { "the draw has run" } else { "the draw hasn't run" };
        let _ = writeln!(out, "{}: {drawn}", self.named());
        for remark in &self.remarks {
            let _ = writeln!(out, "note: {remark}");
        }
        let _ = writeln!(out, "{}: good", self.state());
        out
    }

    fn of_agencies(&self) -> String {
        let finished = self.finished();
        self.agencies.map_or(finished.to_string(), |agencies| format!("{finished}/{agencies}"))
    }

    fn named(&self) -> String {
        match (&self.place, self.draw) {
            (Place::Etcd { draw, .. }, _) => format!("draw {draw}"),
            (Place::Ledger { .. }, Some(name)) => format!("draw {name}"),
            (Place::Ledger { .. }, None) => "the unnamed draw".to_owned(),
        }
    }

    fn state(&self) -> String {
        match &self.place {
            Place::Etcd { draw, revision } => format!("draw {draw} in etcd, revision {revision}"),
            Place::Ledger { path, in_use, is_clean, bytes, crc } => {
                let state = match (in_use, is_clean) {
                    (true, _) => "open in a central: what it has committed was checked",
                    (false, true) => "closed in order",
                    (false, false) => "not closed in order: the next start recovers it",
                };
                format!("{path}: {bytes} bytes, CRC-32 {crc:08x}; {state}")
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> String {
        let accounts: Vec<_> = self.lines.iter().map(account_json).collect();
        let remarks: Vec<_> = self.remarks.iter().map(ToString::to_string).collect();
        let mut report = json!({
            "result": "good",
            "draw": self.draw.map(|name| name.to_string()),
            "agencies": self.agencies,
            "drawn": self.is_drawn,
            "finished": self.finished(),
            "bets": self.sum(|line| line.account.stored),
            "rejected": self.sum(|line| line.account.rejected),
            "winners": self.sum(|line| line.winners),
            "accounts": accounts,
            "notes": remarks,
        });
        let place = match &self.place {
            Place::Ledger { path, in_use, is_clean, bytes, crc } => json!({
                "ledger": path,
                "in_use": in_use,
                "clean": is_clean,
                "bytes": bytes,
                "crc32": format!("{crc:08x}"),
            }),
            Place::Etcd { draw, revision } => json!({ "etcd": draw, "revision": revision }),
        };
        if let (Some(report), Some(place)) = (report.as_object_mut(), place.as_object()) {
            report.extend(place.clone());
        }
        format!("{report}\n")
    }
}

fn account_json(line: &Line) -> serde_json::Value {
    let Line { agency, account, winners } = line;
    json!({
        "agency": agency,
        "consumed": account.consumed,
        "stored": account.stored,
        "rejected": account.rejected,
        "winners": winners,
        "checksum": account.checksum.to_string(),
        "finished": account.finished,
    })
}

/// What is wrong, for programs.
pub fn failure_json(is_damage: bool, error: &str) -> String {
    let result = if is_damage { "damaged" } else { "unreadable" };
    format!("{}\n", json!({ "result": result, "error": error }))
}

#[cfg(test)]
mod tests {
    use wire::Checksum;

    use super::*;

    fn report() -> Report {
        let account = Account {
            consumed: 7,
            stored: 5,
            rejected: 2,
            checksum: Checksum(0xab),
            finished: true,
        };
        Report {
            place: Place::Ledger {
                path: "bets.csv".to_owned(),
                in_use: false,
                is_clean: true,
                bytes: 200,
                crc: 0xcd,
            },
            draw: "2026-11-27".parse().ok(),
            agencies: Some(2),
            is_drawn: false,
            lines: vec![Line { agency: 1, account, winners: 3 }],
            remarks: vec![Remark::RowsSurplus { offset: 200, bytes: 4 }],
        }
    }

    #[test]
    fn a_table_has_every_account_and_their_sums() {
        let expected = "\
agency      consumed        stored      rejected       winners  checksum  finished
     1             7             5             2             3  000000ab       yes
   all             7             5             2             3                 1/2
draw 2026-11-27: the draw hasn't run
note: 4 bytes from byte 200 on were never committed: the next start cuts them off
bets.csv: 200 bytes, CRC-32 000000cd; closed in order: good
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn json_has_the_same() {
        let found: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(found["result"], "good");
        assert_eq!(found["accounts"][0]["checksum"], "000000ab");
        assert_eq!((&found["bets"], &found["winners"]), (&json!(5), &json!(3)));
        assert_eq!((&found["crc32"], &found["draw"]), (&json!("000000cd"), &json!("2026-11-27")));
        let place = Place::Etcd { draw: "d".to_owned(), revision: 9 };
        let etcd = Report { place, draw: None, remarks: Vec::new(), ..report() };
        let found: serde_json::Value = serde_json::from_str(&etcd.json()).unwrap();
        assert_eq!((&found["etcd"], &found["revision"]), (&json!("d"), &json!(9)));
        assert!(etcd.table().ends_with("draw d in etcd, revision 9: good\n"));
    }
}
