//! A central: what the agencies that are connected to it want, passed on to its store.

use std::collections::BTreeMap;
use std::time::Instant;

use cluster::{Account, ClusterStore, Commit, Event, NotTaken, Phase};
use etcd::{Action, ConnectionNumber};

use crate::agency::{self, Response};

/// What a central asks of the network.
pub(crate) enum Asked {
    Connect(u64, usize),
    /// A whole request.
    Send(u64, Vec<u8>),
    Close(u64),
}

/// An agency's connection, as its central sees it.
#[derive(Debug)]
pub(crate) struct Service {
    connection: u32,
    /// The account, from when the store has answered HELLO.
    pub(crate) known: Option<Account>,
    /// How many bets are consumed when the commit is done that is under way.
    pub(crate) under_way: Option<u64>,
    /// Bets before this position have come.
    received: u64,
    has_end: bool,
    is_waiting: bool,
    documents: Vec<u8>,
}

pub(crate) struct Central {
    pub(crate) store: ClusterStore,
    /// Counts its lives: each begins with nothing.
    pub(crate) life: u32,
    /// Nothing reaches it before then, in microseconds.
    pub(crate) frozen_until: u64,
    /// By agency.
    pub(crate) services: BTreeMap<u32, Service>,
    /// What has come on each connection and isn't consumed.
    held: BTreeMap<u64, Vec<u8>>,
    is_drawn: bool,
    pub(crate) superseded: u64,
    pub(crate) unavailable: u64,
    pub(crate) full: u64,
}

/// For an agency, on a connection of it.
pub(crate) type Responses = Vec<(u32, u32, Response)>;

impl Central {
    pub(crate) fn new(store: ClusterStore, life: u32, now: Instant) -> Self {
        let mut central = Self {
            store,
            life,
            frozen_until: 0,
            services: BTreeMap::new(),
            held: BTreeMap::new(),
            is_drawn: false,
            superseded: 0,
            unavailable: 0,
            full: 0,
        };
        central.store.start(now);
        central
    }

    pub(crate) fn hello(&mut self, agency: u32, connection: u32, now: Instant) {
        let service = Service {
            connection,
            known: None,
            under_way: None,
            received: 0,
            has_end: false,
            is_waiting: false,
            documents: Vec::new(),
        };
        self.services.insert(agency, service);
        self.store.hello(agency, now);
    }

    pub(crate) fn bets(&mut self, agency: u32, connection: u32, end: u64) {
        if let Some(service) = self.service(agency, connection) {
            service.received = end;
        }
    }

    pub(crate) fn end(&mut self, agency: u32, connection: u32) {
        if let Some(service) = self.service(agency, connection) {
            service.has_end = true;
        }
    }

    pub(crate) fn leave(&mut self, agency: u32, now: Instant) {
        self.services.remove(&agency);
        self.store.leave(agency, now);
    }

    fn service(&mut self, agency: u32, connection: u32) -> Option<&mut Service> {
        self.services.get_mut(&agency).filter(|service| service.connection == connection)
    }

    /// Bytes of etcd have arrived.
    pub(crate) fn deliver(&mut self, number: u64, bytes: &[u8], now: Instant) {
        let Some(held) = self.held.get_mut(&number) else { return };
        held.extend_from_slice(bytes);
        let used = self.store.on_data(ConnectionNumber(number), held, now);
        held.drain(..used);
    }

    pub(crate) fn connected(&mut self, number: u64, now: Instant) {
        if self.held.contains_key(&number) {
            self.store.on_connected(ConnectionNumber(number), now);
        }
    }

    pub(crate) fn lost(&mut self, number: u64, now: Instant) {
        if self.held.remove(&number).is_some() {
            self.store.on_closed(ConnectionNumber(number), now);
        }
    }

    /// Goes on as far as it can: what it asks of the network, and what it says to agencies.
    pub(crate) fn act(&mut self, now: Instant) -> Result<(Vec<Asked>, Responses), String> {
        let mut responses = Vec::new();
        self.take_events(now, &mut responses)?;
        let agencies: Vec<_> = self.services.keys().copied().collect();
        for agency in agencies {
            self.write(agency, now);
        }
        self.take_events(now, &mut responses)?;
        Ok((self.actions(), responses))
    }

