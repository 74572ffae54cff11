//! The names of keys, all below the draw's prefix. A key of positions sorts as they do.
//!
//! Must not know what is kept under them.

use etcd::prefix_end;

/// The keys of one draw.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// With a slash at its end.
    prefix: String,
}

/// All keys from the first one on before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) first: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl KeyRange {
    fn of_prefix(prefix: String) -> Self {
        let end = prefix_end(prefix.as_bytes());
        Self { first: prefix.into_bytes(), end }
    }

    /// Those of its keys that are behind `last`.
    pub(crate) fn behind(self, last: &[u8]) -> Self {
        Self { first: [last, b"\0"].concat(), ..self }
    }
}

impl Keys {
    /// Of the draw of this name.
    pub(crate) fn new(draw: &str) -> Self {
        Self { prefix: format!("/loteria/{draw}/") }
    }

    pub(crate) fn meta(&self) -> Vec<u8> {
        format!("{}meta", self.prefix).into_bytes()
    }

    pub(crate) fn closed(&self) -> Vec<u8> {
        format!("{}closed", self.prefix).into_bytes()
    }

    pub(crate) fn account(&self, agency: u32) -> Vec<u8> {
        format!("{}acct/{agency}", self.prefix).into_bytes()
    }

    pub(crate) fn accounts(&self) -> KeyRange {
        KeyRange::of_prefix(format!("{}acct/", self.prefix))
    }

    /// Whose account this key is of.
    pub(crate) fn agency_of(&self, key: &[u8]) -> Option<u32> {
        let key = std::str::from_utf8(key).ok()?;
        let agency = key.strip_prefix(&self.prefix)?.strip_prefix("acct/")?.parse().ok()?;
        (self.account(agency) == key.as_bytes()).then_some(agency)
    }

    pub(crate) fn bets(&self, agency: u32, first: u64) -> Vec<u8> {
        format!("{}bets/{agency}/{first:020}", self.prefix).into_bytes()
    }

    pub(crate) fn bets_of(&self, agency: u32) -> KeyRange {
        KeyRange::of_prefix(format!("{}bets/{agency}/", self.prefix))
    }

    pub(crate) fn winners(&self, agency: u32, first: u64) -> Vec<u8> {
        format!("{}win/{agency}/{first:020}", self.prefix).into_bytes()
    }

    pub(crate) fn winners_of(&self, agency: u32) -> KeyRange {
        KeyRange::of_prefix(format!("{}win/{agency}/", self.prefix))
    }

    pub(crate) fn finished(&self, agency: u32) -> Vec<u8> {
        format!("{}fin/{agency}", self.prefix).into_bytes()
    }

    pub(crate) fn all_finished(&self) -> KeyRange {
        KeyRange::of_prefix(format!("{}fin/", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: Vec<u8>) -> String {
        String::from_utf8(key).expect("text")
    }

    #[test]
    fn each_key_is_what_the_table_says() {
        let keys = Keys::new("2026-11-27");
        assert_eq!(text(keys.meta()), "/loteria/2026-11-27/meta");
        assert_eq!(text(keys.closed()), "/loteria/2026-11-27/closed");
        assert_eq!(text(keys.account(7)), "/loteria/2026-11-27/acct/7");
        assert_eq!(text(keys.bets(7, 8)), "/loteria/2026-11-27/bets/7/00000000000000000008");
        let last = "/loteria/2026-11-27/win/7/18446744073709551615";
        assert_eq!(text(keys.winners(7, u64::MAX)), last);
        assert_eq!(text(keys.finished(7)), "/loteria/2026-11-27/fin/7");
    }

    #[test]
    fn a_range_holds_the_keys_of_its_agency_alone() {
        let keys = Keys::new("a");
        let range = keys.winners_of(1);
        let is_in = |key: &[u8]| range.first[..] <= *key && *key < range.end[..];
        assert!(is_in(&keys.winners(1, 0)) && is_in(&keys.winners(1, u64::MAX)));
        assert!(!is_in(&keys.winners(10, 0)) && !is_in(&keys.winners(2, 0)));
        let rest = keys.winners_of(1).behind(&keys.winners(1, 5));
        assert!(keys.winners(1, 5) < rest.first && rest.first <= keys.winners(1, 6));
        assert_eq!(rest.end, range.end);
    }

    #[test]
    fn an_account_key_names_its_agency_in_one_way() {
        let keys = Keys::new("a");
        assert_eq!(keys.agency_of(&keys.account(u32::MAX)), Some(u32::MAX));
        let others = ["/loteria/a/acct/01", "/loteria/a/acct/", "/loteria/b/acct/1", "\u{ff}"];
        for other in others.into_iter().chain(["/loteria/a/acct/+1", "/loteria/a/fin/1"]) {
            assert_eq!(keys.agency_of(other.as_bytes()), None, "{other}");
        }
    }
}
