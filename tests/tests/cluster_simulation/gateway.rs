//! The members of etcd: takes requests out of connections, lets each meet its fate, and writes responses.
//! Knows HTTP and the store; nothing of what is kept there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kit::memory_etcd::http::{self, HttpRequest, RequestReader};
use kit::memory_etcd::request::Op;
use kit::memory_etcd::{MemoryEtcd, request};
use reactor::testing::Peer;

use crate::counts::Counts;
use crate::fates::Fate;

/// How many members there are.
pub(crate) const MEMBERS: usize = 3;

/// Where a member listens.
pub(crate) fn address(member: usize) -> SocketAddr {
    let member = u8::try_from(member).expect("a few");
    SocketAddr::from(([10, 1, 0, member], 2379))
}

/// A connection, in the order in which they were made.
type Name = u64;

#[derive(Debug)]
struct Connection {
    peer: Peer,
    member: usize,
    reader: RequestReader,
    /// The key that is watched, and the revision behind which changes are reported.
    watch: Option<(Vec<u8>, i64)>,
}

/// Something that happens at its time.
#[derive(Debug)]
enum Happening {
    /// A request is done; the response goes back, if it is to.
    Done(Option<Name>, HttpRequest),
    Lost(Name),
    /// The member is well again.
    Up(usize),
    HasSpace,
    /// There is a leader again, another one.
    HasLeader,
}

/// All members.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) store: MemoryEtcd,
    /// How many of a hundred requests have another fate than the normal one.
    pub(crate) fault_percent: u8,
    /// A write of an account that was tried before is settled by a read, without doing it: a mutation.
    pub(crate) settles_by_reading: bool,
    /// The bodies of those that were tried.
    tried: BTreeSet<Vec<u8>>,
    is_down: [bool; MEMBERS],
    has_leader: bool,
    connections: BTreeMap<Name, Connection>,
    /// Requests that may be done now, in any order.
    ready: Vec<(Option<Name>, HttpRequest)>,
    later: BTreeMap<(Instant, u64), Happening>,
    count: u64,
}

impl Gateway {
    pub(crate) fn new(store: MemoryEtcd, fault_percent: u8) -> Self {
        Self {
            store,
            fault_percent,
            settles_by_reading: false,
            tried: BTreeSet::new(),
            is_down: [false; MEMBERS],
            has_leader: true,
            connections: BTreeMap::new(),
            ready: Vec::new(),
            later: BTreeMap::new(),
            count: 0,
        }
    }

    pub(crate) fn is_down(&self, member: usize) -> bool {
        self.is_down[member]
    }

    /// A member has taken a call.
    pub(crate) fn accept(&mut self, member: usize, peer: Peer) {
        self.count += 1;
        let connection = Connection { peer, member, reader: RequestReader::default(), watch: None };
        self.connections.insert(self.count, connection);
    }

