//! The two loops, as a script sees them.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use reactor::testing::{Call, MemoryLoop, MemoryNetwork, Peer, Recorder};
use reactor::{Counters, EventLoop, Limits, ListenerLimits, RunError, TurnHook};
use socket2::{Domain, SockRef, Socket, Type};

use crate::interpreter::{Failure, Interpreter};
use crate::security::Security;

/// Longer than the kernel takes for anything here.
const PATIENCE: Duration = Duration::from_secs(10);

/// Receive buffer of a peer, in bytes.
const RECEIVE_BUFFER: usize = 16 * 1024;

/// A peer's end of a connection. Dropping it closes it.
pub(crate) trait Wire {
    /// Writes some of the bytes, maybe none.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads some bytes, maybe none; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>>;

    fn shutdown(&mut self) -> io::Result<()>;

    fn reset(self);
}

/// Which listener of the loop is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Main,
    Apart,
}

/// A loop with an [`Interpreter`], and what is around it.
pub(crate) trait Driver {
    type Wire: Wire;

    /// What was waited for until now is over.
    fn begin_step(&mut self);

    /// Connects to the loop, at one of its listeners.
    fn connect(&mut self, door: Door) -> Self::Wire;

    /// Takes a connection that the loop has asked for, if there is one.
    fn accept(&mut self) -> Option<Self::Wire>;

    /// Takes the other end of a pair that the handler has attached, if there is one.
    fn take_attached(&mut self) -> Option<Self::Wire>;

    /// Lets time pass.
    fn advance(&mut self, time: Duration);

    /// Makes a turn, unless there is nothing to make one for: in memory nothing is left to do, over
    /// the kernel nothing more is `wanted`, or it was waited for in vain. Returns whether it did.
    fn turn(&mut self, wanted: bool) -> bool;

    /// What the handler's last turn came to.
    fn failure(&self) -> Option<Failure>;

    fn is_over(&self) -> bool;

    /// The handler's calls since the last time.
    fn take_calls(&mut self) -> Vec<Call>;

    fn counters(&self) -> Counters;
}

const LISTENING: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7000);
const LISTENING_APART: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7003);
const TEST_LISTENING: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7001);

/// The loop in memory.
pub(crate) struct Memory {
    network: MemoryNetwork,
    event_loop: MemoryLoop<Recorder<Interpreter>>,
    failure: Option<Failure>,
}

impl Memory {
    pub(crate) fn new(security: Security, limits: &Limits, apart: &ListenerLimits) -> Self {
        let network = MemoryNetwork::new();
        network.listen(TEST_LISTENING).expect("nothing else listens");
        let refusing = SocketAddr::from((Ipv4Addr::LOCALHOST, 7002));
        let handler = Recorder::new(Interpreter::new(security, TEST_LISTENING, refusing));
        let mut event_loop = MemoryLoop::new(&network, limits.clone(), handler);
        event_loop.listen(LISTENING).expect("nothing else listens");
        event_loop.listen_apart(LISTENING_APART, apart.clone()).expect("nothing else listens");
        event_loop.start().expect("it isn't made to fail");
        Self { network, event_loop, failure: None }
    }
}

impl Driver for Memory {
    type Wire = Peer;

    fn begin_step(&mut self) {}

    fn connect(&mut self, door: Door) -> Peer {
        let address = match door {
            Door::Main => LISTENING,
            Door::Apart => LISTENING_APART,
        };
        self.network.connect(address).expect("the loop listens")
    }

    fn accept(&mut self) -> Option<Peer> {
        self.network.accept(TEST_LISTENING)
    }

    fn take_attached(&mut self) -> Option<Peer> {
        self.event_loop.take_attached().map(|attached| attached.peer)
    }

    fn advance(&mut self, time: Duration) {
        self.network.advance(time);
    }

    fn turn(&mut self, _: bool) -> bool {
        if self.is_over() || self.event_loop.is_quiescent() {
            return false;
        }
        // Of two alarms the one that was set in an earlier turn goes off first, as over the kernel.
        self.network.advance(Duration::from_nanos(1));
        self.failure = self.event_loop.turn().err();
        true
    }

    fn failure(&self) -> Option<Failure> {
        self.failure
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || self.event_loop.is_over()
    }

    fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.event_loop.handler.calls)
    }

    fn counters(&self) -> Counters {
        self.event_loop.counters()
    }
}

impl Wire for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write(self, bytes)
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        Self::read(self, usize::MAX)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self)
    }

    fn reset(self) {
        Self::reset(self);
    }
}

/// Lets no turn wait for long: the script has something to do in between.
#[derive(Debug)]
pub(crate) struct Brief;

