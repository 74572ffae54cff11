//! Certificates, keys and revocation lists out of a file's sections.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::certificate::Certificate;
use crate::pem::{Section, sections};
use crate::problem::Problem;
use crate::revocation_list::RevocationList;

/// A certificate, for rustls and as it reads.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The line that it begins in, from 1 on.
    pub(crate) line: usize,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) certificate: Certificate,
}

/// All certificates of a file, at least one. Sections of other kinds are skipped.
///
/// # Errors
/// There is none, or one of them can't be read.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<Parsed>, Problem> {
    let found = of_labels(text, &[b"CERTIFICATE"], "a certificate")?;
    let parsed = found.iter().map(|section| {
        let line = section.line;
        let der: CertificateDer<'static> = decode(section)?;
        let certificate =
            Certificate::from_der(&der).map_err(|error| Problem::Certificate { line, error })?;
        Ok(Parsed { line, der, certificate })
    });
    parsed.collect()
}

/// The private key of a file, in any of the three forms that there are.
///
/// # Errors
/// There is none, or more than one; it is encrypted, or can't be decoded.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    const LABELS: [&[u8]; 4] =
        [b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"];
    let found = of_labels(text, &LABELS, "a private key")?;
    let [key] = found[..] else { return Err(Problem::Keys { count: found.len() }) };
    if key.is_encrypted() {
        return Err(Problem::EncryptedKey { line: key.line });
    }
    decode(&key)
}

/// All revocation lists of a file, at least one.
///
/// # Errors
/// There is none, or one of them can't be used.
pub(crate) fn revocation_lists(text: &[u8]) -> Result<Vec<RevocationList>, Problem> {
    let found = of_labels(text, &[b"X509 CRL"], "a revocation list (X509 CRL)")?;
    let lists = found.iter().map(|section| {
        let line = section.line;
        let der: CertificateRevocationListDer<'static> = decode(section)?;
        RevocationList::from_der(der).map_err(|error| Problem::List { line, error })
    });
    lists.collect()
}

fn of_labels<'a>(
    text: &'a [u8],
    labels: &[&[u8]],
    expected: &'static str,
) -> Result<Vec<Section<'a>>, Problem> {
    let (wanted, others): (Vec<_>, Vec<_>) =
        sections(text).into_iter().partition(|section| labels.contains(&section.label));
    if wanted.is_empty() {
        return Err(Problem::NothingOf { expected, found: others.iter().map(label).collect() });
    }
    Ok(wanted)
}

fn decode<T: PemObject>(section: &Section<'_>) -> Result<T, Problem> {
    section.decode().map_err(|error| {
        let (line, label) = (section.line, label(section));
        Problem::Section { line, label, error }
    })
}

fn label(section: &Section<'_>) -> String {
    const SHOWN: usize = 40;
    section.label[..section.label.len().min(SHOWN)].escape_ascii().to_string()
}
