//! TLS as a layer of a connection of the loop, by rustls.
//!
//! | file | what it is for |
//! |---|---|
//! | `layer` | [`TlsLayer`]: a connection's side of TLS, for the loop |
//! | `record` | which bytes begin TLS |
//! | `error` | why TLS ends a connection |
//! | [`server`], [`client`] | all that the connections of a server or of a client need, loaded from files |
//! | `credentials` | a program's own certificate and key |
//! | `trust` | what peers are checked with: authorities and revocation lists |
//! | `verifier` | bounds what checking a peer costs |
//! | [`expiry`] | when certificates and lists end |
//! | [`certificate`] | what a certificate says of itself |
//! | [`revocation_list`] | what a revocation list says, and who signed it |
//! | `contents`, `pem` | certificates, keys and lists out of a file's bytes |
//! | [`files`] | reads several files that belong together |
//! | `in_force` | what is loaded, for a log |
//! | `setting_error` | a file that can't be used, in the words of the settings that name it |
//! | [`problem`] | what is wrong with a file |
//! | [`timestamp`] | points in time, and the clock that certificates are compared with |
//! | [`provider`](mod@provider) | the cryptography |
//! | `testing` | both sides, ready to meet, for tests |
//!
//! Knows no protocol that goes through a connection, and not what a certificate's names mean.

pub mod certificate;
pub mod client;
mod contents;
mod credentials;
mod error;
pub mod expiry;
pub mod files;
mod in_force;
mod layer;
mod pem;
pub mod problem;
pub mod provider;
mod record;
pub mod revocation_list;
pub mod server;
mod setting_error;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timestamp;
mod trust;
mod verifier;

pub use client::{ClientOptions, ClientTls, Name, NameError};
pub use credentials::KeyFiles;
pub use error::{Fault, TlsError};
pub use in_force::InForce;
pub use layer::{HELD_MAX, TlsLayer};
pub use pem::SectionError;
pub use record::HANDSHAKE;
pub use server::{ServerOptions, ServerTls};
pub use setting_error::{SettingError, SettingNames};
pub use trust::TrustFiles;
