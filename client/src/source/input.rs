//! An agency's bets with their positions and checksum, cut into batches.

use std::time::Duration;

use runtime::logging::{Line, Pairs};
use wire::{BatchBuilder, Checksum, Position, Push};

use crate::source::bet_source::{BetSource, Checking};
use crate::source::error::InputError;
use crate::source::source_position::SourcePosition;

/// A position in the input, and the checksum of everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputPosition {
    /// Bets before it.
    pub bets: Position,
    /// Their checksum.
    pub checksum: Checksum,
    /// The same position in the source.
    pub source: SourcePosition,
}

/// Where a person finds a rejected batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where its invalid bet is.
    pub bad: String,
    /// All of its bets.
    pub all: Span,
}

/// The first and the last bet of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Lines on which they begin.
    Lines(u64, u64),
    /// Their positions.
    Positions(Position, Position),
}

impl Pairs for Span {
    fn add_to(&self, line: Line) -> Line {
        match self {
            Self::Lines(first, last) => line.with("lines", format_args!("{first} to {last}")),
            Self::Positions(first, last) => line.with("first", first).with("last", last),
        }
    }
}

/// The input of one agency.
#[derive(Debug)]
pub struct Input<S> {
    source: S,
    bets: Position,
    checksum: Checksum,
}

impl<S: BetSource> Input<S> {
    /// The input at its start.
    pub fn new(source: S) -> Self {
        Self { source, bets: 0, checksum: Checksum::default() }
    }

    /// The current position.
    pub fn position(&self) -> InputPosition {
        let Self { bets, checksum, .. } = *self;
        InputPosition { bets, checksum, source: self.source.position() }
    }

    /// Moves to a position that it has been at.
    ///
    /// # Errors
    /// [`InputError`] when the source can't go there.
    pub fn seek(&mut self, position: InputPosition) -> Result<(), InputError> {
        self.source.seek(position.source)?;
        self.bets = position.bets;
        self.checksum = position.checksum;
        Ok(())
    }

    /// Fills `batch` with the next bets: as many as there are, as fit, and at most `most`. It is empty
    /// at the end.
    ///
    /// # Errors
    /// [`InputError`] at a bet that can't be read or encoded. The bets before it were read past, so
    /// `batch` must not be sent.
    pub fn next_batch(&mut self, batch: &mut BatchBuilder, most: u16) -> Result<(), InputError> {
        batch.clear();
        while batch.count() < most {
            let Some(bet) = self.source.peek()? else { break };
            match batch.push(&bet) {
                Ok(Push::Added) => self.source.advance(),
                Ok(Push::Full) => break,
                Err(error) => {
                    let place = self.source.describe_field(error.field);
                    return Err(InputError::Row { place, error: error.into() });
                }
            }
        }
        self.bets += u64::from(batch.count());
        self.checksum = self.checksum.extended(batch.batch(0).encoded);
        Ok(())
    }

    /// Checks the next slice of it, see [`BetSource::check`].
    ///
    /// # Errors
    /// [`InputError`] when it isn't good.
    pub fn check(&mut self) -> Result<Checking, InputError> {
        self.source.check()
    }

    /// How much is checked, see [`BetSource::checked`].
    pub fn checked(&self) -> u64 {
        self.source.checked()
    }

    /// See [`BetSource::wait_at_end`].
    pub fn wait_at_end(&mut self) -> Option<Duration> {
        self.source.wait_at_end()
    }

    /// Verifies that the input is what it was when it was opened.
    ///
    /// # Errors
    /// [`InputError`] when it isn't.
    pub fn verify(&self) -> Result<(), InputError> {
        self.source.verify()
    }

    /// See [`BetSource::verify_read`].
    ///
    /// # Errors
    /// [`InputError`] when the input isn't what it was.
    pub fn verify_read(&mut self) -> Result<(), InputError> {
        self.source.verify_read()
    }

