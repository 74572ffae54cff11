//! Why a connection's TLS can't go on, in words for the log of an operator who doesn't know rustls.

use std::fmt::{self, Write as _};
use std::io;
use std::net::IpAddr;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use crate::timestamp::Timestamp;

/// Names of a peer's certificate that are shown.
const NAMES_SHOWN: usize = 4;

/// Why a connection's TLS can't go on. Displayed, it calls the other side "the peer".
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer answers with something else than TLS.
    NotTls {
        /// How it begins, 64 bytes at most.
        said: Vec<u8>,
    },
    /// The stream ended before the handshake was complete.
    EndedInHandshake,
    /// The stream ended in the middle of a record: somebody may have cut it.
    Truncated {
        /// Bytes of the record that had arrived.
        found: usize,
    },
    /// The peer's certificate isn't good.
    Certificate(CertificateError),
    /// The peer has shown no certificate where one is required.
    NoCertificate,
    /// The peer has ended it with an alert.
    Alert(AlertDescription),
    /// The peer speaks another version of TLS, or breaks the protocol.
    Protocol(Error),
    /// More came out of a record than it can hold.
    Overrun {
        /// Bytes that came out.
        length: usize,
    },
}

/// What the certificate of a peer fails at: where to look for the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no certificate of an authority that is trusted.
    Authority,
    /// It is for another name.
    Name,
    /// It has expired, or isn't valid yet.
    Time,
    /// It is revoked.
    Revoked,
    /// No revocation list in force says that it isn't revoked.
    RevocationList,
    /// It is broken, or for another purpose.
    Certificate,
}

impl TlsError {
    /// The same, with the other side called by this name: `the central`.
    pub fn about<'a>(&'a self, peer: &'a str) -> impl fmt::Display + 'a {
        About { error: self, peer }
    }

    fn describe(&self, peer: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls { said } => {
                write!(f, "{peer} doesn't speak TLS; it says: {}", printable(said))
            }
            Self::EndedInHandshake => {
                write!(f, "{peer} ended the connection during the TLS handshake")
            }
            Self::Truncated { found } => write!(
                f,
                "the connection ended in the middle of a TLS record, after {found} bytes of it"
            ),
            Self::Certificate(error) => {
                write!(f, "{peer}'s certificate isn't trusted: {}", reason(error))
            }
            Self::NoCertificate => write!(f, "{peer} shows no certificate, and one is required"),
            Self::Alert(alert) => write!(f, "{peer} refuses: {}", meaning(*alert)),
            Self::Protocol(error) => describe_breach(error, peer, f),
            Self::Overrun { length } => {
                write!(f, "a TLS record holds {length} bytes more than there is room for")
            }
        }
    }

    /// What the peer's certificate fails at, if that is why.
    pub fn fault(&self) -> Option<Fault> {
        let Self::Certificate(error) = self else { return None };
        Some(fault(error))
    }

    /// Whether a certificate, of this side or of the peer, is why: to try again is no use.
    pub fn is_about_certificates(&self) -> bool {
        match self {
            Self::Certificate(_) | Self::NoCertificate => true,
            Self::Alert(alert) => is_about_certificates(*alert),
            _ => false,
        }
    }

    pub(crate) fn from_io(error: &io::Error) -> Self {
        Self::Protocol(Error::General(error.to_string()))
    }
}

/// An error, and what the other side is called in it.
struct About<'a> {
    error: &'a TlsError,
    peer: &'a str,
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.describe(self.peer, f)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe("the peer", f)
    }
}

impl std::error::Error for TlsError {}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::Certificate(error),
            Error::NoCertificatesPresented => Self::NoCertificate,
            // Afterwards it is no error.
            Error::AlertReceived(AlertDescription::CloseNotify) => Self::EndedInHandshake,
            Error::AlertReceived(alert) => Self::Alert(alert),
            error => Self::Protocol(error),
        }
    }
}

