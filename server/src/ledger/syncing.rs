//! What is to be synced next, and what is durable: the order in which the two files reach the disk.
//!
//! ```text
//!              record doesn't fit,            bets.csv            checkpoint
//!              or the end was asked for       is durable          is durable
//!  Appending ----------------------> Rows ----------------> Checkpoint ----+
//!    |   ^  ^                                                              |
//!    |   |  +--------------------------------------------------------------+
//!    |   | the wipe is durable
//!    +-> Wiped
//!     a commit had no effect
//! ```
//!
//! Nothing is appended but in the first state. A checkpoint is of all that `bets.csv` held when its
//! sync began. And what a commit without effect left must be gone before another takes its place: a
//! crash that leaves some sectors of the one and some of the other would look like damage.
//!
//! Records that aren't durable come first in every state: somebody waits for them. At most one sync
//! is under way. Pure: knows no file and no record, only their numbers.

use super::SyncTarget;

/// What has to become durable before anything is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing: records are appended.
    Appending,
    /// The zeros that were written over a commit without effect. Whether a checkpoint is due after it.
    Wiped { checkpoint: bool },
    /// `bets.csv`, for a checkpoint.
    Rows,
    /// The checkpoint, which is written.
    Checkpoint,
}

/// A sync that was begun and hasn't ended.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    target: SyncTarget,
    /// The last record that it covers.
    covered: u64,
    /// Whether it was begun for the step that is current since, or for records alone.
    for_step: bool,
}

/// What a sync that has ended calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: records have become durable, or a wipe.
    Nothing,
    /// The checkpoint may be written.
    WriteCheckpoint,
    /// The checkpoint is durable: appending goes on behind it.
    Switch,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Syncing {
    step: Step,
    /// The last record that is durable.
    durable: u64,
    under_way: Option<UnderWay>,
}

impl Syncing {
    /// Records up to this one are durable.
    pub(super) fn new(durable: u64) -> Self {
        Self { step: Step::Appending, durable, under_way: None }
    }

    /// The last record that is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether a record may be appended now.
    pub(super) fn is_appending(&self) -> bool {
        self.step == Step::Appending
    }

    /// A checkpoint is due before anything is appended.
    pub(super) fn begin_checkpoint(&mut self) {
        match &mut self.step {
            Step::Appending => self.step = Step::Rows,
            Step::Wiped { checkpoint } => *checkpoint = true,
            Step::Rows | Step::Checkpoint => {}
        }
    }

    /// What is to be synced now; it is under way from now on. `written` is the last record that was
    /// written, a checkpoint included.
    pub(super) fn begin(&mut self, written: u64) -> Option<SyncTarget> {
        if self.is_under_way() {
            return None;
        }
        let records_wait = self.durable < written;
        let (target, for_step) = match self.step {
            Step::Appending if !records_wait => return None,
            Step::Appending => (SyncTarget::Wal, false),
            Step::Rows if records_wait => (SyncTarget::Wal, false),
            Step::Rows => (SyncTarget::Rows, true),
            Step::Wiped { .. } | Step::Checkpoint => (SyncTarget::Wal, true),
        };
        self.under_way = Some(UnderWay { target, covered: written, for_step });
        Some(target)
    }

    /// Which sync is under way.
    pub(super) fn target(&self) -> Option<SyncTarget> {
        self.under_way.map(|sync| sync.target)
    }

    /// The sync under way has succeeded.
    pub(super) fn end(&mut self) -> Next {
        let Some(UnderWay { target, covered, for_step }) = self.under_way.take() else {
            return Next::Nothing;
        };
        if target == SyncTarget::Wal {
            self.durable = self.durable.max(covered);
        }
        if !for_step {
            return Next::Nothing;
        }
        let (step, next) = match self.step {
            Step::Rows => (Step::Checkpoint, Next::WriteCheckpoint),
            Step::Checkpoint => (Step::Appending, Next::Switch),
            Step::Wiped { checkpoint: true } => (Step::Rows, Next::Nothing),
            Step::Wiped { checkpoint: false } | Step::Appending => (Step::Appending, Next::Nothing),
        };
        self.step = step;
        next
    }

