//! Who is at the other end of a connection, as far as that is known: what log lines name of it.

use std::net::IpAddr;

use runtime::logging::{Level, Line, Pairs};
use wire::Agency;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// As which it has introduced itself.
    pub(crate) agency: Option<Agency>,
    pub(crate) ip: IpAddr,
    /// The serial number of its certificate, in hexadecimal; `None` without one.
    pub(crate) serial: Option<String>,
}

impl Peer {
    /// The level of lines about what it does as an agency. With a certificate they prove who did it,
    /// and are kept; without one the agency is a claim, and the address was logged when it connected.
    pub(crate) fn level(&self) -> Level {
        if self.serial.is_some() { Level::Info } else { Level::Debug }
    }
}

impl Pairs for Peer {
    fn add_to(&self, line: Line) -> Line {
        let line = line.with_some("agency", self.agency).with("ip", self.ip);
        line.with_some("serial", self.serial.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::logging::Success;

    #[test]
    fn what_is_known_of_a_peer_is_named_and_a_certificate_makes_its_lines_matter() {
        let ip = [192, 0, 2, 1].into();
        for (agency, serial, level, expected) in [
            (None, None, Level::Debug, "ip: 192.0.2.1"),
            (Some(7), None, Level::Debug, "agency: 7 | ip: 192.0.2.1"),
            (Some(7), Some("0aff"), Level::Info, "agency: 7 | ip: 192.0.2.1 | serial: 0aff"),
        ] {
            let peer = Peer { agency, ip, serial: serial.map(str::to_owned) };
            let line = Line::new("run", Success).with_all(&peer).to_string();
            assert_eq!(line, format!("action: run | result: success | {expected}"));
            assert_eq!(peer.level(), level);
        }
    }
}
