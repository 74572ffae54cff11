//! What must hold of the store, whatever has happened: looks at each change of it. Reads keys and values by
//! itself, and knows nothing of schedule, network or faults.

use std::collections::BTreeMap;

use kit::memory_etcd::MemoryEtcd;
use kit::memory_etcd::history::Change;
use serde_json::Value;
use wire::Agency;

use crate::inputs::{Bet, document};

/// The draw.
pub(crate) const DRAW: &str = "hops";

/// Rows are those that were sent, each once and in order.
pub(crate) const ROWS: &str = "rows are what was sent, once each and in order";
/// The account says how many there are.
pub(crate) const ACCOUNTS: &str = "accounts say what is stored";
/// What was consumed, or finished, stays so.
pub(crate) const NOTHING_GOES_BACK: &str = "no account goes back";
/// What an agency was told is so.
pub(crate) const CONFIRMED: &str = "what was confirmed is stored";
pub(crate) const ONE_DRAW: &str = "the draw is held once";
pub(crate) const ALL_HAVE_FINISHED: &str = "the draw is held when all agencies have finished";
pub(crate) const NOTHING_AFTER_CLOSED: &str = "nothing is stored after the draw";
pub(crate) const STAYS_DELETED: &str = "a draw that is deleted stays so";
pub(crate) const WINNERS: &str = "each agency gets its winners, after the draw";

