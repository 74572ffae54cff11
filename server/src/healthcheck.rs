//! `server healthcheck`: whether the central that runs with this configuration answers, told by
//! one echo over loopback.
//!
//! It calls from an address of its own, and the central logs what comes from there as DEBUG only:
//! somebody who asks every few seconds must not fill the log. No other machine can call from it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Where the check calls from. On Linux all of 127.0.0.0/8 is this machine; the last byte is the
/// `H` of health.
pub const PROBE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, b'H');

/// Longest wait for the connection, and for each piece of the answer.
const PATIENCE: Duration = Duration::from_secs(2);

const MESSAGE: &[u8] = b"healthcheck\n";

/// Why the central can't be called healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Which port it has, only its log tells.
    #[error("SERVER_PORT is 0: any free port, which can't be guessed")]
    NoPort,
    /// It doesn't answer.
    #[error("{address}: {source}")]
    Silent {
        /// Where it should listen.
        address: SocketAddr,
        /// What came instead.
        source: io::Error,
    },
    /// It doesn't answer in time.
    #[error("{address}: no answer within {} s", PATIENCE.as_secs())]
    TooSlow {
        /// Where it listens.
        address: SocketAddr,
    },
    /// It answers something else.
    #[error("{address}: expected {:?}, found {found:?}", String::from_utf8_lossy(MESSAGE))]
    OtherAnswer {
        /// Where it listens.
        address: SocketAddr,
        /// What it said.
        found: String,
    },
}

/// Sends a line to whoever listens at `listening`, and expects the same back.
///
/// # Errors
/// [`Unhealthy`].
pub fn check(listening: SocketAddr) -> Result<(), Unhealthy> {
    if listening.port() == 0 {
        return Err(Unhealthy::NoPort);
    }
    let address = SocketAddr::new(reachable(listening.ip()), listening.port());
    let found = ask(address).map_err(|source| match source.kind() {
        // What a socket says whose patience is over.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Unhealthy::TooSlow { address },
        _ => Unhealthy::Silent { address, source },
    })?;
    if found != MESSAGE {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(Unhealthy::OtherAnswer { address, found });
    }
    Ok(())
}

/// The address to call when somebody listens at `bound`. Whoever listens at all addresses is
/// called over IPv4, which an IPv6 socket takes too.
fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            Ipv4Addr::LOCALHOST.into()
        }
        one => one,
    }
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv4() {
        socket.bind(&SocketAddr::from((PROBE, 0)).into())?;
    }
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(MESSAGE)?;
    let mut answer = vec![0; MESSAGE.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Somebody who answers with these bytes, and who they come from.
    fn answering(answer: &'static [u8]) -> (Result<(), Unhealthy>, IpAddr) {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let peer = std::thread::spawn(move || {
            let (mut stream, peer) = listener.accept().expect("a call");
            stream.write_all(answer).expect("written");
            peer.ip()
        });
        let result = check(address);
        (result, peer.join().expect("no panic"))
    }

    #[test]
    fn an_echo_is_healthy_and_comes_from_its_own_address() {
        let (result, peer) = answering(MESSAGE);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(peer, PROBE);
    }

    #[test]
    fn anything_else_is_not() {
        let (result, _) = answering(b"wealthcheck\n");
        assert!(matches!(result, Err(Unhealthy::OtherAnswer { .. })), "{result:?}");
        let (result, _) = answering(b"");
        assert!(matches!(result, Err(Unhealthy::Silent { .. })), "{result:?}");
    }

    #[test]
    fn nobody_is_not_healthy_and_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = check(address).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{address}: ")), "{text}");
        let text = check(([127, 0, 0, 1], 0).into()).unwrap_err().to_string();
        assert!(text.contains("SERVER_PORT"), "{text}");
    }
}
