//! Every error, read aloud: an operator has nothing else.

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};
use tls::TlsError;

#[test]
fn what_an_operator_reads() {
    for (error, text) in [
        (
            TlsError::NotTls { said: b"HTTP/1.1 400\r\n".to_vec() },
            "the peer doesn't speak TLS; it says: HTTP/1.1 400\\x0d\\x0a",
        ),
        (TlsError::EndedInHandshake, "the peer ended the connection during the TLS handshake"),
        (
            TlsError::Truncated { found: 17 },
            "the connection ended in the middle of a TLS record, after 17 bytes of it",
        ),
        (TlsError::NoCertificate, "the peer shows no certificate, and one is required"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn what_a_peer_does_wrong() {
    for (error, text) in [
        (
            Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired),
            "the peer speaks no TLS 1.3",
        ),
        (
            Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon),
            "the peer has no cipher, key exchange or signature in common (NoKxGroupsInCommon)",
        ),
        (
            Error::DecryptError,
            "what the peer sent can't be decrypted: it was changed on the way, or isn't for this \
             connection",
        ),
        (
            Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests),
            "the peer breaks the TLS protocol: TooManyKeyUpdateRequests",
        ),
        (
            Error::InvalidMessage(InvalidMessage::MessageTooLarge),
            "the peer breaks the TLS protocol: MessageTooLarge",
        ),
        (
            Error::PeerSentOversizedRecord,
            "the peer breaks the TLS protocol: peer sent excess record size",
        ),
    ] {
        assert_eq!(TlsError::Protocol(error).to_string(), text);
    }
}

#[test]
fn what_a_peer_says() {
    for (alert, text) in [
        (
            AlertDescription::ProtocolVersion,
            "the peer refuses: it speaks no TLS 1.3 (TLS alert ProtocolVersion)",
        ),
        (
            AlertDescription::BadRecordMac,
            "the peer refuses: what it was sent can't be decrypted (TLS alert BadRecordMac)",
        ),
        (AlertDescription::Unknown(199), "the peer refuses: TLS alert 199"),
    ] {
        assert_eq!(TlsError::Alert(alert).to_string(), text);
    }
}
