//! What the central acknowledged of the agency's bets, compared with each of its responses.
//!
//! A response is a claim. What was acknowledged can't be taken back, and counts must add up: a central
//! that contradicts itself has lost bets, or is another one, and the session fails.

use wire::bet::DOCUMENT_DIGITS_MAX;
use wire::{Field, Phase, Position, Winners, bet};

use crate::session::failure::Failure;

/// The agency's bets as far as the central acknowledged them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// Bets in the ledger.
    pub(super) stored: u64,
    /// Bets in rejected batches.
    pub(super) rejected: u64,
    /// The latest phase.
    pub(super) phase: Phase,
    /// Documents of the current list of winners.
    pub(super) winners: u64,
}

impl Account {
    pub(super) const fn new() -> Self {
        Self { stored: 0, rejected: 0, phase: Phase::Open, winners: 0 }
    }

    fn consumed(&self) -> Position {
        self.stored + self.rejected
    }

    /// WELCOME: never behind what was acknowledged.
    pub(super) fn on_welcome(
        &mut self,
        consumed: Position,
        rejected: u64,
        phase: Phase,
    ) -> Result<(), Failure> {
        let violation = |expected: String, found: String| {
            Err(Failure::Violation { message: "WELCOME", expected, found })
        };
        let Some(stored) = consumed.checked_sub(rejected) else {
            let expected = format!("at most {consumed} rejected bets, as many as it has consumed");
            return violation(expected, rejected.to_string());
        };
        if consumed < self.consumed() {
            return Err(Failure::LostBets { acknowledged: self.consumed(), consumed });
        }
        if stored < self.stored || rejected < self.rejected {
            let Self { stored: known, rejected: known_rejected, .. } = self;
            let expected = format!(
                "at least {known} stored and {known_rejected} rejected bets, as it has \
                 acknowledged before"
            );
            return violation(expected, format!("{stored} and {rejected}"));
        }
        if phase < self.phase {
            let expected = format!("phase {:?} or later, as before", self.phase);
            return violation(expected, format!("{phase:?}"));
        }
        if self.phase != Phase::Open && consumed > self.consumed() {
            let expected = format!("{} bets, as when the agency ended", self.consumed());
            return violation(expected, consumed.to_string());
        }
        (self.stored, self.rejected, self.phase) = (stored, rejected, phase);
        Ok(())
    }

    /// STORED.
    pub(super) fn on_stored(&mut self, count: u16) {
        self.stored += u64::from(count);
    }

    /// REJECTED: `index` must be one of the batch's bets.
    pub(super) fn on_rejected(&mut self, count: u16, index: u16) -> Result<(), Failure> {
        if index >= count {
            return Err(Failure::Violation {
                message: "REJECTED",
                expected: format!("the index of one of the batch's {count} bets, from 0"),
                found: index.to_string(),
            });
        }
        self.rejected += u64::from(count);
        Ok(())
    }

    /// FINISHED: its counts must be those acknowledged.
    pub(super) fn on_finished(&mut self, stored: u64, rejected: u64) -> Result<(), Failure> {
        if (stored, rejected) != (self.stored, self.rejected) {
            return Err(Failure::Violation {
                message: "FINISHED",
                expected: format!(
                    "{} bets stored and {} rejected, as it has acknowledged one by one",
                    self.stored, self.rejected
                ),
                found: format!("{stored} and {rejected}"),
            });
        }
        self.phase = self.phase.max(Phase::Finished);
        Ok(())
    }

    /// Winners were asked for: the list begins anew.
    pub(super) fn on_winners_requested(&mut self) {
        self.winners = 0;
    }

    /// WINNERS: the list ends, and has at most as many documents as bets are stored.
    pub(super) fn on_winners(&mut self, winners: &Winners<'_>) -> Result<(), Failure> {
        let violation = |expected: String, found: String| {
            Err(Failure::Violation { message: "WINNERS", expected, found })
        };
        if winners.count() == 0 && !winners.last {
            return violation("a document, or the end of the list".into(), "neither".into());
        }
        self.winners += u64::from(winners.count());
        if self.winners > self.stored {
            let expected = format!("at most {} winners, as many as bets are stored", self.stored);
            return violation(expected, format!("{} and no end", self.winners));
        }
        if let Some(found) = winners.documents().find(|document| !is_document(document)) {
            let expected = format!("documents of 1 to {DOCUMENT_DIGITS_MAX} digits");
            return violation(expected, format!("{:?}", String::from_utf8_lossy(found)));
        }
        self.phase = Phase::Drawn;
        Ok(())
    }
}

