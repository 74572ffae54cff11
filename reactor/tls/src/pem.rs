//! Sections of a PEM file, with the lines that they begin in. Knows no file, and not what is in them.

use rustls::pki_types::pem::{self, PemObject};

const BEGIN: &[u8] = b"-----BEGIN ";

/// A section: what is between its first line and the next section's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    /// The line that it begins in, from 1 on.
    pub(crate) line: usize,
    /// What it says that it is: `CERTIFICATE`.
    pub(crate) label: &'a [u8],
    text: &'a [u8],
}

/// Why a section can't be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// Its first line isn't one.
    #[error("expected ----- at the end of its first line")]
    Begin,
    /// Its last line is missing.
    #[error("expected its last line, -----END and the same name, found the end of the section")]
    End,
    /// What is between them isn't base64.
    #[error("expected base64 between its first and its last line")]
    Base64,
    /// It is of another kind than its name.
    #[error("expected what its name says")]
    Other,
}

/// All sections of a file, whatever they are; text around them is allowed.
pub(crate) fn sections(text: &[u8]) -> Vec<Section<'_>> {
    let mut starts = Vec::new();
    let mut position = 0;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if let Some(rest) = line.strip_prefix(BEGIN) {
            starts.push((position, number + 1, label(rest)));
        }
        position += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, ..)| *start).chain([text.len()]);
    let sections = starts.iter().zip(ends);
    sections
        .map(|(&(start, line, label), end)| Section { line, label, text: &text[start..end] })
        .collect()
}

/// What a first line says behind its `BEGIN`.
fn label(rest: &[u8]) -> &[u8] {
    let rest = rest.trim_ascii_end();
    rest.strip_suffix(b"-----").unwrap_or(rest)
}

impl Section<'_> {
    /// Its content, as a `T`.
    ///
    /// # Errors
    /// It is malformed, or no `T` by its name.
    pub(crate) fn decode<T: PemObject>(&self) -> Result<T, SectionError> {
        T::from_pem_slice(self.text).map_err(|error| match error {
            pem::Error::IllegalSectionStart { .. } => SectionError::Begin,
            pem::Error::MissingSectionEnd { .. } => SectionError::End,
            pem::Error::Base64Decode(_) => SectionError::Base64,
            _ => SectionError::Other,
        })
    }

    /// Whether its content is protected by a passphrase, as the tools of openssl say it.
    pub(crate) fn is_encrypted(&self) -> bool {
        let mut lines = self.text.split(|byte| *byte == b'\n');
        self.label.starts_with(b"ENCRYPTED ")
            || lines.any(|line| {
                line.starts_with(b"Proc-Type:") && line.trim_ascii_end().ends_with(b"ENCRYPTED")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    const TWO: &[u8] =
        b"text in front\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n\
        text between\r\n-----BEGIN EC PRIVATE KEY-----\r\nBAUG\r\n-----END EC PRIVATE KEY-----";

    fn decode(text: &str) -> Result<CertificateDer<'static>, SectionError> {
        sections(text.as_bytes())[0].decode()
    }

    #[test]
    fn sections_know_their_lines() {
        let found = sections(TWO);
        let lines: Vec<_> = found.iter().map(|section| (section.line, section.label)).collect();
        assert_eq!(lines, [(2, &b"CERTIFICATE"[..]), (6, &b"EC PRIVATE KEY"[..])]);
        let certificate: CertificateDer<'_> = found[0].decode().unwrap();
        assert_eq!(certificate.as_ref(), [1, 2, 3]);
        let key: PrivateKeyDer<'_> = found[1].decode().unwrap();
        assert_eq!(key.secret_der(), [4, 5, 6]);
        assert_eq!(found[1].decode::<CertificateDer<'_>>(), Err(SectionError::Other));
        assert_eq!(sections(b""), []);
        assert_eq!(sections(b"\x30\x82\x01\x00"), []);
    }

    #[test]
    fn a_malformed_section_says_what_is_wrong() {
        for (text, error) in [
            ("-----BEGIN CERTIFICATE----\nAQID\n-----END CERTIFICATE-----", SectionError::Begin),
            ("-----BEGIN CERTIFICATE-----\nAQID\n", SectionError::End),
            ("-----BEGIN CERTIFICATE-----\nAQID\n-----END X509 CRL-----", SectionError::End),
            ("-----BEGIN CERTIFICATE-----\nA$ID\n-----END CERTIFICATE-----", SectionError::Base64),
            ("-----BEGIN X-----\nAQID\n-----END X-----", SectionError::Other),
        ] {
            assert_eq!(decode(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_end_of_a_section_is_never_taken_from_the_next() {
        let text = "-----BEGIN CERTIFICATE-----\nAQID\n\
            -----BEGIN CERTIFICATE-----\nBAUG\n-----END CERTIFICATE-----";
        let found = sections(text.as_bytes());
        assert_eq!(found[0].decode::<CertificateDer<'_>>(), Err(SectionError::End));
        assert!(found[1].decode::<CertificateDer<'_>>().is_ok());
    }

    #[test]
    fn both_forms_of_an_encrypted_key_are_known() {
        for (text, expected) in [
            (&b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n"[..], true),
            (b"-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: x\r\n", true),
            (b"-----BEGIN RSA PRIVATE KEY-----\nAQID\n", false),
        ] {
            assert_eq!(sections(text)[0].is_encrypted(), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_file_has_its_sections_are_in_it(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just(b"-----BEGIN CERTIFICATE-----".to_vec()),
                    Just(b"-----END CERTIFICATE-----".to_vec()),
                    Just(b"-----BEGIN ".to_vec()),
                    Just(b"\n".to_vec()),
                    Just(b"\r\n".to_vec()),
                    Just(b"AQID".to_vec()),
                    prop::collection::vec(any::<u8>(), 0..20),
                ],
                0..40,
            )
        ) {
            let text = pieces.concat();
            let lines = text.split(|byte| *byte == b'\n').count();
            let mut last = 0;
            for section in sections(&text) {
                prop_assert!(section.line > last && section.line <= lines);
                last = section.line;
                let _ = section.decode::<CertificateDer<'_>>();
                let _ = section.decode::<PrivateKeyDer<'_>>();
                let _ = section.is_encrypted();
            }
        }
    }
}
