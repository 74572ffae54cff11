//! An input that goes no further: noticed before a batch of it is sent, and said with how far it came.

use super::{Account, Agency};
use crate::session::failure::Failure;
use crate::source::bet_source::BetSource;
use crate::source::error::InputError;

impl<S: BetSource> Agency<S> {
    /// The next batch of an input that is still the one that was opened; an empty one is the end, or
    /// stands beside an error.
    pub(super) fn read_batch(&mut self) -> Result<(), InputError> {
        let read = self.input.next_batch(&mut self.batch, self.pace.max_amount);
        // What was read a pause ago is as old as that.
        let verified =
            if self.pace.period.is_zero() { self.input.verify_read() } else { self.input.verify() };
        let checked = verified.and(read);
        if checked.is_err() {
            self.batch.clear();
        }
        checked
    }

    pub(super) fn verify(&self) -> Result<(), Failure> {
        self.input.verify().map_err(|error| self.stopped_by(error))
    }

    pub(super) fn stopped_by(&self, error: InputError) -> Failure {
        let Account { stored, rejected, .. } = self.account;
        Failure::Stopped { error, stored, rejected }
    }
}
