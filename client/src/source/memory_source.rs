//! Bets in memory.

use wire::Bet;
use wire::field::FIELDS;

use crate::source::bet_source::BetSource;
use crate::source::error::InputError;
use crate::source::source_position::SourcePosition;

/// Bets in memory, for tests, simulations and generated load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemorySource {
    bets: Vec<[Vec<u8>; FIELDS]>,
    next: usize,
}

impl MemorySource {
    /// A source of these bets, their fields in the order in which they travel.
    pub fn new(bets: Vec<[Vec<u8>; FIELDS]>) -> Self {
        Self { bets, next: 0 }
    }
}

impl BetSource for MemorySource {
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError> {
        let fields = self.bets.get(self.next);
        Ok(fields.map(|fields| Bet::from_fields(fields.each_ref().map(Vec::as_slice))))
    }

    fn advance(&mut self) {
        self.next = self.bets.len().min(self.next + 1);
    }

    fn position(&self) -> SourcePosition {
        SourcePosition { offset: self.next as u64, line: self.next as u64 }
    }

    fn seek(&mut self, position: SourcePosition) -> Result<(), InputError> {
        self.next = usize::try_from(position.offset).unwrap_or(usize::MAX).min(self.bets.len());
        Ok(())
    }

    fn size(&self) -> u64 {
        self.bets.len() as u64
    }

    fn describe(&self) -> String {
        format!("bet {}", self.next)
    }
}
