//! Another service than a central at the configured address: recognizes its protocol by the first
//! bytes, for the error message. Knows no connection.

use runtime::logging::{Escaped, cut};

/// Bytes of its greeting that are shown.
const SHOWN_MAX: usize = 64;

/// How a central's refusal in words begins, where it can't know that an agency calls.
const REFUSAL: &[u8] = b"error: ";

/// How common protocols begin.
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

/// The protocol that begins with these bytes, if it is a known one.
pub fn protocol_of(first: &[u8]) -> Option<&'static str> {
    KNOWN.iter().find(|(start, _)| first.starts_with(start)).map(|(_, name)| *name)
}

/// The error message for a service at `address` that begins with these bytes.
pub fn describe(address: &str, first: &[u8]) -> String {
    if let Some(refusal) = first.strip_prefix(REFUSAL) {
        let (address, refusal) = (Escaped(address.as_bytes()), shown(refusal.trim_ascii_end()));
        return format!("{address}: the central refuses the connection: {refusal}");
    }
    let protocol = protocol_of(first);
    let guess = protocol.map_or(String::new(), |name| format!(" (it looks like {name})"));
    let (who, remedy) = match protocol {
        Some(name) if name.starts_with("TLS") => {
            ("no central that takes plaintext", "set CLI_TLS=on if it is one that takes TLS, or ")
        }
        _ => ("another service, not a central of the lottery,", ""),
    };
    format!(
        "{}: {who} answers there{guess}: {remedy}check CLI_SERVER_ADDRESS (server.address); it says: {}",
        Escaped(address.as_bytes()),
        shown(first)
    )
}

/// The error message for what answers TLS at `address` with these bytes, which aren't TLS.
pub fn describe_plaintext(address: &str, first: &[u8]) -> String {
    if protocol_of(first).is_some() {
        return describe(address, first);
    }
    format!(
        "{}: the central answers in plaintext; does it take TLS (SERVER_TLS)? It says: {}",
        Escaped(address.as_bytes()),
        shown(first.trim_ascii_end())
    )
}

fn shown(first: &[u8]) -> Escaped<'_> {
    Escaped(&first[..cut(first, SHOWN_MAX)])
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
            assert_eq!(protocol_of(first), expected);
        }
    }

    #[test]
    fn tls_is_met_with_the_setting_that_turns_it_on_and_plaintext_with_the_central_s() {
        assert_eq!(
            describe("central:12345", b"\x15\x03\x01\x00\x02\x02\x0a"),
            "central:12345: no central that takes plaintext answers there (it looks like TLS, an alert): \
             set CLI_TLS=on if it is one that takes TLS, or check CLI_SERVER_ADDRESS (server.address); it \
             says: \\x15\\x03\\x01\\x00\\x02\\x02\\n"
        );
        assert_eq!(
            describe_plaintext(
                "central:12345",
                b"error: this central takes no TLS (SERVER_TLS=off)\n"
            ),
            "central:12345: the central answers in plaintext; does it take TLS (SERVER_TLS)? It says: \
             error: this central takes no TLS (SERVER_TLS=off)"
        );
        let http = b"HTTP/1.1 400 Bad Request\r\n";
        assert_eq!(describe_plaintext("central:12345", http), describe("central:12345", http));
    }

    #[test]
    fn a_refusal_in_words_is_the_centrals() {
        assert_eq!(
            describe("central:12345", b"error: the certificate is revoked\n"),
            "central:12345: the central refuses the connection: the certificate is revoked"
        );
    }

    #[test]
    fn what_it_sends_is_escaped_and_cut() {
        let text = describe("central:12345", b"\x1b[31m|\xff");
        let expected = "central:12345: another service, not a central of the lottery, answers there: \
                        check CLI_SERVER_ADDRESS (server.address); it says: ";
        assert_eq!(text.strip_prefix(expected), Some("\\x1b[31m\\x7c\\xff"));
        let long = describe("central:12345", &[b'x'; 9000]);
        assert!(long.ends_with(&format!(" {}", "x".repeat(64))), "{long}");
    }
}
