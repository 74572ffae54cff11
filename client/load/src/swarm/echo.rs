//! An echo connection: so many lines under way, another for each that comes back.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use super::{Member, Stage, Tally};

/// What every connection does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Lines that may be under way, at least 1.
    pub pipeline: u32,
    /// Bytes of a line, its newline included, at least 1.
    pub size: usize,
    /// Lines of each connection in all.
    pub lines: u64,
}

/// The member.
#[derive(Debug)]
pub struct Echo {
    stage: Stage,
    pipeline: u32,
    size: usize,
    /// As many lines as may be under way, one behind the other: shared by all members.
    block: Rc<[u8]>,
    unsent: u64,
    /// Lines that left together and when, oldest first.
    under_way: VecDeque<(Instant, u32)>,
}

impl Echo {
    /// So many members of a plan.
    pub fn members(plan: &Plan, count: usize) -> Vec<Self> {
        let mut line: Vec<u8> = (b'a'..=b'z').cycle().take(plan.size.saturating_sub(1)).collect();
        line.push(b'\n');
        let size = line.len();
        let block: Rc<[u8]> = line.repeat(plan.pipeline as usize).into();
        let member = || Self {
            stage: Stage::Connecting,
            pipeline: plan.pipeline,
            size,
            block: Rc::clone(&block),
            unsent: plan.lines,
            under_way: VecDeque::new(),
        };
        std::iter::repeat_with(member).take(count).collect()
    }

    fn send(&mut self, now: Instant, most: u32, out: &mut Vec<u8>) {
        let count = u32::try_from(self.unsent).unwrap_or(u32::MAX).min(most);
        if count > 0 {
            self.unsent -= u64::from(count);
            self.under_way.push_back((now, count));
            out.extend_from_slice(&self.block[..count as usize * self.size]);
        }
        if self.under_way.is_empty() {
            self.stage = Stage::Finished;
        }
    }

    fn check(&self, input: &[u8]) -> Result<(), String> {
        let good = |piece: &[u8]| piece == &self.block[..piece.len()];
        if input.chunks(self.block.len()).all(good) {
            return Ok(());
        }
        Err(format!("expected the lines that were sent, found {}", input.escape_ascii()))
    }
}

impl Member for Echo {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn connected(&mut self, _out: &mut Vec<u8>) {
        self.stage = Stage::Ready;
    }

    fn begin(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.stage = Stage::Busy;
        self.send(now, self.pipeline, out);
    }

    fn received(
        &mut self,
        now: Instant,
        input: &[u8],
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let whole = input.len() / self.size;
        let used = whole * self.size;
        self.check(&input[..used])?;
        let answered = u32::try_from(whole).unwrap_or(u32::MAX);
        let mut left = answered;
        while left > 0 {
            let Some((sent, count)) = self.under_way.front_mut() else {
                return Err(format!("{left} lines more than were sent"));
            };
            let part = left.min(*count);
            tally.answered(part.into(), part as usize * self.size, *sent, now);
            *count -= part;
            left -= part;
            if *count == 0 {
                self.under_way.pop_front();
            }
        }
        if answered > 0 {
            self.send(now, answered, out);
        }
        Ok(used)
    }

    fn conclude(&mut self, _out: &mut Vec<u8>) {
        self.stage = Stage::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Never more under way than allowed, every line once, however the responses are cut.
        #[test]
        fn as_many_lines_come_back_as_were_meant_to(
            pipeline in 1..20_u32,
            size in 1..40_usize,
            lines in 0..100_u64,
            cuts in prop::collection::vec(1..200_usize, 1..20),
        ) {
            let plan = Plan { pipeline, size, lines };
            let mut member = Echo::members(&plan, 1).remove(0);
            let (mut tally, mut wire, now) = (Tally::default(), Vec::new(), Instant::now());
            member.connected(&mut wire);
            prop_assert!(wire.is_empty());
            member.begin(now, &mut wire);
            let (mut cuts, mut arrived) = (cuts.iter().cycle(), 0);
            while member.stage() == Stage::Busy {
                prop_assert!(wire.len() <= pipeline as usize * size);
                arrived = (arrived + cuts.next().expect("it repeats")).min(wire.len());
                let mut out = Vec::new();
                let used = member.received(now, &wire[..arrived], &mut tally, &mut out).unwrap();
                wire.drain(..used);
                arrived -= used;
                wire.extend(out);
            }
            prop_assert!(wire.is_empty());
            prop_assert_eq!(member.stage(), Stage::Finished);
            prop_assert_eq!((tally.messages, tally.bytes), (lines, lines * size as u64));
            prop_assert_eq!(tally.latency.len(), lines);
        }
    }

    #[test]
    fn what_was_not_sent_is_noticed() {
        let plan = Plan { pipeline: 2, size: 4, lines: 2 };
        let mut member = Echo::members(&plan, 1).remove(0);
        let (mut tally, mut out, now) = (Tally::default(), Vec::new(), Instant::now());
        member.begin(now, &mut out);
        assert_eq!(out, b"abc\nabc\n");
        let error = member.received(now, b"abd\n", &mut tally, &mut out).unwrap_err();
        assert!(error.contains("abd\\n"), "{error}");
        assert!(member.received(now, b"abc\nabc\nabc\n", &mut tally, &mut out).is_err());
    }
}
