//! All that there is at a moment, and the steps that lead from one moment to the next.
//!
//! A step is one participant's: an agency sends, a central writes, a request reaches etcd, an
//! answer reaches a central. Nothing says when: a central that takes no step for long is frozen,
//! and one that goes on for an agency which is elsewhere by now is a zombie.
//!
//! Between agencies and centrals nothing is late: what a connection loses when it ends is what the
//! central had not done yet. Between centrals and etcd everything can be.
//!
//! It must not know which steps are possible ([`crate::lottery`]), or what they do
//! ([`crate::steps`]).

use std::sync::Arc;

use crate::agency::Agency;
use crate::central::{Central, Service};
use crate::request::Request;
use crate::store::{AgencyId, Answer, CentralId, Key, Op, Position, Session, Store, Txn};
use crate::world::World;

/// All that there is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// etcd.
    pub store: Arc<Store>,
    /// Requests on their way to etcd that no central waits for any more.
    pub late: Vec<Arc<Txn>>,
    /// By number.
    pub centrals: Vec<Central>,
    /// By number.
    pub agencies: Vec<Agency>,
    /// By agency: sessions given.
    pub sessions: Vec<Session>,
    /// Faults that may still happen.
    pub faults_left: u8,
    /// The operator has deleted the draw.
    pub was_deleted: bool,
    /// etcd's backup.
    pub backup: Option<Arc<Store>>,
    /// etcd was restored.
    pub was_restored: bool,
    /// What can't be seen in the store afterwards.
    pub witness: Witness,
}

/// What happened, for the invariants alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Witness {
    /// How often `closed` was put.
    pub closes: u8,
    /// Something else was put after it.
    pub has_late_put: bool,
    /// The first draw that was announced.
    pub draw: Option<Draw>,
    /// Another one was announced.
    pub has_other_draw: bool,
}

/// What a central announces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Draw {
    /// Who closed it.
    pub by: CentralId,
    /// By agency: its winners.
    pub winners: Vec<Vec<Position>>,
}

/// A transaction of a central.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Of {
    /// For an agency.
    Agency(AgencyId),
    /// The one that closes the draw.
    Draw,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// An agency connects, with HELLO.
    Connect(AgencyId, CentralId),
    /// An agency sends what is next.
    Send(AgencyId),
    /// A central sends what has gathered of an agency to etcd.
    Write(CentralId, AgencyId),
    /// etcd applies a transaction; its answer is on its way.
    Apply(CentralId, Of),
    /// etcd's answer arrives.
    Answer(CentralId, Of),
    /// etcd applies a transaction that no central waits for.
    ApplyLate(usize),
    /// A transaction that no central waits for is lost.
    Lose(usize),
    /// A central with waiting agencies looks at the store.
    Poll(CentralId),
    /// A central learns that the draw was held, and announces it.
    Announce(CentralId),
    /// A central reads an agency's winners and sends them.
    SendWinners(CentralId, AgencyId),
    /// [`Fault::TimeOut`](crate::world::Fault::TimeOut)
    TimeOut(CentralId, Of),
    /// [`Fault::Leave`](crate::world::Fault::Leave)
    Leave(AgencyId),
    /// [`Fault::Restart`](crate::world::Fault::Restart)
    Restart(CentralId),
    /// [`Fault::NoSpace`](crate::world::Fault::NoSpace)
    NoSpace(CentralId, Of),
    /// The draw is deleted.
    Delete,
    /// etcd is backed up.
    BackUp,
    /// etcd is restored from the backup, under the same cluster token.
    Restore,
}

impl State {
    /// Before anything has happened; see [`Store::new`] for `counts_changes`.
    pub fn new(world: &World, counts_changes: bool) -> Self {
        let mut store = Store::new(counts_changes);
        let meta = store.create_meta();
        let agencies = world.inputs.len();
        Self {
            store: Arc::new(store),
            late: Vec::new(),
            centrals: (0..world.centrals).map(|id| Central::new(id, meta, agencies)).collect(),
            agencies: vec![Agency::new(); agencies],
            sessions: vec![0; agencies],
            faults_left: world.faults,
            was_deleted: false,
            backup: None,
            was_restored: false,
            witness: Witness::default(),
        }
    }

    pub(crate) fn service(&self, central: CentralId, agency: AgencyId) -> Option<&Service> {
        self.centrals[central].services[agency].as_ref()
    }

    /// Whether the agency is still at the other end of this connection.
    pub fn is_connected(&self, agency: AgencyId, central: CentralId, service: &Service) -> bool {
        let agency = &self.agencies[agency];
        agency.at == Some(central) && agency.connection == service.connection
    }

    pub(crate) fn request(&self, central: CentralId, of: Of) -> Option<&Request> {
        match of {
            Of::Agency(agency) => self.service(central, agency)?.request.as_ref(),
            Of::Draw => self.centrals[central].closing.as_ref(),
        }
    }

    pub(crate) fn request_mut(&mut self, central: CentralId, of: Of) -> &mut Request {
        let central = &mut self.centrals[central];
        let request = match of {
            Of::Agency(agency) => {
                central.services[agency].as_mut().and_then(|s| s.request.as_mut())
            }
            Of::Draw => central.closing.as_mut(),
        };
        request.expect("a request that is waited for")
    }

    /// Applies a transaction, and notes what the store won't show.
    pub(crate) fn apply(&mut self, txn: &Txn) -> Answer {
        let was_closed = self.store.closed().is_some();
        let store = Arc::make_mut(&mut self.store);
        let answer = store.apply(txn);
        let ops = if answer.succeeded { &txn.success } else { &txn.failure };
        for op in ops {
            match op {
                Op::Put(Key::Closed, _) => self.witness.closes += 1,
                Op::Put(..) if was_closed => self.witness.has_late_put = true,
                _ => (),
            }
        }
        answer
    }

    /// A request that no central waits for any more: in an order that doesn't say who sent it first.
    pub(crate) fn add_late(&mut self, txns: impl IntoIterator<Item = Arc<Txn>>) {
        self.late.extend(txns);
        self.late.sort();
    }

    /// What a central's memory held is gone, and so are its connections.
    pub(crate) fn forget(&mut self, central: CentralId, before: &Central) {
        let in_flight: Vec<_> = before.in_flight().cloned().collect();
        self.add_late(in_flight);
        for agency in &mut self.agencies {
            if agency.at == Some(central) {
                agency.disconnect();
            }
        }
    }

    pub(crate) fn announce(&mut self, by: CentralId) {
        let agencies = 0..self.agencies.len();
        let draw =
            Draw { by, winners: agencies.map(|agency| self.store.winners(agency)).collect() };
        match &self.witness.draw {
            None => self.witness.draw = Some(draw),
            Some(first) => self.witness.has_other_draw |= *first != draw,
        }
    }
}
