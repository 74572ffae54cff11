//! How far the opening of a ledger has come, and whether it goes on.

use std::fmt;
use std::ops::ControlFlow;

/// Bytes that are read or written between two reports of progress: a slow disk takes less than a
/// second for them.
pub(crate) const PIECE: usize = 1 << 20;

/// After as many progress is reported.
const REPORT_EVERY: u64 = PIECE as u64;

/// What an opening is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Filling a new wal with zeros.
    FillWal,
    /// Reading the wal back.
    ReadWal,
    /// Reading the rows back.
    ReadRows,
    /// Writing rows again that a crash took.
    RestoreRows,
    /// Looking for what a crash left in the wal, to wipe it.
    WipeWal,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FillWal => "fill the wal",
            Self::ReadWal => "read the wal",
            Self::ReadRows => "read the rows",
            Self::RestoreRows => "restore rows",
            Self::WipeWal => "wipe the wal",
        })
    }
}

/// How far an opening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is busy with.
    pub step: Step,
    /// Bytes done of this step.
    pub done: u64,
    /// Bytes of this step, at most.
    pub total: u64,
}

/// The hook has stopped the opening.
#[derive(Debug)]
pub(crate) struct Interrupted;

/// Reports progress to a hook, which may stop the opening: at the beginning of each step, and at
/// least after every MiB of it.
pub(crate) struct Watch<'h> {
    hook: &'h mut dyn FnMut(Progress) -> ControlFlow<()>,
    progress: Progress,
    unreported: u64,
    interrupted: bool,
}

impl<'h> Watch<'h> {
    pub(crate) fn new(hook: &'h mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        let progress = Progress { step: Step::ReadWal, done: 0, total: 0 };
        Self { hook, progress, unreported: 0, interrupted: false }
    }

    /// The next step begins, of so many bytes at most.
    pub(crate) fn begin(&mut self, step: Step, total: u64) -> Result<(), Interrupted> {
        self.progress = Progress { step, done: 0, total };
        self.report()
    }

    /// So many more bytes of the step are done.
    pub(crate) fn advance(&mut self, bytes: u64) -> Result<(), Interrupted> {
        self.progress.done = (self.progress.done + bytes).min(self.progress.total);
        self.unreported += bytes;
        if self.unreported < REPORT_EVERY { Ok(()) } else { self.report() }
    }

    fn report(&mut self) -> Result<(), Interrupted> {
        self.unreported = 0;
        self.interrupted |= (self.hook)(self.progress).is_break();
        if self.interrupted { Err(Interrupted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mebibyte_is_reported_and_a_break_stays_one() {
        let mut reports = Vec::new();
        let mut hook = |progress: Progress| {
            reports.push(progress.done);
            if reports.len() < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let mut watch = Watch::new(&mut hook);
        watch.begin(Step::ReadRows, 10 << 20).unwrap();
        let advanced = (0..40).map(|_| watch.advance(256 << 10)).take_while(Result::is_ok).count();
        assert_eq!(advanced, 11);
        assert!(watch.begin(Step::WipeWal, 1).is_err());
        assert_eq!(reports, [0, 1 << 20, 2 << 20, 3 << 20, 0]);
    }
}
