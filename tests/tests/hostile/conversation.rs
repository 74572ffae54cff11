//! One connection, a request and a response at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};
use wire::HEADER_LEN;

use kit::frames::{hello, responses};
use kit::process::TIMEOUT;
use kit::server::Server;

/// Where the honest peers come from; no attack does.
pub(crate) const HONEST: u8 = 2;

/// Where attacks come from.
pub(crate) const HOSTILE: u8 = 3;

/// Connects from 127.0.0.`host`.
pub(crate) fn connect_from(server: &Server, host: u8) -> TcpStream {
    connect_with(server, host, |_| Ok(())).expect("it listens")
}

/// With something set on the socket before it connects.
pub(crate) fn connect_with(
    server: &Server,
    host: u8,
    set: impl FnOnce(&Socket) -> std::io::Result<()>,
) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    set(&socket)?;
    let address = IpAddr::from(Ipv4Addr::new(127, 0, 0, host));
    socket.bind(&SocketAddr::new(address, 0).into())?;
    let server: SocketAddr = server.address().parse().expect("an address");
    socket.connect_timeout(&server.into(), TIMEOUT)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection that uses the lottery's protocol.
pub(crate) struct Conversation(pub(crate) TcpStream);

impl Conversation {
    pub(crate) fn new(server: &Server, host: u8) -> Self {
        Self(connect_from(server, host))
    }

    /// One that has introduced itself, and the response to that.
    pub(crate) fn introduced(server: &Server, host: u8, agency: u32) -> (Self, String) {
        let mut conversation = Self::new(server, host);
        let welcome = conversation.ask(&hello(agency));
        (conversation, welcome)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it takes input");
    }

    /// The next response, in words; "end" when the connection ended instead.
    pub(crate) fn receive(&mut self) -> String {
        self.try_receive().expect("a response, or an orderly end")
    }

    pub(crate) fn try_receive(&mut self) -> std::io::Result<String> {
        let mut frame = vec![0; HEADER_LEN];
        match self.0.read_exact(&mut frame) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok("end".to_owned()),
            Err(error) => return Err(error),
        }
        let length = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
        frame.resize(length, 0);
        self.0.read_exact(&mut frame[HEADER_LEN..])?;
        Ok(responses(&frame).0.remove(0))
    }

    pub(crate) fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes);
        self.receive()
    }

    pub(crate) fn try_ask(&mut self, bytes: &[u8]) -> std::io::Result<String> {
        self.0.write_all(bytes)?;
        self.try_receive()
    }
}
