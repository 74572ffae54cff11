//! What would be wrong with the scheme, done by what surrounds the centrals: the test of the test.

/// A mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Conditions on keys in whose names this is aren't looked at.
    Ignores(&'static str),
    /// Every count says that all have finished.
    CountsAll,
    /// A central always draws the same session.
    ReusesSessions,
    /// What a write that was tried before came to is settled by reading, without doing it.
    ReadsAfterUnknown,
}
