//! Certificates for a lottery: a certificate authority in a folder.
//!
//! [`Authority`] makes the files that a central and its agencies identify themselves with:
//!
//! | file | what it is |
//! |---|---|
//! | `ca.pem` | the authority's certificate: what both sides trust |
//! | `private/ca.key` | its key, in a folder that only its owner may enter; no program but this one needs it |
//! | `crl.pem` | the revocation list: for the central, and for agencies that look the central's certificate up |
//! | `server.pem`, `server.key` | the central's certificate and key |
//! | `agency-N.pem`, `agency-N.key` | those of agency N |
//! | `issued.csv` | what was issued: serial, kind, name, expiry, and since when it is revoked |
//! | `crl-number` | the number of the last revocation list |
//!
//! Nothing that exists is overwritten, but for the three files that hold the present state
//! (`crl.pem`, `issued.csv`, `crl-number`): each of these is replaced as a whole, so that a reader
//! sees the old or the new one. Runs at the same time wait for each other.
//!
//! An agency's name is the one URI in its certificate, `spiffe://TRUST-DOMAIN/agencia/N`.
//!
//! Knows no connection and no TLS. The files of this crate:
//!
//! | file | what it is for |
//! |---|---|
//! | `authority` | the folder: makes, issues, installs, revokes |
//! | `template` | what stands in each kind of certificate and in a revocation list |
//! | `certificate` | reading them |
//! | `register` | `issued.csv` |
//! | `files` | files that are created and never overwritten, or replaced as a whole; copies for another user |
//! | `names`, `serial`, `validity`, `key`, `random` | what they are made of |
//! | `error` | what can go wrong |
//! | [`command_line`] | how the program is called |
//! | `testing` | certificates in memory, odd ones too, for tests |
//!
//! # Examples
//! ```
//! use pki::{Authority, Leaf, Options};
//!
//! # let folder = tempfile::tempdir()?;
//! let authority = Authority::create(&folder.path().join("pki"), &Options::default())?;
//! authority.issue_server(&["localhost", "127.0.0.1"], &Leaf::default())?;
//! let agency = authority.issue_agency(3, &Leaf::default())?;
//! authority.revoke(&[agency.serial], pki::CRL_DAYS)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod certificate;
pub mod command_line;
mod error;
mod files;
mod key;
mod names;
mod random;
mod register;
mod serial;
mod template;
#[cfg(feature = "testing")]
pub mod testing;
mod validity;

pub use authority::{Authority, Holder, Issued, Leaf, Options, Revocation};
pub use certificate::{RevocationList, serial_of};
pub use error::Error;
pub use files::Owner;
pub use key::KeyKind;
pub use names::{ServerName, TrustDomain};
pub use register::{Entry, Kind};
pub use serial::Serial;
pub use validity::{BACKDATED, CA_DAYS, CRL_DAYS, LEAF_DAYS, Validity};
