//! Which connection each agency has, and from which addresses agencies have called.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use reactor::ConnectionId;
use wire::Agency;

use super::known_addresses::KnownAddresses;

/// One connection for each agency at most: the one that introduced itself last.
#[derive(Debug, Default)]
pub(crate) struct AgencyConnections {
    connection_of: BTreeMap<Agency, ConnectionId>,
    addresses: KnownAddresses,
    /// Those that have shown a certificate.
    certified: BTreeSet<Agency>,
}

impl AgencyConnections {
    /// An agency has introduced itself. Returns the connection that this one supersedes.
    pub(crate) fn introduce(
        &mut self,
        agency: Agency,
        connection: ConnectionId,
        ip: IpAddr,
    ) -> Option<ConnectionId> {
        self.addresses.learn(agency, ip);
        self.connection_of.insert(agency, connection)
    }

    /// An agency has shown its certificate.
    pub(crate) fn note_certificate(&mut self, agency: Agency) {
        self.certified.insert(agency);
    }

    pub(crate) fn has_shown_certificate(&self, agency: Agency) -> bool {
        self.certified.contains(&agency)
    }

    /// A connection is refused or gone. Returns whether it was the agency's: one that was superseded
    /// isn't any more.
    pub(crate) fn remove(&mut self, agency: Agency, connection: ConnectionId) -> bool {
        let is_its = self.connection_of.get(&agency) == Some(&connection);
        if is_its {
            self.connection_of.remove(&agency);
        }
        is_its
    }

    /// Whether an agency last called from this address.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.addresses.contains(address)
    }

    /// Agencies that are connected.
    pub(crate) fn agencies(&self) -> impl Iterator<Item = Agency> {
        self.connection_of.keys().copied()
    }

    /// Their connections.
    pub(crate) fn connections(&self) -> Vec<ConnectionId> {
        self.connection_of.values().copied().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.connection_of.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_introduction_counts_and_a_superseded_connection_takes_nothing_away() {
        let [old, new] = [1, 2].map(|slot| ConnectionId::new(slot, 1));
        let ip = IpAddr::from([192, 0, 2, 1]);
        let mut agencies = AgencyConnections::default();
        assert_eq!(agencies.introduce(7, old, ip), None);
        assert_eq!(agencies.introduce(7, new, ip), Some(old));
        assert!(!agencies.remove(7, old));
        assert_eq!(agencies.connections(), [new]);
        assert!(agencies.remove(7, new) && agencies.is_empty());
        assert!(agencies.knows(ip), "it may come back");
    }
}
