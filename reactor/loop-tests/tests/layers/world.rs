//! A loop in memory with a scripted handler that serves toy layers, and its network.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::Receiver;

use loop_tests::toy::{self, FIRST, HELLO, Said, Toy};
use loop_tests::{Call, DynContext, Ending, Event, Recorder, Script, echo};
use reactor::testing::{MemoryLoop, MemoryNetwork, Peer};
use reactor::{ConnectionId, Limits};

pub(crate) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7000);

/// Where the test listens.
pub(crate) const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7001);

/// An echo behind a layer, which begins when its first byte has come.
pub(crate) fn echo_behind(layer: fn() -> Toy) -> Script {
    Script::new(move |cx, call| serve(cx, call, layer, echo))
}

/// A layer that begins when its first byte has come, and what is behind it.
pub(crate) fn serve(
    cx: &mut dyn DynContext,
    call: Call<'_>,
    layer: fn() -> Toy,
    behind: impl FnOnce(&mut dyn DynContext, &Call<'_>),
) {
    match call {
        Call::Data(id, input, consumed)
            if input[0] == FIRST && cx.peer_certificates(id).is_empty() =>
        {
            cx.start_layer(id, Box::new(layer()));
            *consumed = 0;
        }
        call => behind(cx, &call),
    }
}

/// A layer that begins when a connection opens, and what else happens.
pub(crate) fn at_once(
    mut more: impl FnMut(&mut dyn DynContext, Call<'_>) + Send + 'static,
) -> Script {
    Script::new(move |cx, call| {
        if let Call::Open(id) = call {
            cx.start_layer(id, Box::new(Toy::server()));
        }
        more(cx, call);
    })
}

pub(crate) struct World {
    pub(crate) network: MemoryNetwork,
    pub(crate) event_loop: MemoryLoop<Recorder>,
    events: Receiver<Event>,
    /// Calls that say that there is room again.
    resumed: Cell<u64>,
}

impl World {
    pub(crate) fn new(limits: Limits, script: Script) -> Self {
        Self::within(MemoryNetwork::new(), limits, script)
    }

    /// One whose handler calls [`FAR`].
    pub(crate) fn calling(script: Script) -> Self {
        let network = MemoryNetwork::new();
        network.listen(FAR).unwrap();
        Self::within(network, Limits::default(), script)
    }

    /// The test's end of a connection that the handler has asked for.
    pub(crate) fn called(&self) -> Peer {
        self.network.accept(FAR).unwrap()
    }

    fn within(network: MemoryNetwork, limits: Limits, script: Script) -> Self {
        let (recorder, events) = script.recorded();
        let mut event_loop = MemoryLoop::new(&network, limits, recorder);
        event_loop.listen(ADDRESS).unwrap();
        event_loop.start().unwrap();
        Self { network, event_loop, events, resumed: Cell::new(0) }
    }

    /// A connection to the loop, and what the loop calls it.
    pub(crate) fn connect(&mut self) -> (Peer, ConnectionId) {
        let peer = self.network.connect(ADDRESS).unwrap();
        self.run();
        let id = self.event_loop.id(peer.link()).unwrap();
        (peer, id)
    }

    /// The same, with the handshake behind it.
    pub(crate) fn greet(&mut self) -> (Peer, ConnectionId) {
        let (peer, id) = self.connect();
        peer.write_all(HELLO);
        self.run();
        assert_eq!(peer.read_arrived(), HELLO);
        self.calls();
        (peer, id)
    }

    pub(crate) fn turn(&mut self) {
        self.event_loop.turn().unwrap();
    }

    pub(crate) fn run(&mut self) {
        self.event_loop.run_until_quiescent().unwrap();
    }

    /// The handler's calls since the last time.
    pub(crate) fn calls(&self) -> Vec<Event> {
        let is_call = |event: &Event| !matches!(event, Event::BeforeFlush | Event::Waiting);
        let calls: Vec<_> = self.events.try_iter().filter(is_call).collect();
        let resumed = calls.iter().filter(|call| matches!(call, Event::Writable(_))).count();
        self.resumed.set(self.resumed.get() + resumed as u64);
        calls
    }

    /// The endings among the calls since the last time.
    pub(crate) fn endings(&self) -> Vec<Ending> {
        let calls = self.calls();
        let ending = |call: &Event| match call {
            Event::Close(_, ending) => Some(*ending),
            _ => None,
        };
        calls.iter().filter_map(ending).collect()
    }

    /// Everything that the loop sends to a peer, which reads until nothing more comes. Returns whether
    /// the connection has ended then, too.
    pub(crate) fn read(&mut self, peer: &Peer) -> (Said, bool) {
        let (mut wire, mut ended) = (Vec::new(), false);
        loop {
            self.run();
            match peer.read(usize::MAX).unwrap() {
                Some(bytes) if bytes.is_empty() => break,
                Some(bytes) => wire.extend(bytes),
                None => {
                    ended = true;
                    break;
                }
            }
        }
        (toy::read(&wire), ended)
    }
}

impl Drop for World {
    /// Whatever a test does, the loop makes no turn for nothing.
    fn drop(&mut self) {
        let counters = self.event_loop.counters();
        self.calls();
        // A socket that becomes writable is an event in which nothing happens, and so is a peer that is
        // read again.
        let allowed = 4 + 4 * (counters.accepted + counters.established) + self.resumed.get();
        let idle = counters.idle_turns;
        assert!(idle <= allowed || std::thread::panicking(), "{idle} idle turns: {counters:?}");
    }
}

/// What the handler was given of a connection, whatever pieces it came in.
pub(crate) fn delivered(calls: &[Event]) -> Vec<u8> {
    let input = |call: &Event| match call {
        Event::Data(_, input) => Some(input.clone()),
        _ => None,
    };
    calls.iter().filter_map(input).flatten().collect()
}
