//! Limits of each address: how many connections it has, and how many it makes in a second.
//!
//! One address must not take the connections of all others. An IPv6 host has a whole /64 to itself,
//! so a /64 counts as one address; an IPv4 address counts as the same however it is written. Networks
//! whose hosts share an address can be exempted.
//!
//! Memory: an entry for each address that has connections, and for up to [`SILENT_MAX`] addresses
//! that have none but had some within the last second. Knows no socket and no clock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use slab::Slab;

use crate::clock::Moment;

/// Most entries of addresses without connections. When so many addresses connect and leave within a
/// second, a limit for each of them bounds nothing any more, and their entries are removed at once.
const SILENT_MAX: usize = 16 * 1024;

/// The period of the limit of connects: within it, they may come all at once.
const BURST: Duration = Duration::from_secs(1);

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Of the IPv6 address, or the IPv4-mapped one.
    bits: u128,
    mask: u128,
}

/// The text isn't a network: no address, or no valid length of its prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a network, as 10.0.0.0/8, or an address, found {found:?}")]
pub struct BadNetwork {
    found: String,
}

impl Network {
    /// Whether an address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.bits
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork { found: text.to_owned() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = length.map_or(Ok(most), str::parse).map_err(|_| bad())?;
        let free = most.checked_sub(length).ok_or_else(bad)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        let bits = match address {
            // As it was written: a prefix of IPv6 may be shorter than that of mapped addresses.
            IpAddr::V6(address) => address.to_bits(),
            IpAddr::V4(_) => bits(address),
        };
        Ok(Self { bits: bits & mask, mask })
    }
}

/// Of an IPv6 address, or the IPv4-mapped one.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// What counts as one address: IPv4, or a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Address(u128);

