//! A central: stateless but for what it is doing, equal to all others.
//!
//! It must not know the other centrals, nor whether an agency is still there: its connection may
//! have been dead for long, and it may have been frozen since. It never waits for anything but an
//! answer of etcd.

use std::sync::Arc;

use crate::agency::{Bet, Response};
use crate::outcome::{self, Outcome};
use crate::request::{Purpose, Request, Try};
use crate::scheme::Scheme;
use crate::store::{Account, AgencyId, CentralId, Key, Position, Revision, Session, Store, Txn};
use crate::transactions::{self, Basis, Known};

/// A central.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Central {
    id: CentralId,
    /// `create_revision` of `meta`, as read at the start.
    meta: Revision,
    /// By agency: the connection that said HELLO last.
    pub services: Vec<Option<Service>>,
    /// The transaction that closes the draw, as long as it hasn't been answered.
    pub closing: Option<Request>,
    /// The draw, once this central has announced it: who closed it.
    pub draw: Option<CentralId>,
    /// It found the draw deleted, said so loudly, and serves no agency any more.
    pub is_stopped: bool,
}

/// An agency's connection, as a central sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Which of the agency's connections.
    pub connection: u8,
    /// The account, as the last answer of etcd had it.
    pub known: Known,
    /// Batches up to here have come.
    pub received: Position,
    /// END has come.
    pub has_end: bool,
    /// WINNERS? has come, and waits for the draw.
    pub is_waiting: bool,
    /// The transaction that is under way.
    pub request: Option<Request>,
}

/// What a central's step works with besides its own state.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The scheme, or a mutation of it.
    pub scheme: &'a Scheme,
    /// The inputs of all agencies.
    pub inputs: &'a [Vec<Bet>],
    /// For reads: they are answered at once. An answer that comes late says what was so before,
    /// which is the same as a transaction built from it that arrives late.
    pub store: &'a Store,
    /// By agency: the sessions given so far.
    pub sessions: &'a mut [Session],
}

impl Central {
    /// A central that has just started.
    pub fn new(id: CentralId, meta: Revision, agencies: usize) -> Self {
        Self {
            id,
            meta,
            services: vec![None; agencies],
            closing: None,
            draw: None,
            is_stopped: false,
        }
    }

    fn basis(&self, agency: AgencyId, known: Known) -> Basis {
        Basis { agency, known, meta: self.meta }
    }

    /// HELLO on a new connection. The one before, if there is one, is forgotten with what it was
    /// doing: the fence settles that.
    pub fn on_hello(
        &mut self,
        agency: AgencyId,
        connection: u8,
        with: &mut Surroundings<'_>,
    ) -> Option<Response> {
        self.services[agency] = Some(Service {
            connection,
            known: Known::default(),
            received: 0,
            has_end: false,
            is_waiting: false,
            request: None,
        });
        let entry = with.store.get(Key::Account(agency));
        let modified = entry.map_or(0, |entry| entry.modified);
        let known = Known { account: with.store.account(agency), modified };
        self.greet(agency, known, with.store.closed().is_some(), with)
    }

    /// WELCOME at once if nothing can be written any more; else the fence.
    fn greet(
        &mut self,
        agency: AgencyId,
        known: Known,
        is_closed: bool,
        with: &mut Surroundings<'_>,
    ) -> Option<Response> {
        if is_closed || known.account.is_some_and(|account| account.is_finished) {
            return Some(self.welcome(agency, known, true));
        }
        if known.account.is_some() && !with.scheme.hello_fences {
            return Some(self.welcome(agency, known, false));
        }
        self.fence(agency, known, with);
        None
    }

    fn service(&mut self, agency: AgencyId) -> &mut Service {
        self.services[agency].as_mut().expect("an agency that has said HELLO")
    }

    fn fence(&mut self, agency: AgencyId, known: Known, with: &mut Surroundings<'_>) {
        with.sessions[agency] += 1;
        let session = with.scheme.session(self.id, with.sessions[agency]);
        let wanted = Account { session, ..known.account.unwrap_or_default() };
        let txn = transactions::hello(with.scheme, &self.basis(agency, known), wanted);
        let service = self.service(agency);
        service.known = known;
        service.request = Some(Request::new(Purpose::Hello, txn, wanted));
    }

