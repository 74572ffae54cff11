//! What goes wrong with the networks between agencies, centrals and members of etcd in the middle of a lottery.

use crate::processes::Lottery;
use crate::site::{AGENCIES, ETCD, Link, MEMBERS, PEERS, Site};

/// What goes wrong. All of it is over as soon as it has had its effect, but for the last one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// A central is cut off from etcd.
    CentralFromEtcd,
    /// A central is cut off from its agencies.
    CentralFromAgencies,
    /// A central is cut off from both.
    CentralFromBoth,
    /// What a central asks etcd arrives, and is done; no response comes back.
    CentralDeaf,
    /// etcd's leader is cut off from all.
    LeaderFromAll,
    /// etcd's leader is cut off from the other members; centrals still reach it.
    LeaderFromMembers,
    /// etcd's leader is cut off from centrals; it goes on leading.
    LeaderFromCentrals,
    /// Another member is cut off from all.
    FollowerFromAll,
    /// All links are slow, uneven and lose some, until the lottery's end.
    NarrowLinks,
}

impl Cut {
    pub(crate) const ALL: [Self; 9] = [
        Self::CentralFromEtcd,
        Self::CentralFromAgencies,
        Self::CentralFromBoth,
        Self::CentralDeaf,
        Self::LeaderFromAll,
        Self::LeaderFromMembers,
        Self::LeaderFromCentrals,
        Self::FollowerFromAll,
        Self::NarrowLinks,
    ];
}

/// Batches of an agency after which the others have got over a fault, or never will.
const FURTHER: usize = 20;

/// What gets through a narrow link: about as much as a lottery in a test needs.
const MEGABITS: u32 = 20;

pub(crate) fn strike(cut: Cut, site: &Site, lottery: &Lottery) {
    let first = lottery.central_of(1);
    let [from_etcd, from_agencies] = [ETCD, AGENCIES].map(|network| Link::Central(first, network));
    match cut {
        Cut::CentralFromEtcd => cut_central(site, lottery, &[from_etcd]),
        Cut::CentralFromAgencies => cut_central(site, lottery, &[from_agencies]),
        Cut::CentralFromBoth => cut_central(site, lottery, &[from_etcd, from_agencies]),
        Cut::CentralDeaf => {
            site.hosts().deafen(from_etcd);
            lottery.wait_until_elsewhere(1);
            site.hosts().mend(&[from_etcd]);
        }
        Cut::LeaderFromAll => cut_leader(site, lottery, &[PEERS, ETCD]),
        Cut::LeaderFromMembers => cut_leader(site, lottery, &[PEERS]),
        Cut::LeaderFromCentrals => {
            let leader = site.etcd.leader(0);
            cut_member(site, lottery, leader, &[ETCD]);
        }
        Cut::FollowerFromAll => {
            let follower = (site.etcd.leader(0) + 1) % MEMBERS;
            cut_member(site, lottery, follower, &[PEERS, ETCD]);
        }
        Cut::NarrowLinks => site.hosts().narrow_all(MEGABITS),
    }
}

/// Until agency 1, which that central serves, is served elsewhere.
fn cut_central(site: &Site, lottery: &Lottery, links: &[Link]) {
    site.hosts().cut(links);
    lottery.wait_until_elsewhere(1);
    site.hosts().mend(links);
}

/// Until another member leads, and the lottery goes on.
fn cut_leader(site: &Site, lottery: &Lottery, networks: &[&'static str]) {
    let leader = site.etcd.leader(0);
    let other = (leader + 1) % MEMBERS;
    let before = site.etcd.leader_id(other);
    let links = links_of(leader, networks);
    site.hosts().cut(&links);
    kit::process::wait_until("another member leads", || {
        let now = site.etcd.leader_id(other);
        now.is_some() && now != before
    });
    lottery.wait_for_more_batches(FURTHER);
    site.hosts().mend(&links);
}

/// Until the lottery has gone on at every central.
fn cut_member(site: &Site, lottery: &Lottery, member: usize, networks: &[&'static str]) {
    let links = links_of(member, networks);
    site.hosts().cut(&links);
    lottery.wait_for_more_batches(FURTHER);
    site.hosts().mend(&links);
}

fn links_of(member: usize, networks: &[&'static str]) -> Vec<Link> {
    networks.iter().map(|network| Link::Member(member, network)).collect()
}
