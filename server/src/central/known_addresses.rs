//! The address from which each agency last introduced itself.
//!
//! A client from there is accepted when few connections are left: an agency that was cut off comes
//! back. One address for each agency bounds them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wire::Agency;

/// The addresses, and how many agencies each is the address of.
#[derive(Debug, Default)]
pub(crate) struct KnownAddresses {
    of: BTreeMap<Agency, IpAddr>,
    agencies: BTreeMap<IpAddr, u32>,
}

impl KnownAddresses {
    /// An agency has introduced itself.
    pub(crate) fn learn(&mut self, agency: Agency, address: IpAddr) {
        let before = self.of.insert(agency, address);
        if before == Some(address) {
            return;
        }
        *self.agencies.entry(address).or_default() += 1;
        if let Some(before) = before
            && let Some(count) = self.agencies.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.agencies.remove(&before);
            }
        }
    }

    /// Whether an agency last called from this address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.agencies.contains_key(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_as_long_as_an_agency_called_from_it_last() {
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut known = KnownAddresses::default();
        assert!(!known.contains(one));
        known.learn(1, one);
        known.learn(2, one);
        known.learn(2, one);
        known.learn(1, other);
        assert!(known.contains(one) && known.contains(other));
        known.learn(2, other);
        assert!(!known.contains(one) && known.contains(other));
        known.learn(1, one);
        assert!(known.contains(one) && known.contains(other));
        assert_eq!((known.of.len(), known.agencies.len()), (2, 2));
    }
}
