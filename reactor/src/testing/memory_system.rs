//! What a loop in memory runs on: sockets, events and the time of a network in memory.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::clock::Polled;
use crate::id::{ConnectionId, ListenerId};
use crate::limits::Limits;
use crate::signals::Signal;
use crate::system::{Events, Listener, Readiness, Socket, Source, System};
use crate::testing::link::Side;
use crate::testing::state::{HostId, LinkId, Shared};

/// First port of those who connect.
const FIRST_PORT: u16 = 40_000;

/// One loop's part of a network.
#[derive(Debug)]
pub(super) struct MemorySystem {
    pub(super) shared: Shared,
    pub(super) host: HostId,
    /// Where it connects from.
    pub(super) ip: IpAddr,
    port: u16,
    /// The time at which the last poll returned: no time passes in a turn.
    now: Instant,
    pub(super) shutdown_signals: VecDeque<&'static str>,
    pub(super) notices: VecDeque<Signal>,
}

impl MemorySystem {
    pub(super) fn new(shared: &Shared) -> Self {
        let mut state = shared.get();
        Self {
            shared: shared.clone(),
            host: state.add_host(),
            ip: Ipv4Addr::LOCALHOST.into(),
            port: FIRST_PORT,
            now: state.now,
            shutdown_signals: VecDeque::new(),
            notices: VecDeque::new(),
        }
    }

    /// Whether a poll would return at once.
    pub(super) fn has_events(&self) -> bool {
        self.has_signals() || self.shared.get().has_edges(self.host)
    }

    fn has_signals(&self) -> bool {
        !self.shutdown_signals.is_empty() || !self.notices.is_empty()
    }

    fn socket(&self, link: LinkId, side: Side) -> MemorySocket {
        MemorySocket { shared: self.shared.clone(), link, side }
    }
}

impl Drop for MemorySystem {
    fn drop(&mut self) {
        self.shared.get().remove_host(self.host);
    }
}

impl System for MemorySystem {
    type Socket = MemorySocket;
    type Listener = MemoryListener;
    type Events = MemoryEvents;

    fn now(&self) -> Instant {
        self.now
    }

    /// Doesn't wait. When nothing is ready and the timeout isn't over, it is like a poll that was
    /// interrupted.
    fn poll(&mut self, events: &mut MemoryEvents, timeout: Option<Duration>) -> io::Result<Polled> {
        let mut state = self.shared.get();
        let until = timeout.and_then(|timeout| self.now.checked_add(timeout));
        self.now = state.now;
        state.poll(self.host, &mut events.0);
        drop(state);
        if self.has_signals() {
            events.0.push((Source::Signals, Readiness { readable: true, ..Readiness::default() }));
        }
        Ok(match until {
            _ if !events.0.is_empty() => Polled::Events,
            Some(until) if until <= self.now => Polled::Nothing,
            _ => Polled::Interrupted,
        })
    }

    fn register(&mut self, socket: &mut MemorySocket, id: ConnectionId) -> io::Result<()> {
        let MemorySocket { link, side, .. } = *socket;
        self.shared.get().register(link, side, self.host, Source::Connection(id));
        Ok(())
    }

    fn deregister(&mut self, socket: &mut MemorySocket) {
        self.shared.get().deregister(socket.link, socket.side);
    }

    fn connect(&mut self, address: SocketAddr, _: &Limits) -> io::Result<MemorySocket> {
        let from = SocketAddr::new(self.ip, self.port);
        self.port = self.port.checked_add(1).unwrap_or(FIRST_PORT);
        let link = self.shared.get().connect(from, address);
        Ok(self.socket(link, Side::Caller))
    }

    fn attach(&mut self, stream: UnixStream) -> io::Result<MemorySocket> {
        let link = self.shared.get().attach(self.host, stream);
        Ok(self.socket(link, Side::Caller))
    }

    fn take_shutdown_signals(&mut self) -> impl Iterator<Item = &'static str> {
        self.shutdown_signals.drain(..)
    }

    fn take_notice(&mut self) -> Option<Signal> {
        self.notices.pop_front()
    }

    fn next_notice(&self) -> Option<Duration> {
        self.notices.front().map(|_| Duration::ZERO)
    }
}

/// What a poll has reported.
#[derive(Debug)]
pub(super) struct MemoryEvents(Vec<(Source, Readiness)>);

impl Events for MemoryEvents {
    fn with_capacity(_: usize) -> Self {
        Self(Vec::new())
    }

    /// It takes as many as there are.
    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn iter(&self) -> impl Iterator<Item = (Source, Readiness)> {
        self.0.iter().copied()
    }
}

/// A loop's end of a link.
#[derive(Debug)]
pub(super) struct MemorySocket {
    shared: Shared,
    pub(super) link: LinkId,
    pub(super) side: Side,
}

impl MemorySocket {
    fn address(&self, of: Side) -> io::Result<SocketAddr> {
        let state = self.shared.get();
        let placed = state.links.get(&self.link).ok_or(ErrorKind::NotConnected)?;
        Ok(placed.addresses[of as usize])
    }
}

impl Socket for MemorySocket {
    fn is_attached(&self) -> bool {
        let state = self.shared.get();
        state.links.get(&self.link).is_some_and(|placed| placed.link.is_pair())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address(self.side)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        let established = self.shared.get().change(self.link, |link| link.is_established());
        if established == Some(true) {
            self.address(self.side.other())
        } else {
            Err(ErrorKind::NotConnected.into())
        }
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.shared.get().change(self.link, |link| link.take_error(self.side));
        Ok(error.flatten().map(io::Error::from))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let result = self.shared.get().change(self.link, |link| link.shutdown(self.side));
        result.unwrap_or(Err(ErrorKind::NotConnected)).map_err(io::Error::from)
    }
}

impl io::Read for MemorySocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.shared.get().read(self.link, self.side, buffer)
    }
}

impl io::Write for MemorySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.get().write(self.link, self.side, bytes)
    }

    /// One call: the peer answers none of the slices before all of them are there.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &slice[..]).collect();
        self.write(&slices.concat())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        self.shared.close(self.link, self.side);
    }
}

/// A loop's listening socket.
#[derive(Debug)]
pub(super) struct MemoryListener {
    shared: Shared,
    address: SocketAddr,
}

impl MemoryListener {
    pub(super) fn new(
        system: &MemorySystem,
        id: ListenerId,
        address: SocketAddr,
    ) -> io::Result<Self> {
        system.shared.get().listen(Some((system.host, id)), address)?;
        Ok(Self { shared: system.shared.clone(), address })
    }
}

impl Listener for MemoryListener {
    type Socket = MemorySocket;

    fn accept(&self) -> io::Result<(MemorySocket, SocketAddr)> {
        let (link, peer) = self.shared.get().accept(self.address)?;
        let socket = MemorySocket { shared: self.shared.clone(), link, side: Side::Callee };
        Ok((socket, peer))
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.shared.unlisten(self.address);
    }
}