    fn actions(&mut self) -> Vec<Asked> {
        let mut asked = Vec::new();
        while let Some(action) = self.store.poll_action() {
            match action {
                Action::Connect { connection, endpoint } => {
                    self.held.insert(connection.0, Vec::new());
                    asked.push(Asked::Connect(connection.0, endpoint));
                }
                Action::Close { connection } => {
                    self.held.remove(&connection.0);
                    asked.push(Asked::Close(connection.0));
                }
                Action::Send { connection, head, body } => {
                    asked.push(Asked::Send(connection.0, [head, body].concat()));
                }
            }
        }
        asked
    }

    /// Commits what has come of an agency; its END, if that is all.
    fn write(&mut self, agency: u32, now: Instant) {
        let Some(service) = self.services.get_mut(&agency) else { return };
        let Some(known) = service.known.filter(|_| service.under_way.is_none()) else { return };
        if service.is_waiting || service.received <= known.consumed && !service.has_end {
            return;
        }
        let positions = known.consumed..service.received;
        let taken = if positions.is_empty() {
            self.store.end(agency, now)
        } else {
            let [count_stored, count_rejected, winners] = agency::counts(positions.clone());
            let commit = Commit {
                count_stored,
                count_rejected,
                checksum: agency::checksum_of(agency, service.received),
                rows: &agency::rows_of(agency, positions.clone()),
                winning: &agency::winning_of(agency, positions),
                winners,
            };
            self.store.commit(agency, &commit, now)
        };
        match taken {
            Ok(()) => service.under_way = Some(service.received),
            Err(NotTaken::Full) => self.full += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn take_events(&mut self, now: Instant, out: &mut Responses) -> Result<(), String> {
        while let Some(event) = self.store.poll_event() {
            match event {
                Event::Ready | Event::Accounts(_) | Event::Finished(_) => {}
                Event::Drawn { .. } if self.is_drawn => {
                    return Err("a draw was reported twice".to_owned());
                }
                Event::Drawn { .. } => self.is_drawn = true,
                Event::Stopped(error) => return Err(format!("a central stopped: {error}")),
                event => self.take_answer(event, now, out),
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, event: Event, now: Instant, out: &mut Responses) {
        let (agency, response) = match event {
            Event::Opened { agency, account, phase } => {
                let service = self.rest(agency, account);
                service.received = account.consumed;
                service.is_waiting = phase != Phase::Open;
                self.store.winners(agency, now);
                let Account { consumed, checksum, .. } = account;
                (agency, Response::Welcome { consumed, checksum, phase })
            }
            Event::Committed { agency, account } => {
                self.rest(agency, account);
                (agency, Response::Confirmed(account.consumed))
            }
            Event::Ended { agency, account } => {
                self.rest(agency, account).is_waiting = true;
                self.store.winners(agency, now);
                (agency, Response::Finished)
            }
            Event::Unavailable { agency, account, .. } => {
                self.unavailable += 1;
                return self.on_unavailable(agency, account, out);
            }
            Event::Superseded { agency } => {
                self.superseded += 1;
                return self.dismiss(agency, Response::Retry, out);
            }
            Event::Closed { agency, .. } => {
                return self.dismiss(agency, Response::DrawWasHeld, out);
            }
            Event::Winners { agency, documents, is_last } => {
                let service = self.services.get_mut(&agency).expect("it has asked");
                service.documents.extend(documents.0);
                if !is_last {
                    return self.store.winners(agency, now);
                }
                let documents = std::mem::take(&mut service.documents);
                (agency, Response::Winners(documents))
            }
            event => panic!("{event:?} answers no agency"),
        };
        out.push((agency, self.services[&agency].connection, response));
    }

    fn rest(&mut self, agency: u32, account: Account) -> &mut Service {
        let service = self.services.get_mut(&agency).expect("it is answered");
        (service.known, service.under_way) = (Some(account), None);
        service
    }

    /// After a HELLO, the agency has to say it again.
    fn on_unavailable(&mut self, agency: u32, account: Account, out: &mut Responses) {
        if self.services[&agency].known.is_none() {
            return self.dismiss(agency, Response::Retry, out);
        }
        let service = self.rest(agency, account);
        (service.received, service.has_end) = (account.consumed, false);
        out.push((agency, service.connection, Response::Unavailable(account.consumed)));
    }

    fn dismiss(&mut self, agency: u32, response: Response, out: &mut Responses) {
        let service = self.services.remove(&agency).expect("it is answered");
        out.push((agency, service.connection, response));
    }
}
