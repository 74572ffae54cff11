//! What etcd knows of an agency: an account, and its one form as bytes.
//!
//! Must not know when an account changes, or who may change it.

use serde::{Deserialize, Serialize};

use crate::record;

/// What is stored of an agency. Bets are counted; rejected ones are consumed too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// Whose commits are taken: a number that a HELLO drew, and none before it.
    pub session: u64,
    /// Bets of the agency's input that were stored or rejected: the position to go on from.
    pub consumed: u64,
    /// Checksum of the consumed bets, as the central's driver computes it.
    pub checksum: u32,
    /// Bets stored.
    pub stored: u64,
    /// Bets in rejected batches.
    pub rejected: u64,
    /// Winning bets among those stored.
    pub winners: u64,
    /// END was taken.
    pub is_finished: bool,
}

/// The form of an account in etcd.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRecord {
    /// 16 digits, hexadecimal.
    session: String,
    consumed: u64,
    /// 8 digits, hexadecimal.
    checksum: String,
    stored: u64,
    rejected: u64,
    winners: u64,
    finished: bool,
}

impl Account {
    /// What an account is, for a message.
    pub(crate) const FORM: &str = "an account as a central of this version writes it";

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        record::encode(&AccountRecord {
            session: format!("{:016x}", self.session),
            consumed: self.consumed,
            checksum: format!("{:08x}", self.checksum),
            stored: self.stored,
            rejected: self.rejected,
            winners: self.winners,
            finished: self.is_finished,
        })
    }

    /// The account that has these bytes; `None` if there is none, or if its counts contradict each other.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let record: AccountRecord = record::decode(bytes)?;
        let account = Self {
            session: u64::from_str_radix(&record.session, 16).ok()?,
            consumed: record.consumed,
            checksum: u32::from_str_radix(&record.checksum, 16).ok()?,
            stored: record.stored,
            rejected: record.rejected,
            winners: record.winners,
            is_finished: record.finished,
        };
        let has_sum = account.stored.checked_add(account.rejected) == Some(account.consumed);
        // The digits' number and case too.
        let is_one = has_sum && account.winners <= account.stored && account.encode() == bytes;
        is_one.then_some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"session":"00000000000000ff","consumed":7,"checksum":"0000beef","stored":5,"rejected":2,"winners":1,"finished":false}"#;

    #[test]
    fn an_account_has_one_form() {
        let account = Account {
            session: 255,
            consumed: 7,
            checksum: 0xbeef,
            stored: 5,
            rejected: 2,
            winners: 1,
            is_finished: false,
        };
        assert_eq!(account.encode(), GOLDEN.as_bytes());
        assert_eq!(Account::decode(GOLDEN.as_bytes()), Some(account));
        let most = Account { session: u64::MAX, checksum: u32::MAX, is_finished: true, ..account };
        assert_eq!(Account::decode(&most.encode()), Some(most));
    }

    #[test]
    fn whatever_is_not_that_form_is_refused() {
        for (from, to) in [
            ("{", " {"),
            (":7", ": 7"),
            ("00000000000000ff", "ff"),
            ("00000000000000ff", "00000000000000FF"),
            ("00000000000000ff", "00000000000000fg"),
            ("0000beef", "+000beef"),
            ("\"stored\":5", "\"stored\":4"),
            ("\"winners\":1", "\"winners\":6"),
            ("\"winners\":1", "\"winners\":-1"),
            ("false}", "false,\"x\":1}"),
            ("false}", "false}\n"),
            ("\"finished\":false", "\"finished\":0"),
            (",\"rejected\":2", ""),
        ] {
            let text = GOLDEN.replacen(from, to, 1);
            assert_ne!(text, GOLDEN);
            assert_eq!(Account::decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Account::decode(b""), None);
    }
}
