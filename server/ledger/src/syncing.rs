//! What is to be synced next, and what is durable: the order in which the two files reach the disk.
//!
//! ```text
//!              record doesn't fit,     rows are      snapshot         checkpoint
//!              or close was asked for  durable       was given        is durable
//!  Appending ---------------> Rows ----------> Snapshot ----> Checkpoint ----+
//!    |   ^  ^                                                                |
//!    |   |  +----------------------------------------------------------------+
//!    |   | the wipe is durable
//!    +-> Wiped
//!     a commit had no effect
//! ```
//!
//! Nothing is appended but in the first state. A checkpoint is of all rows that there were when their
//! sync began, and of the user's state then. And what a commit without effect left must be gone
//! before another takes its place: a crash that leaves some sectors of the one and some of the other
//! would look like damage.
//!
//! Records that aren't durable come first in every state: their replies wait. At most one sync
//! is under way. Pure: knows no file and no record, only LSNs.

/// Which of the two files a sync is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncTarget {
    /// The rows.
    Rows,
    /// The wal.
    Wal,
}

/// What a ledger needs next, so that everything becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// This file is to be synced, and the result reported. The sync is under way from now on.
    Sync(SyncTarget),
    /// Its user's state, everything included that was appended: all of it is durable.
    Snapshot,
}

/// What has to become durable before anything is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing: records are appended.
    Appending,
    /// The zeros that were written over a commit without effect. Whether a checkpoint is due after it.
    Wiped { checkpoint: bool },
    /// The rows, for a checkpoint.
    Rows,
    /// Nothing, but its snapshot has to come before a checkpoint is written.
    Snapshot,
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
pub(crate) enum Next {
    /// Nothing: records have become durable, or rows, or a wipe.
    Nothing,
    /// The checkpoint is durable: appending goes on behind it.
    Switch,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Syncing {
    step: Step,
    /// The last record that is durable.
    durable: u64,
    under_way: Option<UnderWay>,
}

impl Syncing {
    /// Records up to this one are durable.
    pub(crate) fn new(durable: u64) -> Self {
        Self { step: Step::Appending, durable, under_way: None }
    }

    /// The last record that is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether a record may be appended now.
    pub(crate) fn is_appending(&self) -> bool {
        self.step == Step::Appending
    }

    /// A checkpoint is due before anything is appended.
    pub(crate) fn begin_checkpoint(&mut self) {
        match &mut self.step {
            Step::Appending => self.step = Step::Rows,
            Step::Wiped { checkpoint } => *checkpoint = true,
            Step::Rows | Step::Snapshot | Step::Checkpoint => {}
        }
    }

    /// Whether a checkpoint may be written now.
    pub(crate) fn awaits_snapshot(&self) -> bool {
        self.step == Step::Snapshot
    }

    /// The checkpoint was written.
    pub(crate) fn checkpoint_written(&mut self) {
        debug_assert!(self.awaits_snapshot(), "it was asked for");
        self.step = Step::Checkpoint;
    }

    /// What is needed now; a sync is under way from now on. `written` is the last record that was
    /// written, a checkpoint included.
    pub(crate) fn begin(&mut self, written: u64) -> Option<Work> {
        if self.is_under_way() {
            return None;
        }
        let records_wait = self.durable < written;
        let (target, for_step) = match self.step {
            Step::Appending if !records_wait => return None,
            Step::Appending => (SyncTarget::Wal, false),
            Step::Rows if records_wait => (SyncTarget::Wal, false),
            Step::Rows => (SyncTarget::Rows, true),
            Step::Snapshot => return Some(Work::Snapshot),
            Step::Wiped { .. } | Step::Checkpoint => (SyncTarget::Wal, true),
        };
        self.under_way = Some(UnderWay { target, covered: written, for_step });
        Some(Work::Sync(target))
    }

    /// Which sync is under way.
    pub(crate) fn target(&self) -> Option<SyncTarget> {
        self.under_way.map(|sync| sync.target)
    }

