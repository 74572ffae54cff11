//! An agency with made-up bets: so many batches under way, another for each that is confirmed.
//!
//! Every batch holds the same bets, which never win; only its position changes, so that making load
//! costs far less than taking it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use wire::{BatchBuilder, Bet, DrawName, FrameDecoder, Phase, Position, Push, Request, Response};

use super::{Member, Stage, Tally};

/// What every agency does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Batches that may be under way, at least 1.
    pub window: usize,
    /// Most bets in a batch, as far as they fit into a frame.
    pub max_amount: u16,
    /// Batches of each agency in all.
    pub batches: u64,
}

/// The member.
#[derive(Debug)]
pub struct Agency {
    stage: Stage,
    id: wire::Agency,
    draw: Option<DrawName>,
    window: usize,
    decoder: FrameDecoder,
    batch: Rc<BatchBuilder>,
    unsent: u64,
    position: Position,
    /// When a batch was sent and how many bytes it had, oldest first.
    under_way: VecDeque<(Instant, usize)>,
}

/// Bets like those of the course's files.
fn batch(max_amount: u16) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    for index in 0..u32::from(max_amount) {
        let (document, number) = (30_000_000 + index, index % 7000);
        let (document, number) = (document.to_string(), number.to_string());
        let fields = ["Santiago Lionel", "Fernández", &document, "1999-03-17", &number];
        if batch.push(&Bet::from_fields(fields.map(str::as_bytes))) != Ok(Push::Added) {
            break;
        }
    }
    batch
}

impl Agency {
    /// So many members of a plan, numbered from 1.
    pub fn members(plan: &Plan, count: u32) -> Vec<Self> {
        let batch = Rc::new(batch(plan.max_amount.max(1)));
        let member = |id| Self {
            stage: Stage::Connecting,
            id,
            draw: None,
            window: plan.window.max(1),
            decoder: FrameDecoder::default(),
            batch: Rc::clone(&batch),
            unsent: plan.batches,
            position: 0,
            under_way: VecDeque::new(),
        };
        (1..=count).map(member).collect()
    }

    /// The same, of a draw with this name.
    #[must_use]
    pub fn of_draw(self, draw: Option<DrawName>) -> Self {
        Self { draw, ..self }
    }

    /// Bets in each batch.
    pub fn batch_len(&self) -> u16 {
        self.batch.count()
    }

    fn send(&mut self, now: Instant, out: &mut Vec<u8>) {
        while self.unsent > 0 && self.under_way.len() < self.window {
            let start = out.len();
            Request::Batch(self.batch.batch(self.position)).encode(out);
            self.position += u64::from(self.batch.count());
            self.unsent -= 1;
            self.under_way.push_back((now, out.len() - start));
        }
        if self.under_way.is_empty() {
            self.stage = Stage::Finished;
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        response: &Response<'_>,
        tally: &mut Tally,
    ) -> Result<(), String> {
        match (response, self.stage) {
            (Response::Welcome { consumed, phase: Phase::Open, .. }, Stage::Connecting) => {
                self.position = *consumed;
                self.stage = Stage::Ready;
            }
            (Response::Welcome { phase, .. }, Stage::Connecting) => {
                let found = match phase {
                    Phase::Drawn => "the draw has run",
                    Phase::Finished | Phase::Open => "it has ended its input",
                };
                return Err(format!(
                    "agency {} can't send bets, {found}: start the server with a new ledger \
                     (SERVER_STORAGE_PATH)",
                    self.id
                ));
            }
            (Response::Stored { .. }, Stage::Busy) => {
                let (sent, bytes) = self.under_way.pop_front().ok_or("a response to no batch")?;
                tally.answered(1, bytes, sent, now);
                tally.bets += u64::from(self.batch.count());
            }
            (Response::Finished { .. }, Stage::Finished) => {}
            (Response::Winners(winners), Stage::Finished) if winners.count() == 0 => {
                self.stage = Stage::Over;
            }
            (found, _) => return Err(format!("agency {}: {}", self.id, unexpected(found))),
        }
        Ok(())
    }
}

/// What a response means that no load expects.
fn unexpected(response: &Response<'_>) -> String {
    match response {
        Response::Welcome { .. } => "welcomed twice".to_owned(),
        Response::Stored { .. } => "a batch was stored that wasn't sent".to_owned(),
        Response::Rejected { index, reason, .. } => {
            format!("a batch was rejected for its bet {}: {reason}", index + 1)
        }
        Response::Unavailable { reason, .. } => format!("the server can't store bets: {reason}"),
        Response::Finished { .. } => "its end was noted before all was stored".to_owned(),
        Response::Winners(_) => "winners, though none of its bets wins".to_owned(),
        Response::Error { reason, .. } | Response::UnknownError { reason, .. } => {
            format!("the server refused: {reason}")
        }
    }
}

impl Member for Agency {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn connected(&mut self, out: &mut Vec<u8>) {
        Request::Hello { agency: self.id, draw: self.draw }.encode(out);
    }

