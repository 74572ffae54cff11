//! `server healthcheck`: asks the central that runs with this configuration over loopback how it is.
//! Where it has an admin listener, whether it is ready; else for one echo.
//!
//! It connects from an address of its own, whose connections the central logs as DEBUG only: a check
//! every few seconds must not fill the log. No other machine can connect from it, so that the central
//! answers it without TLS where others need that.

pub mod configured;
mod readiness;

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use self::readiness::Answer;
use crate::admin_address::AdminAddress;

/// The address that the check connects from. On Linux all of 127.0.0.0/8 is this machine; the last byte is the
/// `H` of health.
pub const PROBE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, b'H');

/// Whether it is the check that connects from this address.
pub(crate) fn is_probe(ip: IpAddr) -> bool {
    ip.to_canonical() == PROBE
}

/// Longest wait for what was asked for.
const TIMEOUT: Duration = Duration::from_secs(2);

const MESSAGE: &[u8] = b"healthcheck\n";

/// Bytes of an unexpected response that are shown.
const SHOWN_MAX: usize = 64;

/// What the central is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// That a line comes back, from the listener of the agencies.
    Echo,
    /// That `/readyz` says so, from the admin listener, by HTTP.
    Readiness,
}

impl Check {
    /// Which settings say where it is asked.
    fn settings(self) -> &'static str {
        match self {
            Self::Echo => "SERVER_PORT or SERVER_BIND",
            Self::Readiness => "SERVER_ADMIN_ADDRESS",
        }
    }

    /// Which setting leaves its port open.
    fn port(self) -> &'static str {
        match self {
            Self::Echo => "SERVER_PORT",
            Self::Readiness => "the port of SERVER_ADMIN_ADDRESS",
        }
    }

    /// What is to come, when nothing has.
    fn response(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Readiness => "answer of /readyz",
        }
    }

    /// Why nothing may listen yet in a server that runs. The admin listener is there from the first.
    fn not_yet(self) -> &'static str {
        match self {
            Self::Echo => "is still reading its ledger, ",
            Self::Readiness => "",
        }
    }

    /// How much of it so many bytes are.
    fn part(self, found: usize) -> String {
        match self {
            Self::Echo => format!("{found} of {} bytes of the echo", MESSAGE.len()),
            Self::Readiness => format!("{found} bytes of the answer of /readyz"),
        }
    }
}

/// What it is to be.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => write!(f, "the echo {:?}", String::from_utf8_lossy(MESSAGE)),
            Self::Readiness => f.write_str("200 or 503 of /readyz"),
        }
    }
}

/// Why the central isn't healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Where it should listen isn't known.
    #[error("SERVER_ADMIN_ADDRESS = {address}: can't look that name up: {source}")]
    NoAddress {
        /// Its name.
        address: AdminAddress,
        /// What the system says.
        source: io::Error,
    },
    /// Only its log names the port.
    #[error(
        "{} is 0, any free port, which can't be guessed: set the one that the server logs", .0.port()
    )]
    NoPort(Check),
    /// The connection is refused.
    #[error(
        "{address}: nothing listens there: the server isn't running, {}or has another {} than this check",
        check.not_yet(), check.settings()
    )]
    NotListening {
        /// What it is asked for.
        check: Check,
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
    /// What it is asked for doesn't come in time.
    #[error(
        "{address}: no {} within {} s: the server is stopped or overloaded, or something else \
         listens there", check.response(), TIMEOUT.as_secs()
    )]
    TimedOut {
        /// What it is asked for.
        check: Check,
        /// Where it listens.
        address: SocketAddr,
    },
    /// It closes the connection before that is complete.
    #[error(
        "{address}: closed after {}: the server is shutting down or at its connection limit (its log \
         says), or something else listens there", check.part(*found)
    )]
    Closed {
        /// What it is asked for.
        check: Check,
        /// Where it listens.
        address: SocketAddr,
        /// Bytes that came.
        found: usize,
    },
    /// It sends something else.
    #[error("{address}: expected {check}, found {found:?}: something else listens there")]
    UnexpectedResponse {
        /// What it is asked for.
        check: Check,
        /// Where it listens.
        address: SocketAddr,
        /// What it sent, or the beginning of that.
        found: String,
    },
    /// It takes no bets.
    #[error("{address}: not ready: {reason}")]
    NotReady {
        /// Where it listens.
        address: SocketAddr,
        /// Why, as it says itself.
        reason: String,
    },
}