    fn welcome(&mut self, agency: AgencyId, known: Known, is_finished: bool) -> Response {
        let service = self.service(agency);
        let consumed = known.account.map_or(0, |account| account.consumed);
        service.known = known;
        service.received = consumed;
        service.is_waiting = is_finished;
        Response::Welcome { consumed, is_finished }
    }

    /// Whether there is something to write for an agency, and nothing under way for it.
    pub fn can_write(&self, agency: AgencyId) -> bool {
        let Some(service) = &self.services[agency] else { return false };
        let Some(account) = service.known.account else { return false };
        service.request.is_none() && (service.received > account.consumed || service.has_end)
    }

    /// Sends all batches that have gathered as one transaction; END, if there are none.
    pub fn write(&mut self, agency: AgencyId, scheme: &Scheme, input: &[Bet]) {
        let service = self.service(agency);
        let (known, received) = (service.known, service.received);
        let Some(account) = known.account else { return };
        let basis = self.basis(agency, known);
        let request = if received > account.consumed {
            commit(scheme, &basis, account, received, input)
        } else {
            let wanted = Account { is_finished: true, ..account };
            Request::new(Purpose::End, transactions::end(scheme, &basis, wanted), wanted)
        };
        self.service(agency).request = Some(request);
    }

    /// The transaction's time is over.
    pub fn on_time_out(
        &mut self,
        agency: AgencyId,
        with: &mut Surroundings<'_>,
    ) -> Option<Response> {
        let stored = with.store.account(agency);
        let service = self.service(agency);
        let request = service.request.as_mut().expect("a request that is waited for");
        let is_write = matches!(request.purpose, Purpose::Commit | Purpose::End);
        if is_write && with.scheme.settles_unknown_by_reading && stored != Some(request.wanted) {
            return Some(self.unavailable(agency));
        }
        if request.purpose == Purpose::Commit && with.scheme.tries_again_with_other_bytes {
            service.request = None;
            self.write(agency, with.scheme, &with.inputs[agency]);
            return None;
        }
        request.send_again();
        None
    }

    /// etcd has no space: this try has written nothing.
    pub fn on_no_space(&mut self, agency: AgencyId, scheme: &Scheme) -> Option<Response> {
        let service = self.service(agency);
        let request = service.request.as_mut().expect("a request that is waited for");
        let is_write = matches!(request.purpose, Purpose::Commit | Purpose::End);
        // It says nothing of an earlier try.
        if is_write && (!request.is_unknown || scheme.no_space_settles_unknown) {
            return Some(self.unavailable(agency));
        }
        None
    }

    fn unavailable(&mut self, agency: AgencyId) -> Response {
        let service = self.service(agency);
        let consumed = service.known.account.map_or(0, |account| account.consumed);
        service.received = consumed;
        service.has_end = false;
        service.request = None;
        Response::Unavailable(consumed)
    }

    /// An answer of etcd to the transaction of an agency.
    pub fn on_answer(&mut self, agency: AgencyId, with: &mut Surroundings<'_>) -> Option<Response> {
        let known = self.service(agency).known;
        let basis = self.basis(agency, known);
        let request = self.service(agency).request.take().expect("a request that is waited for");
        let Try::Answered(answer) = request.newest else { return None };
        let outcome = match request.purpose {
            Purpose::Hello => outcome::of_hello(&answer, &basis, &request.wanted),
            _ => outcome::of_write(with.scheme, &answer, &basis, &request.wanted),
        };
        match outcome {
            Outcome::Done(count) => {
                let known = Known { account: Some(request.wanted), modified: answer.revision };
                Some(self.on_done(agency, request.purpose, known, count, with.scheme))
            }
            Outcome::Again(known, is_closed) => self.greet(agency, known, is_closed, with),
            Outcome::Superseded => {
                self.services[agency] = None;
                Some(Response::Retry)
            }
            Outcome::Closed => {
                self.services[agency] = None;
                Some(Response::DrawWasHeld)
            }
            Outcome::Differs(known) => {
                self.service(agency).known = known;
                Some(self.unavailable(agency))
            }
            Outcome::Deleted => {
                self.stop();
                None
            }
        }
    }