    /// Where a person finds the `index`-th bet after a position, and all `count` of its batch. The
    /// current position stays.
    ///
    /// # Errors
    /// [`InputError`] when the source can't go there, or back.
    pub fn describe(
        &mut self,
        batch: InputPosition,
        index: u16,
        count: u16,
    ) -> Result<Rejected, InputError> {
        let here = self.source.position();
        self.source.seek(batch.source)?;
        self.source.peek()?;
        let first = self.source.line();
        self.pass(index)?;
        let bad = self.source.describe();
        self.pass(count.saturating_sub(index + 1))?;
        let last = self.source.line();
        self.source.seek(here)?;
        let all = match first.zip(last) {
            Some((first, last)) => Span::Lines(first, last),
            None => Span::Positions(batch.bets, batch.bets + u64::from(count.saturating_sub(1))),
        };
        Ok(Rejected { bad, all })
    }

    /// Moves past so many bets, and peeks at the next.
    fn pass(&mut self, count: u16) -> Result<(), InputError> {
        for _ in 0..count {
            self.source.advance();
            self.source.peek()?;
        }
        Ok(())
    }

    /// Its name, see [`BetSource::name`].
    pub fn name(&self) -> String {
        self.source.name()
    }

    /// How far the end is, as [`SourcePosition::offset`] counts.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// Closes the source.
    pub fn close(self) {
        self.source.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::memory_source::MemorySource;

    fn input(count: usize) -> Input<MemorySource> {
        let bet = |index: usize| {
            ["Ana", "Paz", &index.to_string(), "2000-01-01", "7"]
                .map(|field| field.as_bytes().to_vec())
        };
        Input::new(MemorySource::new((0..count).map(bet).collect()))
    }

    #[test]
    fn how_it_is_cut_leaves_no_trace() {
        let mut ends = Vec::new();
        for most in [1, 7, 100, u16::MAX] {
            let (mut input, mut batch, mut counts) = (input(1000), BatchBuilder::new(), Vec::new());
            loop {
                input.next_batch(&mut batch, most).unwrap();
                if batch.is_empty() {
                    break;
                }
                counts.push(batch.count());
            }
            assert_eq!(counts.iter().map(|count| u64::from(*count)).sum::<u64>(), 1000);
            assert!(counts[..counts.len() - 1].iter().all(|count| *count == most || most > 200));
            ends.push(input.position());
        }
        assert!(ends.iter().all(|end| *end == ends[0]));
    }

    #[test]
    fn a_place_can_be_returned_to() {
        let (mut input, mut batch) = (input(10), BatchBuilder::new());
        input.next_batch(&mut batch, 4).unwrap();
        let place = input.position();
        input.next_batch(&mut batch, 4).unwrap();
        let (after, first) = (input.position(), batch.clone());
        input.seek(place).unwrap();
        assert_eq!(input.position(), place);
        input.next_batch(&mut batch, 4).unwrap();
        assert_eq!(input.position(), after);
        assert_eq!(batch.batch(0), first.batch(0));
    }

    #[test]
    fn a_bet_behind_a_place_is_described_and_nothing_moves() {
        let (mut input, mut batch) = (input(10), BatchBuilder::new());
        input.next_batch(&mut batch, 3).unwrap();
        let place = input.position();
        input.next_batch(&mut batch, 4).unwrap();
        let here = input.position();
        for (index, count, found, span) in [
            (0, 4, "bet 3", Span::Positions(3, 6)),
            (2, 3, "bet 5", Span::Positions(3, 5)),
            (6, 7, "bet 9", Span::Positions(3, 9)),
        ] {
            let Rejected { bad, all } = input.describe(place, index, count).unwrap();
            assert_eq!((bad.as_str(), all), (found, span));
            assert_eq!(input.position(), here);
        }
        input.next_batch(&mut batch, 4).unwrap();
        assert_eq!(input.position().bets, 10);
    }

    #[test]
    fn a_field_that_cannot_travel_is_an_error_that_names_it() {
        let mut row = ["a", "b", "1", "2000-01-01", "7"].map(|field| field.as_bytes().to_vec());
        row[1] = vec![b'x'; 256];
        let mut input = Input::new(MemorySource::new(vec![row]));
        let error = input.next_batch(&mut BatchBuilder::new(), 9).unwrap_err().to_string();
        assert_eq!(error, "bet 0, last name: last name is at most 255 bytes long, found 256");
    }
}