    /// The sync under way has succeeded.
    pub(crate) fn end(&mut self) -> Next {
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
            Step::Rows | Step::Snapshot => (Step::Snapshot, Next::Nothing),
            Step::Checkpoint => (Step::Appending, Next::Switch),
            Step::Wiped { checkpoint: true } => (Step::Rows, Next::Nothing),
            Step::Wiped { checkpoint: false } | Step::Appending => (Step::Appending, Next::Nothing),
        };
        self.step = step;
        next
    }

    /// What a commit left behind `written`, the last record, was wiped. That too is durable only after
    /// another sync, which the last record counts as waiting for; a sync under way doesn't cover it.
    pub(crate) fn wiped(&mut self, written: u64) {
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
        assert_eq!(syncing.begin(3), Some(Work::Sync(SyncTarget::Wal)));
        syncing.begin_checkpoint();
        assert!(!syncing.is_appending());
        assert_eq!(syncing.begin(4), None, "one is under way");
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 3));
        assert_eq!(
            syncing.begin(4),
            Some(Work::Sync(SyncTarget::Wal)),
            "a reply waits for the record"
        );
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 4));
        assert_eq!(syncing.begin(4), Some(Work::Sync(SyncTarget::Rows)));
        assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 4));
        assert_eq!(syncing.begin(4), Some(Work::Snapshot));
        assert_eq!(syncing.begin(4), Some(Work::Snapshot), "until it is there");
        assert!(!syncing.is_under_way() && syncing.awaits_snapshot());
        syncing.checkpoint_written();
        assert_eq!(syncing.begin(5), Some(Work::Sync(SyncTarget::Wal)));
        assert!(!syncing.is_appending());
        assert_eq!((syncing.end(), syncing.durable()), (Next::Switch, 5));
        assert!(syncing.is_appending());
        assert_eq!((syncing.begin(5), syncing.end()), (None, Next::Nothing));
    }

    #[test]
    fn a_wiped_record_is_gone_only_with_a_sync_that_began_after_it() {
        for checkpoint in [false, true] {
            let mut syncing = Syncing::new(3);
            assert_eq!(syncing.begin(4), Some(Work::Sync(SyncTarget::Wal)));
            syncing.wiped(4);
            if checkpoint {
                syncing.begin_checkpoint();
            }
            assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 3));
            assert!(!syncing.is_appending());
            assert_eq!(syncing.begin(4), Some(Work::Sync(SyncTarget::Wal)));
            assert_eq!((syncing.end(), syncing.durable()), (Next::Nothing, 4));
            assert_eq!(syncing.is_appending(), !checkpoint);
            assert_eq!(syncing.begin(4), checkpoint.then_some(Work::Sync(SyncTarget::Rows)));
        }
    }

    proptest! {
        /// Whatever happens in whatever order: nothing counts as durable that was written after the
        /// last sync of the log had begun, and once nothing more happens everything gets durable.
        #[test]
        fn only_what_a_sync_covered_is_durable(steps in prop::collection::vec(0..5_u8, 0..60)) {
            let (mut syncing, mut written, mut covered) = (Syncing::new(1), 1, 1);
            let mut under_way = None;
            for step in steps.into_iter().chain([2, 3].repeat(9)) {
                match step {
                    0 if syncing.is_appending() => written += 1,
                    1 => syncing.begin_checkpoint(),
                    2 => {
                        match syncing.begin(written) {
                            Some(Work::Sync(target)) => {
                                prop_assert!(under_way.replace((target, written)).is_none());
                            }
                            Some(Work::Snapshot) => {
                                prop_assert_eq!(syncing.durable(), written);
                                written += 1;
                                syncing.checkpoint_written();
                            }
                            None => {}
                        }
                    }
                    3 => {
                        syncing.end();
                        if let Some((SyncTarget::Wal, upto)) = under_way.take() {
                            covered = covered.max(upto);
                        }
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