    /// When something happens next by itself.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is due happens, what has arrived is read, and one request is done. Returns whether anything
    /// of it was there.
    pub(crate) fn turn(&mut self, now: Instant, random: &mut Rng, counts: &mut Counts) -> bool {
        if let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let happening = first.remove();
            self.happen(happening);
            return true;
        }
        let has_read = self.read(now, random, counts);
        if self.ready.is_empty() {
            return has_read;
        }
        let (name, request) = self.ready.swap_remove(random.usize(..self.ready.len()));
        self.perform(name, &request);
        true
    }

    /// There is no space for a while.
    pub(crate) fn fill(&mut self, until: Instant) {
        self.store.is_full = true;
        self.after(until, Happening::HasSpace);
    }

    /// There is no leader for a while, and another one then.
    pub(crate) fn elect(&mut self, until: Instant) {
        self.has_leader = false;
        self.after(until, Happening::HasLeader);
    }

    /// Another cluster takes the place of this one, with what this one had at an earlier time. What was
    /// asked of this one is never done.
    pub(crate) fn restore(&mut self, backup: MemoryEtcd) {
        self.connections.clear();
        self.ready.clear();
        self.later.retain(|_, happening| !matches!(happening, Happening::Done(..)));
        let before = std::mem::replace(&mut self.store, backup);
        self.store.cluster_id = before.cluster_id + 1;
        (self.store.is_full, self.store.faults) = (before.is_full, before.faults);
    }

    /// A member is gone for a while, and with it its connections.
    pub(crate) fn take_down(&mut self, member: usize, until: Instant) {
        self.is_down[member] = true;
        self.connections.retain(|_, connection| connection.member != member);
        self.after(until, Happening::Up(member));
    }

    /// Nothing goes wrong from here on; what was done to earlier requests still happens.
    pub(crate) fn stop_faults(&mut self) {
        self.fault_percent = 0;
        self.is_down = [false; MEMBERS];
        self.has_leader = true;
        self.store.is_full = false;
    }

    fn after(&mut self, at: Instant, happening: Happening) {
        self.count += 1;
        self.later.insert((at, self.count), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Done(name, request) => self.perform(name, &request),
            Happening::Lost(name) => drop(self.connections.remove(&name)),
            Happening::Up(member) => self.is_down[member] = false,
            Happening::HasSpace => self.store.is_full = false,
            Happening::HasLeader => {
                self.has_leader = true;
                self.store.raft_term += 1;
            }
        }
    }

    /// Takes the requests that have arrived; connections that have ended are dropped.
    fn read(&mut self, now: Instant, random: &mut Rng, counts: &mut Counts) -> bool {
        let (mut asked, mut has_read) = (Vec::new(), false);
        self.connections.retain(|&name, connection| {
            let Ok(Some(bytes)) = connection.peer.read(usize::MAX) else { return false };
            has_read |= !bytes.is_empty();
            connection.reader.feed(&bytes);
            asked.extend(
                std::iter::from_fn(|| connection.reader.next_request()).map(|one| (name, one)),
            );
            true
        });
        for (name, request) in asked {
            let drawn = Fate::any(random, self.fault_percent);
            let fate = if self.has_leader { drawn } else { Fate::Refused };
            if self.is_settled(name, &request) {
                continue;
            }
            if request.resource == "/v3/watch" {
                self.watch(name, &request, fate == Fate::Normal, counts);
            } else {
                counts.add_some(fate.name());
                self.meet(name, request, fate, now, random);
            }
        }
        has_read
    }

    /// By a read, if that is how writes of accounts are settled.
    fn is_settled(&mut self, name: Name, request: &HttpRequest) -> bool {
        if !self.settles_by_reading || !writes_account(request) {
            return false;
        }
        if self.tried.insert(request.body.clone()) {
            return false;
        }
        self.tried.remove(&request.body);
        let (status, body) = self.store.fail(&request.body);
        self.respond(name, &http::response(status, &body));
        true
    }

    fn meet(
        &mut self,
        name: Name,
        request: HttpRequest,
        fate: Fate,
        now: Instant,
        random: &mut Rng,
    ) {
        let course = fate.course(random);
        if let Some(refusal) = course.refusal {
            self.respond(name, &refusal);
        }
        if let Some(after) = course.lost {
            self.after(now + after, Happening::Lost(name));
        }
        match course.done.map(|(after, is_answered)| (after, Some(name).filter(|_| is_answered))) {
            Some((Duration::ZERO, back)) => self.ready.push((back, request)),
            Some((after, back)) => self.after(now + after, Happening::Done(back, request)),
            None => {}
        }
    }

    /// One that isn't reported to is never told of anything.
    fn watch(
        &mut self,
        name: Name,
        asked: &HttpRequest,
        is_reported_to: bool,
        counts: &mut Counts,
    ) {
        let (created, revision) = self.store.watch();
        self.respond(name, &[http::chunked_head(200), http::chunk(&created)].concat());
        if !is_reported_to {
            return counts.add("watch that is silent");
        }
        if let Some(connection) = self.connections.get_mut(&name) {
            connection.watch = Some((request::watched_key(&asked.body), revision));
        }
    }

    fn perform(&mut self, back: Option<Name>, request: &HttpRequest) {
        let changes = self.store.history.changes().len();
        let (status, body) = self.store.call(&request.resource, &request.body);
        if let Some(name) = back {
            self.respond(name, &http::response(status, &body));
        }
        if self.store.history.changes().len() > changes {
            self.report_changes();
        }
    }

    /// To those that watch.
    pub(crate) fn report_changes(&mut self) {
        let (store, mut news) = (&self.store, Vec::new());
        for (&name, connection) in &mut self.connections {
            let Some((key, behind)) = &connection.watch else { continue };
            let lines = store.history.lines(key, *behind, store.cluster_id);
            if !lines.is_empty() {
                connection.watch = None;
                news.push((
                    name,
                    lines.iter().flat_map(|line| http::chunk(line)).collect::<Vec<_>>(),
                ));
            }
        }
        for (name, bytes) in news {
            self.respond(name, &bytes);
        }
    }

    /// Bytes for a connection, if it is still there.
    fn respond(&mut self, name: Name, bytes: &[u8]) {
        let Some(connection) = self.connections.get(&name) else { return };
        match connection.peer.write(bytes) {
            Ok(written) => assert_eq!(written, bytes.len(), "a connection holds a response"),
            Err(_) => drop(self.connections.remove(&name)),
        }
    }
}

fn writes_account(request: &HttpRequest) -> bool {
    let is_account = |key: &[u8]| key.windows(6).any(|part| part == b"/acct/");
    request.resource == "/v3/kv/txn"
        && request::txn(&request.body)
            .success
            .iter()
            .any(|op| matches!(op, Op::Put { key, .. } if is_account(key)))
}
