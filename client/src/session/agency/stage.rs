//! The stages of an agency's session, and what the central owes in each.
//!
//! | stage | is over when | then |
//! |---|---|---|
//! | `Checking` | the input was checked | `Introducing` |
//! | `Introducing` | WELCOME arrived | `CatchingUp` |
//! | `CatchingUp` | the input was read up to the central's position | `Sending`; `Asking` if the agency had finished before |
//! | `Sending` | every bet was answered | `Ending` |
//! | | UNAVAILABLE arrived | `Rewinding` |
//! | `Rewinding` | the other batches under way were answered too | `Sending`, after a pause |
//! | `Ending` | FINISHED arrived | `Asking` |
//! | | UNAVAILABLE arrived | `EndDeferred` |
//! | `EndDeferred` | the pause is over | `Ending` |
//! | `Asking` | the first WINNERS arrived | `Listing`; `Done` if it was the last |
//! | | UNAVAILABLE arrived | `AskDeferred` |
//! | `AskDeferred` | the pause is over | `Asking` |
//! | `Listing` | the last WINNERS arrived | `Done` |
//! | any but `Done` | another connection was established | `Introducing` |

use wire::{Checksum, Phase, Position};

use crate::source::input::InputPosition;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Checking,
    Introducing,
    CatchingUp { with: CentralState },
    Sending,
    Rewinding { to: InputPosition },
    Ending,
    EndDeferred,
    Asking,
    AskDeferred,
    Listing,
    Done,
}

/// What the central has of this agency's input, as WELCOME reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CentralState {
    pub(super) consumed: Position,
    pub(super) checksum: Checksum,
    pub(super) phase: Phase,
}

impl Stage {
    /// Its name in a log line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Introducing => "introducing",
            Self::CatchingUp { .. } => "skipping",
            Self::Sending => "sending",
            Self::Rewinding { .. } => "set_back",
            Self::Ending | Self::EndDeferred => "ending",
            Self::Asking | Self::AskDeferred => "waiting_for_draw",
            Self::Listing => "reading_winners",
            Self::Done => "done",
        }
    }

    /// The response that the central owes, when no batch is under way.
    pub(super) fn expected_response(self) -> Option<&'static str> {
        match self {
            Self::Introducing => Some("the answer to HELLO"),
            Self::Ending => Some("the answer to END"),
            Self::Asking => Some("the winners"),
            Self::Listing => Some("the rest of the winners"),
            Self::Checking
            | Self::CatchingUp { .. }
            | Self::Sending
            | Self::Rewinding { .. }
            | Self::EndDeferred
            | Self::AskDeferred
            | Self::Done => None,
        }
    }
}
