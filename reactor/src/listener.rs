//! The listening socket: an address is bound, listened at, and connections are accepted.
//!
//! Knows no limit of connections and no handler: whether to accept is decided in `accepting`.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::limits::Limits;
use crate::socket_options;
use crate::system::Listener;

/// Errors that `accept` returns about one connection, and not about the listening socket.
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

/// What one attempt to accept returned.
#[derive(Debug)]
pub(crate) enum Accept<S> {
    /// A new connection.
    Connection(S, SocketAddr),
    /// No connection waits.
    WouldBlock,
    /// One connection failed before it was accepted; the next one may be fine.
    ConnectionFailed(io::Error),
    /// Accepting failed for all of them, in a way that passes: no descriptors, no memory.
    Failed(io::Error),
}

/// An address that is bound. Connections to it are refused until it is listened at.
///
/// Another process may bind it too meanwhile, unless one of the two listens by then. A socket that
/// another process has [passed on](crate::EventLoop::adopt) is listened at from the beginning.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    /// Whoever has passed it on listens already, with a backlog of its own choice.
    is_listening: bool,
}

impl Bound {
    pub(crate) fn new(address: SocketAddr, limits: &Limits) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        // A restarted central must get its port back while old connections are in TIME_WAIT.
        socket.set_reuse_address(true)?;
        set_options(&socket, limits)?;
        socket.bind(&address.into())?;
        Ok(Self { socket, is_listening: false })
    }

    /// A socket that another process has made listen and passed on.
    pub(crate) fn adopted(listener: std::net::TcpListener, limits: &Limits) -> io::Result<Self> {
        let socket = Socket::from(listener);
        if !socket.is_listener()? {
            let error = "expected a socket that listens, found one that doesn't";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        set_options(&socket, limits)?;
        Ok(Self { socket, is_listening: true })
    }

    /// Listens there, with a backlog of so many connections, unless it is listened at already: what waits
    /// there while no program runs is for whoever has made the socket to say.
    pub(crate) fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let Self { socket, is_listening } = self;
        if !is_listening {
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        }
        Ok(TcpListener::from_std(socket.into()))
    }
}

/// Accepted sockets inherit all of it: no system call per connection.
fn set_options(socket: &Socket, limits: &Limits) -> io::Result<()> {
    socket_options::set(&SockRef::from(socket), limits.tcp_keepalive)?;
    socket_options::set_buffers(socket, limits.socket_buffer_size)
}

/// One attempt to accept.
pub(crate) fn accept<L: Listener>(listener: &L) -> Accept<L::Socket> {
    loop {
        match listener.accept() {
            Ok((socket, peer)) => return Accept::Connection(socket, peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accept::WouldBlock,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_of_one_connection(&error) => return Accept::ConnectionFailed(error),
            Err(error) => return Accept::Failed(error),
        }
    }
}

/// Whether an error is about the connection that was to be accepted, which Linux reports here: the
/// peer or the network on the way to it is gone, or a firewall forbids it. See accept(2), "Error
/// handling".
fn is_of_one_connection(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    number.is_some_and(|number| ERRORS_OF_ONE_CONNECTION.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket_options::{KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};
    use crate::stream::Stream;
    use mio::net::TcpStream;
    use std::time::Duration;

    /// A socket that a listener with these limits has accepted.
    fn accepted(limits: &Limits) -> TcpStream {
        let address = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let listener = Bound::new(address, limits).unwrap().listen(5).unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let Accept::Connection(Stream::Peer(stream), _) = accept(&listener) else {
            panic!("the peer is established already");
        };
        stream
    }

    #[test]
    fn errors_of_one_connection_are_distinguished_from_those_of_all() {
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
        let listener = bound.listen(5).unwrap();
        let second = Bound::new(listener.local_addr().unwrap(), &limits).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    /// As many as one program is restarted for.
    #[test]
    fn what_waits_at_an_adopted_socket_is_accepted_and_its_backlog_stays() {
        const WAITING: usize = 5;
        let passed_on = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = passed_on.local_addr().unwrap();
        let bound = Bound::adopted(passed_on, &Limits::default()).unwrap();
        let listener = bound.listen(0).unwrap();
        let timeout = Duration::from_secs(20);
        let connect = |()| std::net::TcpStream::connect_timeout(&address, timeout).unwrap();
        let _peers = [(); WAITING].map(connect);
        for _ in 0..WAITING {
            assert!(matches!(accept(&listener), Accept::Connection(..)));
        }
        assert!(matches!(accept(&listener), Accept::WouldBlock), "it is non-blocking");
    }

    #[test]
    fn a_socket_that_does_not_listen_is_not_adopted() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let error = Bound::adopted(socket.into(), &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), "expected a socket that listens, found one that doesn't");
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

    /// As far as the kernel says: a socket gets its options from the one that it was accepted at.
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
