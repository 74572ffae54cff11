//! What a certificate says of itself. Knows no file, and verifies nothing: that is rustls's part.

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

use crate::timestamp::Timestamp;

/// The tag of a URI among a certificate's alternative names.
const URI_TAG: u32 = 6;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    serial: Serial,
    subject: String,
    not_before: Timestamp,
    not_after: Timestamp,
    uris: Vec<String>,
    is_authority: bool,
    /// What it may be used for; `None` for anything.
    usage: Option<Usage>,
}

/// A certificate's extended key usage, as far as TLS goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    server: bool,
    client: bool,
}

/// What a program uses its own certificate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To accept connections.
    Server,
    /// To make them.
    Client,
}

/// Why bytes aren't a certificate that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// They aren't one in DER.
    #[error("expected a certificate in DER, found bytes that aren't one: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// Something follows it.
    #[error("expected a certificate in DER, found {count} bytes behind it")]
    TrailingBytes {
        /// How many bytes.
        count: usize,
    },
    /// One of its extensions is there twice, or isn't well-formed.
    #[error("expected a well-formed {extension}, found: {reason}")]
    Extension {
        /// Which.
        extension: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// One of its URIs has other characters than the visible ones of ASCII, or none.
    #[error(
        "expected URIs of visible ASCII characters among the alternative names, found \"{found}\""
    )]
    Uri {
        /// The bytes, escaped.
        found: String,
    },
}

impl Certificate {
    /// Reads a certificate of X.509 in DER: one that a peer has shown, or one of a file.
    ///
    /// # Errors
    /// When it isn't one, or has names or usages that can't be read: none of its URIs is skipped.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) = X509Certificate::from_der(der)
            .map_err(|error| CertificateError::Malformed { reason: error.to_string() })?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingBytes { count: rest.len() });
        }
        let validity = parsed.validity();
        Ok(Self {
            serial: Serial::new(parsed.raw_serial()),
            subject: parsed.subject().to_string(),
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
            uris: uris(&parsed)?,
            is_authority: is_authority(&parsed)?,
            usage: usage(&parsed)?,
        })
    }

    /// Its number, unique among those of its issuer.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Whose it is, as `CN=central, O=lottery`; empty for one that names none.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The first second in which it is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second in which it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// All URIs among its alternative names, in their order.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Whether it is valid at that time, as far as it says itself.
    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }

    /// Whether it may issue others. One of version 1 can't say so, and so may.
    pub(crate) fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Whether a peer accepts it for that.
    pub(crate) fn allows(&self, purpose: Purpose) -> bool {
        self.usage.is_none_or(|usage| match purpose {
            Purpose::Server => usage.server,
            Purpose::Client => usage.client,
        })
    }
}

pub(crate) fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_unix(time.timestamp())
}

fn uris(parsed: &X509Certificate<'_>) -> Result<Vec<String>, CertificateError> {
    let malformed = malformed("list of alternative names (subjectAltName)");
    let Some(names) = parsed.subject_alternative_name().map_err(malformed)? else {
        return Ok(Vec::new());
    };
    let uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(text) => Some(uri(text.as_bytes())),
        GeneralName::Invalid(tag, bytes) if tag.0 == URI_TAG => Some(uri(bytes)),
        _ => None,
    });
    uris.collect()
}

/// Characters that aren't visible could hide in a log what a person would see.
fn uri(bytes: &[u8]) -> Result<String, CertificateError> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => Err(CertificateError::Uri { found: bytes.escape_ascii().to_string() }),
    }
}

fn is_authority(parsed: &X509Certificate<'_>) -> Result<bool, CertificateError> {
    let malformed = malformed("statement whether it may issue others (basicConstraints)");
    let constraints = parsed.basic_constraints().map_err(malformed)?;
    let is_silent = parsed.version() == X509Version::V1;
    Ok(constraints.map_or(is_silent, |constraints| constraints.value.ca))
}

fn usage(parsed: &X509Certificate<'_>) -> Result<Option<Usage>, CertificateError> {
    let malformed = malformed("list of purposes (extendedKeyUsage)");
    let usage = parsed.extended_key_usage().map_err(malformed)?;
    Ok(usage
        .map(|usage| Usage { server: usage.value.server_auth, client: usage.value.client_auth }))
}

fn malformed(extension: &'static str) -> impl Fn(X509Error) -> CertificateError {
    move |error| CertificateError::Extension { extension, reason: error.to_string() }
}

/// A certificate's number. Shown as `openssl x509 -serial` prints it, in lower case: `4d2a`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    /// Big-endian, without zeros in front.
    bytes: Box<[u8]>,
}

