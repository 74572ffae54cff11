//! Where an agency's bets come from, one after the other.
//!
//! Knows nothing of positions, checksums and batches: that is [`input`](crate::source::input)'s.

use std::time::Duration;

use wire::{Bet, Field};

use crate::source::error::InputError;
use crate::source::source_position::SourcePosition;

/// Bets in the order in which they are sent.
///
/// One bet of look-ahead: [`peek`](Self::peek) returns the next bet, any number of times, and
/// [`advance`](Self::advance) moves past it. So a bet that doesn't fit into a batch stays for the
/// next.
pub trait BetSource {
    /// The next bet, or `None` at the end.
    ///
    /// # Errors
    /// [`InputError`] when it can't be read, or can't be encoded. Whether it is valid isn't checked.
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError>;

    /// Moves past the bet that [`peek`](Self::peek) returned. No effect when it hasn't returned one.
    fn advance(&mut self);

    /// The position before the bet that [`peek`](Self::peek) returns.
    fn position(&self) -> SourcePosition;

    /// Moves to a position from [`position`](Self::position); the default one is the start.
    ///
    /// # Errors
    /// [`InputError`] when the source can't go there.
    fn seek(&mut self, position: SourcePosition) -> Result<(), InputError>;

    /// Its size, as [`SourcePosition::offset`] counts; an estimate, for a progress bar.
    fn size(&self) -> u64;

    /// Its name for a person: the path of a file.
    fn name(&self) -> String {
        "input".to_owned()
    }

    /// Where a person finds the bet that [`peek`](Self::peek) returns.
    fn describe(&self) -> String;

    /// Where a person finds a field of it that is too long, with the value.
    fn describe_field(&self, field: Field) -> String {
        format!("{}, {field}", self.describe())
    }

    /// The line of that bet, from 1, if the source has lines.
    fn line(&self) -> Option<u64> {
        None
    }

    /// Checks the next slice of it, before any of it is sent, and logs what is bad. The position stays.
    ///
    /// # Errors
    /// [`InputError`] when anything is bad, or it can't be read.
    fn check(&mut self) -> Result<Checking, InputError> {
        Ok(Checking::Done)
    }

    /// How much is checked, as [`SourcePosition::offset`] counts.
    fn checked(&self) -> u64 {
        0
    }

    /// How long to wait at the end before [`verify`](Self::verify) can confirm it, when it looks as if
    /// it was still being written.
    fn wait_at_end(&mut self) -> Option<Duration> {
        None
    }

    /// Verifies that the source is what it was when it was opened.
    ///
    /// # Errors
    /// [`InputError::Changed`] when it isn't, [`InputError::Read`] when it can't be compared.
    fn verify(&self) -> Result<(), InputError> {
        Ok(())
    }

    /// The same, but only if anything was read since the last time: cheap enough before each batch.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    fn verify_read(&mut self) -> Result<(), InputError> {
        self.verify()
    }

    /// Closes what the source holds open, and logs it.
    fn close(self)
    where
        Self: Sized,
    {
    }
}

/// The state of a source's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Checking {
    /// There is more: call [`BetSource::check`] again.
    InProgress,
    /// Call it again after this time.
    Waiting(Duration),
    /// All of it is good.
    Done,
}
