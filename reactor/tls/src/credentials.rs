//! A program's own certificate, with those between it and its authority, and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::certificate::{Certificate, Purpose};
use crate::contents::{self, Parsed};
use crate::expiry::Expiry;
use crate::files::Reader;
use crate::problem::{LoadError, Problem, Role};
use crate::timestamp::Timestamp;

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The certificate, and behind it those of intermediate authorities.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub key: PathBuf,
    /// Whether a key is taken that others than its owner can read or write.
    pub allow_open_key: bool,
}

/// A certificate and its key, which fit.
#[derive(Debug)]
pub(crate) struct Credentials {
    path: PathBuf,
    certified: Arc<CertifiedKey>,
    own: Certificate,
    intermediates: Vec<Certificate>,
}

impl Credentials {
    /// # Errors
    /// A file can't be used; the key isn't its owner's alone, or not that of the first certificate;
    /// that certificate is for something else.
    pub(crate) fn read(
        reader: &mut Reader,
        files: &KeyFiles,
        purpose: Purpose,
        provider: &CryptoProvider,
    ) -> Result<Self, LoadError> {
        let path = &files.certificate;
        let in_file = |problem: Problem| problem.of(Role::Certificate, path);
        let chain = reader.read(Role::Certificate, path)?;
        let chain = contents::certificates(&chain.bytes).map_err(in_file)?;
        let key = read_key(reader, &files.key, files.allow_open_key)?;
        let (ders, mut certificates): (Vec<_>, Vec<_>) =
            chain.into_iter().map(|Parsed { der, certificate, .. }| (der, certificate)).unzip();
        let own = certificates.remove(0);
        check_purpose(&own, purpose).map_err(in_file)?;
        let certified = CertifiedKey::from_der(ders, key, provider)
            .map_err(|error| unfit(&error, path, &own).of(Role::Key, &files.key))?;
        Ok(Self {
            path: path.clone(),
            certified: Arc::new(certified),
            own,
            intermediates: certificates,
        })
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    pub(crate) fn own(&self) -> &Certificate {
        &self.own
    }

    pub(crate) fn expiries(&self) -> impl Iterator<Item = Expiry> {
        let all = std::iter::once(&self.own).chain(&self.intermediates);
        all.map(|certificate| Expiry::of_certificate(&self.path, certificate))
    }

    /// A certificate that isn't valid doesn't take the place of one that is.
    pub(crate) fn check_successor(&self, new: &Self, now: Timestamp) -> Result<(), LoadError> {
        if self.own.is_valid_at(now) && !new.own.is_valid_at(now) {
            let (not_before, not_after) = (new.own.not_before(), new.own.not_after());
            let problem = Problem::NotValidNow { not_before, not_after };
            return Err(problem.of(Role::Certificate, &new.path));
        }
        Ok(())
    }
}

fn read_key(
    reader: &mut Reader,
    path: &Path,
    allow_open: bool,
) -> Result<PrivateKeyDer<'static>, LoadError> {
    let content = reader.read(Role::Key, path)?;
    let key = || {
        // First whether it is a key at all: a certificate may be readable by all.
        let key = contents::private_key(&content.bytes)?;
        if !allow_open {
            content.check_is_closed()?;
        }
        Ok(key)
    };
    key().map_err(|problem: Problem| problem.of(Role::Key, path))
}

fn check_purpose(own: &Certificate, purpose: Purpose) -> Result<(), Problem> {
    let expected = match purpose {
        Purpose::Server => "servers",
        Purpose::Client => "clients",
    };
    let subject = || own.subject().to_owned();
    if own.is_authority() {
        return Err(Problem::Authority { expected, subject: subject() });
    }
    if !own.allows(purpose) {
        return Err(Problem::Purpose { expected, subject: subject() });
    }
    Ok(())
}

/// Why a key can't be used with its certificate.
fn unfit(error: &Error, certificate: &Path, own: &Certificate) -> Problem {
    if *error == Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
        return Problem::WrongKey {
            certificate: certificate.to_owned(),
            subject: own.subject().to_owned(),
            serial: own.serial().clone(),
        };
    }
    Problem::UnusableKey { reason: error.to_string() }
}