    /// What a commit left behind `written`, the last record, was wiped. That too is durable only after
    /// another sync, which the last record counts as waiting for; a sync under way doesn't cover it.
    pub(super) fn wiped(&mut self, written: u64) {
        let before = written.saturating_sub(1);
        self.step = Step::Wiped { checkpoint: false };
        self.durable = self.durable.min(before);
        if let Some(sync) = &mut self.under_way {
            sync.covered = sync.covered.min(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_checkpoint_waits_for_records_for_the_rows_and_then_for_itself() {
        let mut syncing = Syncing::new(1);
        assert_eq!(syncing.begin(1), None);
        assert_eq!(syncing.begin(3), Some(SyncTarget::Wal));
        syncing.begin_checkpoint();
        assert!(!syncing.is_appending());
        assert_eq!(syncing.begin(4), None, "one is under way");
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 3));
        assert_eq!(syncing.begin(4), Some(SyncTarget::Wal), "somebody waits for the record");
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 4));
        assert_eq!(syncing.begin(4), Some(SyncTarget::Rows));
        assert_eq!((syncing.end(), syncing.durable()), (Next::WriteCheckpoint, 4));
        assert_eq!(syncing.begin(5), Some(SyncTarget::Wal));
        assert!(!syncing.is_appending());
        assert_eq!((syncing.end(), syncing.durable()), (Next::Switch, 5));
        assert!(syncing.is_appending());
        assert_eq!((syncing.begin(5), syncing.end()), (None, Next::Nothing));
    }

    #[test]
    fn a_wiped_record_is_gone_only_with_a_sync_that_began_after_it() {
        for checkpoint in [false, true] {
            let mut syncing = Syncing::new(3);
            assert_eq!(syncing.begin(4), Some(SyncTarget::Wal));
            syncing.wiped(4);
            if checkpoint {
                syncing.begin_checkpoint();
            }
            assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 3));
            assert!(!syncing.is_appending());
            assert_eq!(syncing.begin(4), Some(SyncTarget::Wal));
            assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 4));
            assert_eq!(syncing.is_appending(), !checkpoint);
            assert_eq!(syncing.begin(4), checkpoint.then_some(SyncTarget::Rows));
        }
    }

    proptest! {
        /// Whatever happens in whatever order: nothing counts as durable that was written after the
        /// last sync of the log had begun, and once nothing more happens everything gets durable.
        #[test]
        fn only_what_a_sync_covered_is_durable(steps in prop::collection::vec(0..5_u8, 0..60)) {
            let (mut syncing, mut written, mut covered) = (Syncing::new(1), 1, 1);
            let mut under_way = None;
            for step in steps.into_iter().chain([2, 3].repeat(8)) {
                match step {
                    0 if syncing.is_appending() => written += 1,
                    1 => syncing.begin_checkpoint(),
                    2 => {
                        if let Some(target) = syncing.begin(written) {
                            prop_assert!(under_way.replace((target, written)).is_none());
                        }
                    }
                    3 => {
                        let next = syncing.end();
                        if let Some((SyncTarget::Wal, upto)) = under_way.take() {
                            covered = covered.max(upto);
                        }
                        written += u64::from(next == Next::WriteCheckpoint);
                    }
                    4 if syncing.is_appending() => {
                        syncing.wiped(written);
                        covered = covered.min(written - 1);
                        if let Some((_, upto)) = &mut under_way {
                            *upto = (*upto).min(written - 1);
                        }
                    }
                    _ => {}
                }
                prop_assert!(syncing.durable() <= covered.max(1));
            }
            prop_assert!(syncing.is_appending());
            prop_assert_eq!(syncing.durable(), written);
        }
    }
}
