//! A connection to the central that is gone: how far it had come, and why, for a log line.
//!
//! Knows no address, no attempt and no session.

use reactor::CloseReason;
use tls::TlsError;

/// What the other side is called in messages.
const CENTRAL: &str = "the central";

/// A connection that is gone.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) reached: Reached,
    /// Why, for a log line.
    pub(crate) reason: String,
    /// Whether it would be the same the next time.
    pub(crate) is_final: bool,
}

/// How far a connection had come when it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It was never open.
    Nothing,
    /// It was open, and its TLS handshake not complete.
    Peer,
    /// It was established.
    Central,
}

/// Why a connection was lost that the next one needn't be lost for.
pub(crate) fn describe(reached: Reached, reason: &CloseReason) -> String {
    match (tls_error(reason), reached) {
        (Some(error), _) => about(error),
        (None, Reached::Peer) => format!("{reason} (during the TLS handshake)"),
        (None, Reached::Nothing | Reached::Central) => reason.to_string(),
    }
}

/// What a failure of TLS says of the central.
pub(crate) fn about(error: &TlsError) -> String {
    error.about(CENTRAL).to_string()
}

/// The failure of TLS that ended a connection, if one did.
pub(crate) fn tls_error(reason: &CloseReason) -> Option<&TlsError> {
    match reason {
        CloseReason::Layer(error) => error.downcast_ref(),
        _ => None,
    }
}
