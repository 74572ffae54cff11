//! A position in a source.

/// A place in a source, to seek to. Valid only for the source that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourcePosition {
    /// Bytes before it; the index of a bet in a source that isn't made of bytes.
    pub offset: u64,
    /// The line it is on as the source counts them, from 0.
    pub line: u64,
}
