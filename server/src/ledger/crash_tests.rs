//! The ledger on a disk that crashes, tears, fills up and fails, and with files that were damaged.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;
use wire::Checksum;

use super::disk::Disk;
use super::file_ledger::Paths;
use super::*;
use crate::bet::Checked;

const SECTOR: usize = 512;

/// One file: what is durable, and what was done since.
#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<Change>,
    live: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(Vec<u8>, usize),
    SetLen(usize),
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(written, at) => {
            bytes.resize(bytes.len().max(at + written.len()), 0);
            bytes[*at..at + written.len()].copy_from_slice(written);
        }
        Change::SetLen(len) => bytes.resize(*len, 0),
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        Self { durable: bytes.to_vec(), pending: Vec::new(), live: bytes.to_vec() }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    /// What is there after the power was gone: of what wasn't synced, any sectors.
    fn lose_power(&mut self, random: &mut fastrand::Rng) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Write(bytes, at) => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
                        if random.bool() {
                            apply(
                                &mut self.durable,
                                &Change::Write(bytes[from..to].to_vec(), at + from),
                            );
                        }
                        from = to;
                    }
                }
                change @ Change::SetLen(_) if random.bool() => apply(&mut self.durable, &change),
                Change::SetLen(_) => {}
            }
        }
        self.live = self.durable.clone();
    }
}

/// A machine with the ledger's two files.
#[derive(Debug, Default)]
struct Machine {
    csv: Content,
    log: Content,
    /// Operations until it stops; `None` for never.
    left: Option<usize>,
    /// Appending to the ledger fails for want of space, half of it written.
    full: bool,
    /// Syncing fails.
    sync_fails: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Csv,
    Log,
}

#[derive(Debug)]
struct MemoryDisk {
    machine: Rc<RefCell<Machine>>,
    which: Which,
}

impl Machine {
    fn content(&mut self, which: Which) -> &mut Content {
        match which {
            Which::Csv => &mut self.csv,
            Which::Log => &mut self.log,
        }
    }

