//! Another service that answers where a central should: what it looks like by its first bytes, for a
//! person who has to find out which address is wrong. Knows no connection.

use runtime::logging::{Escaped, cut};

/// Bytes of it that are shown.
const SHOWN_MAX: usize = 64;

/// How services begin that are found where another is looked for.
const KNOWN: [(&[u8], &str); 11] = [
    (b"HTTP/", "HTTP"),
    (b"<!DOCTYPE", "HTTP"),
    (b"<html", "HTTP"),
    (b"SSH-", "SSH"),
    (b"220", "SMTP or FTP"),
    (b"\x15\x03", "TLS, an alert"),
    (b"\x16\x03", "TLS"),
    (b"+OK", "POP3"),
    (b"* OK", "IMAP"),
    (b"-ERR", "Redis"),
    (b"RFB ", "VNC"),
];

/// The protocol that begins like this, if it is a known one.
pub fn looks_like(first: &[u8]) -> Option<&'static str> {
    KNOWN.iter().find(|(start, _)| first.starts_with(start)).map(|(_, name)| *name)
}

/// What answers at `address` with these first bytes, and what to look at.
pub fn describe(address: &str, first: &[u8]) -> String {
    let guess = looks_like(first).map_or(String::new(), |name| format!(" (it looks like {name})"));
    format!(
        "{}: another service, not a central of the lottery, answers there{guess}: check \
         CLI_SERVER_ADDRESS (server.address); it says: {}",
        Escaped(address.as_bytes()),
        Escaped(&first[..cut(first, SHOWN_MAX)])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_how_it_begins() {
        for (first, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Some("HTTP")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Some("SSH")),
            (b"220 mail.example ESMTP\r\n", Some("SMTP or FTP")),
            (b"\x15\x03\x01\x00\x02\x02\x0a", Some("TLS, an alert")),
            (b"[CLIENT 1] Message", None),
            (b"\x15", None),
            (b"", None),
        ] {
            assert_eq!(looks_like(first), expected);
        }
    }

    #[test]
    fn what_it_says_is_harmless_and_short() {
        let text = describe("central:12345", b"\x1b[31m|\xff");
        let expected = "central:12345: another service, not a central of the lottery, answers there: \
                        check CLI_SERVER_ADDRESS (server.address); it says: ";
        assert_eq!(text.strip_prefix(expected), Some("\\x1b[31m\\x7c\\xff"));
        let long = describe("central:12345", &[b'x'; 9000]);
        assert!(long.ends_with(&format!(" {}", "x".repeat(64))), "{long}");
    }
}
