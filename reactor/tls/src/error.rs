//! Why a connection's TLS can't go on, in words for the log of an operator who doesn't know rustls.

use std::fmt::Write as _;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Why a connection's TLS can't go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer answers with something else than TLS.
    #[error("the peer doesn't speak TLS; it says: {}", printable(.said))]
    NotTls {
        /// How it begins, 64 bytes at most.
        said: Vec<u8>,
    },
    /// The stream ended before the handshake was complete.
    #[error("the peer ended the connection during the TLS handshake")]
    EndedInHandshake,
    /// The stream ended in the middle of a record: somebody may have cut it.
    #[error("the connection ended in the middle of a TLS record, after {found} bytes of it")]
    Truncated {
        /// Bytes of the record that had arrived.
        found: usize,
    },
    /// The peer's certificate isn't good.
    #[error("the peer's certificate isn't trusted: {}", reason(.0))]
    Certificate(CertificateError),
    /// The peer has shown no certificate where one is required.
    #[error("the peer shows no certificate, and one is required")]
    NoCertificate,
    /// The peer has ended it with an alert.
    #[error("the peer refuses: {}", meaning(*.0))]
    Alert(AlertDescription),
    /// The peer speaks another version of TLS, or breaks the protocol.
    #[error("TLS: {0}")]
    Protocol(Error),
    /// More came out of a record than it can hold.
    #[error("a TLS record holds {length} bytes more than there is room for")]
    Overrun {
        /// Bytes that came out.
        length: usize,
    },
}

impl TlsError {
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

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::Certificate(error),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::AlertReceived(alert) => Self::Alert(alert),
            error => Self::Protocol(error),
        }
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
            | AlertDescription::CertificateUnknown
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
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it doesn't take the certificate that it was shown",
        AlertDescription::DecryptError => "a signature that it was sent doesn't hold",
        AlertDescription::ProtocolVersion => "it speaks no TLS 1.3",
        AlertDescription::HandshakeFailure => "it has no cipher or key exchange in common",
        AlertDescription::UnrecognisedName => {
            "it has no certificate for the name that was asked for"
        }
        AlertDescription::InternalError => "it failed by itself",
        _ => return format!("TLS alert {alert:?}"),
    };
    format!("{meaning} (TLS alert {alert:?})")
}

/// What is wrong with a certificate.
fn reason(error: &CertificateError) -> String {
    let reason = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it isn't valid yet"
        }
        CertificateError::Revoked => "it is revoked",
        CertificateError::UnknownIssuer => "it is of another certificate authority",
        CertificateError::UnknownRevocationStatus => {
            "no revocation list of its certificate authority says whether it is revoked"
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "the revocation list that would say whether it is revoked has expired"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is for another purpose: a client's isn't a server's"
        }
        CertificateError::BadSignature => "its signature doesn't hold",
        CertificateError::BadEncoding => "it isn't a certificate",
        other => return other.to_string(),
    };
    match error.to_string() {
        plain if plain == format!("{error:?}") => reason.to_owned(),
        details => format!("{reason} ({details})"),
    }
}