    /// One operation less; an error when the machine has stopped.
    fn spend(&mut self) -> io::Result<bool> {
        match &mut self.left {
            None => Ok(false),
            Some(0) => Err(io::Error::other("the machine has stopped")),
            Some(left) => {
                *left -= 1;
                Ok(*left == 0)
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.machine.borrow_mut().content(self.which).live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.machine.borrow_mut();
        let live = &machine.content(self.which).live;
        let from = usize::try_from(offset).unwrap().min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        let last = machine.spend()?;
        let full = machine.full && self.which == Which::Csv;
        let at = usize::try_from(offset).unwrap();
        // A process that is killed, or a disk that is full, leaves a write half done. The kernel
        // takes bytes page by page: no sector is half written.
        let middle = (at + bytes.len() / 2).next_multiple_of(SECTOR) - at;
        let half = if last || full { middle.min(bytes.len()) } else { bytes.len() };
        machine.content(self.which).change(Change::Write(bytes[..half].to_vec(), at));
        match (last, full) {
            (true, _) => Err(io::Error::other("the machine has stopped")),
            (_, true) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        machine.spend()?;
        machine.content(self.which).change(Change::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        machine.spend()?;
        if machine.sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        let content = machine.content(self.which);
        content.durable = content.live.clone();
        content.pending.clear();
        Ok(())
    }
}

const OPTIONS: Options = Options { sync: Sync::Always, half_size: 4096 };

fn open(machine: &Rc<RefCell<Machine>>) -> Result<(FileLedger<MemoryDisk>, Recovery), LedgerError> {
    let disk = |which| MemoryDisk { machine: machine.clone(), which };
    let paths = Paths { csv: "bets.csv".into(), log: "bets.csv.wal".into() };
    FileLedger::over(disk(Which::Csv), disk(Which::Log), paths, OPTIONS, |_| {})
}

/// What a turn stages: batches of so many bets, stored or rejected; an end; the draw.
#[derive(Debug, Clone)]
enum Staged {
    Batch { agency: u32, count: u16, stored: bool },
    Finished { agency: u32 },
    Drawn,
}

fn commit_of(staged: &[Staged]) -> Commit {
    let mut commit = Commit::default();
    for staged in staged {
        let entry = match *staged {
            Staged::Batch { agency, count, stored } => {
                for index in 0..if stored { count } else { 0 } {
                    let document = (10_000_000 + u32::from(index)).to_string();
                    let bet = Checked {
                        first_name: "Íñigo, \"Tito\"",
                        last_name: "Paz",
                        document: &document,
                        birthdate: "2000-02-29",
                        number: u32::from(index),
                    };
                    commit.push_row(agency, &bet);
                }
                Entry::Batch { agency, count, stored, checksum: Checksum(count.into()) }
            }
            Staged::Finished { agency } => Entry::Finished { agency },
            Staged::Drawn => Entry::Drawn,
        };
        commit.push_entry(entry);
    }
    commit
}

/// State and rows as they should be.
#[derive(Debug, Clone, Default, PartialEq)]
struct Expected {
    state: State,
    rows: Vec<u8>,
}

impl Expected {
    fn with(&self, commit: &Commit) -> Self {
        let mut next = self.clone();
        for entry in commit.entries() {
            next.state.apply(entry);
        }
        next.rows.extend_from_slice(commit.rows());
        next
    }

    fn of(ledger: &FileLedger<MemoryDisk>, machine: &Rc<RefCell<Machine>>) -> Self {
        Self { state: ledger.state().clone(), rows: machine.borrow().csv.live.clone() }
    }
}

fn staged() -> impl Strategy<Value = Vec<Staged>> {
    let staged = prop_oneof![
        8 => (1..4_u32, 1..25_u16, prop::bool::weighted(0.8))
            .prop_map(|(agency, count, stored)| Staged::Batch { agency, count, stored }),
        1 => (1..4_u32).prop_map(|agency| Staged::Finished { agency }),
        1 => Just(Staged::Drawn),
    ];
    prop::collection::vec(staged, 1..4)
}

/// One life of the process: commits until it is done, or until the machine stops.
#[derive(Debug, Clone)]
struct Life {
    commits: Vec<Vec<Staged>>,
    stops_after: usize,
    power_loss: Option<u64>,
    closes: bool,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (
        prop::collection::vec(staged(), 0..12),
        0..60_usize,
        prop::option::of(any::<u64>()),
        any::<bool>(),
    );
    let life = life.prop_map(|(commits, stops_after, power_loss, closes)| Life {
        commits,
        stops_after,
        power_loss,
        closes,
    });
    prop::collection::vec(life, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whenever it stops, and whatever of the unsynced bytes is lost: what was confirmed is there,
    /// in order and once, with at most the one commit that was under way.
    #[test]
    fn what_was_confirmed_survives_every_crash(lives in lives()) {
        let machine = Rc::new(RefCell::new(Machine::default()));
        let mut confirmed = Expected::default();
        let mut under_way = Expected::default();
        for life in lives {
            let (mut ledger, _) = open(&machine).expect("a crash is no damage");
            let found = Expected::of(&ledger, &machine);
            prop_assert!(found == confirmed || found == under_way, "{found:?}");
            confirmed = found;
            machine.borrow_mut().left = Some(life.stops_after);
            under_way = confirmed.clone();
            let mut stopped = false;
            for staged in &life.commits {
                let commit = commit_of(staged);
                under_way = confirmed.with(&commit);
                if ledger.submit(&commit).is_err() {
                    stopped = true;
                    break;
                }
                confirmed = under_way.clone();
            }
            if life.closes && !stopped {
                let _ = ledger.close();
            }
            let mut machine = machine.borrow_mut();
            machine.left = None;
            if let Some(seed) = life.power_loss {
                let mut random = fastrand::Rng::with_seed(seed);
                machine.csv.lose_power(&mut random);
                machine.log.lose_power(&mut random);
            }
        }
        let (ledger, _) = open(&machine).expect("a crash is no damage");
        let found = Expected::of(&ledger, &machine);
        prop_assert!(found == confirmed || found == under_way, "{found:?}");
    }

    /// A crash while the two files are made leaves a ledger that can be made.
    #[test]
    fn an_unfinished_creation_is_begun_anew(stops_after in 0..12_usize, seed in any::<u64>()) {
        let machine = Rc::new(RefCell::new(Machine::default()));
        machine.borrow_mut().left = Some(stops_after);
        let _ = open(&machine);
        machine.borrow_mut().left = None;
        let mut random = fastrand::Rng::with_seed(seed);
        machine.borrow_mut().csv.lose_power(&mut random);
        machine.borrow_mut().log.lose_power(&mut random);
        let (ledger, _) = open(&machine).expect("nothing was ever confirmed");
        prop_assert_eq!(ledger.state(), &State::default());
    }
}

fn batch(agency: u32, count: u16) -> Vec<Staged> {
    vec![Staged::Batch { agency, count, stored: true }]
}

/// A ledger after these commits and a kill: everything is on disk, nothing was closed.
fn killed(commits: &[Vec<Staged>]) -> (Machine, Expected) {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    let mut expected = Expected::default();
    for staged in commits {
        let commit = commit_of(staged);
        ledger.submit(&commit).expect("nothing fails");
        expected = expected.with(&commit);
    }
    drop(ledger);
    (Rc::try_unwrap(machine).expect("the ledger is gone").into_inner(), expected)
}

/// Opens files that were tampered with: the same ledger, or a refusal that changes nothing.
fn same_or_refused(csv: &[u8], log: &[u8], expected: &[&Expected], what: &str) -> bool {
    let machine = Rc::new(RefCell::new(Machine {
        csv: Content::of(csv),
        log: Content::of(log),
        ..Machine::default()
    }));
    if let Ok((ledger, _)) = open(&machine) {
        let found = Expected::of(&ledger, &machine);
        assert!(expected.contains(&&found), "{what}: {found:?}");
        return true;
    }
    assert!(machine.borrow().csv.live == csv && machine.borrow().log.live == log, "{what}");
    false
}

/// Every bit of what was written and of what stands behind it; one bit in a hundred of the zeros
/// that nothing has come near.
fn worthwhile_bits(log: &[u8]) -> impl Iterator<Item = usize> {
    let near = |block: usize| {
        let from = block.saturating_sub(1) * 64;
        log[from..(block + 1) * 64].iter().any(|byte| *byte != 0)
    };
    (0..8 * log.len()).filter(move |bit| bit % 97 == 0 || near(bit / 8 / 64))
}

#[test]
fn files_cut_off_at_any_byte_are_mended_or_refused() {
    let (machine, expected) =
        killed(&[batch(1, 3), vec![Staged::Finished { agency: 1 }, Staged::Drawn], batch(2, 2)]);
    let (csv, log) = (&machine.csv.live, &machine.log.live);
    for len in 0..csv.len() {
        let mended = same_or_refused(&csv[..len], log, &[&expected], &format!("csv at {len}"));
        assert!(mended, "no checkpoint covers the rows: the log has them all");
    }
    for len in 0..log.len() {
        let mended = same_or_refused(csv, &log[..len], &[&expected], &format!("log at {len}"));
        assert!(!mended, "a log that lost its end at {len} is refused");
    }
}

#[test]
fn any_flipped_bit_is_mended_refused_or_harmless() {
    // In their first use, in their first use after a checkpoint, and recycled.
    for commits in [2, 5, 9] {
        let commits: Vec<_> = (0..commits).map(|index| batch(1 + index % 2, 20)).collect();
        let (machine, expected) = killed(&commits);
        let (_, without_last) = killed(&commits[..commits.len() - 1]);
        // The one thing that can't be told: see the module documentation of `recovery`.
        let recycled = commits.len() == 9;
        let right = if recycled { vec![&expected, &without_last] } else { vec![&expected] };
        let (csv, log) = (&machine.csv.live, &machine.log.live);
        for bit in worthwhile_bits(log) {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(csv, &flipped, &right, &format!("bit {bit} of the log"));
        }
        for bit in (0..8 * csv.len()).step_by(commits.len()) {
            let mut flipped = csv.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(&flipped, log, &[&expected], &format!("bit {bit} of the ledger"));
        }
    }
}

#[test]
fn a_torn_row_appended_by_hand_is_cut_off_and_counted() {
    let (machine, expected) = killed(&[batch(1, 3)]);
    let mut csv = machine.csv.live.clone();
    csv.extend_from_slice(b"1,Santiago,Lor");
    let log = machine.log.live;
    let machine = Machine { csv: Content::of(&csv), log: Content::of(&log), ..Machine::default() };
    let machine = Rc::new(RefCell::new(machine));
    let (ledger, recovery) = open(&machine).expect("it is no damage");
    assert_eq!(Expected::of(&ledger, &machine), expected);
    assert_eq!((recovery.cut, recovery.rows, recovery.restored), (14, 3, 0));
}

#[test]
fn a_full_disk_changes_nothing_and_passes() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    let (first, second) = (commit_of(&batch(1, 3)), commit_of(&batch(1, 4)));
    ledger.submit(&first).expect("there is space");
    machine.borrow_mut().full = true;
    let before = (machine.borrow().csv.live.clone(), ledger.committed(), ledger.state().clone());
    for _ in 0..3 {
        let error = ledger.submit(&second).expect_err("there is no space");
        assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
        let after = (machine.borrow().csv.live.clone(), ledger.committed(), ledger.state().clone());
        assert_eq!(after, before);
    }
    machine.borrow_mut().full = false;
    ledger.submit(&second).expect("there is space again");
    let expected = Expected::default().with(&first).with(&second);
    assert_eq!(Expected::of(&ledger, &machine), expected);
}

#[test]
fn a_failed_sync_is_fatal() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    machine.borrow_mut().sync_fails = true;
    let error = ledger.submit(&commit_of(&batch(1, 3))).expect_err("it can't be synced");
    assert!(matches!(error, SubmitError::Fatal(_)), "{error}");
}

fn open_files(path: &Path) -> Result<(FileLedger<std::fs::File>, Recovery), LedgerError> {
    FileLedger::open(path, OPTIONS, |_| {})
}

#[test]
fn real_files_are_locked_kept_and_named_when_they_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let (mut ledger, recovery) = open_files(&path).expect("a new one");
    assert!(recovery.created);
    ledger.submit(&commit_of(&batch(1, 3))).expect("there is space");
    assert!(matches!(open_files(&path), Err(LedgerError::Locked { .. })));
    ledger.close().expect("closed");
    let (ledger, recovery) = open_files(&path).expect("the same");
    assert_eq!((recovery.clean, recovery.rows, recovery.created), (true, 3, false));
    drop(ledger);

    let log = folder.path().join("bets.csv.wal");
    std::fs::write(&log, b"something else").expect("written");
    assert!(matches!(open_files(&path), Err(LedgerError::ForeignLog { .. })));
    std::fs::remove_file(&log).expect("removed");
    assert!(matches!(open_files(&path), Err(LedgerError::LogMissing { .. })));
    assert!(!log.exists(), "nothing is changed");

    for bad in [folder.path().join("missing/bets.csv"), folder.path().to_owned()] {
        let error = open_files(&bad).expect_err("it can't be opened");
        assert!(matches!(error, LedgerError::Io { doing: "open it", .. }), "{error}");
        assert!(error.to_string().starts_with(bad.to_str().expect("plain")), "{error}");
    }
}
