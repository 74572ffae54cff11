//! Why a request is refused.

use wire::{Agency, DrawName, DrawPhrase, ErrorCode, MessageError, Position};

/// Two draws that aren't the same, each by its name, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawMismatch {
    /// The central's.
    pub expected: Option<DrawName>,
    /// The agency's, or that of a ledger.
    pub found: Option<DrawName>,
}

/// Why a request is refused. Each ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An agency of another draw.
    #[error(
        "this central serves {} (SERVER_DRAW), found agency {agency} of {}",
        DrawPhrase(.draws.expected), DrawPhrase(.draws.found)
    )]
    WrongDraw {
        /// Its number.
        agency: Agency,
        /// The central's draw, and its own.
        draws: Box<DrawMismatch>,
    },
    /// Not one of the lottery's agencies.
    #[error("agencies are numbered 1 to {agencies} (SERVER_AGENCIES), found {found}")]
    UnknownAgency {
        /// The number found.
        found: Agency,
        /// How many there are.
        agencies: Agency,
    },
    /// The batch begins beyond what was consumed.
    #[error("the next batch begins at position {expected}, found one at {found}")]
    Gap {
        /// Position expected.
        expected: Position,
        /// Position found.
        found: Position,
    },
    /// The batch begins before what was consumed, and ends after it.
    #[error("the next batch begins at position {expected}, found one at {found} with {count} bets")]
    Overlap {
        /// Position expected.
        expected: Position,
        /// Position found.
        found: Position,
        /// Bets in it.
        count: u16,
    },
    /// The agency has said that nothing follows.
    #[error("agency {agency} ended its input at position {total}: no bet is taken after that")]
    Finished {
        /// The agency.
        agency: Agency,
        /// Its total.
        total: Position,
    },
    /// The draw has run.
    #[error(
        "the draw was held, no bet is taken after it: for another lottery stop the central, remove its \
         bets.csv and bets.csv.wal, and start it again"
    )]
    Drawn,
    /// The draw of this name has run, in etcd.
    #[error(
        "the draw {} was held, no bet is taken after it: another lottery has another name (SERVER_DRAW)",
        .draw.as_str()
    )]
    DrawnOf {
        /// Its name.
        draw: DrawName,
    },
    /// The total isn't what was consumed.
    #[error("the end's total must be the position reached, {expected}, found {found}")]
    WrongTotal {
        /// Position reached.
        expected: Position,
        /// Total found.
        found: Position,
    },
    /// Winners are for those who have finished.
    #[error("agency {agency} must end its input (END) before it asks for winners")]
    NotFinished {
        /// The agency.
        agency: Agency,
    },
    /// The bets of a batch don't fit its body.
    #[error(transparent)]
    Malformed(#[from] MessageError),
}

impl Refusal {
    /// The number that travels.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::WrongDraw { .. } => ErrorCode::WrongDraw,
            Self::UnknownAgency { .. } => ErrorCode::UnknownAgency,
            Self::Gap { .. } => ErrorCode::Gap,
            Self::Overlap { .. } => ErrorCode::Overlap,
            Self::Finished { .. } => ErrorCode::Finished,
            Self::Drawn | Self::DrawnOf { .. } => ErrorCode::Drawn,
            Self::WrongTotal { .. } => ErrorCode::WrongTotal,
            Self::NotFinished { .. } => ErrorCode::NotFinished,
            Self::Malformed(_) => ErrorCode::Malformed,
        }
    }
}