fn is_document(bytes: &[u8]) -> bool {
    bet::check_field(Field::Document, bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{FrameDecoder, Response, WinnersBuilder};

    /// Ten bets stored, three rejected.
    const KNOWN: Account = Account { stored: 10, rejected: 3, ..Account::new() };

    #[test]
    fn a_welcome_never_goes_back() {
        for (known, consumed, rejected, phase, expected) in [
            (KNOWN, 13, 3, Phase::Open, None),
            (KNOWN, 20, 5, Phase::Drawn, None),
            (KNOWN, 3, 4, Phase::Open, Some("at most 3 rejected")),
            (KNOWN, 12, 3, Phase::Open, Some("has acknowledged 13 bets")),
            (KNOWN, 13, 2, Phase::Open, Some("at least 10 stored and 3 rejected")),
            (KNOWN, 13, 4, Phase::Open, Some("at least 10 stored and 3 rejected")),
            (Account { phase: Phase::Drawn, ..KNOWN }, 13, 3, Phase::Finished, Some("phase Drawn")),
            (Account { phase: Phase::Finished, ..KNOWN }, 14, 3, Phase::Finished, Some("13 bets")),
            (KNOWN, u64::MAX, u64::MAX, Phase::Open, Some("at least 10 stored")),
        ] {
            let mut account = known;
            let result = account.on_welcome(consumed, rejected, phase);
            let text = result.err().map(|failure| failure.to_string());
            match expected {
                None => assert_eq!((text, account.consumed()), (None, consumed)),
                Some(part) => {
                    let text = text.expect("a violation");
                    assert!(text.contains(part), "{text}");
                    assert_eq!(account, known, "nothing of it is believed");
                }
            }
        }
    }

    #[test]
    fn the_end_adds_up_or_is_an_error() {
        for (stored, rejected) in [(9, 3), (11, 2), (10, 4), (13, 0), (u64::MAX, 3)] {
            let failure = KNOWN.clone().on_finished(stored, rejected).unwrap_err().to_string();
            let expected = format!(
                "the central breaks the protocol: FINISHED: expected 10 bets stored and 3 rejected, \
                 as it has acknowledged one by one, found {stored} and {rejected}"
            );
            assert_eq!(failure, expected);
        }
        assert!(KNOWN.clone().on_finished(10, 3).is_ok());
    }

    #[test]
    fn a_rejection_names_a_bet_of_the_batch() {
        let mut account = KNOWN;
        assert!(account.on_rejected(2, 1).is_ok());
        assert_eq!(account.rejected, 5);
        assert!(account.on_rejected(2, 2).is_err() && account.on_rejected(2, u16::MAX).is_err());
        assert_eq!(account.rejected, 5);
    }

    fn report(account: &mut Account, documents: &[&[u8]], last: bool) -> Result<(), String> {
        let mut out = Vec::new();
        let mut frame = WinnersBuilder::new(&mut out);
        assert!(documents.iter().all(|document| frame.push(document)));
        frame.finish(last);
        let frame = FrameDecoder::default().decode(&out).unwrap().unwrap();
        let Ok(Response::Winners(winners)) = Response::decode(frame) else { panic!("{frame:?}") };
        account.on_winners(&winners).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_list_of_winners_has_an_end_and_no_more_than_there_are_bets() {
        let mut account = KNOWN;
        for _ in 0..10 {
            assert_eq!(report(&mut account, &[b"1"], false), Ok(()));
        }
        let error = report(&mut account, &[b"1"], false).unwrap_err();
        assert!(error.contains("at most 10 winners"), "{error}");
        account.on_winners_requested();
        assert_eq!(
            report(&mut account, &[&b"1"[..]; 10], true),
            Ok(()),
            "a list begins at its beginning"
        );
        let error = report(&mut KNOWN.clone(), &[], false).unwrap_err();
        assert!(error.contains("a document, or the end of the list"), "{error}");
        assert_eq!(report(&mut KNOWN.clone(), &[], true), Ok(()));
    }

    #[test]
    fn winners_are_documents() {
        for bad in [&b""[..], b"12a", b"123456789012345678901", b"\xff", b"1\n"] {
            let error = report(&mut KNOWN.clone(), &[b"1", bad], true).unwrap_err();
            assert!(error.contains("documents of 1 to 20 digits"), "{error}");
        }
        assert_eq!(report(&mut KNOWN.clone(), &[b"0", b"12345678901234567890"], true), Ok(()));
    }
}
