//! An agency in mode `loteria`: its whole input in batches, then its winners.
//!
//! The position in the input is the sequence number. Whatever breaks, the central says how far it
//! has come, and the agency goes on exactly there: no bet is lost, none is sent to be stored twice.

use std::collections::VecDeque;
use std::time::Duration;

use log::{debug, error, info, warn};
use reactor::logging::Escaped;
use wire::{BatchBuilder, Checksum, Phase, Position, Request, Response, VERSION};

use crate::dialogue::{Dialogue, Failure, Next, Progress};
use crate::input::{Input, Place};
use crate::source::BetSource;

/// Bets that are skipped in one turn: some milliseconds' worth, so that a signal is still heard.
const SKIPPED_PER_TURN: u64 = 20_000;

/// Bytes of the input that are skipped in one turn, whatever rows they make: less than a second's
/// worth of a slow disk.
const SKIPPED_BYTES_PER_TURN: u64 = 1 << 20;

/// How an agency sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Most bets in a batch.
    pub max_amount: u16,
    /// Batches that may be unanswered; one alone when there is a pause.
    pub window: usize,
    /// Pause between an answer and the next batch.
    pub period: Duration,
}

/// The agency.
#[derive(Debug)]
pub struct Agency<S> {
    id: wire::Agency,
    pace: Pace,
    input: Input<S>,
    batch: BatchBuilder,
    /// Sent and not answered, oldest first.
    outstanding: VecDeque<Outstanding>,
    stage: Stage,
    /// The place after everything that the central has confirmed.
    confirmed: Place,
    /// Some of the input was rejected.
    rejected: bool,
    winners: u64,
}

/// A batch that was sent and not answered.
#[derive(Debug, Clone, Copy)]
struct Outstanding {
    before: Place,
    count: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No connection, or not introduced on it.
    Introducing,
    /// On the way to where the central stands.
    Skipping {
        consumed: Position,
        checksum: Checksum,
        phase: Phase,
    },
    /// Batches are on their way.
    Sending,
    /// The central couldn't store a batch: once the rest is answered too, back to that place.
    SetBack {
        to: Place,
    },
    /// The end is on its way.
    Ending,
    /// The winners are asked for.
    Asking,
    Done,
}

impl<S: BetSource> Agency<S> {
    /// An agency that hasn't sent anything.
    pub fn new(id: wire::Agency, pace: Pace, source: S) -> Self {
        Self {
            id,
            pace,
            input: Input::new(source),
            batch: BatchBuilder::new(),
            outstanding: VecDeque::new(),
            stage: Stage::Introducing,
            confirmed: Place::default(),
            rejected: false,
            winners: 0,
        }
    }

    fn welcomed(
        &mut self,
        consumed: Position,
        checksum: Checksum,
        rejected: u64,
        phase: Phase,
        out: &mut Vec<u8>,
    ) -> Result<Next, Failure> {
        debug!(
            "action: introduce | result: success | client_id: {} | posicion: {consumed}",
            self.id
        );
        self.rejected |= rejected > 0;
        // After a cut it is nearly always a place that we remember.
        let known = self.outstanding.iter().map(|outstanding| outstanding.before);
        let known = known.chain([self.input.place(), self.confirmed]);
        let place = known
            .into_iter()
            .find(|place| place.position == consumed && place.checksum == checksum)
            .unwrap_or_default();
        self.outstanding.clear();
        self.input.go_to(place)?;
        self.stage = Stage::Skipping { consumed, checksum, phase };
        self.go_on(out)
    }

    /// Reads on to where the central stands, a slice at a time.
    fn skip(&mut self, consumed: Position) -> Result<Next, Failure> {
        let mut budget = SKIPPED_PER_TURN;
        let end = self.input.place().mark.offset + SKIPPED_BYTES_PER_TURN;
        loop {
            let Place { position: found, mark, .. } = self.input.place();
            let left = consumed.saturating_sub(found);
            if left == 0 {
                return Ok(Next::Answer);
            }
            if budget == 0 || mark.offset >= end {
                return Ok(Next::Turn);
            }
            let most = u16::try_from(left.min(budget)).unwrap_or(u16::MAX);
            self.input.next_batch(&mut self.batch, most)?;
            if self.batch.is_empty() {
                return Err(Failure::ShortInput { consumed, found });
            }
            budget -= u64::from(self.batch.count()).min(budget);
        }
    }

