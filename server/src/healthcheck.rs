//! `server healthcheck`: whether the central that runs with this configuration answers, told by
//! one echo over loopback.
//!
//! It calls from an address of its own, and the central logs what comes from there as DEBUG only:
//! somebody who asks every few seconds must not fill the log. No other machine can call from it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Where the check calls from. On Linux all of 127.0.0.0/8 is this machine; the last byte is the
/// `H` of health.
pub const PROBE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, b'H');

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(2);

const MESSAGE: &[u8] = b"healthcheck\n";

/// Why the central can't be called healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Which port it has, only its log tells.
    #[error(
        "SERVER_PORT is 0, any free port, which can't be guessed: set the one that the server logs"
    )]
    NoPort,
    /// Nobody is there.
    #[error(
        "{address}: nobody listens there: the server isn't running, is still reading its ledger, or \
         has another SERVER_PORT or SERVER_BIND than this check"
    )]
    NobodyListens {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// It can't be asked.
    #[error("{address}: can't ask: {source}")]
    Unreachable {
        /// Where it should listen.
        address: SocketAddr,
        /// What came instead.
        source: io::Error,
    },
    /// It doesn't answer in time.
    #[error(
        "{address}: no answer within {} s: the server is stopped or overloaded, or something else \
         listens there", PATIENCE.as_secs()
    )]
    TooSlow {
        /// Where it listens.
        address: SocketAddr,
    },
    /// It ends the connection instead of an answer.
    #[error(
        "{address}: closed after {found} of {} bytes of the answer: the server is ending or has no \
         place left (its log says), or something else listens there", MESSAGE.len()
    )]
    Closed {
        /// Where it listens.
        address: SocketAddr,
        /// Bytes that came.
        found: usize,
    },
    /// It answers something else.
    #[error(
        "{address}: expected the answer {:?}, found {found:?}: something else listens there",
        String::from_utf8_lossy(MESSAGE)
    )]
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
    let mut found = Vec::new();
    let asked = ask(address, &mut found);
    if !MESSAGE.starts_with(&found) {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(Unhealthy::OtherAnswer { address, found });
    }
    asked.map_err(|source| match source.kind() {
        ErrorKind::ConnectionRefused => Unhealthy::NobodyListens { address },
        // What a socket says whose patience is over.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unhealthy::TooSlow { address },
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Unhealthy::Closed { address, found: found.len() }
        }
        _ => Unhealthy::Unreachable { address, source },
    })
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

/// Appends what is answered to `answer`: as many bytes as were sent, unless it fails.
fn ask(address: SocketAddr, answer: &mut Vec<u8>) -> io::Result<()> {
    let begun = Instant::now();
    let left = || PATIENCE.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv4() {
        socket.bind(&SocketAddr::from((PROBE, 0)).into())?;
    }
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(left()))?;
    stream.write_all(MESSAGE)?;
    while answer.len() < MESSAGE.len() {
        if begun.elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left()))?;
        let mut piece = [0; MESSAGE.len()];
        match stream.read(&mut piece[answer.len()..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                let end = answer.len() + count;
                answer.extend_from_slice(&piece[answer.len()..end]);
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

    /// Somebody who answers with these bytes, and who they come from.
    fn answering(answer: &'static [u8]) -> (Result<(), Unhealthy>, IpAddr) {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let peer = std::thread::spawn(move || {
            let (mut stream, peer) = listener.accept().expect("a call");
            stream.read_exact(&mut [0; MESSAGE.len()]).expect("asked");
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

    /// What is said of somebody who answers so, without the address.
    fn said_of(answer: &'static [u8]) -> String {
        let text = answering(answer).0.unwrap_err().to_string();
        text.split_once(": ").expect("an address").1.to_owned()
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(
            said_of(b"HTTP/1.1 400"),
            "expected the answer \"healthcheck\\n\", found \"HTTP/1.1 400\": something else listens \
             there"
        );
        assert!(said_of(b"wealth").contains("found \"wealth\""), "{}", said_of(b"wealth"));
        for (answer, count) in [(&b""[..], 0), (b"heal", 4)] {
            assert_eq!(
                said_of(answer),
                format!(
                    "closed after {count} of 12 bytes of the answer: the server is ending or has no \
                     place left (its log says), or something else listens there"
                )
            );
        }
    }

    #[test]
    fn nobody_is_not_healthy_and_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(
            check(address).unwrap_err().to_string(),
            format!(
                "{address}: nobody listens there: the server isn't running, is still reading its \
                 ledger, or has another SERVER_PORT or SERVER_BIND than this check"
            )
        );
        let text = check(([127, 0, 0, 1], 0).into()).unwrap_err().to_string();
        assert!(text.contains("SERVER_PORT"), "{text}");
    }

    #[test]
    fn who_never_answers_is_not_waited_for() {
        // Who is never accepted.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = check(listener.local_addr().unwrap()).unwrap_err().to_string();
        assert!(
            text.contains(": no answer within 2 s: the server is stopped or overloaded"),
            "{text}"
        );
    }
}
