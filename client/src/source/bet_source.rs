//! Where an agency's bets come from, one after the other.
//!
//! Knows nothing of positions, checksums and batches: that is [`input`](crate::source::input)'s.

use std::time::Duration;

use wire::{Bet, Field};

use crate::source::error::InputError;
use crate::source::source_position::SourcePosition;

/// Bets in the order in which they are sent.
///
/// One bet of look-ahead: [`peek`](Self::peek) shows the next bet as often as it is asked for, and
/// [`advance`](Self::advance) goes past it. So a bet that didn't fit into a batch is still there
/// for the next.
pub trait BetSource {
    /// The next bet, or `None` at the end.
    ///
    /// # Errors
    /// [`InputError`] when it can't be read, or has another shape than a bet. What makes a bet
    /// valid is not judged here.
    fn peek(&mut self) -> Result<Option<Bet<'_>>, InputError>;

    /// Goes past the bet that [`peek`](Self::peek) shows. No effect when it hasn't shown one.
    fn advance(&mut self);

    /// The place before the bet that [`peek`](Self::peek) shows.
    fn position(&self) -> SourcePosition;

    /// Goes back, or forth, to a place from [`position`](Self::position); the default one is the start.
    ///
    /// # Errors
    /// [`InputError`] when the source can't go there.
    fn seek(&mut self, position: SourcePosition) -> Result<(), InputError>;

    /// How far the end is, as [`SourcePosition::offset`] counts; an estimate for who shows progress.
    fn size(&self) -> u64;

    /// What a person calls it: the path of a file.
    fn name(&self) -> String {
        "input".to_owned()
    }

    /// Where the bet that [`peek`](Self::peek) shows can be found by a person.
    fn describe(&self) -> String;

    /// The same of one field of it that is too long, with what stands there.
    fn describe_field(&self, field: Field) -> String {
        format!("{}, {field}", self.describe())
    }

    /// The line of that bet, from 1, of a source that has lines.
    fn line(&self) -> Option<u64> {
        None
    }

    /// Looks whether all of it is good, a slice at a time, before any of it is sent. What isn't is
    /// logged. Its place doesn't change.
    ///
    /// # Errors
    /// [`InputError`] when it isn't, or can't be read.
    fn check(&mut self) -> Result<Checking, InputError> {
        Ok(Checking::Done)
    }

    /// How far a check is, as [`SourcePosition::offset`] counts.
    fn checked(&self) -> u64 {
        0
    }

    /// How long to wait before [`verify`](Self::verify) says that this was all: when the end looks as
    /// if somebody was still writing it.
    fn wait_at_end(&mut self) -> Option<Duration> {
        None
    }

    /// Looks whether the source is what it was when it was opened.
    ///
    /// # Errors
    /// [`InputError::Changed`] when it isn't, [`InputError::Read`] when that can't be told.
    fn verify(&self) -> Result<(), InputError> {
        Ok(())
    }

    /// The same, if anything was read since it was looked at last: what [`peek`](Self::peek) has shown
    /// until then is of the source as it was opened. Cheap enough to be asked before each batch.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    fn verify_read(&mut self) -> Result<(), InputError> {
        self.verify()
    }

    /// Gives back what the source holds open, and logs it.
    fn close(self)
    where
        Self: Sized,
    {
    }
}

/// How far the check of a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Checking {
    /// There is more: call it again.
    Going,
    /// Call it again after this time.
    Waiting(Duration),
    /// All of it is good.
    Done,
}
