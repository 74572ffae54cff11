//! A connection that sends nothing, as most of those that a server holds.

use std::time::Instant;

use super::{Member, Stage, Tally};

/// The member.
#[derive(Debug, Clone)]
pub struct Idle {
    stage: Stage,
}

impl Idle {
    /// One that isn't connected.
    pub fn new() -> Self {
        Self { stage: Stage::Connecting }
    }
}

impl Default for Idle {
    fn default() -> Self {
        Self::new()
    }
}

impl Member for Idle {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn connected(&mut self, _out: &mut Vec<u8>) {
        self.stage = Stage::Ready;
    }

    fn begin(&mut self, _now: Instant, _out: &mut Vec<u8>) {
        self.stage = Stage::Finished;
    }

    fn received(
        &mut self,
        _now: Instant,
        input: &[u8],
        _tally: &mut Tally,
        _out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        Err(format!("expected nothing, found {} bytes", input.len()))
    }

    fn conclude(&mut self, _out: &mut Vec<u8>) {
        self.stage = Stage::Over;
    }
}
