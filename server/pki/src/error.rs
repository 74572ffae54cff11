//! What can go wrong.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why something couldn't be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder couldn't be read or written.
    #[error("{}: can't {action}: {source}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: read, write, create, replace, remove, give away, sync, lock.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Files that would have been written are there.
    #[error(
        "{} there already, and nothing is overwritten: move {} away first",
        listed(.0), if .0.len() == 1 { "it" } else { "them" }
    )]
    Exists(Vec<PathBuf>),
    /// The folder holds no authority.
    #[error("{}: no certificate authority: there is no {}. `pki --dir {0} init` makes one", .folder.display(), .missing)]
    NoAuthority {
        /// The folder.
        folder: PathBuf,
        /// The file that isn't there, relative to the folder.
        missing: &'static str,
    },
    /// A file isn't what it must be.
    #[error("{}: expected {expected}, found {found}", .path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The list of what was issued has a row that can't be read.
    #[error("{}:{line}: expected {expected}, found {found:?}", .path.display())]
    Row {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the row, or a field of it, must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Not a name that a central can have.
    #[error("{0:?}: expected a host name or an IP address")]
    NoServerName(String),
    /// A central's certificate without a name fits no central.
    #[error("expected at least one name of the central")]
    NoServerNames,
    /// Not a trust domain.
    #[error(
        "{0:?}: expected a trust domain: 1 to 255 lower-case letters, digits, dots, hyphens and underscores"
    )]
    NoTrustDomain(String),
    /// Not the numbers of a user and a group.
    #[error("{0:?}: expected the numbers of a user and a group, as 1000:1000")]
    NoOwner(String),
    /// No program that has a certificate.
    #[error("{0:?}: expected server or the number of an agency")]
    NoHolder(String),
    /// What is to be installed wasn't issued.
    #[error("{}: there is no such file: issue it first, by `pki {}`", .path.display(), .command)]
    NotIssued {
        /// The certificate's file.
        path: PathBuf,
        /// The command that issues it.
        command: String,
    },
    /// Agencies are numbered from 1.
    #[error("agency 0: expected a number from 1")]
    AgencyZero,
    /// A certificate is of no use after its authority's has expired.
    #[error("{days} days from now the authority's certificate, valid until {until}, has expired")]
    OutlivesAuthority {
        /// How long the certificate was to be valid.
        days: u16,
        /// When the authority's expires.
        until: String,
    },
    /// No certificate with this serial was issued here.
    #[error("{0}: no certificate of this authority has this serial")]
    UnknownSerial(String),
    /// The kernel gave no random bytes.
    #[error("no random bytes: {0}")]
    NoRandomBytes(#[source] io::Error),
    /// A key couldn't be made, or something not be signed with it.
    #[error("{what}: {source}")]
    Signing {
        /// What was to be made.
        what: &'static str,
        /// What the library said.
        source: rcgen::Error,
    },
}

impl Error {
    /// For `map_err`, with what was to be made.
    pub(crate) fn signing(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Signing { what, source }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}
