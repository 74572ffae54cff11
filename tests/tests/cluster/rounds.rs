//! One lottery with one fault in the middle of it.

use std::time::Duration;

use kit::etcd::Cluster;
use rustix::process::Signal;

use crate::processes::Lottery;

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

/// Agency 1's central.
const FIRST: usize = 0;

/// Plays a lottery; returns the longest pause of any of its agencies.
pub(crate) fn play(etcd: &mut Cluster, draw: &str, fault: Fault, bets: usize) -> Duration {
    let mut lottery = Lottery::start(etcd, draw, AGENCIES, bets);
    lottery.wait_for_batches(1, 5);
    strike(etcd, &mut lottery, fault);
    lottery.wait_for_agencies();
    let pause = lottery.longest_pause();
    lottery.check(etcd);
    pause
}

fn strike(etcd: &mut Cluster, lottery: &mut Lottery, fault: Fault) {
    match fault {
        Fault::CentralKilled => drop(lottery.centrals[FIRST].take()),
        Fault::CentralFrozen => {
            let central = lottery.centrals[FIRST].take().expect("it runs");
            central.suspend();
            // Until agency 1 is served elsewhere.
            let before = lottery.log(1).matches(INTRODUCED).count();
            kit::process::wait_until("agency 1 goes elsewhere", || {
                lottery.log(1).matches(INTRODUCED).count() > before
            });
            central.signal(Signal::CONT);
            lottery.centrals[FIRST] = Some(central);
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
            let follower = (etcd.leader(0) + 1) % 3;
            etcd.kill(follower);
            etcd.restart(follower);
        }
        Fault::AllKilled => {
            for member in 0..3 {
                etcd.kill(member);
            }
            etcd.restart_all();
        }
    }
}

const INTRODUCED: &str = r#""action":"introduce","result":"success""#;
