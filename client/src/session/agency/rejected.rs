//! Log lines about rejected bets: which they are, where a person finds them, and what to do about them.

use log::{Level, error};
use runtime::logging::{Escaped, EscapedOnce};
use wire::{Field, Phase};

use super::{Account, Agency};
use crate::log_budget::Kind;
use crate::source::bet_source::BetSource;
use crate::source::input::{InputPosition, Rejected};

impl<S: BetSource> Agency<S> {
    /// Logs the invalid bet of a batch, and all bets that aren't stored because of it, by their lines in
    /// the input.
    pub(super) fn log_rejected(
        &mut self,
        before: InputPosition,
        count: u16,
        index: u16,
        field: Field,
        reason: &str,
    ) {
        if log::log_enabled!(Level::Error) && self.log_budget.allows(Kind::BatchRejected) {
            let place = self.place_of_rejected(before, index, count, field);
            error!(
                "action: apuesta_enviada | result: fail | cantidad: {count} | posicion: {} | \
                 code: {} | error: {} | {place}",
                before.bets + u64::from(index),
                field as u8,
                EscapedOnce(reason)
            );
        }
    }

    /// Where the invalid bet and its batch are, as parts of a log line. It is unknown when the input has
    /// changed meanwhile, which ends the session later.
    fn place_of_rejected(
        &mut self,
        before: InputPosition,
        index: u16,
        count: u16,
        field: Field,
    ) -> String {
        let found = self.input.describe(before, index, count);
        match self.input.verify().and(found) {
            Ok(Rejected { bad, all }) => {
                format!("place: {} | field: {field} | {all}", Escaped(bad.as_bytes()))
            }
            Err(error) => {
                self.input_error.get_or_insert(error);
                format!("place: unknown, the input has changed | field: {field}")
            }
        }
    }

    /// Logs rejected bets once, while there is still time to send them another way.
    pub(super) fn log_rejected_before_draw(&mut self) {
        if self.account.phase == Phase::Finished && !self.has_logged_rejected {
            self.has_logged_rejected = true;
            self.log_rejected_bets(
                "put them right and send them as another agency, before the draw: SERVER_AGENCIES one \
                 higher; see docs/operations.md \"Rejected bets\"",
            );
        }
    }

    /// Logs how many bets weren't stored, if any, and what to do about it.
    pub(super) fn log_rejected_bets(&self, advice: &str) {
        let Account { stored, rejected, .. } = self.account;
        if rejected > 0 {
            error!(
                "action: send_bets | result: fail | client_id: {} | stored: {stored} | \
                 rejected: {rejected} | error: the central took the rejected batches for good and \
                 stored none of their bets: {advice}",
                self.id
            );
        }
    }
}
