//! Where an operator looks: an address and a port, or a name and a port.
//!
//! A name is looked up once, at the start. Knows no listener.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longest wait for a name's addresses: the system's look-up has only a blocking form, and a signal that
/// comes meanwhile is heard behind it.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest name of DNS, in bytes.
const HOST_NAME_MAX: usize = 253;

/// An address or a name, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// An address.
    Ip(SocketAddr),
    /// A name to look up.
    Name {
        /// As a browser has it in its address.
        host: String,
        /// 0 for any that is free.
        port: u16,
    },
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// A look-up of a name, which blocks.
type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

impl AdminAddress {
    /// What `HOST:PORT` means; an IPv6 address is in brackets. `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number)?;
        let is_name = is_host_name(host) && !is_numeric(host);
        is_name.then(|| Self::Name { host: host.to_ascii_lowercase(), port })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }

    /// Its address; `None` of a name.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Name { .. } => None,
        }
    }

    /// Its name; `None` of an address.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Ip(_) => None,
            Self::Name { host, .. } => Some(host),
        }
    }

    /// The address, that of a name as the system knows it now: the first one of IPv4, over which the health
    /// check asks, or else the first one.
    ///
    /// # Errors
    /// The name has no address, or isn't answered for [`LOOKUP_TIMEOUT`].
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        self.resolve_by(|host, port| Ok((host, port).to_socket_addrs()?.collect()), LOOKUP_TIMEOUT)
    }

    fn resolve_by(&self, look_up: LookUp, timeout: Duration) -> io::Result<SocketAddr> {
        let (host, port) = match self {
            Self::Ip(address) => return Ok(*address),
            Self::Name { host, port } => (host.clone(), *port),
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        // The process ends without waiting for it.
        thread::spawn(move || sender.send(look_up(&host, port)));
        let found = receiver.recv_timeout(timeout).map_err(|_| {
            let seconds = timeout.as_secs();
            io::Error::new(
                ErrorKind::TimedOut,
                format!("no name server answers within {seconds} s"),
            )
        })??;
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"))
    }
}

/// As a browser has it in its address, without a port.
pub(crate) fn is_host_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        let has_ends = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        has_ends && label.bytes().all(is_inner)
    };
    name.len() <= HOST_NAME_MAX && name.split('.').all(is_label)
}

/// Of numbers the system's look-up makes addresses: `010.0.0.1` is 8.0.0.1 to it, and `1` 0.0.0.1.
fn is_numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.strip_prefix("0x").map_or_else(
        || last.bytes().all(|byte| byte.is_ascii_digit()),
        |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_address_or_a_name_and_a_port() {
        for text in ["127.0.0.1:8080", "[::1]:0", "localhost:8080", "loteria.example:1"] {
            let address = AdminAddress::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(address.to_string(), text);
            assert_eq!(address.ip().is_some(), address.host().is_none(), "{text}");
        }
        let name = AdminAddress::Name { host: "localhost".to_owned(), port: 80 };
        assert_eq!(AdminAddress::parse("LocalHost:80"), Some(name));
        for text in [
            "",
            ":80",
            "localhost",
            "localhost:",
            "localhost:+8",
            "localhost:65536",
            "::1:80",
            "[localhost]:80",
            "http://localhost:80",
            "local host:80",
            "-a:80",
            "127.1:80",
            "010.0.0.1:80",
            "0x7f000001:80",
            "10.0.0.256:80",
            &format!("{}:80", "a".repeat(HOST_NAME_MAX + 1)),
        ] {
            assert_eq!(AdminAddress::parse(text), None, "{text}");
        }
    }

    fn resolved(text: &str, look_up: LookUp) -> Result<String, String> {
        let address = AdminAddress::parse(text).expect("an address");
        let found = address.resolve_by(look_up, Duration::from_millis(50));
        found.map(|address| address.to_string()).map_err(|error| error.to_string())
    }

    fn addresses(texts: &[&str], port: u16) -> Vec<SocketAddr> {
        let parse = |text: &&str| SocketAddr::new(text.parse().unwrap(), port);
        texts.iter().map(parse).collect()
    }

    #[test]
    fn a_name_leads_to_its_first_address_of_ipv4_or_to_its_first_one() {
        let both: LookUp = |_, port| Ok(addresses(&["::1", "127.0.0.1"], port));
        assert_eq!(resolved("localhost:80", both), Ok("127.0.0.1:80".to_owned()));
        let newer: LookUp = |_, port| Ok(addresses(&["::1", "::2"], port));
        assert_eq!(resolved("localhost:80", newer), Ok("[::1]:80".to_owned()));
        let none: LookUp = |_, _| Ok(Vec::new());
        assert_eq!(resolved("nobody:80", none), Err("the name has no address".to_owned()));
        let refused: LookUp = |host, _| Err(io::Error::other(format!("{host} isn't known")));
        assert_eq!(resolved("nobody:80", refused), Err("nobody isn't known".to_owned()));
        assert_eq!(resolved("127.0.0.2:80", refused), Ok("127.0.0.2:80".to_owned()), "as it is");
        // The system's own table.
        let localhost = AdminAddress::parse("localhost:80").and_then(|it| it.resolve().ok());
        assert!(localhost.is_some_and(|address| address.ip().is_loopback()), "{localhost:?}");
    }

    #[test]
    fn a_name_server_that_does_not_answer_is_not_waited_for() {
        let silent: LookUp = |_, _| {
            // Until the process ends.
            loop {
                thread::park();
            }
        };
        assert_eq!(
            resolved("nobody:80", silent),
            Err("no name server answers within 0 s".to_owned())
        );
    }
}
