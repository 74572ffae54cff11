//! Why a connection of an agency is closed: what an ERROR says.

use wire::{ErrorCode, FrameError, MessageError, VERSIONS};

use crate::lottery::Refusal;

/// Closes the connection, behind the replies that it is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    /// For a program.
    pub(crate) code: ErrorCode,
    /// For a person.
    pub(crate) reason: String,
}

impl ProtocolError {
    pub(crate) fn new(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::Oversized { .. } => ErrorCode::Oversized,
            FrameError::Magic { .. }
            | FrameError::Undersized { .. }
            | FrameError::Truncated { .. } => ErrorCode::Malformed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<MessageError> for ProtocolError {
    fn from(error: MessageError) -> Self {
        let code = match error {
            MessageError::UnknownKind { .. } => ErrorCode::UnknownKind,
            MessageError::Version { found } => {
                let [unnamed, named] = VERSIONS;
                let reason =
                    format!("this central speaks versions {unnamed} and {named}, found {found}");
                return Self::new(ErrorCode::Version, reason);
            }
            _ => ErrorCode::Malformed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Refusal> for ProtocolError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}
