//! Which lottery a ledger is for.

use wire::{Agency, DrawName};

use crate::lottery::{DrawMismatch, Refusal};

/// Which draw, and among how many agencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Agencies that take part, from number 1 on. A ledger may get more of them before the draw.
    pub agencies: Agency,
    /// What the draw is called; `None` for the unnamed one. A ledger keeps it for ever.
    pub draw: Option<DrawName>,
}

impl Terms {
    /// Whether an agency that sends for this draw is one of the lottery's.
    ///
    /// # Errors
    /// [`Refusal::WrongDraw`], also when it alone has a name, and [`Refusal::UnknownAgency`].
    pub fn admit(&self, agency: Agency, draw: Option<DrawName>) -> Result<(), Refusal> {
        if draw != self.draw {
            let draws = Box::new(DrawMismatch { expected: self.draw, found: draw });
            return Err(Refusal::WrongDraw { agency, draws });
        }
        if (1..=self.agencies).contains(&agency) {
            return Ok(());
        }
        Err(Refusal::UnknownAgency { found: agency, agencies: self.agencies })
    }
}

/// Of the unnamed draw.
impl From<Agency> for Terms {
    fn from(agencies: Agency) -> Self {
        Self { agencies, draw: None }
    }
}
