//! What is to be synced next, and what is durable: the order in which the two files reach the disk.
//!
//! ```text
//!             record doesn't fit,              bets.csv            checkpoint
//!             or the end was asked for         is durable          is durable
//!  Appending ---------------------> Rows ----------------> Checkpoint ----+
//!      ^  the log is synced whenever    (the log, if that is               |
//!      |  records aren't durable         not under way already)           |
//!      +------------------------------------------------------------------+
//! ```
//!
//! Nothing is appended but in the first state: a checkpoint is of all that `bets.csv` held when its
//! sync began. At most one sync is under way. Pure: knows no file and no record, only their numbers.

use super::SyncTarget;

/// How far the checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// None is due: records are appended.
    Appending,
    /// `bets.csv` has to be durable first.
    Rows,
    /// It is written, and has to become durable.
    Checkpoint,
}

/// What a sync that has ended calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: records have become durable.
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
    /// The sync under way, and the last record that it covers.
    under_way: Option<(SyncTarget, u64)>,
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
        if self.is_appending() {
            self.step = Step::Rows;
        }
    }

    /// What is to be synced now; it is under way from now on. `written` is the last record that was
    /// written, a checkpoint included.
    pub(super) fn begin(&mut self, written: u64) -> Option<SyncTarget> {
        if self.is_under_way() {
            return None;
        }
        let target = match self.step {
            Step::Appending if self.durable == written => return None,
            Step::Appending | Step::Checkpoint => SyncTarget::Wal,
            Step::Rows => SyncTarget::Rows,
        };
        self.under_way = Some((target, written));
        Some(target)
    }

    /// Which sync is under way.
    pub(super) fn target(&self) -> Option<SyncTarget> {
        self.under_way.map(|(target, _)| target)
    }

    /// The sync under way has succeeded.
    pub(super) fn end(&mut self) -> Next {
        let Some((target, covered)) = self.under_way.take() else { return Next::Nothing };
        match (self.step, target) {
            (_, SyncTarget::Rows) => {
                self.step = Step::Checkpoint;
                Next::WriteCheckpoint
            }
            (Step::Checkpoint, SyncTarget::Wal) => {
                self.step = Step::Appending;
                self.durable = covered;
                Next::Switch
            }
            (Step::Appending | Step::Rows, SyncTarget::Wal) => {
                self.durable = self.durable.max(covered);
                Next::Nothing
            }
        }
    }

    /// What stands behind `written`, the last record, was wiped: that too is durable only after
    /// another sync, which the last record counts as waiting for. A sync under way doesn't cover it.
    pub(super) fn require(&mut self, written: u64) {
        let before = written.saturating_sub(1);
        self.durable = self.durable.min(before);
        if let Some((_, covered)) = &mut self.under_way {
            *covered = (*covered).min(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_checkpoint_waits_for_the_rows_and_then_for_itself() {
        let mut syncing = Syncing::new(1);
        assert_eq!(syncing.begin(1), None);
        assert_eq!(syncing.begin(3), Some(SyncTarget::Wal));
        syncing.begin_checkpoint();
        assert!(!syncing.is_appending());
        assert_eq!(syncing.begin(3), None, "one is under way");
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 3));
        assert_eq!(syncing.begin(3), Some(SyncTarget::Rows));
        assert_eq!((syncing.end(), syncing.durable()), (Next::WriteCheckpoint, 3));
        assert_eq!(syncing.begin(4), Some(SyncTarget::Wal));
        assert!(!syncing.is_appending());
        assert_eq!((syncing.end(), syncing.durable()), (Next::Switch, 4));
        assert!(syncing.is_appending());
        assert_eq!((syncing.begin(4), syncing.end()), (None, Next::Nothing));
    }

    #[test]
    fn a_wiped_record_is_gone_only_with_a_sync_that_began_after_it() {
        let mut syncing = Syncing::new(4);
        syncing.require(4);
        assert_eq!(syncing.durable(), 3);
        assert_eq!(syncing.begin(4), Some(SyncTarget::Wal));
        syncing.require(4);
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 3));
        assert_eq!(syncing.begin(4), Some(SyncTarget::Wal));
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 4));
    }

    proptest! {
        /// Whatever happens in whatever order: nothing counts as durable that was written after the
        /// last sync of the log had begun, and once nothing more happens everything gets durable.
        #[test]
        fn only_what_a_sync_covered_is_durable(steps in prop::collection::vec(0..5_u8, 0..60)) {
            let (mut syncing, mut written, mut covered) = (Syncing::new(1), 1, 1);
            let mut under_way = None;
            for step in steps.into_iter().chain([2, 3].repeat(6)) {
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
                        syncing.require(written);
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