    /// The input must be the one that was sent before; then it goes on by phase.
    fn skipped(
        &mut self,
        consumed: Position,
        expected: Checksum,
        phase: Phase,
        out: &mut Vec<u8>,
    ) -> Result<Next, Failure> {
        let place = self.input.place();
        if place.checksum != expected {
            let found = place.checksum;
            return Err(Failure::OtherInput { consumed, expected, found });
        }
        self.confirmed = place;
        if phase == Phase::Open {
            self.stage = Stage::Sending;
            return self.send(out);
        }
        self.input.next_batch(&mut self.batch, 1)?;
        if !self.batch.is_empty() {
            return Err(Failure::LongInput { consumed });
        }
        Ok(self.ask(out))
    }

    /// Fills the window; at the end of the input, and when all is answered, says so.
    fn send(&mut self, out: &mut Vec<u8>) -> Result<Next, Failure> {
        let window = if self.pace.period.is_zero() { self.pace.window } else { 1 };
        while self.outstanding.len() < window {
            let before = self.input.place();
            self.input.next_batch(&mut self.batch, self.pace.max_amount)?;
            if self.batch.is_empty() {
                break;
            }
            let (count, posicion) = (self.batch.count(), before.position);
            Request::Batch(self.batch.batch(posicion)).encode(out);
            debug!(
                "action: batch_enviado | result: in_progress | cantidad: {count} | posicion: {posicion}"
            );
            self.outstanding.push_back(Outstanding { before, count });
        }
        if self.outstanding.is_empty() {
            return self.end(out);
        }
        Ok(Next::Answer)
    }

    /// Says that this is all, if it still is.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<Next, Failure> {
        self.input.verify()?;
        self.stage = Stage::Ending;
        Request::End { total: self.input.place().position }.encode(out);
        Ok(Next::Answer)
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Next {
        self.stage = Stage::Asking;
        self.winners = 0;
        Request::Winners.encode(out);
        Next::Answer
    }

    /// An answer to the oldest batch that has none.
    fn batch_answered(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Failure> {
        let Some(&Outstanding { before, count }) = self.outstanding.front() else {
            return Err(Failure::unexpected(response));
        };
        let after = before.position + u64::from(count);
        match (*response, self.stage) {
            (Response::Stored { consumed }, Stage::Sending) if consumed == after => {
                debug!(
                    "action: batch_confirmado | result: success | cantidad: {count} | posicion: {consumed}"
                );
            }
            (Response::Rejected { consumed, index, field, text }, Stage::Sending)
                if consumed == after =>
            {
                self.rejected = true;
                error!(
                    "action: apuesta_enviada | result: fail | cantidad: {count} | posicion: {} | \
                     code: {} | error: {}",
                    before.position + u64::from(index),
                    field as u8,
                    Escaped(text.as_bytes())
                );
            }
            (Response::Unavailable { text, .. }, Stage::Sending) => {
                let text = Escaped(text.as_bytes());
                warn!(
                    "action: batch_enviado | result: in_progress | cantidad: {count} | error: {text}"
                );
                self.stage = Stage::SetBack { to: before };
            }
            (Response::Unavailable { .. }, Stage::SetBack { .. }) => {}
            _ => return Err(Failure::unexpected(response)),
        }
        self.outstanding.pop_front();
        self.after_batch(out)
    }

    fn after_batch(&mut self, out: &mut Vec<u8>) -> Result<Next, Failure> {
        if let Stage::SetBack { to } = self.stage {
            if !self.outstanding.is_empty() {
                return Ok(Next::Answer);
            }
            self.input.go_to(to)?;
            self.stage = Stage::Sending;
            return Ok(Next::Backoff);
        }
        let next = self.outstanding.front().map(|outstanding| outstanding.before);
        self.confirmed = next.unwrap_or_else(|| self.input.place());
        if self.pace.period.is_zero() { self.send(out) } else { Ok(Next::Pause(self.pace.period)) }
    }

    fn told_winners(&mut self, winners: &wire::Winners<'_>) -> Next {
        self.winners += u64::from(winners.count());
        for document in winners.documents() {
            debug!("action: ganador | result: success | dni: {}", Escaped(document));
        }
        if !winners.last {
            return Next::Answer;
        }
        self.stage = Stage::Done;
        Next::Done
    }

    /// Winners that it was told of.
    pub fn winners(&self) -> u64 {
        self.winners
    }
}

impl<S: BetSource> Dialogue for Agency<S> {
    fn connected(&mut self, out: &mut Vec<u8>) {
        self.stage = Stage::Introducing;
        Request::Hello { version: VERSION, agency: self.id }.encode(out);
    }

