//! From which addresses each agency may connect. Knows no connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use reactor::{BadNetwork, Network};
use wire::Agency;

/// What stands for all agencies without an entry of their own.
const OTHERS: &str = "*";

/// Entries of agencies and their networks. Without any, every agency may connect from everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyAddresses {
    of: BTreeMap<Agency, Vec<Network>>,
    /// Of the agencies that `of` lacks.
    others: Vec<Network>,
}

/// A text isn't a list of entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// One of them has no `=`.
    #[error("expected an agency, = and a network, found {found:?}")]
    NoNetwork {
        /// The entry.
        found: String,
    },
    /// One of them begins with something else than an agency.
    #[error("expected an agency's number, from 1 on, or {OTHERS} before the =, found {found:?}")]
    NoAgency {
        /// What it begins with.
        found: String,
    },
    /// One of them ends with something else than a network.
    #[error(transparent)]
    Network(#[from] BadNetwork),
}

impl AgencyAddresses {
    /// No entries: every agency may connect from everywhere.
    pub const ANY: Self = Self { of: BTreeMap::new(), others: Vec::new() };

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty() && self.others.is_empty()
    }

    /// Whether an agency may connect from this address. One that has entries of its own may from no
    /// other; any other one may from those of all others.
    pub fn allow(&self, agency: Agency, address: IpAddr) -> bool {
        let networks = self.of.get(&agency).unwrap_or(&self.others);
        self.is_empty() || networks.iter().any(|network| network.contains(address))
    }

    /// The first agency of a lottery of so many that may connect from nowhere.
    pub fn first_excluded(&self, agencies: Agency) -> Option<Agency> {
        if self.is_empty() || !self.others.is_empty() {
            return None;
        }
        (1..=agencies).find(|agency| !self.of.contains_key(agency))
    }

    /// The highest agency that has an entry of its own.
    pub fn last(&self) -> Option<Agency> {
        self.of.keys().next_back().copied()
    }
}

impl FromStr for AgencyAddresses {
    type Err = BadEntry;

    /// Entries with commas between them, as `1=10.0.0.0/8,2=192.0.2.7,*=2001:db8::/64`. The same agency
    /// may have several.
    fn from_str(text: &str) -> Result<Self, BadEntry> {
        let mut addresses = Self::ANY;
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (agency, network) = entry
                .split_once('=')
                .ok_or_else(|| BadEntry::NoNetwork { found: entry.to_owned() })?;
            let network = network.trim().parse()?;
            addresses.networks_of(agency.trim())?.push(network);
        }
        Ok(addresses)
    }
}