impl Address {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self(bits(address)),
            IpAddr::V6(address) => Self(address.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

/// The entry that a connection is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressId(u32);

impl AddressId {
    /// For a connection that isn't counted.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Why an address gets no further connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Connections,
    Connects,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    connections: usize,
    /// When the address has its whole burst again: each connect moves it later by a share of
    /// [`BURST`] (a token bucket, kept as the time at which it is full).
    refilled: Moment,
}

/// The entries of all addresses with connections, now or within the last second.
#[derive(Debug)]
pub(crate) struct PeerAddresses {
    /// Most connections of one address.
    connections: usize,
    /// By which each connect moves `refilled`.
    interval: Duration,
    unlimited: Vec<Network>,
    index: BTreeMap<Address, AddressId>,
    entries: Slab<Entry>,
    /// Entries without connections.
    silent: usize,
    /// When the next sweep is due.
    next_sweep: Moment,
}

impl PeerAddresses {
    /// No entries yet, for at most `connections` of one address and `connects` of it in a second.
    pub(crate) fn new(
        connections: usize,
        connects: u32,
        unlimited: Vec<Network>,
        now: Moment,
    ) -> Self {
        Self {
            connections,
            interval: BURST / connects.max(1),
            unlimited,
            index: BTreeMap::new(),
            entries: Slab::new(),
            silent: 0,
            next_sweep: now,
        }
    }

    /// Whether an address is exempted.
    pub(crate) fn is_unlimited(&self, address: IpAddr) -> bool {
        self.unlimited.iter().any(|network| network.contains(address))
    }

    /// Counts a new connection of an address, if the limits allow another one.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Moment) -> Result<AddressId, Excess> {
        if self.is_unlimited(address) {
            return Ok(AddressId::NONE);
        }
        let address = Address::of(address);
        let Some(id) = self.index.get(&address).copied() else {
            return Ok(self.insert(address, now));
        };
        let Some(entry) = self.entries.get_mut(id.0 as usize) else { return Ok(AddressId::NONE) };
        if entry.connections >= self.connections {
            return Err(Excess::Connections);
        }
        let refilled = entry.refilled.max(now).after(self.interval);
        if now.until(refilled) > BURST {
            return Err(Excess::Connects);
        }
        entry.refilled = refilled;
        self.silent -= usize::from(entry.connections == 0);
        entry.connections += 1;
        Ok(id)
    }

    fn insert(&mut self, address: Address, now: Moment) -> AddressId {
        let refilled = now.after(self.interval);
        let Ok(key) = u32::try_from(self.entries.vacant_key()) else { return AddressId::NONE };
        self.entries.insert(Entry { address, connections: 1, refilled });
        self.index.insert(address, AddressId(key));
        AddressId(key)
    }

    /// A connection that was counted is closed.
    pub(crate) fn leave(&mut self, id: AddressId, now: Moment) {
        if now >= self.next_sweep {
            self.sweep(now);
        }
        let Some(entry) = self.entries.get_mut(id.0 as usize) else { return };
        entry.connections -= 1;
        if entry.connections > 0 {
            return;
        }
        self.silent += 1;
        if entry.refilled <= now || self.silent > SILENT_MAX {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: AddressId) {
        let entry = self.entries.remove(id.0 as usize);
        self.index.remove(&entry.address);
        self.silent -= 1;
    }

    /// Removes entries without connections that have their whole burst again. Looks at all entries,
    /// so once in a period.
    fn sweep(&mut self, now: Moment) {
        self.next_sweep = now.after(BURST);
        let is_over = |entry: &Entry| entry.connections == 0 && entry.refilled <= now;
        let over: Vec<_> = self
            .index
            .values()
            .copied()
            .filter(|id| self.entries.get(id.0 as usize).is_some_and(is_over))
            .collect();
        for id in over {
            self.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Instant;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn moment(after: Duration) -> Moment {
        let epoch = Instant::now();
        Moment::new(epoch, epoch).after(after)
    }

    const START: Duration = Duration::ZERO;

    fn addresses(connections: usize, connects: u32) -> PeerAddresses {
        PeerAddresses::new(connections, connects, Vec::new(), moment(START))
    }

    #[test]
    fn networks_contain_what_their_prefix_says() {
        for (network, inside, outside) in [
            ("127.0.0.0/8", "127.255.0.1", "128.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/24", "10.1.2.255", "10.1.3.0"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("::1/128", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("192.0.2.0/24", "::ffff:192.0.2.7", "::192.0.2.7"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(address(inside)), "{inside} in {network}");
            assert!(!parsed.contains(address(outside)), "{outside} in {network}");
        }
        assert!("::/0".parse::<Network>().unwrap().contains(address("10.0.0.1")));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0", "host"] {
            let error = bad.parse::<Network>().unwrap_err();
            assert!(error.to_string().ends_with(&format!("found {bad:?}")), "{error}");
        }
    }

    #[test]
    fn an_ipv6_host_is_its_64_bits_of_network_and_a_mapped_address_is_ipv4() {
        for (one, other, same) in [
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0", "::", false),
        ] {
            assert_eq!(
                Address::of(address(one)) == Address::of(address(other)),
                same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn so_many_connections_of_an_address_and_as_many_again_as_have_gone() {
        let mut addresses = addresses(2, 1000);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = addresses.admit(one, moment(START)).unwrap();
        assert_eq!(addresses.admit(one, moment(START)), Ok(first));
        assert_eq!(addresses.admit(one, moment(START)), Err(Excess::Connections));
        assert!(addresses.admit(other, moment(START)).is_ok(), "that is another address");
        addresses.leave(first, moment(START));
        assert!(addresses.admit(one, moment(START)).is_ok());
    }

    #[test]
    fn so_many_connects_in_a_second_and_then_evenly() {
        let mut addresses = addresses(1000, 10);
        let one = address("192.0.2.1");
        let mut admitted = |millis| addresses.admit(one, moment(Duration::from_millis(millis)));
        for _ in 0..10 {
            assert!(admitted(0).is_ok());
        }
        assert_eq!(admitted(99), Err(Excess::Connects));
        assert!(admitted(101).is_ok());
        assert_eq!(admitted(102), Err(Excess::Connects));
        for _ in 0..10 {
            assert!(admitted(5000).is_ok(), "its burst is refilled");
        }
        assert_eq!(admitted(5000), Err(Excess::Connects));
    }

    #[test]
    fn exempted_addresses_are_not_counted() {
        let unlimited = vec!["127.0.0.0/8".parse().unwrap()];
        let mut addresses = PeerAddresses::new(1, 1, unlimited, moment(START));
        for _ in 0..100 {
            assert_eq!(addresses.admit(address("127.0.0.2"), moment(START)), Ok(AddressId::NONE));
        }
        addresses.leave(AddressId::NONE, moment(START));
        assert!(addresses.entries.is_empty());
    }

    /// A million addresses that come and go at once, and later.
    #[test]
    fn addresses_that_come_and_go_cost_bounded_memory() {
        let mut addresses = addresses(1000, 10);
        for number in 0..1_000_000_u32 {
            let now = moment(Duration::from_micros(u64::from(number)));
            let id = addresses.admit(IpAddr::V4(number.into()), now).unwrap();
            addresses.leave(id, now);
            assert!(addresses.entries.len() <= SILENT_MAX);
        }
        let later = moment(Duration::from_secs(10));
        let last = addresses.admit(address("2001:db8::1"), later).unwrap();
        addresses.leave(last, later);
        assert_eq!((addresses.entries.len(), addresses.index.len(), addresses.silent), (1, 1, 1));
    }

    proptest! {
        /// Against a model that keeps everything: no address has more connections than allowed, none
        /// below both limits is refused, and what is kept are entries of these addresses.
        #[test]
        fn counts_what_is_there(
            steps in prop::collection::vec((0..4_u32, any::<bool>(), 0..400_u64), 0..300),
        ) {
            const CONNECTIONS: usize = 5;
            const CONNECTS: u32 = 4;
            let epoch = Instant::now();
            let start = Moment::new(epoch, epoch);
            let mut addresses = PeerAddresses::new(CONNECTIONS, CONNECTS, Vec::new(), start);
            let mut open: [Vec<AddressId>; 4] = Default::default();
            let mut connects: [Vec<u64>; 4] = Default::default();
            let mut time = 0;
            for (who, comes, pause) in steps {
                time += pause;
                let now = start.after(Duration::from_millis(time));
                let index = who as usize;
                if !comes {
                    if let Some(id) = open[index].pop() {
                        addresses.leave(id, now);
                    }
                    continue;
                }
                let recent = connects[index].iter().filter(|at| **at + 1000 > time).count() as u64;
                match addresses.admit(IpAddr::V4(who.into()), now) {
                    Ok(id) => {
                        open[index].push(id);
                        connects[index].push(time);
                        prop_assert!(open[index].len() <= CONNECTIONS);
                        prop_assert!(recent < 2 * u64::from(CONNECTS), "a full burst, and what has become free");
                    }
                    Err(Excess::Connections) => prop_assert_eq!(open[index].len(), CONNECTIONS),
                    Err(Excess::Connects) => prop_assert!(recent > 0),
                }
                let counted: usize = addresses.entries.iter().map(|(_, entry)| entry.connections).sum();
                prop_assert_eq!(counted, open.iter().map(Vec::len).sum::<usize>());
                prop_assert_eq!(addresses.index.len(), addresses.entries.len());
                let silent = addresses.entries.iter().filter(|(_, entry)| entry.connections == 0);
                prop_assert_eq!(silent.count(), addresses.silent);
            }
        }
    }
}
