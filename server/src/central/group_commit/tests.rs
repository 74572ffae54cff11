//! Commits over a store that does what the test says.

use wire::{BatchBuilder, Bet, Push};

use super::*;
use crate::lottery::winners::WinnerIndex;
use crate::lottery::{Staged, State};
use crate::store::ReadRows;

/// How the next commits end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Taken,
    /// Until the sync that is under way has ended.
    Busy,
    Full,
    /// The ledger is as large as it may be.
    AtLimit,
    Fatal,
}

#[derive(Debug)]
struct FakeStore {
    outcome: Outcome,
    waits_for_disk: bool,
    appended: Lsn,
    durable: Lsn,
    under_way: Option<Lsn>,
}

fn failure(kind: io::ErrorKind) -> StoreError {
    ledger::Error::Io { doing: "append rows", path: "bets.csv".into(), source: kind.into() }.into()
}

impl ReadRows for FakeStore {
    fn rows_len(&self) -> u64 {
        0
    }

    fn read_rows(&self, _: u64, _: &mut [u8]) -> Result<usize, StoreError> {
        unreachable!("a commit reads nothing")
    }

    fn rows_changed(&self, _: u64) -> StoreError {
        unreachable!("a commit reads nothing")
    }
}

impl Store for FakeStore {
    fn append(&mut self, _: &Staged) -> Result<Lsn, AppendError> {
        match self.outcome {
            Outcome::Taken => {
                self.appended = Lsn(self.appended.0 + 1);
                Ok(self.appended)
            }
            Outcome::Busy => Err(AppendError::Busy),
            Outcome::Full => Err(AppendError::Unavailable(failure(io::ErrorKind::StorageFull))),
            Outcome::AtLimit => {
                let error = ledger::Error::Full { len: 9, max: 9 };
                Err(AppendError::Unavailable(error.into()))
            }
            Outcome::Fatal => Err(AppendError::Fatal(failure(io::ErrorKind::Other))),
        }
    }

    fn commit_len(&self, staged_len: usize) -> usize {
        staged_len
    }

    fn begin_sync(&mut self) -> Result<Option<Work>, StoreError> {
        if self.outcome == Outcome::Busy && !self.waits_for_disk {
            self.outcome = Outcome::Taken;
        }
        if self.under_way.is_some() || self.durable == self.appended {
            return Ok(None);
        }
        self.under_way = Some(self.appended);
        Ok(Some(Work::Sync(SyncTarget::Wal)))
    }

    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), StoreError> {
        result.map_err(|error| failure(error.kind()))?;
        self.durable = self.under_way.take().unwrap_or(self.durable);
        Ok(())
    }

    fn sync_here(&mut self, _: SyncTarget) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, _: &State) -> Result<(), StoreError> {
        unreachable!("it asks for none")
    }

    fn waits_for_disk(&self) -> bool {
        self.waits_for_disk
    }

    fn is_syncing(&self) -> bool {
        self.under_way.is_some()
    }

    fn begin_close(&mut self) {}

    fn is_closed(&self) -> bool {
        false
    }

    fn appended_lsn(&self) -> Lsn {
        self.appended
    }

    fn durable_lsn(&self) -> Lsn {
        self.durable
    }
}

/// A lottery of two agencies that commits to such a store.
struct World {
    commits: GroupCommit<FakeStore>,
    lottery: Lottery,
    log: LogBudget,
}

impl World {
    fn new(outcome: Outcome) -> Self {
        let (appended, durable) = (Lsn(0), Lsn(0));
        let store = FakeStore { outcome, waits_for_disk: true, appended, durable, under_way: None };
        Self {
            commits: GroupCommit::new(store, 1 << 20, Duration::from_secs(1)),
            lottery: Lottery::new(2, State::default(), 0, WinnerIndex::default()),
            log: LogBudget::new(100),
        }
    }

    /// An agency ends its input, and everything staged is committed.
    fn commit_end(&mut self, agency: u32) -> Commit {
        self.lottery.end(agency, 0).expect("it has sent nothing");
        self.commit()
    }

    /// The same of the first bet of an agency.
    fn commit_bet(&mut self, agency: u32) {
        let mut builder = BatchBuilder::new();
        let fields = ["Ana", "Paz", "1", "2000-01-01", "7574"].map(str::as_bytes);
        assert_eq!(builder.push(&Bet::from_fields(fields)), Ok(Push::Added));
        let batch = builder.batch(0);
        self.lottery.take(agency, &batch).expect("it has sent nothing");
        self.commit();
    }

    fn commit(&mut self) -> Commit {
        self.commits.commit(&mut self.lottery, &mut self.log)
    }
}

#[test]
fn a_commit_is_durable_when_its_sync_has_ended() {
    let mut world = World::new(Outcome::Taken);
    assert_eq!(world.commit(), Commit::Appended(Lsn(0)), "nothing is staged");
    assert_eq!(world.commit_end(1), Commit::Appended(Lsn(1)));
    assert_eq!(world.commit_end(2), Commit::Appended(Lsn(2)), "with the draw");
    assert!(!world.lottery.is_drawn());
    world.commits.sync_here(&mut world.lottery).unwrap();
    assert!(world.lottery.is_drawn());
    assert_eq!(world.commits.store().durable_lsn(), Lsn(2));
}

