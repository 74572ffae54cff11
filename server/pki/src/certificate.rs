//! Reading of certificates and revocation lists from PEM files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::error::Error;
use crate::files;
use crate::serial::Serial;

/// What is needed of a certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
    pub(crate) serial: Serial,
    pub(crate) until: SystemTime,
    /// The URIs among its names.
    pub(crate) uris: Vec<String>,
}

impl Certificate {
    /// Reads the first PEM block of a file, which must be a certificate.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let unexpected = |found: &str| unexpected(path, "a certificate", found);
        let pem = read_pem(path, "CERTIFICATE", "a certificate")?;
        let certificate = X509Certificate::from_der(&pem.contents)
            .map_err(|error| unexpected(&format!("DER that is none: {error}")))?
            .1;
        let serial = Serial::from_bytes(certificate.raw_serial());
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| unexpected(&format!("names that can't be read: {error}")))?;
        let names = names.map_or(&[][..], |names| &names.value.general_names[..]);
        let uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        Ok(Self {
            public_key: certificate.public_key().raw.to_vec(),
            serial: serial.ok_or_else(|| unexpected("one with a serial of 0 or over 20 bytes"))?,
            until: system_time(certificate.validity().not_after.to_datetime()),
            uris: uris.collect(),
            der: pem.contents,
        })
    }
}

/// The serial of the first certificate in a PEM file.
///
/// # Errors
/// When the file can't be read, or doesn't begin with a certificate.
pub fn serial_of(path: &Path) -> Result<Serial, Error> {
    Certificate::read(path).map(|certificate| certificate.serial)
}

/// A revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// The file that holds it.
    pub path: PathBuf,
    /// Its number: a newer list has a higher one.
    pub number: u64,
    /// When it expires: by then there must be a newer one.
    pub until: SystemTime,
}

impl RevocationList {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let unexpected = |found: &str| unexpected(path, "a revocation list", found);
        let pem = read_pem(path, "X509 CRL", "a revocation list")?;
        let list = CertificateRevocationList::from_der(&pem.contents)
            .map_err(|error| unexpected(&format!("DER that is none: {error}")))?
            .1;
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok());
        Ok(Self {
            path: path.to_owned(),
            number: number.ok_or_else(|| unexpected("one without a number"))?,
            until: list
                .next_update()
                .map(|time| system_time(time.to_datetime()))
                .ok_or_else(|| unexpected("one that doesn't say when it expires"))?,
        })
    }
}

fn read_pem(path: &Path, label: &str, expected: &'static str) -> Result<Pem, Error> {
    let text = files::read(path)?;
    let pem = parse_x509_pem(text.as_bytes());
    let pem = pem.map_err(|_| unexpected(path, expected, "no PEM block"))?.1;
    if pem.label != label {
        return Err(unexpected(path, expected, &format!("a PEM block {:?}", pem.label)));
    }
    Ok(pem)
}

fn unexpected(path: &Path, expected: &'static str, found: &str) -> Error {
    Error::Unexpected { path: path.to_owned(), expected, found: found.to_owned() }
}

fn system_time(time: OffsetDateTime) -> SystemTime {
    time.into()
}
