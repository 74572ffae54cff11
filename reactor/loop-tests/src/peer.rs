//! The other side of a connection: plain blocking sockets that don't wait for ever.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::amounts::PATIENCE;

/// Receive buffer of a narrow peer, in bytes. With much less, TCP itself waits before it sends on.
const NARROW: usize = 16 * 1024;

/// A peer that is connected, as far as the kernel is concerned.
pub fn peer(address: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
}

/// A peer that connects from an address of this machine.
pub fn peer_from(from: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    bounded(socket.into())
}

/// A peer with a small receive buffer: what is sent to it soon blocks.
pub fn narrow_peer(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(NARROW).unwrap();
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    bounded(socket.into())
}

fn bounded(peer: TcpStream) -> TcpStream {
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// Reads once. A read with a timeout is interrupted when the test itself is stopped and continued
/// (signal(7)): that isn't the loop's doing.
///
/// # Errors
/// As of `read`.
pub fn read_some(mut peer: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match peer.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads `count` bytes.
pub fn read_exactly(mut peer: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    peer.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads to the end of the stream; a reset fails the test.
pub fn read_all(mut peer: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Writes as much as the sockets take while the loop doesn't read. Returns how many bytes that is.
pub fn fill(mut peer: &TcpStream) -> usize {
    let chunk = [b'x'; 16 * 1024];
    let mut written = 0;
    peer.set_nonblocking(true).unwrap();
    loop {
        match peer.write(&chunk) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("filling the socket: {error}"),
        }
    }
    peer.set_nonblocking(false).unwrap();
    written
}

/// Closes with a reset.
pub fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
}

/// Bytes that show when some are missing, twice there or in another order.
pub fn pattern(length: usize) -> Vec<u8> {
    // 251 is prime: no power of two, as buffers are, is a multiple of it.
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}
