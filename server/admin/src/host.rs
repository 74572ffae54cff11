//! Which hosts a request may be meant for.
//!
//! A page of any origin can let its own name lead to this listener's address, and then read what it
//! answers as if it were that origin's own (DNS rebinding): it is enough that the browser reaches the
//! address, loopback is no boundary. The browser still sends the name. So a request is answered when it
//! names an address, which no origin but the listener's own has, `localhost`, or a name that the
//! operator has given.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The names by which the listener may be called beside addresses and `localhost`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// Host names, without a port. Upper and lower case are the same.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect() }
    }

    /// Whether a request for `host`, with or without a port, is answered. One that says no host, which
    /// HTTP/1.0 allows, comes from no browser.
    pub fn admit(&self, host: Option<&str>) -> bool {
        let Some(host) = host else { return true };
        if let Some(rest) = host.strip_prefix('[') {
            let parts = rest.split_once(']');
            return parts.is_some_and(|(address, port)| {
                address.parse::<Ipv6Addr>().is_ok() && is_port(port)
            });
        }
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        is_port(port) && (name.parse::<Ipv4Addr>().is_ok() || self.has(name))
    }

    fn has(&self, name: &str) -> bool {
        // `localhost.` is the same name, written whole.
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut names = self.names.iter().map(String::as_str).chain(["localhost"]);
        names.any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Whether `text` is nothing, or `:PORT`.
fn is_port(text: &str) -> bool {
    let is_number = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok();
    text.is_empty() || text.strip_prefix(':').is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(host: &str) -> bool {
        Hosts::new(["central".to_owned(), "Loteria.Example".to_owned()]).admit(Some(host))
    }

    #[test]
    fn addresses_localhost_and_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "10.1.2.3:1",
            "[::1]",
            "[::1]:8080",
            "[2001:db8::1]:80",
            "[::ffff:10.0.0.1]:80",
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "central:8080",
            "loteria.example",
            "LOTERIA.example.:443",
        ] {
            assert!(admitted(host), "{host}");
        }
        assert!(Hosts::default().admit(None));
    }

    #[test]
    fn nothing_else_is() {
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1:80:80",
            "127.0.0.1:",
            "127.0.0.1:http",
            "127.1",
            "127.0.0.1:99999",
            "0x7f000001",
            "2130706433",
            "::1",
            "[::1",
            "[::1]8080",
            "[::1]:",
            "[127.0.0.1]",
            "[localhost]",
            "[fe80::1%25eth0]",
            "localhost..",
            "central:+80",
            "example",
            "a.loteria.example",
            ".",
            "..",
        ] {
            assert!(!admitted(host), "{host}");
        }
    }
}
