//! A store over etcd in memory, which responds at once, or when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster::{Account, ClusterStore, Commit, Config, Event, NotTaken, Phase};
use etcd::{Action, ConnectionNumber};
use kit::memory_etcd::http::{self, HttpRequest, RequestReader};
use kit::memory_etcd::{MemoryEtcd, request};

/// The prefix of all keys.
pub(crate) const DRAW: &str = "/loteria/a/";

pub(crate) type Etcd = Rc<RefCell<MemoryEtcd>>;

pub(crate) struct Harness {
    pub(crate) store: ClusterStore,
    pub(crate) etcd: Etcd,
    pub(crate) now: Instant,
    readers: BTreeMap<u64, RequestReader>,
    /// The watch: its connection, its key, and the revision up to which it has reported.
    watch: Option<(u64, Vec<u8>, i64)>,
    /// Requests are kept instead of done.
    pub(crate) is_holding: bool,
    pub(crate) held: Vec<(u64, HttpRequest)>,
    /// What each request is answered with, instead of being done.
    pub(crate) refusal: Option<(u16, String)>,
}

thread_local! {
    /// The newest number that a central has drawn.
    static NEWEST: Cell<u64> = const { Cell::new(0) };
}

/// An empty one. Its centrals draw 1, 2, ..., whichever of them does.
pub(crate) fn etcd() -> Etcd {
    NEWEST.set(0);
    Rc::new(RefCell::new(MemoryEtcd::new()))
}

pub(crate) fn config(agencies: u32) -> Config {
    let endpoints = vec!["m0:2379".to_owned(), "m1:2379".to_owned()];
    Config::new(etcd::Config::new(endpoints), "a", agencies, "central-1")
}

pub(crate) fn key(rest: &str) -> String {
    format!("{DRAW}{rest}")
}

/// A central that wasn't started.
pub(crate) fn new(etcd: &Etcd, config: Config) -> Harness {
    let random = || {
        NEWEST.set(NEWEST.get() + 1);
        NEWEST.get()
    };
    Harness {
        store: ClusterStore::new(config, Box::new(random)).expect("a configuration"),
        etcd: Rc::clone(etcd),
        now: Instant::now(),
        readers: BTreeMap::new(),
        watch: None,
        is_holding: false,
        held: Vec::new(),
        refusal: None,
    }
}

/// A central that is ready.
pub(crate) fn ready(etcd: &Etcd, config: Config) -> Harness {
    let mut it = new(etcd, config);
    assert!(it.start().contains(&Event::Ready));
    it
}

impl Harness {
    pub(crate) fn start(&mut self) -> Vec<Event> {
        self.store.start(self.now);
        self.run()
    }

    pub(crate) fn hello(&mut self, agency: u32) -> Vec<Event> {
        self.store.hello(agency, self.now);
        self.run()
    }

    /// The account with which an agency's session begins.
    pub(crate) fn open(&mut self, agency: u32) -> Account {
        match &self.hello(agency)[..] {
            [Event::Opened { account, phase: Phase::Open, .. }] => *account,
            other => panic!("expected a session, found {other:?}"),
        }
    }

    /// Stores so many bets, of which the last one wins.
    pub(crate) fn commit(&mut self, agency: u32, count: u64) -> Vec<Event> {
        self.try_commit(agency, count).expect("it is taken");
        self.run()
    }

    pub(crate) fn try_commit(&mut self, agency: u32, count: u64) -> Result<(), NotTaken> {
        let commit = Commit {
            count_stored: count,
            count_rejected: 0,
            checksum: 7,
            rows: b"rows\n",
            winning: b"30904465\n",
            winners: 1,
        };
        self.store.commit(agency, &commit, self.now)
    }

    pub(crate) fn end(&mut self, agency: u32) -> Vec<Event> {
        self.store.end(agency, self.now).expect("it is taken");
        self.run()
    }

