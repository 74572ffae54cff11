//! The network's faults: bytes that arrive late, in pieces, or not at all. The network itself is
//! [`reactor::testing`]'s. Knows no handler and no frame.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fastrand::Rng;
use reactor::Handler;
use reactor::testing::{LinkId, MemoryLoop, MemoryNetwork};
use wire::Agency;

/// Where the central listens.
pub(crate) const CENTRAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 12345);

/// What connects to the central: its address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) agency: Agency,
    pub(crate) conduct: Conduct,
}

/// How a process of an agency behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    Proper,
    /// It sends batches out of order.
    Misbehaving,
    /// It sends another draw's bets, as it should: to another draw's central.
    OfAnotherDraw,
}

const CONDUCTS: [Conduct; 3] = [Conduct::Proper, Conduct::Misbehaving, Conduct::OfAnotherDraw];

impl Caller {
    pub(crate) fn ip(self) -> IpAddr {
        let agency = u8::try_from(self.agency).expect("few agencies");
        Ipv4Addr::new(10, 0, self.conduct as u8, agency).into()
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let IpAddr::V4(ip) = address.ip() else { panic!("{address} isn't a process's") };
        let [_, _, conduct, agency] = ip.octets();
        Self { agency: agency.into(), conduct: CONDUCTS[usize::from(conduct)] }
    }
}

/// How the connections of a killed process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// Some of what it has sent arrives, and then the end: maybe in the middle of a frame.
    Fin,
    /// A reset.
    Reset,
    /// The other side doesn't learn of it: the machine has vanished.
    Silent,
}

/// Moves some bytes of one direction to where they can be read. Returns whether there were any.
pub(crate) fn deliver(network: &MemoryNetwork, random: &mut Rng) -> bool {
    let in_flight = network.in_flight();
    let Some(&(link, sender)) = random.choice(&in_flight) else { return false };
    let all = network.in_flight_len(link, sender);
    // Mostly everything, at times a byte or a few: frames are cut anywhere.
    let count = match random.u8(..4) {
        0 => random.usize(..=all),
        1 => 1,
        _ => all,
    };
    network.deliver(link, sender, count);
    true
}

/// Any link that works.
pub(crate) fn any_link(network: &MemoryNetwork, random: &mut Rng) -> Option<LinkId> {
    random.choice(network.intact())
}

/// A process is killed, and its connections end.
pub(crate) fn kill<H: Handler>(
    network: &MemoryNetwork,
    process: MemoryLoop<H>,
    disconnect: Disconnect,
    random: &mut Rng,
) {
    for (link, side) in process.ids().into_iter().filter_map(|id| process.link(id)) {
        match disconnect {
            Disconnect::Fin => {
                let kept = random.usize(..=network.in_flight_len(link, side));
                network.truncate_in_flight(link, side, kept);
            }
            Disconnect::Reset => network.break_off(link),
            Disconnect::Silent => network.vanish(link),
        }
    }
    // Closes its sockets.
    drop(process);
}