/// Asks the server at `listening` how it is.
///
/// # Errors
/// [`Unhealthy`].
pub fn check(check: Check, listening: SocketAddr) -> Result<(), Unhealthy> {
    if listening.port() == 0 {
        return Err(Unhealthy::NoPort(check));
    }
    let address = SocketAddr::new(reachable(listening.ip()), listening.port());
    match check {
        Check::Echo => check_echo(address),
        Check::Readiness => check_readiness(address),
    }
}

/// Sends a line, and expects the same back.
fn check_echo(address: SocketAddr) -> Result<(), Unhealthy> {
    let mut found = Vec::new();
    let is_whole = |found: &[u8]| found.len() == MESSAGE.len();
    let asked = ask(address, MESSAGE, MESSAGE.len(), is_whole, &mut found);
    if !MESSAGE.starts_with(&found) {
        return Err(unexpected(Check::Echo, address, &found));
    }
    asked.map_err(|source| failed(Check::Echo, address, &found, source))
}

/// Asks whether bets are taken.
fn check_readiness(address: SocketAddr) -> Result<(), Unhealthy> {
    let mut found = Vec::new();
    let is_whole = |found: &[u8]| readiness::parse(found) != Answer::Partial;
    let request = readiness::request(address);
    let asked = ask(address, &request, readiness::ANSWER_MAX, is_whole, &mut found);
    match readiness::parse(&found) {
        Answer::Ready => Ok(()),
        Answer::NotReady(reason) => Err(Unhealthy::NotReady { address, reason }),
        Answer::Unexpected => Err(unexpected(Check::Readiness, address, &found)),
        // More than an answer has.
        Answer::Partial if asked.is_ok() => Err(unexpected(Check::Readiness, address, &found)),
        Answer::Partial => {
            asked.map_err(|source| failed(Check::Readiness, address, &found, source))
        }
    }
}

fn unexpected(check: Check, address: SocketAddr, found: &[u8]) -> Unhealthy {
    let shown = &found[..found.len().min(SHOWN_MAX)];
    let found = String::from_utf8_lossy(shown).into_owned();
    Unhealthy::UnexpectedResponse { check, address, found }
}

/// Why asking failed, after so much of the response.
fn failed(check: Check, address: SocketAddr, found: &[u8], source: io::Error) -> Unhealthy {
    match source.kind() {
        ErrorKind::ConnectionRefused => Unhealthy::NotListening { check, address },
        // A socket returns either when its timeout is over.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unhealthy::TimedOut { check, address },
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Unhealthy::Closed { check, address, found: found.len() }
        }
        _ => Unhealthy::Unreachable { address, source },
    }
}

/// The address to connect to for a server bound to `bound`. One bound to all addresses is asked over
/// IPv4, which an IPv6 socket takes too.
pub(crate) fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            Ipv4Addr::LOCALHOST.into()
        }
        one => one,
    }
}