    fn on_done(
        &mut self,
        agency: AgencyId,
        purpose: Purpose,
        known: Known,
        count: Option<usize>,
        scheme: &Scheme,
    ) -> Response {
        let agencies = self.services.len();
        let service = self.service(agency);
        service.known = known;
        let consumed = known.account.map_or(0, |account| account.consumed);
        match purpose {
            Purpose::Hello => return self.welcome(agency, known, false),
            Purpose::Commit => return Response::Confirmed(consumed),
            Purpose::End | Purpose::Close => (),
        }
        service.has_end = false;
        service.is_waiting = true;
        if count == Some(agencies) || !scheme.counts_before_closing {
            self.close(scheme);
        }
        Response::Finished
    }

    fn close(&mut self, scheme: &Scheme) {
        if self.draw.is_none() && self.closing.is_none() {
            let txn = transactions::close(scheme, self.id, self.meta);
            self.closing = Some(Request::new(Purpose::Close, txn, Account::default()));
        }
    }

    /// The time of the transaction that closes the draw is over, or etcd had no space for it.
    pub fn on_close_unknown(&mut self) {
        if let Some(request) = &mut self.closing {
            request.send_again();
        }
    }

    /// An answer of etcd to the transaction that closes the draw.
    pub fn on_close_answer(&mut self) {
        let Some(Try::Answered(answer)) = self.closing.take().map(|request| request.newest) else {
            return;
        };
        if !answer.succeeded && outcome::is_deleted(&answer, self.meta) {
            self.stop();
        }
    }

    /// What a central with waiting agencies reads once a second: `closed`, the count, `meta`.
    pub fn poll(&mut self, store: &Store, scheme: &Scheme) {
        let is_waiting = self.services.iter().flatten().any(|service| service.is_waiting);
        if self.is_stopped || self.draw.is_some() || !is_waiting || !scheme.polls {
            return;
        }
        if scheme.polls_meta && self.has_lost_meta(store) {
            self.stop();
        } else if store.closed().is_none() && store.count_finished() == self.services.len() {
            self.close(scheme);
        }
    }

    fn has_lost_meta(&self, store: &Store) -> bool {
        store.get(Key::Meta).is_none_or(|entry| entry.created != self.meta)
    }

    /// Learns that the draw was held, by its watch or by reading, and announces it.
    pub fn announce(&mut self, store: &Store) -> bool {
        if self.is_stopped || self.draw.is_some() || store.closed().is_none() {
            return false;
        }
        self.draw = store.closed();
        true
    }

    /// Sends the winners to an agency that waits for them.
    pub fn send_winners(
        &mut self,
        agency: AgencyId,
        store: &Store,
        scheme: &Scheme,
    ) -> Option<Response> {
        if scheme.reads_meta_with_winners && self.has_lost_meta(store) {
            self.stop();
            return None;
        }
        self.services[agency] = None;
        Some(Response::Winners(store.winners(agency)))
    }

    /// Requests on their way to etcd.
    pub fn in_flight(&self) -> impl Iterator<Item = &Arc<Txn>> {
        let services = self.services.iter().flatten();
        let requests = services.filter_map(|service| service.request.as_ref()).chain(&self.closing);
        requests.filter(|request| request.newest == Try::Asked).map(|request| &request.txn)
    }

    fn stop(&mut self) {
        *self = Self { is_stopped: true, ..Self::new(self.id, self.meta, self.services.len()) };
    }
}

/// One transaction for all batches from what the account has consumed up to `received`.
fn commit(
    scheme: &Scheme,
    basis: &Basis,
    account: Account,
    received: Position,
    input: &[Bet],
) -> Request {
    let gathered = account.consumed..received;
    let of = |position: &Position| input[usize::from(*position)];
    let bets: Vec<_> = gathered.clone().filter(|at| of(at) != Bet::Invalid).collect();
    let winners: Vec<_> = gathered.clone().filter(|at| of(at) == Bet::Wins).collect();
    let stored = u8::try_from(bets.len()).expect("a few");
    let wanted = Account {
        consumed: received,
        stored: account.stored + stored,
        rejected: account.rejected + received - account.consumed - stored,
        winners: account.winners + u8::try_from(winners.len()).expect("a few"),
        ..account
    };
    let txn = transactions::commit(scheme, basis, wanted, bets, winners);
    Request::new(Purpose::Commit, txn, wanted)
}
