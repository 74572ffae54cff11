//! Which lottery a ledger is for.

use wire::{Agency, DrawName};

/// Which draw, and among how many agencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Agencies that take part, from number 1 on. A ledger may get more of them before the draw.
    pub agencies: Agency,
    /// What the draw is called; `None` for the unnamed one. A ledger keeps it for ever.
    pub draw: Option<DrawName>,
}

/// Of the unnamed draw.
impl From<Agency> for Terms {
    fn from(agencies: Agency) -> Self {
        Self { agencies, draw: None }
    }
}