impl TurnHook for Brief {
    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }
}

/// The loop over the kernel.
pub(crate) struct Kernel {
    event_loop: EventLoop<Brief>,
    handler: Recorder<Interpreter>,
    address: SocketAddr,
    address_apart: SocketAddr,
    listener: TcpListener,
    barrier: Barrier,
    failure: Option<Failure>,
    turns: u32,
    step_began: Instant,
}

impl Kernel {
    pub(crate) fn new(security: Security, limits: &Limits, apart: &ListenerLimits) -> Self {
        let localhost = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(localhost).expect("a port is free");
        listener.set_nonblocking(true).expect("it can be set");
        let listening = listener.local_addr().expect("it listens");
        let refusing = TcpListener::bind(localhost).expect("a port is free");
        let refusing = refusing.local_addr().expect("it listened");
        let mut handler = Recorder::new(Interpreter::new(security, listening, refusing));
        let event_loop = EventLoop::with_hook(limits.clone(), Brief);
        let mut event_loop = event_loop.expect("there are descriptors");
        let address = event_loop.listen(localhost, 100).expect("a port is free");
        let bound = event_loop.bind(localhost).expect("a port is free");
        let apart = event_loop.listen_apart(bound, 100, apart.clone());
        let (_, address_apart) = apart.expect("nothing else listens");
        event_loop.start(&mut handler).expect("it isn't made to fail");
        Self {
            event_loop,
            handler,
            address,
            address_apart,
            listener,
            barrier: Barrier::new(),
            failure: None,
            turns: 0,
            step_began: Instant::now(),
        }
    }
}

impl Driver for Kernel {
    type Wire = KernelWire;

    fn begin_step(&mut self) {
        (self.turns, self.step_began) = (0, Instant::now());
    }

    fn connect(&mut self, door: Door) -> KernelWire {
        let address = match door {
            Door::Main => self.address,
            Door::Apart => self.address_apart,
        };
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("there are descriptors");
        socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("it can be set");
        socket.connect(&address.into()).expect("the loop listens");
        KernelWire::tcp(socket.into())
    }

    fn accept(&mut self) -> Option<KernelWire> {
        self.listener.accept().ok().map(|(stream, _)| KernelWire::tcp(stream))
    }

    fn take_attached(&mut self) -> Option<KernelWire> {
        let stream = self.handler.handler.attached.pop_front()?;
        stream.set_nonblocking(true).expect("it can be set");
        Some(KernelWire::Unix(stream))
    }

    fn advance(&mut self, _: Duration) {}

    fn turn(&mut self, wanted: bool) -> bool {
        let in_vain = self.step_began.elapsed() > PATIENCE;
        // At least a few: what is not waited for happens too.
        if self.is_over() || in_vain || (!wanted && self.turns >= 3) {
            return false;
        }
        self.turns += 1;
        self.barrier.pass();
        match self.event_loop.turn(&mut self.handler) {
            Ok(()) => {}
            Err(RunError::Handler(failure)) => self.failure = Some(failure),
            Err(RunError::Poll(error)) => panic!("{error}"),
        }
        true
    }

    fn failure(&self) -> Option<Failure> {
        self.failure
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || self.event_loop.is_over()
    }

    fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.handler.calls)
    }

    fn counters(&self) -> Counters {
        self.event_loop.counters()
    }
}

/// A connection of the test with itself. The kernel delivers what is sent on this machine in the order
/// in which it was sent, but on a busy machine not at once: when a byte has passed here, everything has
/// arrived that was sent before, the end of a connection behind its last bytes.
struct Barrier(TcpStream, TcpStream);

impl Barrier {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let caller = TcpStream::connect(address).expect("it listens");
        caller.set_nodelay(true).expect("it can be set");
        Self(caller, listener.accept().expect("it was called").0)
    }

    fn pass(&mut self) {
        self.0.write_all(&[0]).expect("it is open");
        self.1.read_exact(&mut [0]).expect("it is open");
    }
}

/// A socket that doesn't block.
pub(crate) enum KernelWire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl KernelWire {
    fn tcp(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).expect("it can be set");
        stream.set_nodelay(true).expect("it can be set");
        Self::Tcp(stream)
    }
}

impl Wire for KernelWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; 64 * 1024];
        let result = match self {
            Self::Tcp(stream) => stream.read(&mut bytes),
            Self::Unix(stream) => stream.read(&mut bytes),
        };
        match result {
            Ok(0) => Ok(None),
            Ok(count) => {
                bytes.truncate(count);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn reset(self) {
        if let Self::Tcp(stream) = &self {
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("it can be set");
        }
    }
}