impl AgencyAddresses {
    /// Where the networks of whom an entry begins with are kept.
    fn networks_of(&mut self, text: &str) -> Result<&mut Vec<Network>, BadEntry> {
        if text == OTHERS {
            return Ok(&mut self.others);
        }
        let agency = text.parse().ok().filter(|agency| *agency > 0);
        let agency = agency.ok_or_else(|| BadEntry::NoAgency { found: text.to_owned() })?;
        Ok(self.of.entry(agency).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn addresses(text: &str) -> AgencyAddresses {
        text.parse().unwrap()
    }

    fn allow(text: &str, agency: Agency, address: &str) -> bool {
        addresses(text).allow(agency, address.parse().unwrap())
    }

    #[test]
    fn an_agency_connects_from_its_own_networks_and_any_other_from_those_of_all_others() {
        let list = "1=10.0.0.0/8, 2 = 192.0.2.7 ,1=2001:db8::/64,*=172.16.0.0/12,";
        for (agency, inside) in [
            (1, "10.255.0.1"),
            (1, "::ffff:10.0.0.1"),
            (1, "2001:db8::9"),
            (2, "192.0.2.7"),
            (3, "172.31.0.1"),
            (Agency::MAX, "172.16.0.1"),
        ] {
            assert!(allow(list, agency, inside), "{agency} {inside}");
        }
        for (agency, outside) in [
            (1, "192.0.2.7"),
            (1, "172.16.0.1"),
            (1, "2001:db8:0:1::9"),
            (2, "192.0.2.8"),
            (2, "10.0.0.1"),
            (3, "10.0.0.1"),
        ] {
            assert!(!allow(list, agency, outside), "{agency} {outside}");
        }
    }

    #[test]
    fn without_entries_there_is_no_limit_and_without_one_for_the_others_they_have_no_way_in() {
        for empty in ["", " ", ",, "] {
            let addresses = addresses(empty);
            assert!(addresses.is_empty() && addresses.allow(9, Ipv4Addr::LOCALHOST.into()));
            assert_eq!((addresses.first_excluded(5), addresses.last()), (None, None));
        }
        assert!(!allow("1=127.0.0.1", 2, "127.0.0.1"));
        assert!(!allow("*=127.0.0.1", 2, "127.0.0.2"));
        assert!(allow("*=0.0.0.0/0", 2, "192.0.2.1") && !allow("*=0.0.0.0/0", 2, "2001:db8::1"));
    }

    #[test]
    fn whoever_has_no_way_in_is_found() {
        for (text, agencies, excluded, last) in [
            ("1=::1,2=::1,3=::1", 3, None, Some(3)),
            ("1=::1,3=::1", 3, Some(2), Some(3)),
            ("2=::1", 0, None, Some(2)),
            ("*=::1", 10_000, None, None),
            ("7=::1,*=::1", 5, None, Some(7)),
        ] {
            let addresses = addresses(text);
            assert_eq!((addresses.first_excluded(agencies), addresses.last()), (excluded, last));
        }
    }

    #[test]
    fn a_bad_entry_is_named() {
        for (text, error) in [
            ("1=10.0.0.0/8,x", "expected an agency, = and a network, found \"x\""),
            ("10.0.0.0/8", "expected an agency, = and a network, found \"10.0.0.0/8\""),
            (
                "1=10.0.0.0/33",
                "expected a network, as 10.0.0.0/8, or an address, found \"10.0.0.0/33\"",
            ),
            ("1=", "expected a network, as 10.0.0.0/8, or an address, found \"\""),
            ("0=::1", "expected an agency's number, from 1 on, or * before the =, found \"0\""),
            ("1-5=::1", "expected an agency's number, from 1 on, or * before the =, found \"1-5\""),
            ("=::1", "expected an agency's number, from 1 on, or * before the =, found \"\""),
        ] {
            assert_eq!(text.parse::<AgencyAddresses>().unwrap_err().to_string(), error);
        }
    }

    /// A network as it is written, and what it is: its first bits as those of an IPv6 address.
    fn a_network() -> impl Strategy<Value = (String, u128, u32)> {
        let v4 = (any::<u32>(), 0..=32_u32).prop_map(|(bits, length)| {
            let address = Ipv4Addr::from_bits(bits);
            (format!("{address}/{length}"), address.to_ipv6_mapped().to_bits(), 96 + length)
        });
        let v6 = (any::<u128>(), 0..=128_u32).prop_map(|(bits, length)| {
            (format!("{}/{length}", Ipv6Addr::from_bits(bits)), bits, length)
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        /// Against a look at every entry: whatever is listed, in whatever order, an agency may connect
        /// from where its own entries say, or else those of the others.
        #[test]
        fn every_entry_counts_and_no_other(
            entries in prop::collection::vec((0..4_u32, a_network()), 1..8),
            agency in 1..5_u32,
            near in any::<prop::sample::Index>(),
            flipped in 0..128_u32,
        ) {
            let who = |number: u32| if number == 0 { OTHERS.to_owned() } else { number.to_string() };
            let list: Vec<_> = entries.iter().map(|(number, network)| format!("{}={}", who(*number), network.0)).collect();
            let addresses = addresses(&list.join(","));
            // An address of one of the networks, or one bit away from it.
            let bits = near.get(&entries).1.1 ^ (1_u128 << flipped);
            let has_own = entries.iter().any(|(number, _)| *number == agency);
            let counts = |number: u32| number == if has_own { agency } else { 0 };
            let is_inside = |first: u128, length: u32| (bits ^ first).checked_shr(128 - length).unwrap_or(0) == 0;
            let expected = entries.iter().any(|(number, (_, first, length))| counts(*number) && is_inside(*first, *length));
            prop_assert_eq!(addresses.allow(agency, Ipv6Addr::from_bits(bits).into()), expected, "{:?}", list);
        }

        #[test]
        fn no_text_panics_and_what_is_taken_has_entries_or_is_empty(text in "[0-9*=,.:/ a-f]{0,40}") {
            if let Ok(addresses) = text.parse::<AgencyAddresses>() {
                prop_assert_eq!(addresses.is_empty(), !text.contains('='));
            }
        }
    }
}
