//! What a network in memory consists of: links and who is at their ends, listeners, and what each
//! loop's next poll reports.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Instant;

use crate::id::{ConnectionId, ListenerId};
use crate::system::{Readiness, Source};
use crate::testing::link::{Kind, Link, Side};

/// Bytes that a direction of a link holds, unless the test says otherwise.
const CAPACITY: usize = 64 * 1024;

/// Name of a link, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(super) u64);

/// Name of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostId(u64);

/// A link, and who is at its ends. Arrays are by [`Side`].
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) link: Link,
    pub(super) addresses: [SocketAddr; 2],
    /// Loops that get events, and what they call the link.
    owners: [Option<(HostId, Source)>; 2],
    /// The owner's next poll looks at this end.
    listed: [bool; 2],
}

#[derive(Debug)]
struct Listener {
    /// The loop that listens, and what it calls this; `None` if the test listens.
    host: Option<(HostId, ListenerId)>,
    backlog: VecDeque<LinkId>,
    /// What the next calls of `accept` return.
    failures: VecDeque<io::Error>,
}

/// Something that a poll looks at.
#[derive(Debug, Clone, Copy)]
enum Edge {
    End(LinkId, Side),
    Listener(ListenerId),
}

/// One state for the network's handles, its loops and its peers.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Rc<RefCell<State>>);

impl Shared {
    pub(super) fn get(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Closes a socket. Does nothing in the middle of a panic that comes out of a call to here.
    pub(super) fn close(&self, link: LinkId, side: Side) {
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.change(link, |link| link.close(side));
        }
    }

    /// Closes a listening socket, as [`close`](Self::close) does.
    pub(super) fn unlisten(&self, address: SocketAddr) {
        if let Ok(mut state) = self.0.try_borrow_mut() {
            state.unlisten(address);
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: Instant,
    pub(super) links: BTreeMap<LinkId, Placed>,
    links_made: u64,
    hosts_made: u64,
    listeners: BTreeMap<SocketAddr, Listener>,
    edges: BTreeMap<HostId, VecDeque<Edge>>,
    /// The handler's ends of attached pairs, until the test takes them.
    attached: VecDeque<(HostId, LinkId, UnixStream)>,
    pub(super) capacity: usize,
    pub(super) delivers_at_once: bool,
    /// Calls where nobody listens wait for the test's decision.
    pub(super) holds_connects: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: Instant::now(),
            links: BTreeMap::new(),
            links_made: 0,
            hosts_made: 0,
            listeners: BTreeMap::new(),
            edges: BTreeMap::new(),
            attached: VecDeque::new(),
            capacity: CAPACITY,
            delivers_at_once: true,
            holds_connects: false,
        }
    }
}

/// Loops.
impl State {
    pub(super) fn add_host(&mut self) -> HostId {
        self.hosts_made += 1;
        let host = HostId(self.hosts_made);
        self.edges.insert(host, VecDeque::new());
        host
    }

    pub(super) fn remove_host(&mut self, host: HostId) {
        self.edges.remove(&host);
        while let Some((link, _)) = self.take_attached(host) {
            self.change(link, |link| link.close(Side::Callee));
        }
    }

    /// What a poll of this loop reports. Each source comes once, with all that it is ready for now.
    pub(super) fn poll(&mut self, host: HostId, events: &mut Vec<(Source, Readiness)>) {
        events.clear();
        let edges = self.edges.get_mut(&host).map(std::mem::take).unwrap_or_default();
        for edge in edges {
            match edge {
                Edge::Listener(id) => {
                    let readiness = Readiness { readable: true, ..Readiness::default() };
                    events.push((Source::Listener(id), readiness));
                }
                Edge::End(id, side) => {
                    let Some(placed) = self.links.get_mut(&id) else { continue };
                    placed.listed[side as usize] = false;
                    let Some((_, source)) = placed.owners[side as usize] else { continue };
                    events.push((source, placed.link.readiness(side)));
                }
            }
        }
    }

    /// Whether a poll of this loop would return at once.
    pub(super) fn has_edges(&self, host: HostId) -> bool {
        self.edges.get(&host).is_some_and(|edges| !edges.is_empty())
    }
}

/// Listeners.
impl State {
    pub(super) fn listen(
        &mut self,
        host: Option<(HostId, ListenerId)>,
        address: SocketAddr,
    ) -> io::Result<()> {
        if self.listeners.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let (backlog, failures) = (VecDeque::new(), VecDeque::new());
        self.listeners.insert(address, Listener { host, backlog, failures });
        Ok(())
    }

    /// Connections that wait there are reset.
    pub(super) fn unlisten(&mut self, address: SocketAddr) {
        let Some(listener) = self.listeners.remove(&address) else { return };
        for id in listener.backlog {
            self.change(id, |link| {
                link.reset(Side::Callee);
                link.close(Side::Callee);
            });
        }
    }

    pub(super) fn is_listening(&self, address: SocketAddr) -> bool {
        self.listeners.contains_key(&address)
    }

    pub(super) fn fail_accept(&mut self, address: SocketAddr, error: io::Error) {
        if let Some(listener) = self.listeners.get_mut(&address) {
            listener.failures.push_back(error);
        }
    }