    pub(crate) fn winners(&mut self, agency: u32) -> Vec<Event> {
        self.store.winners(agency, self.now);
        self.run()
    }

    pub(crate) fn pass(&mut self, wait: Duration) -> Vec<Event> {
        self.now += wait;
        self.store.on_time(self.now);
        self.run()
    }

    /// A poll, and what it comes to.
    pub(crate) fn poll(&mut self) -> Vec<Event> {
        self.pass(Duration::from_secs(1))
    }

    /// What was held is done now, and what follows too.
    pub(crate) fn release(&mut self) -> Vec<Event> {
        self.is_holding = false;
        self.step()
    }

    /// What was held is done now; what follows is held.
    pub(crate) fn step(&mut self) -> Vec<Event> {
        for (number, request) in std::mem::take(&mut self.held) {
            self.respond(number, &request);
        }
        self.run()
    }

    /// Goes on until nothing is asked any more. The events.
    pub(crate) fn run(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let before = events.len();
            events.extend(std::iter::from_fn(|| self.store.poll_event()));
            let is_idle = !self.act() && !self.report_changes();
            if is_idle && events.len() == before {
                return events;
            }
        }
    }

    /// Does what the store asks for; whether it has asked for anything.
    fn act(&mut self) -> bool {
        let (mut connected, mut requests, mut has_acted) = (Vec::new(), Vec::new(), false);
        while let Some(action) = self.store.poll_action() {
            has_acted = true;
            match action {
                Action::Connect { connection, .. } => connected.push(connection),
                Action::Close { connection } => {
                    self.readers.remove(&connection.0);
                    self.watch.take_if(|(number, ..)| *number == connection.0);
                }
                Action::Send { connection, head, body } => {
                    let reader = self.readers.entry(connection.0).or_default();
                    reader.feed(head);
                    reader.feed(body);
                    requests.push((connection.0, reader.next_request().expect("a request")));
                }
            }
        }
        for connection in connected {
            self.store.on_connected(connection, self.now);
        }
        for (number, request) in requests {
            if self.is_holding && request.resource != "/v3/watch" {
                self.held.push((number, request));
            } else {
                self.respond(number, &request);
            }
        }
        has_acted
    }

    fn respond(&mut self, number: u64, asked: &HttpRequest) {
        let response = if let Some((status, body)) = &self.refusal {
            http::response(*status, body)
        } else if asked.resource == "/v3/watch" {
            let (created, revision) = self.etcd.borrow().watch();
            self.watch = Some((number, request::watched_key(&asked.body), revision));
            [http::chunked_head(200), http::chunk(&created)].concat()
        } else {
            let (status, body) = self.etcd.borrow_mut().call(&asked.resource, &asked.body);
            http::response(status, &body)
        };
        self.deliver(number, &response);
    }

    fn deliver(&mut self, number: u64, bytes: &[u8]) {
        if self.readers.contains_key(&number) {
            let used = self.store.on_data(ConnectionNumber(number), bytes, self.now);
            assert_eq!(used, bytes.len());
        }
    }

    fn report_changes(&mut self) -> bool {
        let Some((number, key, behind)) = &mut self.watch else { return false };
        let (number, etcd) = (*number, self.etcd.borrow());
        let lines = etcd.history.lines(key, *behind, etcd.cluster_id);
        *behind = etcd.history.changes().last().map_or(*behind, |change| change.revision);
        drop(etcd);
        for line in &lines {
            self.deliver(number, &http::chunk(line));
        }
        !lines.is_empty()
    }

    /// The value of a key of the draw, as text.
    pub(crate) fn value(&self, rest: &str) -> Option<String> {
        let etcd = self.etcd.borrow();
        let value = etcd.get(&key(rest))?;
        Some(String::from_utf8(value.to_vec()).expect("text"))
    }

    pub(crate) fn put(&self, rest: &str, value: &[u8]) {
        self.etcd.borrow_mut().put(&key(rest), value);
    }
}
