//! What an agency is doing, and what the central owes it meanwhile.

use wire::{Checksum, Phase, Position};

use crate::source::input::InputPosition;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The input is looked at, before there is a connection.
    Checking,
    /// No connection, or not introduced on it.
    Introducing,
    /// On the way to where the central stands.
    Skipping {
        consumed: Position,
        checksum: Checksum,
        phase: Phase,
    },
    /// Batches are on their way.
    Sending,
    /// The central couldn't store a batch: once the rest is answered too, back to that place.
    Rewinding {
        to: InputPosition,
    },
    /// The end is on its way.
    Ending,
    /// The central couldn't note the end: it is sent again later.
    EndHeld,
    /// The winners are asked for.
    Asking,
    /// The central couldn't note that they are: asked again later.
    AskHeld,
    /// The list of winners has begun.
    Listing,
    Done,
}

impl Stage {
    /// Its name in a log line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Introducing => "introducing",
            Self::Skipping { .. } => "skipping",
            Self::Sending => "sending",
            Self::Rewinding { .. } => "set_back",
            Self::Ending | Self::EndHeld => "ending",
            Self::Asking | Self::AskHeld => "waiting_for_draw",
            Self::Listing => "reading_winners",
            Self::Done => "done",
        }
    }

    /// What the central owes, when no batch is under way.
    pub(super) fn expected_response(self) -> Option<&'static str> {
        match self {
            Self::Introducing => Some("the answer to HELLO"),
            Self::Ending => Some("the answer to END"),
            Self::Asking => Some("the winners"),
            Self::Listing => Some("the rest of the winners"),
            Self::Checking
            | Self::Skipping { .. }
            | Self::Sending
            | Self::Rewinding { .. }
            | Self::EndHeld
            | Self::AskHeld
            | Self::Done => None,
        }
    }
}