#[test]
fn a_commit_without_effect_is_taken_back_and_not_tried_again_before_the_delay() {
    let mut world = World::new(Outcome::Full);
    let commit = world.commit_end(1);
    assert!(matches!(commit, Commit::Unavailable(Lsn(0), _)), "{commit:?}");
    assert!(!world.lottery.has_finished(1) && world.lottery.staged().is_empty());
    assert!(world.commits.backoff().suspends(Suspended::All).is_some());
    world.commits.store.outcome = Outcome::Fatal;
    assert_eq!(world.commit(), Commit::Appended(Lsn(0)), "it isn't asked");
    assert!(world.commits.check().is_ok());
}

#[test]
fn a_ledger_at_its_limit_is_so_until_it_takes_rows_again() {
    let mut world = World::new(Outcome::Full);
    world.commit_bet(1);
    assert!(!world.commits.is_at_limit() && world.commits.failures() == 1, "the disk is full");
    world.commits.backoff().on_timer();
    world.commits.store.outcome = Outcome::AtLimit;
    world.commit_bet(1);
    assert!(world.commits.is_at_limit() && world.commits.is_failing());
    assert_eq!(world.commits.failures(), 1, "the disk has nothing to do with it");
    world.commits.backoff().on_timer();
    assert!(world.commits.is_at_limit() && world.commits.is_failing(), "nothing was tried");
    world.commits.store.outcome = Outcome::Taken;
    world.commit_end(2);
    assert!(world.commits.is_at_limit(), "an end has no rows");
    world.commit_bet(1);
    assert!(!world.commits.is_at_limit() && !world.commits.is_failing());
}

#[test]
fn a_commit_that_was_too_much_says_nothing_of_the_ledger_after_a_while() {
    let mut world = World::new(Outcome::AtLimit);
    world.commit_bet(1);
    assert!(world.commits.is_at_limit() && world.commits.is_failing());
    assert!(world.commits.backoff().take_quiet_timer().is_some());
    world.commits.on_quiet();
    assert!(!world.commits.is_at_limit() && !world.commits.is_failing());
}

#[test]
fn while_the_store_is_busy_what_is_staged_stays_staged() {
    let mut world = World::new(Outcome::Busy);
    assert_eq!(world.commit_end(1), Commit::Pending);
    assert!(!world.lottery.staged().is_empty() && world.lottery.has_finished(1));
    world.commits.store.outcome = Outcome::Taken;
    assert_eq!(world.commit(), Commit::Appended(Lsn(1)));
}

#[test]
fn a_store_that_does_not_wait_for_the_disk_is_made_ready_at_once() {
    let mut world = World::new(Outcome::Busy);
    world.commits.store.waits_for_disk = false;
    assert_eq!(world.commit_end(1), Commit::Appended(Lsn(1)));
}

#[test]
fn nothing_is_committed_behind_a_failure_that_ends_the_process() {
    let mut world = World::new(Outcome::Fatal);
    assert_eq!(world.commit_end(1), Commit::Pending);
    world.commits.store.outcome = Outcome::Taken;
    assert_eq!(world.commit(), Commit::Pending);
    assert!(world.commits.check().is_err());
}

#[test]
fn while_a_sync_is_under_way_the_turn_commits_only_what_is_large() {
    let mut world = World::new(Outcome::Taken);
    world.commit_end(1);
    world.commits.next_sync(&mut world.lottery).unwrap().expect("a sync");
    assert!(world.commits.is_due(&world.lottery), "a draw may be due");
    world.lottery.end(2, 0).unwrap();
    assert!(!world.commits.is_due(&world.lottery));
    world.commits.max_bytes = 1;
    assert!(world.commits.is_due(&world.lottery));
}

#[test]
fn results_of_the_disks_thread_may_arrive_in_pieces() {
    let mut world = World::new(Outcome::Taken);
    world.commit_end(1);
    world.commits.next_sync(&mut world.lottery).unwrap().expect("a sync");
    assert_eq!(world.commits.on_disk_data(Instant::now(), &mut world.lottery, &[0; 3]), 0);
    assert_eq!(world.commits.store().durable_lsn(), Lsn(0));
    assert_eq!(world.commits.on_disk_data(Instant::now(), &mut world.lottery, &[0; 5]), 4);
    assert_eq!(world.commits.store().durable_lsn(), Lsn(1));
    assert!(world.commits.check().is_ok());
}

#[test]
fn a_failed_sync_and_a_lost_thread_end_the_process() {
    let mut world = World::new(Outcome::Taken);
    // EIO.
    world.commits.on_disk_data(Instant::now(), &mut world.lottery, &[0, 0, 0, 5]);
    assert!(world.commits.check().is_err());
    let mut world = World::new(Outcome::Taken);
    world.commits.on_disk_lost(&mut world.lottery);
    assert!(world.commits.check().is_err());
}