impl Serial {
    /// The number that a DER integer's octets mean; for a negative one, which the standard forbids,
    /// the octets themselves.
    pub(crate) fn new(octets: &[u8]) -> Self {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let zeros = zeros.min(octets.len().saturating_sub(1));
        Self { bytes: octets[zeros..].into() }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pki::testing::{Ca, LeafOptions};
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, KeyPair};

    /// A certificate whose list of alternative names has these bytes.
    fn with_names(names: &[u8]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        let content = [&[0x30, u8::try_from(names.len()).unwrap()], names].concat();
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], content)];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn name(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[0x80 | tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_for_how_long() {
        let options = LeafOptions {
            serial: pki::Serial::from_bytes(&[0x8f, 0x0a]),
            uris: vec!["spiffe://loteria/agencia/3".into(), "https://x.example".into()],
            dns: vec!["localhost".into()],
            ..LeafOptions::agency(3)
        };
        let issued = Ca::default().issue(&options);
        let certificate = Certificate::from_der(&issued.chain[0]).unwrap();
        assert_eq!(certificate.serial().to_string(), "8f0a");
        assert_eq!(certificate.subject(), "CN=agency-3");
        assert_eq!(certificate.uris(), ["spiffe://loteria/agencia/3", "https://x.example"]);
        let (from, until) = (options.validity.from.into(), options.validity.until.into());
        assert_eq!((certificate.not_before(), certificate.not_after()), (from, until));
        let second = std::time::Duration::from_secs(1);
        for (time, expected) in [
            (from.before(second), false),
            (from, true),
            (until, true),
            ((options.validity.until + second).into(), false),
        ] {
            assert_eq!(certificate.is_valid_at(time), expected, "{time}");
        }
        assert!(!certificate.is_authority());
        assert!(certificate.allows(Purpose::Client) && !certificate.allows(Purpose::Server));
    }

    #[test]
    fn serials_have_no_zeros_in_front() {
        for (octets, text) in [
            (&[0x4d, 0x2a][..], "4d2a"),
            (&[0, 0xff], "ff"),
            (&[0], "00"),
            (&[], ""),
            (&[0, 0, 1], "01"),
        ] {
            assert_eq!(Serial::new(octets).to_string(), text);
        }
    }

    #[test]
    fn no_uri_is_skipped() {
        let good = Certificate::from_der(&with_names(
            &[name(6, b"a:1"), name(2, b"localhost"), name(6, b"b:2"), name(2, b"\xff")].concat(),
        ));
        assert_eq!(good.unwrap().uris(), ["a:1", "b:2"]);
        for (bad, shown) in [
            (&b"spiffe://loteria/\xff"[..], "spiffe://loteria/\\xff"),
            ("spiffe://lotería".as_bytes(), "spiffe://loter\\xc3\\xada"),
            (b"a:1\0", "a:1\\x00"),
            (b"a: 1", "a: 1"),
            (b"", ""),
        ] {
            let names = [name(6, b"a:1"), name(6, bad)].concat();
            let found = shown.to_owned();
            let error = Certificate::from_der(&with_names(&names));
            assert_eq!(error, Err(CertificateError::Uri { found }));
        }
    }

    #[test]
    fn names_that_are_there_twice_or_broken_are_refused() {
        let broken = Certificate::from_der(&with_names(&[0x86, 9, b'a']));
        let text = broken.unwrap_err().to_string();
        assert!(text.starts_with("expected a well-formed list of alternative names"), "{text}");
        let mut params = CertificateParams::default();
        let names = [&[0x30, 5][..], &name(6, b"a:1")].concat();
        let twice = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        params.custom_extensions = vec![twice.clone(), twice];
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let error = Certificate::from_der(&der).unwrap_err();
        assert!(matches!(error, CertificateError::Extension { .. }), "{error}");
    }

    #[test]
    fn other_bytes_are_no_certificate() {
        let whole = Ca::default().der().to_vec();
        let behind = [&whole[..], b"x"].concat();
        assert_eq!(
            Certificate::from_der(&behind),
            Err(CertificateError::TrailingBytes { count: 1 })
        );
        for length in 0..whole.len() {
            let error = Certificate::from_der(&whole[..length]).unwrap_err();
            assert!(matches!(error, CertificateError::Malformed { .. }), "{length}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = Certificate::from_der(&noise);
            let mut der = with_names(&[name(6, b"a:1"), name(1, b"a@b"), name(4, b"\x30\0")].concat());
            for (index, byte) in changes {
                let index = index.index(der.len());
                der[index] = byte;
            }
            if let Ok(certificate) = Certificate::from_der(&der) {
                prop_assert!(certificate.uris().len() <= 3);
                let _ = (certificate.serial().to_string(), certificate.not_after().to_string());
            }
        }
    }
}