/// What the peer does wrong.
fn describe_breach(error: &Error, peer: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => write!(f, "{peer} speaks no TLS 1.3"),
        Error::PeerIncompatible(why) => {
            write!(f, "{peer} has no cipher, key exchange or signature in common ({why:?})")
        }
        Error::DecryptError => write!(
            f,
            "what {peer} sent can't be decrypted: it was changed on the way, or isn't for this connection"
        ),
        Error::PeerMisbehaved(why) => write!(f, "{peer} breaks the TLS protocol: {why:?}"),
        Error::InvalidMessage(why) => write!(f, "{peer} breaks the TLS protocol: {why:?}"),
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => write!(f, "{peer} breaks the TLS protocol: {error}"),
        _ => write!(f, "TLS: {error}"),
    }
}

fn printable(said: &[u8]) -> String {
    said.iter().fold(String::new(), |mut text, &byte| {
        match byte {
            b' '..=b'~' => text.push(char::from(byte)),
            _ => drop(write!(text, "\\x{byte:02x}")),
        }
        text
    })
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// What an alert means to who gets it.
fn meaning(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::CertificateRequired => "it requires a certificate, and was shown none",
        AlertDescription::CertificateRevoked => "the certificate that it was shown is revoked",
        AlertDescription::CertificateExpired => {
            "the certificate that it was shown has expired, or isn't valid yet, by its clock"
        }
        AlertDescription::UnknownCA => {
            "the certificate that it was shown is of a certificate authority that it doesn't trust"
        }
        AlertDescription::CertificateUnknown => {
            "it can't judge the certificate that it was shown: its revocation list may have expired"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => "it doesn't take the certificate that it was shown",
        AlertDescription::DecryptError => {
            "a signature that it was sent doesn't hold, as when the certificate is of another authority \
             with the same name"
        }
        AlertDescription::BadRecordMac => "what it was sent can't be decrypted",
        AlertDescription::ProtocolVersion => "it speaks no TLS 1.3",
        AlertDescription::HandshakeFailure => "it has no cipher or key exchange in common",
        AlertDescription::UnrecognisedName => {
            "it has no certificate for the name that was asked for"
        }
        AlertDescription::InternalError => "it failed by itself",
        AlertDescription::Unknown(number) => return format!("TLS alert {number}"),
        _ => return format!("TLS alert {alert:?}"),
    };
    format!("{meaning} (TLS alert {alert:?})")
}

fn fault(error: &CertificateError) -> Fault {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Fault::Authority,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::Name
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Fault::Time,
        CertificateError::Revoked => Fault::Revoked,
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Fault::RevocationList,
        _ => Fault::Certificate,
    }
}

/// What is wrong with a certificate.
pub(crate) fn reason(error: &CertificateError) -> String {
    let reason = match error {
        CertificateError::NotValidForNameContext { expected, presented } => {
            return format!("it is for {}, and not for {}", names(presented), expected.to_str());
        }
        CertificateError::ExpiredContext { time, not_after } => {
            return format!("it expired at {}, and it is {} now", at(*not_after), at(*time));
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            return format!("it is valid from {} on, and it is {} now", at(*not_before), at(*time));
        }
        CertificateError::ExpiredRevocationListContext { time, next_update } => {
            return format!(
                "the revocation list that would say whether it is revoked expired at {}, and it is {} now",
                at(*next_update),
                at(*time)
            );
        }
        CertificateError::NotValidForName => "it is for another name",
        CertificateError::Expired => "it has expired",
        CertificateError::NotValidYet => "it isn't valid yet",
        CertificateError::Revoked => "it is revoked",
        CertificateError::UnknownIssuer => "it is of another certificate authority",
        CertificateError::UnknownRevocationStatus => {
            "no revocation list of its certificate authority says whether it is revoked"
        }
        CertificateError::ExpiredRevocationList => {
            "the revocation list that would say whether it is revoked has expired"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is for another purpose: a client's isn't a server's"
        }
        CertificateError::BadSignature => {
            "its signature doesn't hold: it may be of another authority with the same name"
        }
        CertificateError::Other(OtherError(why)) => return why.to_string(),
        CertificateError::BadEncoding => "it isn't a certificate",
        other => return other.to_string(),
    };
    match error.to_string() {
        plain if plain == format!("{error:?}") => reason.to_owned(),
        details => format!("{reason} ({details})"),
    }
}