    fn begin(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.stage = Stage::Busy;
        self.send(now, out);
    }

    fn received(
        &mut self,
        now: Instant,
        input: &[u8],
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some(frame) =
            self.decoder.decode(&input[used..]).map_err(|error| error.to_string())?
        {
            used += frame.used();
            let response = Response::decode(frame).map_err(|error| error.to_string())?;
            self.answered(now, &response, tally)?;
        }
        if self.stage == Stage::Busy {
            self.send(now, out);
        }
        Ok(used)
    }

    fn conclude(&mut self, out: &mut Vec<u8>) {
        Request::End { total: self.position }.encode(out);
        Request::Winners.encode(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Checksum, Frame};

    fn deliver(
        member: &mut Agency,
        response: &Response<'_>,
        tally: &mut Tally,
    ) -> Result<Vec<u8>, String> {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        response.encode(&mut bytes);
        let used = member.received(Instant::now(), &bytes, tally, &mut out)?;
        assert_eq!(used, bytes.len());
        Ok(out)
    }

    fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        while let Some(frame) = FrameDecoder::default().decode(bytes).unwrap() {
            bytes = &bytes[frame.used()..];
            frames.push(frame);
        }
        frames
    }

    fn welcome(consumed: Position, phase: Phase) -> Response<'static> {
        Response::Welcome { consumed, checksum: Checksum::default(), rejected: 0, phase }
    }

    #[test]
    fn the_window_stays_full_until_all_is_sent_and_goes_on_where_the_central_stands() {
        let plan = Plan { window: 2, max_amount: 10, batches: 3 };
        let mut member = Agency::members(&plan, 1).remove(0);
        let (mut tally, mut out) = (Tally::default(), Vec::new());
        member.connected(&mut out);
        assert!(deliver(&mut member, &welcome(70, Phase::Open), &mut tally).unwrap().is_empty());
        out.clear();
        member.begin(Instant::now(), &mut out);
        let positions: Vec<_> = frames(&out)
            .into_iter()
            .map(|frame| match Request::decode(frame) {
                Ok(Request::Batch(batch)) => (batch.position, batch.count),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(positions, [(70, 10), (80, 10)]);
        let stored = Response::Stored { consumed: 80 };
        assert_eq!(frames(&deliver(&mut member, &stored, &mut tally).unwrap()).len(), 1);
        for _ in 0..2 {
            assert_eq!(member.stage(), Stage::Busy);
            assert!(deliver(&mut member, &stored, &mut tally).unwrap().is_empty());
        }
        assert_eq!((member.stage(), tally.bets, tally.messages), (Stage::Finished, 30, 3));
        out.clear();
        member.conclude(&mut out);
        assert_eq!(Request::decode(frames(&out)[0]), Ok(Request::End { total: 100 }));
    }

    #[test]
    fn a_lottery_that_takes_no_bets_is_no_load() {
        let plan = Plan { window: 1, max_amount: 1, batches: 1 };
        let mut member = Agency::members(&plan, 1).remove(0);
        let error = deliver(&mut member, &welcome(0, Phase::Drawn), &mut Tally::default());
        assert!(error.unwrap_err().contains("the draw has run"));
    }
}
