//! What an operator does in the middle of a lottery, as `docs/cluster.md` has it: deletes the draw, or restores a
//! backup. Knows no schedule.

use cluster::DELETED;
use fastrand::Rng;
use kit::memory_etcd::MemoryEtcd;

use crate::oracle::DRAW;
use crate::processes::{self, CENTRALS};
use crate::world::World;

/// In one of so many worlds something is.
const ONE_OF: u8 = 3;

/// What is intended, step by step.
#[derive(Debug)]
pub(crate) enum Operator {
    /// Nothing.
    Idle,
    /// To put a tombstone into `meta`, and then to delete these parts, the last one first.
    Deletes(Vec<&'static str>),
    /// To make a backup.
    BacksUp,
    /// To restore it.
    Restores(Box<MemoryEtcd>),
}

impl Operator {
    /// Any.
    pub(crate) fn any(random: &mut Rng) -> Self {
        match random.u8(..2 * ONE_OF) {
            0 => Self::Deletes(vec!["closed", "fin/", "win/", "bets/", "acct/", "meta"]),
            1 => Self::BacksUp,
            _ => Self::Idle,
        }
    }
}

impl World {
    /// The next step of it.
    pub(crate) fn operate(&mut self) {
        match &mut self.operator {
            Operator::Idle => {}
            Operator::Deletes(parts) => {
                let Some(part) = parts.pop() else { return };
                self.delete(part);
            }
            Operator::BacksUp => {
                self.operator = Operator::Restores(Box::new(self.etcd.store.clone()));
            }
            Operator::Restores(_) => {
                let operator = std::mem::replace(&mut self.operator, Operator::Idle);
                let Operator::Restores(backup) = operator else { unreachable!("it was just that") };
                self.restore(*backup);
            }
        }
    }

    fn delete(&mut self, part: &'static str) {
        let key = format!("/loteria/{DRAW}/{part}");
        if part == "meta" {
            self.fault("draw deleted");
            self.etcd.store.put(&key, DELETED.as_bytes());
        } else {
            self.etcd.store.delete(&key);
        }
        self.etcd.report_changes();
        self.oracle.accept_deletion(&self.etcd.store);
    }

    /// All centrals are stopped first. Agencies that have ended are started again.
    fn restore(&mut self, backup: MemoryEtcd) {
        self.fault("backup restored");
        for index in 0..CENTRALS {
            if let Some(central) = self.centrals[index].take() {
                processes::kill(&self.network, central.event_loop, &mut self.random);
            }
        }
        self.etcd.restore(backup);
        self.oracle.go_back(&self.etcd.store).expect("all of it held then");
        self.done.clear();
        for process in &self.agencies {
            process.told.borrow_mut().forget();
        }
    }
}