    fn answered(&mut self, response: &Response<'_>, out: &mut Vec<u8>) -> Result<Next, Failure> {
        match (response, self.stage) {
            (&Response::Welcome { consumed, checksum, rejected, phase }, Stage::Introducing) => {
                self.welcomed(consumed, checksum, rejected, phase, out)
            }
            (_, Stage::Sending | Stage::SetBack { .. }) => self.batch_answered(response, out),
            (&Response::Finished { stored, rejected }, Stage::Ending) => {
                self.rejected |= rejected > 0;
                debug!(
                    "action: finish | result: success | stored: {stored} | rejected: {rejected}"
                );
                Ok(self.ask(out))
            }
            (Response::Unavailable { .. }, Stage::Ending | Stage::Asking) => Ok(Next::Backoff),
            (Response::Winners(winners), Stage::Asking) => Ok(self.told_winners(winners)),
            _ => Err(Failure::unexpected(response)),
        }
    }

    fn go_on(&mut self, out: &mut Vec<u8>) -> Result<Next, Failure> {
        match self.stage {
            Stage::Skipping { consumed, checksum, phase } => match self.skip(consumed)? {
                Next::Answer => self.skipped(consumed, checksum, phase, out),
                not_there_yet => Ok(not_there_yet),
            },
            Stage::Sending => self.send(out),
            Stage::Ending => self.end(out),
            Stage::Asking => Ok(self.ask(out)),
            Stage::Introducing | Stage::SetBack { .. } => Ok(Next::Answer),
            Stage::Done => Ok(Next::Done),
        }
    }

    fn waits_for_draw(&self) -> bool {
        self.stage == Stage::Asking
    }

    fn is_complete(&self) -> bool {
        self.stage == Stage::Done && !self.rejected
    }

    fn announce(&self) {
        if self.stage == Stage::Done {
            info!(
                "action: consulta_ganadores | result: success | cant_ganadores: {}",
                self.winners
            );
        }
    }

    fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Introducing => "introducing",
            Stage::Skipping { .. } => "skipping",
            Stage::Sending => "sending",
            Stage::SetBack { .. } => "set_back",
            Stage::Ending => "ending",
            Stage::Asking => "waiting_for_draw",
            Stage::Done => "done",
        }
    }

    fn progress(&self) -> Progress {
        let Place { position, mark, .. } = self.confirmed;
        Progress { bets: position, bytes: mark.offset, size: self.input.size() }
    }

    fn close(self) {
        self.input.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv_source::CsvSource;

    /// Rows of more than a kilobyte: a few thousand of them, and a turn on a slow disk is too long.
    #[test]
    fn a_turn_skips_a_bounded_part_of_the_file_however_wide_its_rows_are() {
        const ROWS: u64 = 4000;
        let wide = "x".repeat(250);
        let row = format!("{wide},{wide},{wide},{wide},{wide}\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), row.repeat(usize::try_from(ROWS).unwrap())).unwrap();
        let pace = Pace { max_amount: 100, window: 8, period: Duration::ZERO };
        let mut agency = Agency::new(1, pace, CsvSource::open(file.path()).unwrap());
        let (mut out, mut turns, mut offset) = (Vec::new(), 1, 0);
        agency.connected(&mut out);
        let checksum = Checksum::default();
        let welcome =
            Response::Welcome { consumed: ROWS, checksum, rejected: 0, phase: Phase::Open };
        let mut next = agency.answered(&welcome, &mut out);
        while matches!(next, Ok(Next::Turn)) {
            let skipped = agency.input.place().mark.offset - offset;
            assert!(skipped <= SKIPPED_BYTES_PER_TURN + 8192, "{skipped} bytes in one turn");
            (offset, turns) = (offset + skipped, turns + 1);
            next = agency.go_on(&mut out);
        }
        assert!(matches!(next, Err(Failure::OtherInput { .. })), "{next:?}");
        assert_eq!(turns, 1 + ROWS * row.len() as u64 / (SKIPPED_BYTES_PER_TURN + 8192));
    }
}
