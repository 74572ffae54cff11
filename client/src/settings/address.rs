//! Where centrals listen: hosts and ports, not resolved.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

use runtime::settings::number;

/// Most centrals that an agency may call: more than a lottery needs, and few enough to try them all.
const ADDRESSES_MAX: usize = 16;

/// One address or several, in the order in which they are written. None may be there twice.
pub(super) fn addresses(text: &str) -> Option<Vec<String>> {
    let addresses: Vec<_> = text.split(',').map(host_and_port).collect::<Option<_>>()?;
    (addresses.len() <= ADDRESSES_MAX && repeated(&addresses).is_none()).then_some(addresses)
}

/// What is wrong with which address; of a single one, only what is missing of it.
pub(super) fn hint_of_addresses(text: &str) -> String {
    let entries: Vec<_> = text.split(',').map(str::trim).collect();
    if let [address] = entries[..] {
        return hint_of_address(address);
    }
    if let Some(index) = entries.iter().position(|entry| host_and_port(entry).is_none()) {
        return hint_of_entry(index + 1, entries[index]);
    }
    match repeated(&entries) {
        Some((first, again)) => {
            format!("address {}, {}, is address {} again", again + 1, entries[again], first + 1)
        }
        None => format!("expected at most {ADDRESSES_MAX} addresses, found {}", entries.len()),
    }
}

fn hint_of_entry(number: usize, entry: &str) -> String {
    if entry.is_empty() {
        return format!("address {number} is empty: there is a comma too many");
    }
    let begin = format!("address {number}, {entry}, isn't HOST:PORT");
    let hint = hint_of_address(entry);
    if hint.is_empty() { begin } else { format!("{begin}: {hint}") }
}

/// Indices of an address and of the first one behind it that is the same.
fn repeated(addresses: &[impl AsRef<str>]) -> Option<(usize, usize)> {
    let is_at =
        |at: usize, index: usize| is_same(addresses[at].as_ref(), addresses[index].as_ref());
    (1..addresses.len()).find_map(|again| {
        let first = (0..again).find(|first| is_at(*first, again))?;
        Some((first, again))
    })
}

/// Whether two addresses differ in nothing but the case of their names, or are the same numbers.
fn is_same(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<SocketAddr>().ok();
    one.eq_ignore_ascii_case(other) || parse(one).is_some_and(|one| Some(one) == parse(other))
}

/// Not a URL, and of an IPv6 address it must be plain where it ends and the port begins.
fn host_and_port(text: &str) -> Option<String> {
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
fn hint_of_address(text: &str) -> String {
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

    #[test]
    fn several_addresses_have_commas_between_them() {
        let joined = |text| addresses(text).map(|found| found.join(" "));
        for (text, expected) in
            [(" h:1 ", "h:1"), ("a:1,b:2", "a:1 b:2"), ("a:1 ,  [::1]:2,a:2 ", "a:1 [::1]:2 a:2")]
        {
            assert_eq!(joined(text).as_deref(), Some(expected), "{text}");
        }
        let many = |count: usize| (1..=count).map(|port| format!("h:{port}")).collect::<Vec<_>>();
        assert_eq!(addresses(&many(ADDRESSES_MAX).join(",")), Some(many(ADDRESSES_MAX)));
        let too_many = many(ADDRESSES_MAX + 1).join(",");
        for (bad, hint) in [
            ("a:1,,b:2", "address 2 is empty: there is a comma too many"),
            (",a:1", "address 1 is empty: there is a comma too many"),
            ("a:1, ", "address 2 is empty: there is a comma too many"),
            (",", "address 1 is empty: there is a comma too many"),
            ("a:1;b:2,c:3", "address 1, a:1;b:2, isn't HOST:PORT"),
            (
                "a:1,b,c:3",
                "address 2, b, isn't HOST:PORT: it has no port: write HOST:PORT, as server:12345",
            ),
            ("a:1,b:2,a:1", "address 3, a:1, is address 1 again"),
            ("a:1,Ab.c:2, aB.C:2", "address 3, aB.C:2, is address 2 again"),
            ("[::1]:5,[0:0::1]:5", "address 2, [0:0::1]:5, is address 1 again"),
            (too_many.as_str(), "expected at most 16 addresses, found 17"),
        ] {
            assert_eq!((addresses(bad), hint_of_addresses(bad).as_str()), (None, hint), "{bad}");
        }
        assert_eq!(hint_of_addresses(" h "), hint_of_address("h"), "of one alone as before");
    }
}