    /// One `accept`.
    pub(super) fn accept(&mut self, address: SocketAddr) -> io::Result<(LinkId, SocketAddr)> {
        let listener = self.listeners.get_mut(&address).ok_or(ErrorKind::WouldBlock)?;
        if let Some(error) = listener.failures.pop_front() {
            return Err(error);
        }
        let id = listener.backlog.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let [caller, _] = self.links[&id].addresses;
        Ok((id, caller))
    }
}

/// Links.
impl State {
    fn insert(&mut self, link: Link, addresses: [SocketAddr; 2]) -> LinkId {
        self.links_made += 1;
        let id = LinkId(self.links_made);
        self.links.insert(id, Placed { link, addresses, owners: [None; 2], listed: [false; 2] });
        id
    }

    /// One `connect`: the kernel takes it for a loop that listens there, and refuses it if none does.
    pub(super) fn connect(&mut self, from: SocketAddr, to: SocketAddr) -> LinkId {
        let Some(listener) = self.listeners.get_mut(&to) else {
            let mut link = Link::pending(self.capacity);
            if !self.holds_connects {
                link.break_off(None);
            }
            return self.insert(link, [from, to]);
        };
        let id = LinkId(self.links_made + 1);
        listener.backlog.push_back(id);
        let host = listener.host;
        self.insert(Link::established(Kind::Tcp, self.capacity), [from, to]);
        if let Some((host, name)) = host
            && let Some(edges) = self.edges.get_mut(&host)
        {
            edges.retain(|edge| !matches!(edge, Edge::Listener(other) if *other == name));
            edges.push_back(Edge::Listener(name));
        }
        id
    }

    pub(super) fn attach(&mut self, host: HostId, stream: UnixStream) -> LinkId {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let id = self.insert(Link::established(Kind::Pair, self.capacity), [nowhere; 2]);
        self.attached.push_back((host, id, stream));
        id
    }

    /// The first of the ends that this loop has attached and the test hasn't taken.
    pub(super) fn take_attached(&mut self, host: HostId) -> Option<(LinkId, UnixStream)> {
        let index = self.attached.iter().position(|(owner, ..)| *owner == host)?;
        self.attached.remove(index).map(|(_, link, stream)| (link, stream))
    }

    /// Events of this end are reported to a loop from now on, beginning with what it is ready for.
    pub(super) fn register(&mut self, id: LinkId, side: Side, host: HostId, source: Source) {
        let Some(placed) = self.links.get_mut(&id) else { return };
        placed.owners[side as usize] = Some((host, source));
        placed.link.take_edge(side);
        if placed.link.readiness(side) != Readiness::default() {
            self.list(id, side);
        }
    }

    pub(super) fn deregister(&mut self, id: LinkId, side: Side) {
        if let Some(placed) = self.links.get_mut(&id) {
            placed.owners[side as usize] = None;
        }
    }

    /// What a loop calls a link.
    pub(super) fn connection_of(&self, host: HostId, link: LinkId) -> Option<ConnectionId> {
        let owners = self.links.get(&link)?.owners;
        owners.into_iter().flatten().find_map(|(owner, source)| match source {
            Source::Connection(id) if owner == host => Some(id),
            _ => None,
        })
    }

    fn list(&mut self, id: LinkId, side: Side) {
        let Some(placed) = self.links.get_mut(&id) else { return };
        let Some((host, _)) = placed.owners[side as usize] else { return };
        if let Some(edges) = self.edges.get_mut(&host)
            && !std::mem::replace(&mut placed.listed[side as usize], true)
        {
            edges.push_back(Edge::End(id, side));
        }
    }

    /// Does something to a link, and to the loops at its ends what follows from it. Does nothing to
    /// one that is over.
    pub(super) fn change<T>(
        &mut self,
        id: LinkId,
        change: impl FnOnce(&mut Link) -> T,
    ) -> Option<T> {
        let link = &mut self.links.get_mut(&id)?.link;
        let result = change(link);
        // A pair of sockets is one buffer in the kernel: nothing flies.
        if self.delivers_at_once || link.is_pair() {
            link.deliver(Side::Caller, usize::MAX);
            link.deliver(Side::Callee, usize::MAX);
        }
        let edges = [Side::Caller, Side::Callee].map(|side| (side, link.take_edge(side)));
        let is_over = link.is_over();
        for (side, _) in edges.into_iter().filter(|(_, edge)| *edge) {
            self.list(id, side);
        }
        if is_over {
            self.links.remove(&id);
        }
        Some(result)
    }

    pub(super) fn read(&mut self, id: LinkId, side: Side, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.change(id, |link| link.read(side, buffer)).unwrap_or(Ok(0));
        result.map_err(io::Error::from)
    }

    pub(super) fn write(&mut self, id: LinkId, side: Side, bytes: &[u8]) -> io::Result<usize> {
        let result = self.change(id, |link| link.write(side, bytes));
        result.unwrap_or(Err(ErrorKind::BrokenPipe)).map_err(io::Error::from)
    }
}
