//! What is wrong with a file of certificates, keys or revocation lists.

use std::io;
use std::path::PathBuf;

use runtime::regular_file::OpenError;

use crate::certificate::{CertificateError, Serial};
use crate::pem::SectionError;
use crate::revocation_list::{ListError, ListVersion};
use crate::timestamp::Timestamp;

/// A file that can't be used, as it is configured, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct LoadError {
    /// Which.
    pub path: PathBuf,
    /// What it is for: two settings may name the same one.
    pub role: Role,
    /// What is wrong with it.
    #[source]
    pub problem: Box<Problem>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It holds a program's own certificate.
    Certificate,
    /// It holds the key of that.
    Key,
    /// It holds the authorities that peers' certificates must come from.
    Authorities,
    /// It holds their revocation lists.
    Revocations,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It can't be opened.
    #[error("can't be read: {0}")]
    Open(#[from] OpenError),
    /// It can't be read.
    #[error("can't be read: {0}")]
    Read(#[source] io::Error),
    /// It is too large.
    #[error("expected at most {max} bytes, found more")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// There is nothing in it that it is for.
    #[error("expected {expected} in PEM, found {}", listed(found))]
    NothingOf {
        /// What it is for: `a certificate`.
        expected: &'static str,
        /// What there is, by its names, escaped.
        found: Vec<String>,
    },
    /// One of its sections can't be decoded.
    #[error("line {line}: {label}: {error}")]
    Section {
        /// The line that it begins in, from 1 on.
        line: usize,
        /// Its name, escaped.
        label: String,
        /// Why.
        error: SectionError,
    },
    /// One of its certificates can't be used.
    #[error("line {line}: {error}")]
    Certificate {
        /// The line that it begins in, from 1 on.
        line: usize,
        /// Why.
        error: CertificateError,
    },
    /// A certificate isn't one that others are checked with.
    #[error(
        "line {line}: expected the certificate of an authority, found that of \"{subject}\", which may \
         not issue any"
    )]
    NotAnAuthority {
        /// The line that it begins in, from 1 on.
        line: usize,
        /// Whose it is.
        subject: String,
    },
    /// A certificate is for something else.
    #[error(
        "expected a certificate for TLS {expected} (extendedKeyUsage), found that of \"{subject}\", which \
         isn't for them"
    )]
    Purpose {
        /// `servers` or `clients`.
        expected: &'static str,
        /// Whose it is.
        subject: String,
    },
    /// A program's own certificate is an authority's.
    #[error(
        "expected a certificate for TLS {expected}, found that of the authority \"{subject}\", which no \
         peer takes for one: the authority's key belongs on a machine of its own"
    )]
    Authority {
        /// `servers` or `clients`.
        expected: &'static str,
        /// Whose it is.
        subject: String,
    },
    /// A key isn't its owner's alone.
    #[error(
        "expected a key that only its owner can read and write (mode 0600 or 0400), found mode \
         {mode:04o}: chmod 600 it"
    )]
    OpenKey {
        /// Its permissions.
        mode: u32,
    },
    /// There are several keys.
    #[error("expected one private key, found {count}")]
    Keys {
        /// How many.
        count: usize,
    },
    /// A key is protected by a passphrase.
    #[error(
        "line {line}: expected a private key without a passphrase, found an encrypted one: there is \
         nobody to ask for it at a start (openssl pkey removes it)"
    )]
    EncryptedKey {
        /// The line that it begins in, from 1 on.
        line: usize,
    },
    /// A key is of a kind that TLS can't be done with.
    #[error(
        "expected a private key of RSA, ECDSA or Ed25519, found none that can be used: {reason}"
    )]
    UnusableKey {
        /// What the provider says.
        reason: String,
    },
    /// A key isn't that of the certificate.
    #[error(
        "expected the key of the first certificate in {}, of \"{subject}\" with serial {serial}, found \
         another",
        certificate.display()
    )]
    WrongKey {
        /// The certificate's file.
        certificate: PathBuf,
        /// Whose it is.
        subject: String,
        /// Its number.
        serial: Serial,
    },
    /// A new certificate isn't valid while the one in force is.
    #[error(
        "expected a certificate that is valid now, as the one in force, found one from {not_before} to \
         {not_after}"
    )]
    NotValidNow {
        /// From when on it is.
        not_before: Timestamp,
        /// Until when.
        not_after: Timestamp,
    },
    /// One of its revocation lists can't be used.
    #[error("line {line}: {error}")]
    List {
        /// The line that it begins in, from 1 on.
        line: usize,
        /// Why.
        error: ListError,
    },
    /// There are two lists for the same certificates.
    #[error("expected one revocation list of \"{issuer}\", found two")]
    SecondList {
        /// The authority.
        issuer: String,
    },
    /// An authority has no list: none of its certificates would be accepted.
    #[error("expected a revocation list of each authority in {}, found none of \"{authority}\"", authorities.display())]
    NoListOf {
        /// The authority.
        authority: String,
        /// The file that it is in.
        authorities: PathBuf,
    },
    /// A list isn't signed by the authority that it names.
    #[error(
        "expected a revocation list signed by \"{issuer}\" in {}, found a signature that isn't its",
        authorities.display()
    )]
    ListSignature {
        /// The authority.
        issuer: String,
        /// The file that it is in.
        authorities: PathBuf,
    },
    /// A list is out of date.
    #[error(
        "expected a revocation list that is in date, found that of \"{issuer}\", which expired at \
         {next_update}"
    )]
    ExpiredList {
        /// The authority.
        issuer: String,
        /// When the next one was to be there.
        next_update: Timestamp,
    },
    /// A new list is older than the one in force.
    #[error(
        "expected a revocation list of \"{issuer}\" that isn't older than the one in force, {in_force}, \
         found {found}"
    )]
    OlderList {
        /// The authority.
        issuer: String,
        /// What is in force.
        in_force: ListVersion,
        /// What is in the file.
        found: ListVersion,
    },
    /// A list is gone, and its authority isn't.
    #[error("expected a revocation list of \"{issuer}\", of which one is in force, found none")]
    ListGone {
        /// The authority.
        issuer: String,
    },
    /// rustls can't work with it.
    #[error("expected what rustls can work with, found: {reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
}

impl Problem {
    /// The error of that file.
    pub(crate) fn of(self, role: Role, path: impl Into<PathBuf>) -> LoadError {
        LoadError { path: path.into(), role, problem: Box::new(self) }
    }
}

/// Names with commas between them, the first few.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names {
        [] => "nothing in PEM".to_owned(),
        names if names.len() > SHOWN => format!("{} and others", names[..SHOWN].join(", ")),
        names => names.join(", "),
    }
}