/// What doesn't hold, and where.
pub(crate) type Violation = (&'static str, String);

/// What is stored of an agency.
#[derive(Debug, Default)]
struct Kept {
    input: Vec<Bet>,
    /// Positions of the rows, in the order in which they were stored.
    stored: Vec<usize>,
    /// Documents of winners, each with a line feed behind it.
    winning: Vec<u8>,
    consumed: u64,
    is_finished: bool,
    has_fin: bool,
}

/// Looks at each change.
#[derive(Debug)]
pub(crate) struct Oracle {
    /// Changes that were looked at.
    seen: usize,
    kept: BTreeMap<Agency, Kept>,
    pub(crate) is_closed: bool,
    pub(crate) is_deleted: bool,
}

impl Oracle {
    pub(crate) fn new(inputs: BTreeMap<Agency, Vec<Bet>>) -> Self {
        let kept = |(agency, input)| (agency, Kept { input, ..Kept::default() });
        let kept = inputs.into_iter().map(kept).collect();
        Self { seen: 0, kept, is_closed: false, is_deleted: false }
    }

    /// How many changes there were.
    pub(crate) fn changes(&self) -> usize {
        self.seen
    }

    pub(crate) fn agencies(&self) -> impl Iterator<Item = Agency> {
        self.kept.keys().copied()
    }

    pub(crate) fn input(&self, agency: Agency) -> &[Bet] {
        &self.kept[&agency].input
    }

    /// After each request that etcd has done.
    pub(crate) fn observe(&mut self, etcd: &MemoryEtcd) -> Result<(), Violation> {
        let changes = &etcd.history.changes()[self.seen..];
        self.seen += changes.len();
        let mut account = None;
        for change in changes {
            account = self.observe_change(change)?.or(account);
        }
        account.map_or(Ok(()), |(agency, account)| self.kept[&agency].check(agency, &account))
    }

    /// What was changed just now is an operator's deletion of the draw. What agencies were told stays true.
    pub(crate) fn accept_deletion(&mut self, etcd: &MemoryEtcd) {
        self.seen = etcd.history.changes().len();
        self.is_deleted = true;
    }

    /// etcd is again what it was.
    pub(crate) fn go_back(&mut self, etcd: &MemoryEtcd) -> Result<(), Violation> {
        let kept = std::mem::take(&mut self.kept);
        *self = Self::new(kept.into_iter().map(|(agency, kept)| (agency, kept.input)).collect());
        self.observe(etcd)
    }

    /// Returns the account that was put, and whose it is.
    fn observe_change(&mut self, change: &Change) -> Result<Option<(Agency, Value)>, Violation> {
        let key = text(&change.key);
        if self.is_deleted {
            return Err((STAYS_DELETED, key.to_owned()));
        }
        let value = change.value.as_deref().expect("only an operator deletes");
        let key = key.strip_prefix(&format!("/loteria/{DRAW}/")).expect("the draw's keys");
        if self.is_closed {
            let what = if key == "closed" { ONE_DRAW } else { NOTHING_AFTER_CLOSED };
            return Err((what, key.to_owned()));
        }
        let mut parts = key.split('/');
        let kind = parts.next().unwrap_or_default();
        let Some(agency) = parts.next().map(|agency| agency.parse().expect("a number")) else {
            return self.observe_whole(kind).map(|()| None);
        };
        let kept = self.kept.get_mut(&agency).expect("one of the agencies");
        match kind {
            "acct" => {
                let account: Value = serde_json::from_slice(value).expect("JSON");
                kept.replace_account(&account).ok_or((NOTHING_GOES_BACK, key.to_owned()))?;
                return Ok(Some((agency, account)));
            }
            "bets" => kept.add_rows(agency, text(value)).ok_or((ROWS, key.to_owned()))?,
            "win" => kept.winning.extend(value),
            "fin" => kept.has_fin = true,
            _ => panic!("expected a key of the scheme, found {key}"),
        }
        Ok(None)
    }

    /// A key that is no agency's.
    fn observe_whole(&mut self, key: &str) -> Result<(), Violation> {
        if key != "closed" {
            assert_eq!(key, "meta", "a key of the scheme");
            return Ok(());
        }
        self.is_closed = true;
        match self.kept.iter().find(|(_, kept)| !kept.has_fin) {
            Some((agency, _)) => Err((ALL_HAVE_FINISHED, format!("agency {agency}"))),
            None => Ok(()),
        }
    }

    /// An agency was told that so many bets are consumed.
    pub(crate) fn check_confirmed(&self, agency: Agency, consumed: u64) -> Result<(), Violation> {
        let is_stored = consumed <= self.kept[&agency].consumed;
        if is_stored { Ok(()) } else { Err((CONFIRMED, format!("agency {agency}: {consumed}"))) }
    }

    /// An agency was told its winners.
    pub(crate) fn check_winners(
        &self,
        agency: Agency,
        documents: &[Vec<u8>],
    ) -> Result<(), Violation> {
        let kept = &self.kept[&agency];
        let winning = kept.stored.iter().filter(|at| kept.input[**at].wins());
        let winning: Vec<_> = winning.map(|at| document(agency, *at).into_bytes()).collect();
        let is_right = self.is_closed && winning == documents;
        if is_right { Ok(()) } else { Err((WINNERS, format!("agency {agency}: {documents:?}"))) }
    }

    /// At the end: nothing is missing.
    pub(crate) fn check_end(&self) -> Result<(), Violation> {
        let missing = self.kept.iter().find(|(_, kept)| !kept.is_whole());
        missing.map_or(Ok(()), |(agency, _)| Err((ROWS, format!("agency {agency}: missing"))))
    }
}

impl Kept {
    /// `None` if it goes back.
    fn replace_account(&mut self, account: &Value) -> Option<()> {
        let (consumed, is_finished) = (number(account, "consumed"), account["finished"] == true);
        if consumed < self.consumed || self.is_finished && !is_finished {
            return None;
        }
        (self.consumed, self.is_finished) = (consumed, is_finished);
        Some(())
    }

    /// Rows that are appended, if they are of later bets. Good ones may be missing: see
    /// [`is_whole`](Self::is_whole).
    fn add_rows(&mut self, agency: Agency, mut rows: &str) -> Option<()> {
        let next = self.stored.last().map_or(0, |last| last + 1);
        for (position, bet) in self.input.iter().enumerate().skip(next) {
            if let Some(rest) = rows.strip_prefix(&bet.row(agency, position)) {
                rows = rest;
                if bet.is_bad {
                    return None;
                }
                self.stored.push(position);
            }
        }
        rows.is_empty().then_some(())
    }

    /// All that a transaction has put goes together.
    fn check(&self, agency: Agency, account: &Value) -> Result<(), Violation> {
        let won = || self.stored.iter().filter(|at| self.input[**at].wins());
        let winning: String = won().map(|at| document(agency, *at) + "\n").collect();
        let [stored, rejected, winners] =
            ["stored", "rejected", "winners"].map(|name| number(account, name));
        let holds = stored == self.stored.len() as u64
            && self.consumed == stored + rejected
            && self.consumed <= self.input.len() as u64
            && self.stored.last().is_none_or(|last| (*last as u64) < self.consumed)
            && winners == won().count() as u64
            && winning.as_bytes() == self.winning
            && self.is_finished == self.has_fin
            && (!self.is_finished || self.consumed == self.input.len() as u64);
        if holds { Ok(()) } else { Err((ACCOUNTS, format!("agency {agency}: {account}"))) }
    }

    /// Everything was consumed. Bets that aren't stored were in rejected batches: in each run of them
    /// there is a bad one.
    fn is_whole(&self) -> bool {
        let mut run = Vec::new();
        let mut stored = self.stored.iter().copied().peekable();
        for (position, bet) in self.input.iter().enumerate() {
            if stored.next_if_eq(&position).is_none() {
                run.push(bet);
                continue;
            }
            if !is_rejected(&run) {
                return false;
            }
            run.clear();
        }
        is_rejected(&run) && self.is_finished
    }
}

fn is_rejected(run: &[&Bet]) -> bool {
    run.is_empty() || run.iter().any(|bet| bet.is_bad)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn number(account: &Value, name: &str) -> u64 {
    account[name].as_u64().expect("a number")
}
