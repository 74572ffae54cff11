//! The token that a user has for a password.

use std::time::Instant;

/// How it stands with the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// None is wanted.
    Unneeded,
    /// It is asked for as soon as anything waits, but not before a time.
    Missing(Option<Instant>),
    /// It is asked for.
    Asked,
    /// There is one.
    Held,
}
