//! The listening socket, and the memory of whether somebody may be waiting at it.
//!
//! Readiness is edge-triggered, and after `accept` has failed for want of descriptors the kernel
//! says nothing more, even when descriptors are free again. So "somebody may be waiting" is
//! remembered until `accept` itself says that nobody is.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::limits::Limits;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Probes that a dead peer leaves unanswered before its connection fails.
const KEEPALIVE_PROBES: u32 = 3;

/// Pause between two such probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Silences after which the kernel can begin to ask, in whole seconds: `MAX_TCP_KEEPIDLE`.
const KEEPALIVE: RangeInclusive<u64> = 1..=32_767;

/// What `accept` says of one connection, and not of the listening socket.
const ERRORS_OF_ONE_CONNECTION: [Errno; 14] = [
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::PERM,
    Errno::PROTO,
    Errno::PROTONOSUPPORT,
    Errno::SOCKTNOSUPPORT,
    Errno::NOPROTOOPT,
    Errno::OPNOTSUPP,
    Errno::NETDOWN,
    Errno::NETUNREACH,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::NONET,
    Errno::TIMEDOUT,
];

/// What became of one attempt to accept.
#[derive(Debug)]
pub(crate) enum Accept {
    /// A new connection.
    Connection(TcpStream, SocketAddr),
    /// Nobody is waiting.
    Nobody,
    /// One connection was lost before it could be accepted; the next one may be fine.
    Lost(io::Error),
    /// It failed for all of them, in a way that passes: no descriptors, no memory.
    Exhausted(io::Error),
}

/// An address that is taken, and not listened at yet: whoever calls it is refused.
///
/// Another process that takes it meanwhile may do so too, unless one of the two listens by then.
#[derive(Debug)]
pub struct Bound(Socket);

impl Bound {
    pub(crate) fn new(address: SocketAddr, limits: &Limits) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        // A restarted central must get its port back while old connections are in TIME_WAIT.
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit all of it: no system call per connection.
        set_options(&SockRef::from(&socket), limits.tcp_keepalive)?;
        set_buffers(&socket, limits.socket_buffer_size)?;
        socket.bind(&address.into())?;
        Ok(Self(socket))
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that vary independently")]
pub(crate) struct Listener {
    socket: TcpListener,
    /// Somebody may be waiting.
    pub(crate) ready: bool,
    /// Accepting failed, or the limit of connections was reached.
    paused: bool,
    /// Something has changed since: it is worth another try.
    pub(crate) retry: bool,
    /// A connection was accepted since the last time that nobody was waiting.
    pub(crate) busy: bool,
}

impl Listener {
    pub(crate) fn new(
        registry: &Registry,
        token: mio::Token,
        bound: Bound,
        backlog: u32,
    ) -> io::Result<Self> {
        let Bound(socket) = bound;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let mut socket = TcpListener::from_std(socket.into());
        registry.register(&mut socket, token, Interest::READABLE)?;
        // Ready at first: whoever came before the registration gave no event.
        Ok(Self { socket, ready: true, paused: false, retry: false, busy: true })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether an attempt to accept may bring somebody.
    pub(crate) fn wants_accept(&self) -> bool {
        self.ready && (self.retry || !self.paused)
    }

    /// Says whether it wasn't paused before.
    pub(crate) fn pause(&mut self) -> bool {
        self.retry = false;
        !std::mem::replace(&mut self.paused, true)
    }

    /// Says whether it was paused.
    pub(crate) fn resume(&mut self) -> bool {
        std::mem::take(&mut self.paused)
    }

    pub(crate) fn accept(&mut self) -> Accept {
        loop {
            match self.socket.accept() {
                Ok((stream, peer)) => return Accept::Connection(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return Accept::Nobody;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_of_one_connection(&error) => return Accept::Lost(error),
                Err(error) => return Accept::Exhausted(error),
            }
        }
    }
}

/// Whether it is an error of the connection that was to be accepted, which Linux reports here: the
/// peer or the network on the way to it is gone again, or a firewall forbids it. See accept(2),
/// "Error handling".
fn is_of_one_connection(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    number.is_some_and(|number| ERRORS_OF_ONE_CONNECTION.contains(&number))
}

/// Small answers leave at once, and a peer that vanished without a word is noticed.
pub(crate) fn set_options(socket: &SockRef<'_>, keepalive: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if keepalive.is_zero() {
        return Ok(());
    }
    let seconds = keepalive.as_secs().clamp(*KEEPALIVE.start(), *KEEPALIVE.end());
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(seconds))
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )
}

/// Before the socket listens: the window that a connection offers is agreed upon at its beginning.
fn set_buffers(socket: &Socket, bytes: usize) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    socket.set_send_buffer_size(bytes)?;
    socket.set_recv_buffer_size(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that a listener with these limits has accepted.
    fn accepted(limits: &Limits) -> TcpStream {
        let poll = mio::Poll::new().unwrap();
        let address = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let mut listener =
            Listener::new(poll.registry(), mio::Token(0), Bound::new(address, limits).unwrap(), 5)
                .unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let Accept::Connection(stream, _) = listener.accept() else {
            panic!("the peer is established already");
        };
        stream
    }

    #[test]
    fn errors_of_one_connection_are_told_from_those_of_all() {
        let is_of_one = |number| is_of_one_connection(&io::Error::from_raw_os_error(number));
        let lost = ["EPERM", "EPROTO", "ENETDOWN", "ECONNABORTED", "EHOSTUNREACH", "ETIMEDOUT"];
        for (number, name) in [1, 71, 100, 103, 113, 110].into_iter().zip(lost) {
            assert!(is_of_one(number), "{name}");
        }
        let exhausted = ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EINVAL", "EBADF"];
        for (number, name) in [24, 23, 12, 105, 22, 9].into_iter().zip(exhausted) {
            assert!(!is_of_one(number), "{name}");
        }
    }

    #[test]
    fn an_address_is_taken_by_one_who_listens_there() {
        let limits = Limits::default();
        let bound = Bound::new((std::net::Ipv4Addr::LOCALHOST, 0).into(), &limits).unwrap();
        let poll = mio::Poll::new().unwrap();
        let listener = Listener::new(poll.registry(), mio::Token(0), bound, 5).unwrap();
        let second = Bound::new(listener.local_addr().unwrap(), &limits).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    /// The kernel doubles what is asked for.
    #[test]
    fn accepted_sockets_have_the_buffers_that_were_asked_for() {
        const SIZE: usize = 32 * 1024;
        let stream = accepted(&Limits { socket_buffer_size: SIZE, ..Limits::default() });
        let socket = SockRef::from(&stream);
        assert_eq!(socket.recv_buffer_size().unwrap(), 2 * SIZE);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * SIZE);
    }

    /// As far as the kernel tells: a socket gets its options from the one that it was accepted at.
    #[test]
    fn accepted_sockets_have_the_options_of_the_listener() {
        for (keepalive, expected) in [
            (Duration::ZERO, None),
            (Duration::from_millis(1), Some(Duration::from_secs(1))),
            (Duration::from_mins(1), Some(Duration::from_mins(1))),
            (Duration::MAX, Some(Duration::from_secs(32_767))),
        ] {
            let stream = accepted(&Limits { tcp_keepalive: keepalive, ..Limits::default() });
            let socket = SockRef::from(&stream);
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.keepalive().unwrap(), expected.is_some());
            if let Some(expected) = expected {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), expected);
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
            }
        }
    }
}
