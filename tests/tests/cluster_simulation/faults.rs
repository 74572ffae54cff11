//! What goes wrong in a world besides single requests to etcd.

use std::time::{Duration, Instant};

use reactor::testing::{LinkId, MemoryNetwork};

use crate::gateway::MEMBERS;
use crate::processes::{self, CENTRALS};
use crate::world::World;

/// Most processes of agencies at a time.
const AGENCIES_MAX: usize = 8;

/// Clocks jump by less than so many seconds: more than anything is waited for.
const JUMP_MAX: u64 = 7_200;

impl World {
    /// Something fails, or works again.
    pub(crate) fn inject_fault(&mut self) {
        match self.random.u8(..18) {
            0 => self.break_link("connection reset", MemoryNetwork::break_off),
            1 => self.break_link("connection half open", MemoryNetwork::vanish),
            2 => self.kill_central(),
            3 | 4 => self.stop_central(),
            5 => self.kill_agency(),
            6 if self.agencies.len() < AGENCIES_MAX => {
                self.fault("agency started once more");
                let agency = self.any_agency();
                self.start_agency(agency);
            }
            7 => {
                self.fault("no space");
                let until = self.some_time(2_000);
                self.etcd.fill(until);
            }
            8 => {
                self.fault("member of etcd down");
                let (member, until) = (self.random.usize(..MEMBERS), self.some_time(2_000));
                self.etcd.take_down(member, until);
            }
            9 => {
                self.fault("etcd's leader is lost, and another one elected");
                let until = self.some_time(2_000);
                self.etcd.elect(until);
            }
            10 => {
                // As of a machine that slept: whatever is waited for is overdue.
                self.fault("clocks jumped");
                self.network.advance(Duration::from_secs(self.random.u64(1..JUMP_MAX)));
            }
            11 | 12 => self.operate(),
            _ => self.start_missing(),
        }
    }

    /// A time within so many milliseconds from now.
    fn some_time(&mut self, most: u64) -> Instant {
        self.network.now() + Duration::from_millis(self.random.u64(1..most))
    }

    /// Does that to any connection there is.
    fn break_link(&mut self, name: &'static str, fault: impl FnOnce(&MemoryNetwork, LinkId)) {
        if let Some(link) = self.random.choice(self.network.intact()) {
            fault(&self.network, link);
            self.fault(name);
        }
    }

    fn kill_central(&mut self) {
        let index = self.random.usize(..CENTRALS);
        if let Some(central) = self.centrals[index].take() {
            self.fault("central killed");
            processes::kill(&self.network, central.event_loop, &mut self.random);
        }
    }

    /// It wakes up later, and knows nothing of what has happened meanwhile.
    fn stop_central(&mut self) {
        let (index, until) = (self.random.usize(..CENTRALS), self.some_time(20_000));
        if let Some(central) = &mut self.centrals[index] {
            central.stopped_until = Some(until);
            self.fault("central stopped for a while");
        }
    }

    fn kill_agency(&mut self) {
        if self.agencies.is_empty() {
            return;
        }
        self.fault("agency killed");
        let process = self.agencies.remove(self.random.usize(..self.agencies.len()));
        processes::kill(&self.network, process.event_loop, &mut self.random);
    }

    /// Nothing goes wrong from here on. Requests that are late still come, and centrals that are stopped
    /// still wake up.
    pub(crate) fn stop_faults(&mut self) {
        self.trace(|| "nothing goes wrong any more".to_owned());
        self.etcd.stop_faults();
        self.network.time_out_vanished();
        self.start_missing();
    }
}
