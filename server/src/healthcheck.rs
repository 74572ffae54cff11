//! `server healthcheck`: asks the central that runs with this configuration for one echo over
//! loopback.
//!
//! It connects from an address of its own, whose connections the central logs as DEBUG only: a check
//! every few seconds must not fill the log. No other machine can connect from it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// The address that the check connects from. On Linux all of 127.0.0.0/8 is this machine; the last byte is the
/// `H` of health.
pub const PROBE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, b'H');

/// Longest wait for the echo.
const TIMEOUT: Duration = Duration::from_secs(2);

const MESSAGE: &[u8] = b"healthcheck\n";

/// Why the central isn't healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Only its log names the port.
    #[error(
        "SERVER_PORT is 0, any free port, which can't be guessed: set the one that the server logs"
    )]
    NoPort,
    /// The connection is refused.
    #[error(
        "{address}: nothing listens there: the server isn't running, is still reading its ledger, or \
         has another SERVER_PORT or SERVER_BIND than this check"
    )]
    NotListening {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// Another error.
    #[error("{address}: can't ask: {source}")]
    Unreachable {
        /// Where it should listen.
        address: SocketAddr,
        /// What the kernel returned.
        source: io::Error,
    },
    /// The echo doesn't come in time.
    #[error(
        "{address}: no echo within {} s: the server is stopped or overloaded, or something else \
         listens there", TIMEOUT.as_secs()
    )]
    TimedOut {
        /// Where it listens.
        address: SocketAddr,
    },
    /// It closes the connection before the echo is complete.
    #[error(
        "{address}: closed after {found} of {} bytes of the echo: the server is shutting down or at \
         its connection limit (its log says), or something else listens there", MESSAGE.len()
    )]
    Closed {
        /// Where it listens.
        address: SocketAddr,
        /// Bytes that came.
        found: usize,
    },
    /// It sends something else.
    #[error(
        "{address}: expected the echo {:?}, found {found:?}: something else listens there",
        String::from_utf8_lossy(MESSAGE)
    )]
    UnexpectedResponse {
        /// Where it listens.
        address: SocketAddr,
        /// What it sent.
        found: String,
    },
}

/// Sends a line to the server at `listening`, and expects the same back.
///
/// # Errors
/// [`Unhealthy`].
pub fn check(listening: SocketAddr) -> Result<(), Unhealthy> {
    if listening.port() == 0 {
        return Err(Unhealthy::NoPort);
    }
    let address = SocketAddr::new(reachable(listening.ip()), listening.port());
    let mut found = Vec::new();
    let asked = ask(address, &mut found);
    if !MESSAGE.starts_with(&found) {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(Unhealthy::UnexpectedResponse { address, found });
    }
    asked.map_err(|source| match source.kind() {
        ErrorKind::ConnectionRefused => Unhealthy::NotListening { address },
        // A socket returns either when its timeout is over.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unhealthy::TimedOut { address },
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Unhealthy::Closed { address, found: found.len() }
        }
        _ => Unhealthy::Unreachable { address, source },
    })
}

/// The address to connect to for a server bound to `bound`. One bound to all addresses is asked over
/// IPv4, which an IPv6 socket takes too.
fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            Ipv4Addr::LOCALHOST.into()
        }
        one => one,
    }
}

/// Sends the message and appends what comes back to `response`: as many bytes as were sent, unless it
/// fails.
fn ask(address: SocketAddr, response: &mut Vec<u8>) -> io::Result<()> {
    let start = Instant::now();
    let left = || TIMEOUT.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv4() {
        socket.bind(&SocketAddr::from((PROBE, 0)).into())?;
    }
    socket.connect_timeout(&address.into(), TIMEOUT)?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(left()))?;
    stream.write_all(MESSAGE)?;
    while response.len() < MESSAGE.len() {
        if start.elapsed() > TIMEOUT {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left()))?;
        let mut piece = [0; MESSAGE.len()];
        match stream.read(&mut piece[response.len()..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                let end = response.len() + count;
                response.extend_from_slice(&piece[response.len()..end]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What the check says of a server that responds with these bytes, and the address it came from.
    fn responding(response: &'static [u8]) -> (Result<(), Unhealthy>, IpAddr) {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let peer = std::thread::spawn(move || {
            let (mut stream, peer) = listener.accept().expect("a connection");
            stream.read_exact(&mut [0; MESSAGE.len()]).expect("the message");
            stream.write_all(response).expect("written");
            peer.ip()
        });
        let result = check(address);
        (result, peer.join().expect("no panic"))
    }

    #[test]
    fn an_echo_is_healthy_and_comes_from_its_own_address() {
        let (result, peer) = responding(MESSAGE);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(peer, PROBE);
    }

    /// The error for a server that responds with these bytes, without the address.
    fn error_for(response: &'static [u8]) -> String {
        let text = responding(response).0.unwrap_err().to_string();
        text.split_once(": ").expect("an address").1.to_owned()
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(
            error_for(b"HTTP/1.1 400"),
            "expected the echo \"healthcheck\\n\", found \"HTTP/1.1 400\": something else listens \
             there"
        );
        assert!(error_for(b"wealth").contains("found \"wealth\""), "{}", error_for(b"wealth"));
        for (response, count) in [(&b""[..], 0), (b"heal", 4)] {
            assert_eq!(
                error_for(response),
                format!(
                    "closed after {count} of 12 bytes of the echo: the server is shutting down or at \
                     its connection limit (its log says), or something else listens there"
                )
            );
        }
    }

    #[test]
    fn a_port_without_listener_is_not_healthy_and_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(
            check(address).unwrap_err().to_string(),
            format!(
                "{address}: nothing listens there: the server isn't running, is still reading its \
                 ledger, or has another SERVER_PORT or SERVER_BIND than this check"
            )
        );
        let text = check(([127, 0, 0, 1], 0).into()).unwrap_err().to_string();
        assert!(text.contains("SERVER_PORT"), "{text}");
    }

    #[test]
    fn a_server_that_never_responds_is_not_waited_for() {
        // The connection is never accepted.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = check(listener.local_addr().unwrap()).unwrap_err().to_string();
        assert!(
            text.contains(": no echo within 2 s: the server is stopped or overloaded"),
            "{text}"
        );
    }
}
