//! Log lines about rejected bets: which they are, where a person finds them, and what to do about them.

use runtime::log_line;
use runtime::logging::{self, Fail, Level, Line};
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
        if logging::is_logged(Level::Error) && self.log_budget.allows(Kind::BatchRejected) {
            let line = Line::new("apuesta_enviada", Fail)
                .with("cantidad", count)
                .with("posicion", before.bets + u64::from(index))
                .with("code", field as u8)
                .with("error", reason);
            log_line!(Level::Error, self.add_place(line, before, index, count, field));
        }
    }

    /// A line with where the invalid bet and its batch are. It is unknown when the input has changed
    /// meanwhile, which ends the session later.
    fn add_place(
        &mut self,
        line: Line,
        before: InputPosition,
        index: u16,
        count: u16,
        field: Field,
    ) -> Line {
        let found = self.input.describe(before, index, count);
        match self.input.verify().and(found) {
            Ok(Rejected { bad, all }) => {
                line.with_bytes("place", bad).with("field", field).with_all(&all)
            }
            Err(error) => {
                self.input_error.get_or_insert(error);
                line.with("place", "unknown, the input has changed").with("field", field)
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
            let error = format_args!(
                "the central took the rejected batches for good and stored none of their bets: {advice}"
            );
            let line = Line::new("send_bets", Fail)
                .with("client_id", self.id)
                .with("stored", stored)
                .with("rejected", rejected)
                .with("error", error);
            log_line!(Level::Error, line);
        }
    }
}
