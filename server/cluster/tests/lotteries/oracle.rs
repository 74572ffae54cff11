//! What must hold of the store, whatever has happened.

use cluster::Account;
use kit::memory_etcd::MemoryEtcd;
use serde_json::Value;

use crate::agency::{Agency, checksum_of, counts, rows_of, winning_of};
use crate::central::Central;
use crate::world::{AGENCIES, DRAW};

/// Bets are stored once and in order, and the account says so.
pub(crate) const ACCOUNTS_EQUAL_BETS: &str = "accounts equal what is stored";
/// What was confirmed, or finished, stays so.
pub(crate) const NOTHING_GOES_BACK: &str = "no account goes back";
pub(crate) const NOTHING_AFTER_CLOSED: &str = "nothing is stored after the draw";
pub(crate) const ONE_DRAW: &str = "the draw is held once";
pub(crate) const ALL_HAVE_FINISHED: &str = "the draw is held when all agencies have finished";
/// No agency was told that something isn't stored that is, or may be yet.
pub(crate) const FENCE: &str = "who has the session knows what is stored";

/// Looks at each change of the store, and at what centrals know of it.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Changes that were looked at.
    seen: usize,
    accounts: [Account; AGENCIES as usize],
    is_closed: bool,
}

impl Oracle {
    /// After each request that etcd has done.
    pub(crate) fn check(&mut self, etcd: &MemoryEtcd, agencies: &[Agency]) -> Result<(), String> {
        let changes = &etcd.history.changes()[self.seen..];
        if changes.is_empty() {
            return Ok(());
        }
        self.seen += changes.len();
        let was_closed = self.is_closed;
        for change in changes {
            let key = std::str::from_utf8(&change.key).expect("text");
            let is_closed = key == format!("{DRAW}closed");
            if was_closed {
                return Err(if is_closed { ONE_DRAW } else { NOTHING_AFTER_CLOSED }.to_owned());
            }
            self.is_closed |= is_closed;
        }
        let finished = etcd.with_prefix(&format!("{DRAW}fin/")).len();
        if self.is_closed && finished != AGENCIES as usize {
            return Err(ALL_HAVE_FINISHED.to_owned());
        }
        agencies.iter().zip(&mut self.accounts).try_for_each(|(agency, before)| {
            let Some(account) = account(etcd, agency.number) else { return Ok(()) };
            let is_back = account.consumed < before.consumed.max(agency.confirmed)
                || before.is_finished && !account.is_finished;
            *before = account;
            if is_back {
                return Err(NOTHING_GOES_BACK.to_owned());
            }
            check_account(etcd, agency.number, &account)
        })
    }

    /// After each step: of every central that has the session of an account.
    pub(crate) fn check_fence(&self, central: &Central) -> Result<(), String> {
        for (agency, service) in &central.services {
            let stored = &self.accounts[*agency as usize - 1];
            let Some(known) = service.known.filter(|known| known.session == stored.session) else {
                continue;
            };
            let is_known = known == *stored;
            if !is_known && service.under_way != Some(stored.consumed) {
                return Err(FENCE.to_owned());
            }
        }
        Ok(())
    }
}

fn check_account(etcd: &MemoryEtcd, agency: u32, account: &Account) -> Result<(), String> {
    let all = |kind: &str| {
        let found = etcd.with_prefix(&format!("{DRAW}{kind}/{agency}/"));
        found.into_iter().map(|(_, value)| value).collect::<Vec<_>>().concat()
    };
    let consumed = 0..account.consumed;
    let is_finished = etcd.get(&format!("{DRAW}fin/{agency}")).is_some();
    let is_equal = all("bets") == rows_of(agency, consumed.clone())
        && all("win") == winning_of(agency, consumed.clone())
        && [account.stored, account.rejected, account.winners] == counts(consumed)
        && account.checksum == checksum_of(agency, account.consumed)
        && account.is_finished == is_finished;
    if is_equal { Ok(()) } else { Err(ACCOUNTS_EQUAL_BETS.to_owned()) }
}

/// The account, read without the crate's own means.
fn account(etcd: &MemoryEtcd, agency: u32) -> Option<Account> {
    let bytes = etcd.get(&format!("{DRAW}acct/{agency}"))?;
    let value: Value = serde_json::from_slice(bytes).expect("JSON");
    let number = |name: &str| value[name].as_u64().expect("a number");
    let digits = |name: &str| {
        u64::from_str_radix(value[name].as_str().expect("digits"), 16).expect("hexadecimal")
    };
    Some(Account {
        session: digits("session"),
        consumed: number("consumed"),
        checksum: u32::try_from(digits("checksum")).expect("8 digits"),
        stored: number("stored"),
        rejected: number("rejected"),
        winners: number("winners"),
        is_finished: value["finished"].as_bool().expect("a boolean"),
    })
}
