//! What has happened since the central began, in numbers that grow: for metrics and for the status.
//!
//! Counted where a reply leaves, so only what is durable counts. Knows no connection and no clock.

use std::time::Instant;

use wire::Agency;

use super::reply::{BatchLog, Reply};

/// See the [module](self).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bets stored.
    pub(crate) stored: u64,
    /// Bets in rejected batches.
    pub(crate) rejected: u64,
    pub(crate) batches: Batches,
    /// When the draw was held, if it was since the start.
    pub(crate) drawn: Option<Instant>,
    /// When something of an agency was stored or rejected, or its end was noted, last; by its number.
    progress: Vec<Option<Instant>>,
}

/// Batches, by what they came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    pub(crate) stored: u64,
    pub(crate) rejected: u64,
    /// Consumed before.
    pub(crate) duplicate: u64,
    /// The storage couldn't take them.
    pub(crate) unavailable: u64,
}

impl Tally {
    /// A reply to an agency leaves.
    pub(crate) fn note(&mut self, now: Instant, agency: Agency, reply: &Reply) {
        match reply {
            Reply::Stored { log, .. } => {
                self.batches.stored += 1;
                self.stored += bets(log);
            }
            Reply::Rejected { log, .. } => {
                self.batches.rejected += 1;
                self.rejected += bets(log);
            }
            Reply::Duplicate { .. } => return self.batches.duplicate += 1,
            Reply::Unavailable { is_batch, .. } => {
                return self.batches.unavailable += u64::from(*is_batch);
            }
            Reply::Finished { .. } => {}
            Reply::Welcome(_) | Reply::Winners | Reply::Error { .. } | Reply::CloseAfterReplies => {
                return;
            }
        }
        self.note_progress(now, agency);
    }

    fn note_progress(&mut self, now: Instant, agency: Agency) {
        let index = agency as usize;
        if self.progress.len() <= index {
            // Replies are to agencies of the lottery alone, so there is a bound.
            self.progress.resize(index + 1, None);
        }
        self.progress[index] = Some(now);
    }

    /// When an agency has come further last; `None` if it hasn't since the start.
    pub(crate) fn last_progress(&self, agency: Agency) -> Option<Instant> {
        self.progress.get(agency as usize).copied().flatten()
    }
}

fn bets(log: &BatchLog) -> u64 {
    match log {
        BatchLog::Batch { count } => (*count).into(),
        BatchLog::Single { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wire::Field;

    use super::*;

    fn stored(count: u16) -> Reply {
        Reply::Stored { consumed: 9, log: BatchLog::Batch { count } }
    }

    fn rejected(count: u16) -> Reply {
        Reply::Rejected {
            consumed: 9,
            position: 8,
            index: 0,
            field: Field::Number,
            reason: "x".into(),
            log: BatchLog::Batch { count },
        }
    }

    #[test]
    fn bets_and_batches_are_counted_by_what_became_of_them() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        let single = Reply::Stored {
            consumed: 1,
            log: BatchLog::Single { document: b"1".into(), number: b"2".into() },
        };
        let replies = [
            stored(3),
            single,
            rejected(4),
            Reply::Duplicate { consumed: 9 },
            Reply::Unavailable { consumed: 9, reason: "full".into(), is_batch: true },
            Reply::Unavailable { consumed: 9, reason: "full".into(), is_batch: false },
            Reply::Finished { stored: 4, rejected: 4 },
            Reply::Winners,
        ];
        for reply in &replies {
            tally.note(now, 1, reply);
        }
        assert_eq!((tally.stored, tally.rejected), (4, 4));
        let expected = Batches { stored: 2, rejected: 1, duplicate: 1, unavailable: 1 };
        assert_eq!(tally.batches, expected);
    }

    #[test]
    fn only_what_brings_an_agency_further_is_progress() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        tally.note(now, 3, &stored(1));
        tally.note(later, 3, &Reply::Duplicate { consumed: 9 });
        tally.note(later, 2, &Reply::Winners);
        assert_eq!(
            [1, 2, 3, 4].map(|agency| tally.last_progress(agency)),
            [None, None, Some(now), None]
        );
        tally.note(later, 3, &Reply::Finished { stored: 1, rejected: 0 });
        assert_eq!(tally.last_progress(3), Some(later));
    }
}
