//! What the central asks of who keeps its certificates. Files, and how certificates are read, are
//! theirs.

use std::fmt;
use std::time::Duration;

use reactor::{Layer, LayerError};
use tls::expiry::Expiry;

use super::identity::Identity;

/// Which connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// Those without TLS too.
    Taken,
    /// Those without TLS are refused.
    Refused,
}

/// Who keeps the central's certificates.
pub trait Trust: fmt::Debug {
    /// Whether connections without TLS are taken.
    fn plaintext(&self) -> Plaintext;

    /// TLS for a connection that begins it.
    ///
    /// # Errors
    /// When it can't be had.
    fn layer(&self) -> Result<Box<dyn Layer>, LayerError>;

    /// Who shows these certificates, its own first.
    fn identify(&self, chain: &[&[u8]]) -> Identity;

    /// Whether the revocation list in force names one of these certificates.
    fn is_revoked(&self, chain: &[&[u8]]) -> bool;

    /// Counts the certificates and lists that have been in force: what was judged by earlier ones may
    /// be judged otherwise now.
    fn generation(&self) -> u32;

    /// Reads everything again, and says in the log what came of it. What can't be used leaves the old
    /// in force.
    fn reload(&mut self);

    /// When which certificate and list ends.
    fn expiries(&self) -> Vec<Expiry>;

    /// Warns in the log of what ends soon; returns how long until it is to be looked again.
    fn warn_of_expiry(&self) -> Duration;
}