/// Sends the message and appends what comes back to `response`, until that is whole or has `limit`
/// bytes, unless it fails.
fn ask(
    address: SocketAddr,
    message: &[u8],
    limit: usize,
    is_whole: impl Fn(&[u8]) -> bool,
    response: &mut Vec<u8>,
) -> io::Result<()> {
    let start = Instant::now();
    let left = || TIMEOUT.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv4() {
        socket.bind(&SocketAddr::from((PROBE, 0)).into())?;
    }
    socket.connect_timeout(&address.into(), TIMEOUT)?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(left()))?;
    stream.write_all(message)?;
    while response.len() < limit && !is_whole(response) {
        if start.elapsed() > TIMEOUT {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left()))?;
        let begin = response.len();
        response.resize(limit, 0);
        let read = stream.read(&mut response[begin..]);
        response.truncate(begin + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
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

    /// What a check says of a server that responds with these bytes, and the address it came from.
    fn responding(kind: Check, response: &[u8]) -> (Result<(), Unhealthy>, IpAddr) {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = match kind {
            Check::Echo => MESSAGE.len(),
            Check::Readiness => readiness::request(([127, 0, 0, 1], address.port()).into()).len(),
        };
        std::thread::scope(|scope| {
            let peer = scope.spawn(|| {
                let (mut stream, peer) = listener.accept().expect("a connection");
                stream.read_exact(&mut vec![0; asked]).expect("what is asked");
                stream.write_all(response).expect("written");
                peer.ip()
            });
            let result = check(kind, address);
            (result, peer.join().expect("no panic"))
        })
    }

    #[test]
    fn an_echo_is_healthy_and_comes_from_its_own_address() {
        let (result, peer) = responding(Check::Echo, MESSAGE);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(peer, PROBE);
    }

    #[test]
    fn a_central_that_is_ready_is_healthy_and_asked_from_the_same_address() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n";
        let (result, peer) = responding(Check::Readiness, answer);
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(peer, PROBE);
    }

    /// The error for a server that responds with these bytes, without the address.
    fn error_of(kind: Check, response: &[u8]) -> String {
        let text = responding(kind, response).0.unwrap_err().to_string();
        text.split_once(": ").expect("an address").1.to_owned()
    }

    fn error_for(response: &[u8]) -> String {
        error_of(Check::Echo, response)
    }

    #[test]
    fn a_central_that_is_not_ready_says_why() {
        let reason = "storage failing: commits fail and are tried again";
        let length = reason.len() + 1;
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: ";
        let answer = format!("{head}{length}\r\n\r\n{reason}\n");
        let error = error_of(Check::Readiness, answer.as_bytes());
        assert_eq!(error, format!("not ready: {reason}"));
    }

    #[test]
    fn what_is_no_answer_of_readyz_is_named() {
        assert_eq!(
            error_of(Check::Readiness, b"GET /readyz HTTP/1.1\r\n"),
            "expected 200 or 503 of /readyz, found \"GET /readyz HTTP/1.1\\r\\n\": something else \
             listens there"
        );
        for response in [&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..], &[b'a'; 500]]
        {
            let shown = String::from_utf8_lossy(&response[..response.len().min(SHOWN_MAX)]);
            let error = error_of(Check::Readiness, response);
            assert!(error.contains(&format!("found {shown:?}: something else")), "{error}");
        }
        // One that doesn't end, with as many bytes as are read of it.
        let endless =
            [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'a'; readiness::ANSWER_MAX]].concat();
        let error = error_of(Check::Readiness, &endless[..readiness::ANSWER_MAX]);
        assert!(error.contains("found \"HTTP/1.1 200 OK\\r\\nA: aaa"), "{error}");
        for (response, count) in [(&b""[..], 0), (b"HTTP", 4)] {
            assert_eq!(
                error_of(Check::Readiness, response),
                format!(
                    "closed after {count} bytes of the answer of /readyz: the server is shutting down \
                     or at its connection limit (its log says), or something else listens there"
                )
            );
        }
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
            check(Check::Echo, address).unwrap_err().to_string(),
            format!(
                "{address}: nothing listens there: the server isn't running, is still reading its \
                 ledger, or has another SERVER_PORT or SERVER_BIND than this check"
            )
        );
        let text = check(Check::Readiness, address).unwrap_err().to_string();
        assert!(text.ends_with("or has another SERVER_ADMIN_ADDRESS than this check"), "{text}");
        for (kind, setting) in [
            (Check::Echo, "SERVER_PORT is 0, any free port"),
            (Check::Readiness, "the port of SERVER_ADMIN_ADDRESS is 0, any free port"),
        ] {
            let text = check(kind, ([127, 0, 0, 1], 0).into()).unwrap_err().to_string();
            assert!(text.starts_with(setting), "{text}");
        }
    }

    #[test]
    fn a_server_that_never_responds_is_not_waited_for() {
        // The connection is never accepted.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (kind, response) in [(Check::Echo, "echo"), (Check::Readiness, "answer of /readyz")] {
            let text = check(kind, address).unwrap_err().to_string();
            let expected =
                format!(": no {response} within 2 s: the server is stopped or overloaded");
            assert!(text.contains(&expected), "{text}");
        }
    }
}
