//! Where the central listens: a host and a port, not resolved.

use std::net::{Ipv4Addr, SocketAddrV6};

use runtime::settings::number;

/// Not a URL, and of an IPv6 address it must be plain where it ends and the port begins.
pub(super) fn host_and_port(text: &str) -> Option<String> {
    let text = text.trim();
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_port || number::<u16>(port, 1..).is_none() {
        return None;
    }
    let good = match host.strip_prefix('[') {
        Some(_) => text.parse::<SocketAddrV6>().is_ok(),
        None => is_name(host),
    };
    good.then(|| text.to_owned())
}

/// What is missing of an address, if that is all that is wrong with it.
pub(super) fn hint_of_address(text: &str) -> String {
    let (host, port) = text.trim().rsplit_once(':').unwrap_or((text.trim(), ""));
    let hint = match port {
        _ if host.is_empty() || !is_name(host) => "",
        "" => "it has no port: write HOST:PORT, as server:12345",
        zero if zero.bytes().all(|digit| digit == b'0') => {
            "nothing listens at port 0: write the port that the central listens at (SERVER_PORT)"
        }
        _ => "",
    };
    hint.to_owned()
}

/// A name for the resolver, or an IPv4 address: without what can only be part of something else. Of
/// numbers the system's look-up makes other addresses: `010.0.0.1` is 8.0.0.1 to it, and `1` 0.0.0.1.
fn is_name(host: &str) -> bool {
    let strange = |character: char| character.is_whitespace() || ":/@[]?#\"'".contains(character);
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_number = last.strip_prefix("0x").map_or_else(
        || last.bytes().all(|digit| digit.is_ascii_digit()),
        |hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()),
    );
    let is_address = host.parse::<Ipv4Addr>().is_ok();
    is_address || !is_number && !host.contains(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in [
            "h:1",
            "central.example:65535",
            "10.0.0.1:5",
            "[::1]:5",
            "[fe80::1%2]:5",
            " h:5 ",
            "1abc:5",
            "h1.:5",
        ] {
            assert_eq!(host_and_port(good).as_deref(), Some(good.trim()), "{good}");
        }
        for bad in [
            "",
            "h",
            "h:",
            ":5",
            "h:0",
            "h:65536",
            "h:+5",
            "h:5:6",
            "::1:5",
            "[::1]",
            "[::1:5",
            "[h]:5",
            "http://h:5",
            "h:5/",
            "h h:5",
            "\"h:5\"",
            "user@h:5",
            "010.0.0.1:5",
            "1:5",
            "127.1:5",
            "0x7f000001:5",
            "10.0.0.256:5",
            ".:5",
        ] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
        for (bad, hint) in [
            ("h", "it has no port"),
            ("h:", "it has no port"),
            ("10.0.0.1", "it has no port"),
            ("h:0", "port 0"),
            ("h:00", "port 0"),
        ] {
            assert!(hint_of_address(bad).contains(hint), "{bad}");
        }
        for bad in ["", ":5", "h:65536", "\"h:5\"", "http://h", "::1", "[::1]"] {
            assert_eq!(hint_of_address(bad), "", "{bad}");
        }
    }
}
