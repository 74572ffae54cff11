//! An agency in mode `apuesta`: one bet by hand.
//!
//! The agency's input is here what it sent before, and then this bet. A first bet that was stored
//! by an earlier run is recognised by its checksum, and one whose answer was lost by this run's.

use log::{error, info};
use reactor::logging::Escaped;
use wire::batch::FIELDS;
use wire::{BatchBuilder, Bet, Checksum, Position, Push, Request, Response, VERSION};

use crate::dialogue::{Dialogue, Failure, Next, Progress};

/// The bet, and how far it is.
#[derive(Debug)]
pub struct Apuesta {
    id: wire::Agency,
    fields: [String; FIELDS],
    batch: BatchBuilder,
    /// Where it was sent to, and the agency's checksum once it is consumed there.
    sent: Option<(Position, Checksum)>,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stored,
    Rejected,
}

impl Apuesta {
    /// A bet of these fields, in the order in which they travel.
    ///
    /// # Panics
    /// When a field is over 255 bytes: the configuration takes none.
    pub fn new(id: wire::Agency, fields: [String; FIELDS]) -> Self {
        let mut batch = BatchBuilder::new();
        let bet = Bet::from_fields(fields.each_ref().map(String::as_bytes));
        assert_eq!(batch.push(&bet), Ok(Push::Added), "the configuration checks the lengths");
        Self { id, fields, batch, sent: None, outcome: None }
    }

    fn send(&mut self, position: Position, before: Checksum, out: &mut Vec<u8>) -> Next {
        let batch = self.batch.batch(position);
        self.sent = Some((position, before.extended(batch.encoded)));
        Request::Bet(batch).encode(out);
        Next::Answer
    }

    /// Whether the agency stands exactly behind this bet.
    fn is_consumed(&self, consumed: Position, checksum: Checksum) -> bool {
        let first = (0, Checksum::default().extended(self.batch.batch(0).encoded));
        [Some(first), self.sent]
            .into_iter()
            .flatten()
            .any(|(position, after)| consumed == position + 1 && checksum == after)
    }

    fn stored(&mut self) -> Next {
        self.outcome = Some(Outcome::Stored);
        let [.., dni, _, numero] = self.shown();
        info!("action: apuesta_enviada | result: success | dni: {dni} | numero: {numero}");
        Next::Done
    }

    fn rejected(&mut self, text: &str) -> Next {
        self.outcome = Some(Outcome::Rejected);
        let ([.., dni, _, numero], text) = (self.shown(), Escaped(text.as_bytes()));
        error!(
            "action: apuesta_enviada | result: fail | dni: {dni} | numero: {numero} | error: {text}"
        );
        Next::Done
    }

    fn shown(&self) -> [Escaped<'_>; FIELDS] {
        self.fields.each_ref().map(|field| Escaped(field.as_bytes()))
    }
}

impl Dialogue for Apuesta {
    fn connected(&mut self, out: &mut Vec<u8>) {
        Request::Hello { version: VERSION, agency: self.id }.encode(out);
    }

    fn answered(&mut self, response: &Response<'_>, out: &mut Vec<u8>) -> Result<Next, Failure> {
        match *response {
            Response::Welcome { consumed, checksum, rejected, .. } => {
                if !self.is_consumed(consumed, checksum) {
                    return Ok(self.send(consumed, checksum, out));
                }
                Ok(if rejected == 0 {
                    self.stored()
                } else {
                    self.rejected("the central has rejected a bet of this agency before")
                })
            }
            Response::Stored { .. } => Ok(self.stored()),
            Response::Rejected { text, .. } => Ok(self.rejected(text)),
            Response::Unavailable { .. } => Ok(Next::Backoff),
            _ => Err(Failure::unexpected(response)),
        }
    }

    fn go_on(&mut self, out: &mut Vec<u8>) -> Result<Next, Failure> {
        if let Some((position, _)) = self.sent {
            Request::Bet(self.batch.batch(position)).encode(out);
        }
        Ok(Next::Answer)
    }

    fn is_complete(&self) -> bool {
        self.outcome == Some(Outcome::Stored)
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{FrameDecoder, Phase};

    fn apuesta() -> Apuesta {
        Apuesta::new(1, ["Ana", "Paz", "12345678", "2000-01-01", "7574"].map(Into::into))
    }

    fn welcome(consumed: Position, checksum: Checksum) -> Response<'static> {
        Response::Welcome { consumed, checksum, rejected: 0, phase: Phase::Open }
    }

    fn sent_at(out: &[u8]) -> Position {
        let frame = FrameDecoder::default().decode(out).unwrap().unwrap();
        let Ok(Request::Bet(batch)) = Request::decode(frame) else { panic!("no bet: {frame:?}") };
        batch.position
    }

    #[test]
    fn a_bet_goes_behind_those_that_were_sent_before() {
        for consumed in [0, 1, 41] {
            let (mut apuesta, mut out) = (apuesta(), Vec::new());
            let next = apuesta.answered(&welcome(consumed, Checksum(99)), &mut out).unwrap();
            assert_eq!((next, sent_at(&out)), (Next::Answer, consumed));
            let next = apuesta.answered(&Response::Stored { consumed: consumed + 1 }, &mut out);
            assert_eq!(next.unwrap(), Next::Done);
            assert!(apuesta.is_complete());
        }
    }

    #[test]
    fn a_lost_answer_does_not_store_it_twice() {
        let (mut apuesta, mut out) = (apuesta(), Vec::new());
        let before = Checksum(99);
        let _ = apuesta.answered(&welcome(5, before), &mut out).unwrap();
        let after = before.extended(apuesta.batch.batch(5).encoded);
        out.clear();
        apuesta.connected(&mut Vec::new());
        let next = apuesta.answered(&welcome(6, after), &mut out).unwrap();
        assert_eq!((next, out.len()), (Next::Done, 0));
        assert!(apuesta.is_complete());
    }

    #[test]
    fn the_same_first_bet_of_a_second_run_is_confirmed_again() {
        let (mut apuesta, mut out) = (apuesta(), Vec::new());
        let after = Checksum::default().extended(apuesta.batch.batch(0).encoded);
        assert_eq!(apuesta.answered(&welcome(1, after), &mut out).unwrap(), Next::Done);
        assert!(out.is_empty() && apuesta.is_complete());
    }
}
