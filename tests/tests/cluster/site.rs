//! Where a lottery's processes run: all on this machine's loopback, or each member of etcd and each central on
//! a host of its own, and the agencies on another. Knows no lottery.
//!
//! Three networks join the hosts, so that each of them can be lost alone:
//!
//! | network | who is on it |
//! |---|---|
//! | `peers` | members of etcd |
//! | `etcd` | members of etcd, centrals, the operator |
//! | `agencies` | centrals, agencies |

use std::net::Ipv4Addr;
use std::process::Command;

use kit::etcd::{self, Cluster};
use kit::networks::{Host, Networks};
use kit::server::Server;

/// Centrals of each lottery, and members of an etcd that is to survive one.
pub(crate) const CENTRALS: usize = 3;
pub(crate) const MEMBERS: usize = 3;

pub(crate) const PEERS: &str = "peers";
pub(crate) const ETCD: &str = "etcd";
pub(crate) const AGENCIES: &str = "agencies";

/// Where centrals listen that have hosts of their own.
const PORT: u16 = 12345;

/// etcd, and where everything is.
pub(crate) struct Site {
    pub(crate) etcd: Cluster,
    pub(crate) hosts: Option<Hosts>,
    /// Settings that each central has beside those of its lottery.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// The hosts, and the networks that they are on.
pub(crate) struct Hosts {
    networks: Networks,
    members: Vec<Host>,
    centrals: Vec<Host>,
    agencies: Host,
    operator: Host,
}

impl Site {
    /// All on this machine.
    pub(crate) fn loopback(etcd: Cluster) -> Self {
        Self { etcd, hosts: None, settings: Vec::new() }
    }

    /// Each on a host of its own.
    pub(crate) fn networks() -> Self {
        let networks = Networks::new();
        for network in [PEERS, ETCD, AGENCIES] {
            networks.add_network(network);
        }
        let member = |index| {
            let links = [(PEERS, address(PEERS, index)), (ETCD, address(ETCD, index))];
            networks.add_host(&format!("m{index}"), &links)
        };
        let central = |index| {
            let links = [(ETCD, address(ETCD, MEMBERS + index)), (AGENCIES, of_central(index))];
            networks.add_host(&format!("c{index}"), &links)
        };
        let members: Vec<_> = (0..MEMBERS).map(member).collect();
        let centrals = (0..CENTRALS).map(central).collect();
        let agencies = networks.add_host("agency", &[(AGENCIES, address(AGENCIES, CENTRALS))]);
        let operator = [(ETCD, address(ETCD, MEMBERS + CENTRALS))];
        let operator = networks.add_host("admin", &operator);
        let sites = members.iter().cloned().enumerate().map(|(index, host)| {
            let [client, peer] = [ETCD, PEERS].map(|network| address(network, index));
            etcd::Site { host, client, peer }
        });
        let etcd = Cluster::on_hosts(sites.collect(), operator.clone());
        let hosts = Hosts { networks, members, centrals, agencies, operator };
        Self { etcd, hosts: Some(hosts), settings: Vec::new() }
    }

    /// A central's command, where it is to run.
    pub(crate) fn central(&self, index: usize, mut command: Command) -> Command {
        let Some(hosts) = &self.hosts else { return command };
        command.env("SERVER_BIND", of_central(index).to_string());
        command.env("SERVER_PORT", PORT.to_string());
        hosts.centrals[index].command(&command)
    }

    /// Where agencies reach it.
    pub(crate) fn address(&self, index: usize, central: &Server) -> String {
        match &self.hosts {
            Some(_) => format!("{}:{PORT}", of_central(index)),
            None => central.address(),
        }
    }

    /// An agency's command, where it is to run.
    pub(crate) fn agency(&self, command: Command) -> Command {
        match &self.hosts {
            Some(hosts) => hosts.agencies.command(&command),
            None => command,
        }
    }

    /// An operator's.
    pub(crate) fn operator(&self, command: Command) -> Command {
        match &self.hosts {
            Some(hosts) => hosts.operator.command(&command),
            None => command,
        }
    }

    /// The hosts; there must be some.
    pub(crate) fn hosts(&self) -> &Hosts {
        self.hosts.as_ref().expect("each has a host of its own")
    }
}

impl Hosts {
    /// Nothing gets through, in either direction.
    pub(crate) fn cut(&self, links: &[Link]) {
        for (host, network) in links.iter().map(|link| self.ends(*link)) {
            self.networks.cut(host, network);
        }
    }

    /// Nothing comes from the network any more; what is sent arrives.
    pub(crate) fn deafen(&self, link: Link) {
        let (host, network) = self.ends(link);
        self.networks.deafen(host, network);
    }

    pub(crate) fn mend(&self, links: &[Link]) {
        for (host, network) in links.iter().map(|link| self.ends(*link)) {
            self.networks.mend(host, network);
        }
    }

    /// All links of members and centrals are slow, uneven, and lose some, in both directions.
    pub(crate) fn narrow_all(&self, megabits: u32) {
        for link in Link::all() {
            let (host, network) = self.ends(link);
            self.networks.narrow(host, network, megabits);
        }
    }

    pub(crate) fn mend_all(&self) {
        self.mend(&Link::all().collect::<Vec<_>>());
    }

    fn ends(&self, link: Link) -> (&Host, &'static str) {
        match link {
            Link::Member(index, network) => (&self.members[index], network),
            Link::Central(index, network) => (&self.centrals[index], network),
        }
    }
}

/// A link of a host, by whose it is, and to which network.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Link {
    Member(usize, &'static str),
    Central(usize, &'static str),
}

impl Link {
    fn all() -> impl Iterator<Item = Self> {
        let of_members = (0..MEMBERS)
            .flat_map(|index| [PEERS, ETCD].map(|network| Self::Member(index, network)));
        let of_centrals = (0..CENTRALS)
            .flat_map(|index| [ETCD, AGENCIES].map(|network| Self::Central(index, network)));
        of_members.chain(of_centrals)
    }
}

/// The address of the host with a number, on a network.
fn address(network: &str, number: usize) -> Ipv4Addr {
    let network = [PEERS, ETCD, AGENCIES].iter().position(|&name| name == network);
    let network = u8::try_from(network.expect("a network")).expect("a few");
    Ipv4Addr::new(10, 9, network, u8::try_from(number + 1).expect("a few"))
}

/// Where agencies reach a central.
fn of_central(index: usize) -> Ipv4Addr {
    address(AGENCIES, index)
}
