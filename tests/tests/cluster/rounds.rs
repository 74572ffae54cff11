//! One lottery with one fault in the middle of it, which is a process that is killed or stops.

use std::time::Duration;

use rustix::process::Signal;

use crate::processes::Lottery;
use crate::site::{MEMBERS, Site};

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A central is killed, and doesn't come back.
    CentralKilled,
    /// A central stops, and goes on when its agencies are served elsewhere.
    CentralFrozen,
    /// etcd's leader is killed, and comes back.
    LeaderKilled,
    /// etcd's leader stops, and goes on when there is another.
    LeaderFrozen,
    /// Another member is killed, and comes back.
    FollowerKilled,
    /// All members are killed, and come back.
    AllKilled,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] = [
        Self::CentralKilled,
        Self::CentralFrozen,
        Self::LeaderKilled,
        Self::LeaderFrozen,
        Self::FollowerKilled,
        Self::AllKilled,
    ];
}

const AGENCIES: u32 = 16;

/// Bets of each agency: enough that a fault after the first of them is in the middle.
pub(crate) const BETS: usize = 10_000;

/// The same of a campaign.
pub(crate) const BETS_OF_CAMPAIGN: usize = 30_000;

/// Plays a lottery in the middle of which something goes wrong; returns the longest pause of any of its
/// agencies.
pub(crate) fn play(
    site: &mut Site,
    draw: &str,
    bets: usize,
    strike: impl FnOnce(&mut Site, &mut Lottery),
) -> Duration {
    let mut lottery = Lottery::start(site, draw, AGENCIES, bets);
    lottery.wait_for_batches(1, 5);
    strike(site, &mut lottery);
    lottery.wait_for_agencies();
    let pause = lottery.longest_pause();
    lottery.check(site);
    pause
}

pub(crate) fn strike(fault: Fault, site: &mut Site, lottery: &mut Lottery) {
    let (etcd, first) = (&mut site.etcd, lottery.central_of(1));
    match fault {
        Fault::CentralKilled => drop(lottery.centrals[first].take()),
        Fault::CentralFrozen => {
            let central = lottery.centrals[first].take().expect("it runs");
            central.suspend();
            lottery.wait_until_elsewhere(1);
            central.signal(Signal::CONT);
            lottery.centrals[first] = Some(central);
        }
        Fault::LeaderKilled => {
            let leader = etcd.leader(0);
            etcd.kill(leader);
            etcd.restart(leader);
        }
        Fault::LeaderFrozen => {
            let leader = etcd.leader(0);
            etcd.freeze(leader);
            // Until there is another one.
            lottery.wait_for_progress(1);
            etcd.thaw(leader);
        }
        Fault::FollowerKilled => {
            let follower = (etcd.leader(0) + 1) % MEMBERS;
            etcd.kill(follower);
            etcd.restart(follower);
        }
        Fault::AllKilled => {
            for member in 0..MEMBERS {
                etcd.kill(member);
            }
            etcd.restart_all();
        }
    }
}
