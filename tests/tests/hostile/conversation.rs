//! Where connections come from.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use kit::conversation::Conversation;
use kit::process::TIMEOUT;
use kit::server::Server;

/// Where the honest peers come from; no attack does.
pub(crate) const HONEST: u8 = 2;

/// Where attacks come from.
pub(crate) const HOSTILE: u8 = 3;

/// Where a connection to this port comes from: the honest ones from 127.0.0.2, attacks from 127.0.x.`host`
/// with an x for each port. The kernel keeps the ports of a closed connection for a minute, and an attack
/// leaves those of one address used up to the next attack.
pub(crate) fn own_address(port: u16, host: u8) -> Ipv4Addr {
    let [_, low] = port.to_be_bytes();
    Ipv4Addr::new(127, 0, if host == HONEST { 0 } else { low }, host)
}

/// Connects from [`own_address`].
pub(crate) fn connect_from(server: &Server, host: u8) -> TcpStream {
    connect_with(server, host, |_| Ok(())).expect("it listens")
}

/// With something set on the socket before it connects.
pub(crate) fn connect_with(
    server: &Server,
    host: u8,
    set: impl FnOnce(&Socket) -> std::io::Result<()>,
) -> std::io::Result<TcpStream> {
    connect_to(server.address().parse().expect("an address"), host, set)
}

/// The same to any address.
pub(crate) fn connect_to(
    address: SocketAddr,
    host: u8,
    set: impl FnOnce(&Socket) -> std::io::Result<()>,
) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    set(&socket)?;
    let own = own_address(address.port(), host);
    socket.bind(&SocketAddr::new(own.into(), 0).into())?;
    socket.connect_timeout(&address.into(), TIMEOUT)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An agency that has introduced itself, and the response to that.
pub(crate) fn introduce(
    server: &Server,
    host: u8,
    agency: u32,
) -> (Conversation<TcpStream>, String) {
    Conversation::introduced(connect_from(server, host), agency)
}