fn at(time: UnixTime) -> Timestamp {
    Timestamp::from_unix(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// The first names of a certificate, out of how rustls shows each: `DnsName("localhost")`.
fn names(presented: &[String]) -> String {
    let bare = |shown: &String| {
        let inside = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        let name = inside.unwrap_or(shown).trim_matches('"');
        name.parse().map_or_else(|_| name.to_owned(), |address: IpAddr| address.to_string())
    };
    let shown: Vec<_> = presented.iter().take(NAMES_SHOWN).map(bare).collect();
    match presented.len() {
        0 => "no name at all".to_owned(),
        count if count > NAMES_SHOWN => {
            format!("{} and {} others", shown.join(", "), count - NAMES_SHOWN)
        }
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use std::time::Duration;

    fn unix(second: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(second))
    }

    fn misnamed(presented: &[&str]) -> CertificateError {
        let expected = ServerName::try_from("central.example").unwrap();
        let presented = presented.iter().map(ToString::to_string).collect();
        CertificateError::NotValidForNameContext { expected, presented }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        for (error, expected, text) in [
            (
                CertificateError::UnknownIssuer,
                Fault::Authority,
                "it is of another certificate authority",
            ),
            (
                misnamed(&["DnsName(\"localhost\")", "IpAddress(127.0.0.1)", "IpAddress(0::1)"]),
                Fault::Name,
                "it is for localhost, 127.0.0.1, ::1, and not for central.example",
            ),
            (misnamed(&[]), Fault::Name, "it is for no name at all, and not for central.example"),
            (
                misnamed(&["DirectoryName"; 9]),
                Fault::Name,
                "it is for DirectoryName, DirectoryName, DirectoryName, DirectoryName and 5 others, and \
                 not for central.example",
            ),
            (
                CertificateError::ExpiredContext { time: unix(9), not_after: unix(7) },
                Fault::Time,
                "it expired at 1970-01-01T00:00:07Z, and it is 1970-01-01T00:00:09Z now",
            ),
            (
                CertificateError::NotValidYetContext { time: unix(7), not_before: unix(9) },
                Fault::Time,
                "it is valid from 1970-01-01T00:00:09Z on, and it is 1970-01-01T00:00:07Z now",
            ),
            (CertificateError::Revoked, Fault::Revoked, "it is revoked"),
            (
                CertificateError::ExpiredRevocationListContext {
                    time: unix(9),
                    next_update: unix(7),
                },
                Fault::RevocationList,
                "the revocation list that would say whether it is revoked expired at \
                 1970-01-01T00:00:07Z, and it is 1970-01-01T00:00:09Z now",
            ),
            (CertificateError::BadEncoding, Fault::Certificate, "it isn't a certificate"),
        ] {
            let error = TlsError::Certificate(error);
            assert_eq!(error.fault(), Some(expected), "{error}");
            assert_eq!(error.to_string(), format!("the peer's certificate isn't trusted: {text}"));
            assert!(error.is_about_certificates());
        }
        assert_eq!(TlsError::NoCertificate.fault(), None);
    }

    #[test]
    fn the_other_side_is_called_by_its_name() {
        let name = |error: TlsError| error.about("the central").to_string();
        assert_eq!(
            name(TlsError::Alert(AlertDescription::CertificateRevoked)),
            "the central refuses: the certificate that it was shown is revoked (TLS alert \
             CertificateRevoked)"
        );
        assert_eq!(
            name(TlsError::NotTls { said: b"-\xff".to_vec() }),
            "the central doesn't speak TLS; it says: -\\xff"
        );
        assert_eq!(
            name(TlsError::EndedInHandshake),
            "the central ended the connection during the TLS handshake"
        );
    }
}
