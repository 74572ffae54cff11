//! From WELCOME to the central's position in the input, whose beginning must be what was sent before.

use runtime::log_within;
use runtime::logging::{Level, Line, Success};
use wire::{Phase, Position};

use super::Agency;
use super::stage::{CentralState, Stage};
use crate::log_budget::Kind;
use crate::session::agency_session::Action;
use crate::session::failure::Failure;
use crate::source::bet_source::BetSource;
use crate::source::input::InputPosition;

/// Bets that are read past in one turn: some milliseconds' worth, so that signals are handled.
const BETS_PER_TURN: u64 = 20_000;

/// Bytes of the input that are read past in one turn, however long the rows are: less than a second
/// of a slow disk.
pub(super) const BYTES_PER_TURN: u64 = 1 << 20;

impl<S: BetSource> Agency<S> {
    /// Compares WELCOME with what is known, and begins to catch up.
    pub(super) fn on_welcome(
        &mut self,
        central: CentralState,
        rejected: u64,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let CentralState { consumed, checksum, phase } = central;
        log_within!(
            self.log_budget,
            Kind::Introduced,
            Level::Debug,
            Line::new("introduce", Success).with("client_id", self.id).with("posicion", consumed)
        );
        self.account.on_welcome(consumed, rejected, phase)?;
        if let Some(error) = self.input_error.take() {
            return Err(self.input_failure(error));
        }
        // After a lost connection it is nearly always a position that is still known.
        let known = self.in_flight.iter().map(|batch| batch.before);
        let known = known.chain([self.input.position(), self.confirmed]);
        let nearest = known
            .into_iter()
            .find(|known| known.bets == consumed && known.checksum == checksum)
            .unwrap_or_default();
        self.in_flight.clear();
        self.input.seek(nearest)?;
        self.catch_up(central, out)
    }

    /// Reads on to the central's position, a slice a turn, and goes on from there.
    pub(super) fn catch_up(
        &mut self,
        central: CentralState,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        self.stage = Stage::CatchingUp { with: central };
        if self.read_to(central.consumed)? {
            self.on_caught_up(central, out)
        } else {
            Ok(Action::Yield)
        }
    }

    /// Reads towards a position; returns whether it is reached.
    fn read_to(&mut self, consumed: Position) -> Result<bool, Failure> {
        let mut budget = BETS_PER_TURN;
        let end = self.input.position().source.offset + BYTES_PER_TURN;
        loop {
            let InputPosition { bets: found, source, .. } = self.input.position();
            let left = consumed.saturating_sub(found);
            if left == 0 {
                return Ok(true);
            }
            if budget == 0 || source.offset >= end {
                return Ok(false);
            }
            let most = u16::try_from(left.min(budget)).unwrap_or(u16::MAX);
            let read = self.input.next_batch(&mut self.batch, most);
            read.map_err(|error| self.input_failure(error))?;
            if self.batch.is_empty() {
                self.verify()?;
                return Err(Failure::ShortInput { consumed, found });
            }
            budget -= u64::from(self.batch.count()).min(budget);
        }
    }

    /// Sends the rest, if the central takes any; there must be none if it doesn't.
    fn on_caught_up(
        &mut self,
        central: CentralState,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        let CentralState { consumed, checksum: expected, phase } = central;
        let position = self.input.position();
        if position.checksum != expected {
            self.verify()?;
            let found = position.checksum;
            return Err(Failure::OtherInput { consumed, expected, found });
        }
        self.confirmed = position;
        if phase == Phase::Open {
            self.stage = Stage::Sending;
            return self.send(out);
        }
        self.input.next_batch(&mut self.batch, 1)?;
        if !self.batch.is_empty() {
            return Err(match phase {
                Phase::Drawn => Failure::Drawn { consumed },
                _ => Failure::LongInput { consumed },
            });
        }
        Ok(self.ask(out))
    }
}
