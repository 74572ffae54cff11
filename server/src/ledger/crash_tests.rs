//! The ledger on a disk that crashes, tears, fills up and fails, and with files that were damaged.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;
use wire::bet::{Name, ValidBet};
use wire::{Bet, Checksum, bet};

use super::disk::Disk;
use super::*;

#[path = "../../tests/crash_disk/mod.rs"]
mod crash_disk;
use crash_disk::{Content, Machine, MemoryDisk, Which};

const OPTIONS: Options = Options::unbounded(Sync::Always, 4096, 5);

fn open(machine: &Rc<RefCell<Machine>>) -> Result<(FileLedger<MemoryDisk>, Recovery), LedgerError> {
    let disk = |which| MemoryDisk { machine: machine.clone(), which };
    let path = Path::new("bets.csv");
    FileLedger::over(disk(Which::Csv), disk(Which::Log), path, OPTIONS, |_| {}, goes_on)
}

fn goes_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
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
                    let fields =
                        ["Íñigo, \"Tito\"", "Paz", &document, "2000-02-29", &index.to_string()];
                    let bet = Bet::from_fields(fields.map(str::as_bytes));
                    commit.push_row(agency, &bet::check(&bet).expect("a good bet"));
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

/// One life of the process: turns of a few commits each, until it is done, or until the machine stops.
#[derive(Debug, Clone)]
struct Life {
    turns: Vec<Vec<Vec<Staged>>>,
    /// Commits go on while a sync is under way.
    overlaps: bool,
    stops_after: usize,
    power_loss: Option<u64>,
    closes: bool,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (
        prop::collection::vec(prop::collection::vec(staged(), 1..5), 0..8),
        any::<bool>(),
        0..60_usize,
        prop::option::of(any::<u64>()),
        any::<bool>(),
    );
    let life = life.prop_map(|(turns, overlaps, stops_after, power_loss, closes)| Life {
        turns,
        overlaps,
        stops_after,
        power_loss,
        closes,
    });
    prop::collection::vec(life, 1..6)
}

/// One turn; whether the machine has survived it.
fn live(
    ledger: &mut FileLedger<MemoryDisk>,
    turn: &[Vec<Staged>],
    possible: &mut Vec<Expected>,
) -> bool {
    for staged in turn {
        let commit = commit_of(staged);
        possible.push(possible[possible.len() - 1].with(&commit));
        if ledger.submit_waiting(&commit).is_err() {
            return false;
        }
    }
    if ledger.sync().is_err() {
        return false;
    }
    possible.drain(..turn.len());
    true
}

/// The same while syncs take their time: each begins when it may and ends a few commits later. What
/// the disk has done by then it did at its beginning, or at its end.
fn live_overlapping(
    ledger: &mut FileLedger<MemoryDisk>,
    turns: &[Vec<Vec<Staged>>],
    possible: &mut Vec<Expected>,
) -> Result<(), SubmitError> {
    let mut numbers = VecDeque::new();
    let mut under_way = None;
    for (index, staged) in turns.iter().flatten().enumerate() {
        let commit = commit_of(staged);
        possible.push(possible[possible.len() - 1].with(&commit));
        loop {
            match ledger.submit(&commit) {
                Err(SubmitError::Busy) => {}
                result => break result?,
            }
            begin_sync(ledger, &mut under_way, index)?;
            end_sync(ledger, &mut under_way)?;
        }
        numbers.push_back(ledger.submitted());
        if index % 3 == 0 {
            end_sync(ledger, &mut under_way)?;
        }
        begin_sync(ledger, &mut under_way, index)?;
        while numbers.pop_front_if(|number| *number <= ledger.committed()).is_some() {
            possible.remove(0);
        }
    }
    Ok(())
}

type UnderWay = Option<(SyncTarget, bool)>;

fn begin_sync(
    ledger: &mut FileLedger<MemoryDisk>,
    under_way: &mut UnderWay,
    index: usize,
) -> Result<(), SubmitError> {
    if let Some(target) = ledger.begin_sync().map_err(SubmitError::Fatal)? {
        let at_once = index.is_multiple_of(2);
        if at_once {
            let synced = ledger.sync_file(target);
            synced.map_err(|_| SubmitError::Busy)?;
        }
        *under_way = Some((target, at_once));
    }
    Ok(())
}

fn end_sync(
    ledger: &mut FileLedger<MemoryDisk>,
    under_way: &mut UnderWay,
) -> Result<(), SubmitError> {
    let Some((target, done)) = under_way.take() else { return Ok(()) };
    let result = if done { Ok(()) } else { ledger.sync_file(target) };
    ledger.end_sync(result).map_err(SubmitError::Fatal)
}

/// A turn with one commit.
fn settle(ledger: &mut impl Ledger, commit: &Commit) {
    ledger.submit_waiting(commit).expect("nothing fails");
    let number = ledger.submitted();
    ledger.sync().expect("nothing fails");
    assert_eq!(ledger.committed(), number);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whenever it stops, and whatever of the unsynced bytes is lost: what was confirmed is there,
    /// in order and once, with at most the first few of the commits that were under way.
    #[test]
    fn what_was_confirmed_survives_every_crash(lives in lives()) {
        let machine = Rc::new(RefCell::new(Machine::default()));
        // What was confirmed, and what it becomes with each commit that is under way.
        let mut possible = vec![Expected::default()];
        for life in lives {
            let (mut ledger, _) = open(&machine).expect("a crash is no damage");
            let found = Expected::of(&ledger, &machine);
            prop_assert!(possible.contains(&found), "{found:?}");
            possible = vec![found];
            machine.borrow_mut().left = Some(life.stops_after);
            let finished = if life.overlaps {
                live_overlapping(&mut ledger, &life.turns, &mut possible).is_ok()
            } else {
                life.turns.iter().all(|turn| live(&mut ledger, turn, &mut possible))
            };
            if life.closes && finished {
                let _ = ledger.close();
            }
            let mut machine = machine.borrow_mut();
            machine.left = None;
            if let Some(seed) = life.power_loss {
                machine.lose_power(&mut fastrand::Rng::with_seed(seed));
            }
        }
        let (ledger, _) = open(&machine).expect("a crash is no damage");
        let found = Expected::of(&ledger, &machine);
        prop_assert!(possible.contains(&found), "{found:?}");
    }

    /// A crash while a larger lottery is recorded leaves the ledger that it was.
    #[test]
    fn a_larger_lottery_is_recorded_or_not(
        commits in 1..9_u32, stops_after in 0..12_usize, seed in any::<u64>(),
    ) {
        let commits: Vec<_> = (0..commits).map(|index| batch(1 + index % 2, 20)).collect();
        let (machine, expected) = killed(&commits);
        let machine = Rc::new(RefCell::new(machine));
        let next = commit_of(&batch(7, 1));
        machine.borrow_mut().left = Some(stops_after);
        let stored = open_for(&machine, 7).is_ok_and(|(mut ledger, _)| {
            ledger.submit_waiting(&next).is_ok() && ledger.sync().is_ok()
        });
        machine.borrow_mut().left = None;
        machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        if stored {
            prop_assert!(refused_for(&machine, 6).contains("it is for 7 agencies"));
        }
        let (ledger, _) = open_for(&machine, 7).expect("a crash is no damage");
        let found = Expected::of(&ledger, &machine);
        prop_assert!(found == expected.with(&next) || !stored && found == expected);
    }

    /// A crash while the two files are made leaves a ledger that can be made.
    #[test]
    fn an_unfinished_creation_is_begun_anew(stops_after in 0..12_usize, seed in any::<u64>()) {
        let machine = Rc::new(RefCell::new(Machine::default()));
        machine.borrow_mut().left = Some(stops_after);
        let _ = open(&machine);
        machine.borrow_mut().left = None;
        machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        let (ledger, _) = open(&machine).expect("nothing was ever confirmed");
        prop_assert_eq!(ledger.state(), &State::default());
    }
}

fn batch(agency: u32, count: u16) -> Vec<Staged> {
    vec![Staged::Batch { agency, count, stored: true }]
}

/// A ledger after these commits and a kill: everything is on disk, nothing was closed.
fn killed(commits: &[Vec<Staged>]) -> (Machine, Expected) {
    let (machine, mut expected) = killed_after_turns(commits, 1);
    (machine, expected.pop().expect("at least what there was at first"))
}

/// The same, the last turn of so many commits. Returns what was there before that turn, and with each
/// of its commits.
fn killed_after_turns(commits: &[Vec<Staged>], last_turn: usize) -> (Machine, Vec<Expected>) {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    let mut expected = vec![Expected::default()];
    let (settled, last_turn) = commits.split_at(commits.len().saturating_sub(last_turn));
    for staged in settled {
        assert!(live(&mut ledger, std::slice::from_ref(staged), &mut expected), "nothing fails");
    }
    for staged in last_turn {
        let commit = commit_of(staged);
        ledger.submit_waiting(&commit).expect("nothing fails");
        expected.push(expected[expected.len() - 1].with(&commit));
    }
    ledger.sync().expect("nothing fails");
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
    let opened = open(&machine);
    if let Ok((ledger, _)) = opened {
        let found = Expected::of(&ledger, &machine);
        assert!(expected.contains(&&found), "{what}: {found:?}");
        return true;
    }
    let text = opened.expect_err("it was looked at above").to_string();
    assert!(names_its_place(&text), "{what}: {text}");
    assert!(machine.borrow().csv.live == csv && machine.borrow().log.live == log, "{what}");
    false
}

/// Whether an error says in which file something is wrong, and where: at which byte, after how many,
/// or in the header.
fn names_its_place(text: &str) -> bool {
    let place = text.strip_prefix("bets.csv.wal: ").or_else(|| text.strip_prefix("bets.csv: "));
    place.is_some_and(|place| ["byte", "header", " rows"].iter().any(|word| place.contains(word)))
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
fn a_flipped_bit_in_a_turn_of_several_commits_touches_no_earlier_turn() {
    // Eleven: the last half is recycled, and holds a turn before the last one.
    for (count, recycled) in [(3, false), (4, false), (11, true)] {
        let commits: Vec<_> = (0..count).map(|index| batch(1 + index % 2, 10)).collect();
        let (machine, expected) = killed_after_turns(&commits, 3);
        // What was torn can't be told from what was damaged where nothing later vouches for it.
        let right: Vec<_> =
            if recycled { expected.iter().collect() } else { expected[3..].iter().collect() };
        let (csv, log) = (&machine.csv.live, &machine.log.live);
        for bit in worthwhile_bits(log) {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(csv, &flipped, &right, &format!("bit {bit} of the log of {count}"));
        }
    }
}

#[test]
fn a_record_behind_a_torn_one_never_follows_another() {
    // All lengths, so that some records end where a sector does; halves that were used before.
    for count in 1..60 {
        for history in 6..14 {
            let machine = Rc::new(RefCell::new(Machine::default()));
            let mut possible = vec![Expected::default()];
            let (mut ledger, _) = open(&machine).expect("a new one");
            for _ in 0..history {
                assert!(live(&mut ledger, &[batch(1, 20)], &mut possible), "nothing fails");
            }
            // Of two commits of a turn the second alone reaches the disk.
            for agency in 1..=2 {
                submit(&mut ledger, agency, count, &mut possible);
            }
            drop(ledger);
            machine.borrow_mut().log.lose_all_but_the_last_write();
            possible = vec![reopened(&machine, &possible)];
            // Another one in the first one's place, but for the zeros that end the log.
            let (mut ledger, _) = open(&machine).expect("it was opened before");
            submit(&mut ledger, 3, count, &mut possible);
            drop(ledger);
            machine.borrow_mut().log.lose_the_last_sector();
            reopened(&machine, &possible);
        }
    }
}

fn submit(
    ledger: &mut FileLedger<MemoryDisk>,
    agency: u32,
    count: u16,
    possible: &mut Vec<Expected>,
) {
    let commit = commit_of(&batch(agency, count));
    ledger.submit_waiting(&commit).expect("nothing fails");
    possible.push(possible[possible.len() - 1].with(&commit));
}

fn reopened(machine: &Rc<RefCell<Machine>>, possible: &[Expected]) -> Expected {
    let (ledger, _) = open(machine).expect("a crash is no damage");
    let found = Expected::of(&ledger, machine);
    assert!(possible.contains(&found), "{found:?}");
    found
}

/// A ledger and the lives that it has had: so many commits each, and a close but for the last, which
/// may have been killed.
struct History {
    lives: &'static [u16],
    closed: bool,
    /// The last record stands where an older one stood, and nothing behind it.
    recycled: bool,
}

impl History {
    fn machine(&self, commits_left_out: usize) -> (Machine, Expected) {
        let machine = Rc::new(RefCell::new(Machine::default()));
        let mut expected = Expected::default();
        let commits: usize = self.lives.iter().map(|commits| usize::from(*commits)).sum();
        let mut left = commits - commits_left_out;
        for (life, commits) in self.lives.iter().enumerate() {
            let (mut ledger, _) = open(&machine).expect("no crash, no damage");
            for index in 0..usize::from(*commits).min(left) {
                let commit = commit_of(&batch(1 + u32::from(index % 2 == 0), 20));
                settle(&mut ledger, &commit);
                expected = expected.with(&commit);
                left -= 1;
            }
            if self.closed || life + 1 < self.lives.len() {
                ledger.close().expect("nothing fails");
            }
        }
        (Rc::try_unwrap(machine).expect("the ledger is gone").into_inner(), expected)
    }
}

/// Four commits of twenty bets fill a half.
const HISTORIES: [History; 7] = [
    History { lives: &[1], closed: true, recycled: false },
    History { lives: &[3], closed: true, recycled: false },
    History { lives: &[9], closed: true, recycled: false },
    History { lives: &[1, 0, 0, 2], closed: true, recycled: false },
    History { lives: &[2, 2], closed: false, recycled: false },
    History { lives: &[0, 1, 1], closed: false, recycled: true },
    History { lives: &[5, 2, 1], closed: false, recycled: true },
];

#[test]
fn however_often_it_was_opened_and_closed_a_cut_is_mended_or_refused() {
    for history in HISTORIES {
        let (machine, expected) = history.machine(0);
        let (csv, log) = (&machine.csv.live, &machine.log.live);
        let mended = (0..csv.len())
            .filter(|len| {
                same_or_refused(&csv[..*len], log, &[&expected], &format!("csv at {len}"))
            })
            .count();
        // What was there at the last close isn't in the log any more.
        assert_eq!(mended > 0, !history.closed, "{:?}", history.lives);
        for len in 0..log.len() {
            let what = format!("log at {len}");
            assert!(!same_or_refused(csv, &log[..len], &[&expected], &what), "{what}");
        }
    }
}

#[test]
fn however_often_it_was_opened_and_closed_a_flipped_bit_is_mended_refused_or_harmless() {
    for history in HISTORIES {
        let (machine, expected) = history.machine(0);
        let (_, without_last) = history.machine(1);
        let right = if history.recycled { vec![&expected, &without_last] } else { vec![&expected] };
        let (csv, log) = (&machine.csv.live, &machine.log.live);
        // Each bit of the small ones, each place in a byte of the others.
        let step = if csv.len() < 3000 { 1 } else { 29 };
        for bit in worthwhile_bits(log).step_by(step) {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(csv, &flipped, &right, &format!("bit {bit} of the log"));
        }
        for bit in (0..8 * csv.len()).step_by(step) {
            let mut flipped = csv.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let what = format!("bit {bit} of the ledger");
            let mended = same_or_refused(&flipped, log, &[&expected], &what);
            assert!(!(mended && history.closed), "{what}: nothing is left to mend it from");
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
    settle(&mut ledger, &first);
    machine.borrow_mut().full = true;
    let before = (machine.borrow().csv.live.clone(), ledger.committed(), ledger.state().clone());
    for _ in 0..3 {
        let error = ledger.submit(&second).expect_err("there is no space");
        assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
        assert!(ledger.committed() < ledger.submitted(), "nobody may be told before it is durable");
        ledger.sync().expect("nothing fails");
        let after = (machine.borrow().csv.live.clone(), ledger.committed(), ledger.state().clone());
        assert_eq!(after, before);
    }
    machine.borrow_mut().full = false;
    settle(&mut ledger, &second);
    let expected = Expected::default().with(&first).with(&second);
    assert_eq!(Expected::of(&ledger, &machine), expected);
}

fn open_for(
    machine: &Rc<RefCell<Machine>>,
    agencies: u32,
) -> Result<(FileLedger<MemoryDisk>, Recovery), LedgerError> {
    let disk = |which| MemoryDisk { machine: machine.clone(), which };
    let (path, options) = (Path::new("bets.csv"), Options { agencies, ..OPTIONS });
    FileLedger::over(disk(Which::Csv), disk(Which::Log), path, options, |_| {}, goes_on)
}

/// The refusal of a start for so many agencies, which must leave everything as it is.
fn refused_for(machine: &Rc<RefCell<Machine>>, agencies: u32) -> String {
    let files = |machine: &Machine| (machine.csv.live.clone(), machine.log.live.clone());
    let before = files(&machine.borrow());
    let error = open_for(machine, agencies).expect_err("another lottery").to_string();
    assert!(files(&machine.borrow()) == before, "nothing is changed");
    error
}

#[test]
fn a_ledger_is_for_as_many_agencies_as_before_or_more_until_the_draw() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (ledger, _) = open_for(&machine, 3).expect("a new one");
    drop(ledger);
    let fewer = "bets.csv: it is for 3 agencies, found 2 configured: the draw would run without \
                 the others: set SERVER_AGENCIES=3, or for another lottery remove bets.csv and \
                 bets.csv.wal, and start again";
    assert_eq!(refused_for(&machine, 2), fewer);
    let (_, recovery) = open_for(&machine, 3).expect("as many");
    assert_eq!(recovery.agencies_before, None);
    let (mut ledger, recovery) = open_for(&machine, 5).expect("more, before the draw");
    assert_eq!(recovery.agencies_before, Some(3));
    settle(&mut ledger, &commit_of(&[Staged::Drawn]));
    drop(ledger);
    assert!(refused_for(&machine, 4).contains("it is for 5 agencies, found 4"));
    let more = "bets.csv: its draw has run among 5 agencies, found 6 configured: set \
                SERVER_AGENCIES=5, or for another lottery remove bets.csv and bets.csv.wal, and start again";
    assert_eq!(refused_for(&machine, 6), more);
    assert!(open_for(&machine, 5).is_ok());
}

/// Makes the only checkpoint of a ledger one of the version that recorded no number of agencies.
fn forget_agencies(machine: &Rc<RefCell<Machine>>) {
    let stamp = log::Stamp { generation: 1, sequence: 1, csv_len: 0, synced: 0 };
    let mut record = Vec::new();
    log::encode_checkpoint(stamp, 0, false, None, &State::default(), &mut record);
    let start = usize::try_from(log::FILE_HEADER_LEN).expect("a block");
    // Without the zeros behind it, where commits are.
    let record = &record[..record.len() - log::BLOCK];
    let log = &mut machine.borrow_mut().log;
    log.live[start..start + record.len()].copy_from_slice(record);
    *log = Content::of(&log.live.clone());
}

#[test]
fn a_ledger_of_an_earlier_version_is_for_the_agencies_it_has_heard_of() {
    let (machine, expected) = killed(&[batch(1, 2), batch(3, 2)]);
    let machine = Rc::new(RefCell::new(machine));
    forget_agencies(&machine);
    assert!(refused_for(&machine, 2).contains("it is for 3 agencies, found 2 configured"));
    let (ledger, recovery) = open_for(&machine, 4).expect("more than it has heard of");
    assert_eq!(recovery.agencies_before, None, "it didn't say");
    assert_eq!(Expected::of(&ledger, &machine), expected);
    drop(ledger);
    // A start that came to nothing leaves no trace.
    let (mut ledger, _) = open_for(&machine, 3).expect("as many as it has heard of");
    settle(&mut ledger, &commit_of(&batch(2, 1)));
    drop(ledger);
    let (mut ledger, _) = open_for(&machine, 4).expect("more");
    settle(&mut ledger, &commit_of(&batch(2, 1)));
    drop(ledger);
    assert!(refused_for(&machine, 3).contains("it is for 4 agencies"), "now it says so");
}

/// Opens, and stops at the report with this number; `None` when there are fewer.
fn open_until(
    machine: &Rc<RefCell<Machine>>,
    options: Options,
    last_report: usize,
) -> Option<LedgerError> {
    let disk = |which| MemoryDisk { machine: machine.clone(), which };
    let path = Path::new("bets.csv");
    let mut reports = 0;
    let watch = |_| {
        reports += 1;
        if reports > last_report { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let opened = FileLedger::over(disk(Which::Csv), disk(Which::Log), path, options, |_| {}, watch);
    opened.err()
}

#[test]
fn an_opening_that_is_stopped_at_any_report_changes_nothing_and_can_be_made_again() {
    let (machine, expected) = killed(&[batch(1, 20), batch(2, 20)]);
    let (csv, log) = (machine.csv.live, machine.log.live);
    let cut = &csv[..csv.len() - 9];
    for last_report in 0.. {
        let (csv, log) = (Content::of(cut), Content::of(&log));
        let machine = Rc::new(RefCell::new(Machine { csv, log, ..Machine::default() }));
        let Some(error) = open_until(&machine, OPTIONS, last_report) else {
            assert!(last_report > 3, "each step is reported");
            break;
        };
        assert!(matches!(error, LedgerError::Interrupted { .. }), "{error}");
        let restored = machine.borrow().csv.live != cut;
        assert_eq!(restored, last_report > 2, "reading comes first");
        let (ledger, _) = open(&machine).expect("it is no damage");
        assert_eq!(Expected::of(&ledger, &machine), expected);
    }
}

#[test]
fn a_new_wal_reports_every_mebibyte_and_an_unfinished_one_is_begun_anew() {
    let options = Options { half_size: 3 << 20, ..OPTIONS };
    for last_report in 0..=6 {
        let machine = Rc::new(RefCell::new(Machine::default()));
        let error = open_until(&machine, options, last_report).expect("6 MiB are more than that");
        assert!(matches!(error, LedgerError::Interrupted { .. }), "{error}");
        let (ledger, recovery) = open(&machine).expect("nothing was ever confirmed");
        assert!(recovery.created);
        assert_eq!(ledger.state(), &State::default());
    }
}

fn open_with(
    machine: &Rc<RefCell<Machine>>,
    options: Options,
) -> Result<FileLedger<MemoryDisk>, LedgerError> {
    let disk = |which| MemoryDisk { machine: machine.clone(), which };
    let path = Path::new("bets.csv");
    let opened =
        FileLedger::over(disk(Which::Csv), disk(Which::Log), path, options, |_| {}, goes_on);
    opened.map(|(ledger, _)| ledger)
}

/// Why a commit had no effect, for want of space.
fn full(ledger: &mut FileLedger<MemoryDisk>, commit: &Commit) -> String {
    let before = (ledger.committed(), ledger.state().clone(), ledger.csv_len());
    let Err(SubmitError::Unavailable(error)) = ledger.submit(commit) else { panic!("no space") };
    assert!(error.is_full(), "{error}");
    // That nothing of it is left must be durable too.
    ledger.sync().expect("nothing fails");
    assert_eq!((ledger.committed(), ledger.state().clone(), ledger.csv_len()), before);
    error.to_string()
}

#[test]
fn a_ledger_of_its_largest_size_takes_ends_and_the_draw_and_opens() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let rows = commit_of(&batch(1, 3)).len() as u64;
    let options = Options { max_size: 2 * rows, ..OPTIONS };
    let mut ledger = open_with(&machine, options).expect("a new one");
    settle(&mut ledger, &commit_of(&batch(1, 3)));
    let text = full(&mut ledger, &commit_of(&batch(1, 4)));
    assert_eq!(
        text,
        format!(
            "the ledger is full: {rows} of at most {} bytes: start again with a larger \
             SERVER_MAX_LEDGER_SIZE",
            2 * rows
        )
    );
    settle(&mut ledger, &commit_of(&batch(1, 3)));
    full(&mut ledger, &commit_of(&batch(2, 1)));
    drop(ledger);
    let options = Options { max_size: rows, ..OPTIONS };
    let mut ledger = open_with(&machine, options).expect("though it is larger");
    full(&mut ledger, &commit_of(&batch(2, 1)));
    settle(&mut ledger, &commit_of(&[Staged::Finished { agency: 1 }, Staged::Drawn]));
    assert!(ledger.state().drawn);
}

#[test]
fn free_space_is_looked_at_before_it_is_needed() {
    let machine = Rc::new(RefCell::new(Machine { free: Some(9999), ..Machine::default() }));
    let options = Options { min_free: 4000, ..OPTIONS };
    // Two halves, a header and what stays free.
    let text = open_with(&machine, options).expect_err("no room for a log").to_string();
    let needed = 3 * 4096 + 4000;
    assert_eq!(
        text,
        "bets.csv.wal: 9999 bytes are free on its file system, expected 12288 for it and 4000 that \
         stay free: free some, or set a smaller SERVER_MIN_FREE_BYTES or SERVER_WAL_SEGMENT_SIZE"
    );
    assert!(machine.borrow().log.live.is_empty(), "nothing was written");
    machine.borrow_mut().free = Some(needed);
    let mut ledger = open_with(&machine, options).expect("room");
    let commit = commit_of(&batch(1, 3));
    machine.borrow_mut().free = Some(4000 + commit.len() as u64 - 1);
    assert!(full(&mut ledger, &commit).starts_with("bets.csv: "));
    settle(&mut ledger, &commit_of(&[Staged::Finished { agency: 2 }]));
    machine.borrow_mut().free = Some(4000 + commit.len() as u64);
    settle(&mut ledger, &commit);
    // Until a MiB is full it isn't asked for again, unless something has failed.
    machine.borrow_mut().free = Some(0);
    settle(&mut ledger, &commit);
    machine.borrow_mut().full = true;
    full(&mut ledger, &commit);
    machine.borrow_mut().full = false;
    assert!(full(&mut ledger, &commit).contains("0 bytes are free"));
    machine.borrow_mut().free = None;
    while ledger.csv_len() + (commit.len() as u64) < 1 << 20 {
        settle(&mut ledger, &commit);
    }
    machine.borrow_mut().free = Some(0);
    assert!(full(&mut ledger, &commit).contains("0 bytes are free"), "another MiB begins");
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let mut ledger = open_with(&machine, OPTIONS).expect("a new one");
    let commit = commit_of(&batch(1, 20));
    settle(&mut ledger, &commit);
    machine.borrow_mut().quota = Some(commit.len() * 3 / 2);
    for _ in 0..3 {
        full(&mut ledger, &commit);
        assert_eq!(machine.borrow().csv.live.len(), commit.len(), "half a row is taken back");
    }
    settle(&mut ledger, &commit_of(&[Staged::Finished { agency: 1 }]));
    machine.borrow_mut().quota = None;
    settle(&mut ledger, &commit);
    assert_eq!(machine.borrow().csv.live.len(), 2 * commit.len());
}

#[test]
fn files_that_are_not_what_they_were_end_every_commit_and_the_close() {
    type Tampering = fn(&mut Machine);
    let tamperings: [Tampering; 4] = [
        |machine| machine.gone = Some(Which::Csv),
        |machine| machine.gone = Some(Which::Log),
        |machine| machine.csv.live.truncate(1),
        |machine| machine.log.live.truncate(5000),
    ];
    for tamper in tamperings {
        let machine = Rc::new(RefCell::new(Machine::default()));
        let mut ledger = open_with(&machine, OPTIONS).expect("a new one");
        settle(&mut ledger, &commit_of(&batch(1, 3)));
        tamper(&mut machine.borrow_mut());
        for commit in [commit_of(&batch(1, 3)), commit_of(&[Staged::Drawn])] {
            let error = ledger.submit(&commit).expect_err("it would be lost");
            assert!(matches!(error, SubmitError::Fatal(_)), "{error}");
        }
        assert!(matches!(ledger.verify(), Err(SubmitError::Fatal(_))));
        ledger.close().expect_err("this is no graceful end");
    }
}

#[test]
fn a_failed_sync_is_fatal() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    machine.borrow_mut().sync_fails = true;
    let before = ledger.committed();
    ledger.submit(&commit_of(&batch(1, 3))).expect("it is written");
    ledger.sync().expect_err("it can't be synced");
    assert_eq!(ledger.committed(), before, "nothing is confirmed");
}

fn open_files(path: &Path) -> Result<(FileLedger<std::fs::File>, Recovery), LedgerError> {
    FileLedger::open(path, OPTIONS, |_| {}, goes_on)
}

#[test]
fn real_files_are_locked_kept_and_named_when_they_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bets.csv");
    let (mut ledger, recovery) = open_files(&path).expect("a new one");
    assert!(recovery.created);
    settle(&mut ledger, &commit_of(&batch(1, 3)));
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

    let bad = folder.path().join("missing/bets.csv");
    let error = open_files(&bad).expect_err("it can't be opened");
    assert!(matches!(error, LedgerError::Context { doing: "open it", .. }), "{error}");
    assert!(error.to_string().starts_with(bad.to_str().expect("plain")), "{error}");
}

/// What a commit without effect left is gone for good before another takes its place: else a crash
/// that leaves a part of each would look like damage.
#[test]
fn nothing_takes_the_place_of_a_wiped_commit_before_the_wipe_is_durable() {
    let (first, second) = (commit_of(&batch(1, 12)), commit_of(&batch(2, 14)));
    for seed in 0..1000 {
        let machine = Rc::new(RefCell::new(Machine::default()));
        let (mut ledger, _) = open(&machine).expect("a new one");
        let nothing = Expected::default();
        let mut possible = vec![nothing.clone(), nothing.with(&first)];
        machine.borrow_mut().full = true;
        assert!(matches!(ledger.submit(&first), Err(SubmitError::Unavailable(_))));
        machine.borrow_mut().full = false;
        let crash_comes_early = seed % 2 == 0;
        assert_eq!(ledger.begin_sync().expect("nothing fails"), Some(SyncTarget::Wal));
        assert!(matches!(ledger.submit(&second), Err(SubmitError::Busy)));
        if !crash_comes_early {
            let synced = ledger.sync_file(SyncTarget::Wal);
            ledger.end_sync(synced).expect("nothing fails");
            ledger.submit(&second).expect("there is space again");
            possible = vec![nothing.clone(), nothing.with(&second)];
        }
        drop(ledger);
        machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        let (ledger, _) = open(&machine).expect("a crash is no damage");
        let found = Expected::of(&ledger, &machine);
        assert!(possible.contains(&found), "{seed}: {found:?}");
    }
}

/// The room is that behind a checkpoint of the agencies to come, before they are recorded.
#[test]
fn a_larger_lottery_has_less_room_for_a_commit_from_the_start() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let room = |agencies| {
        let options = Options { half_size: 1 << 20, agencies, ..OPTIONS };
        open_with(&machine, options).expect("as large or larger").commit_room().expect("some")
    };
    let small = room(5);
    let large = room(10_000);
    assert_eq!(small - large, log::checkpoint_record_len(10_000) - log::checkpoint_record_len(5));
}

#[test]
fn nothing_follows_the_graceful_end() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    ledger.begin_close();
    assert!(matches!(ledger.submit(&commit_of(&batch(1, 2))), Err(SubmitError::Busy)));
    ledger.sync().expect("nothing fails");
    assert!(ledger.is_closed());
    assert!(matches!(ledger.submit(&commit_of(&batch(1, 2))), Err(SubmitError::Busy)));
}

/// Which names are blank has grown: what an earlier version took for a name is no damage.
#[test]
fn rows_that_are_not_taken_any_more_are_recovered() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let (mut ledger, _) = open(&machine).expect("a new one");
    let name = Name { text: "\u{200b}".as_bytes(), plain: true };
    let taken = bet::check(&Bet::from_fields([b"Ana", b"Paz", b"1", b"2000-02-29", b"7574"]));
    let bet = ValidBet { first_name: name, last_name: name, ..taken.expect("a good bet") };
    // The first turn's rows are found in the file, those of the last one in the log as well.
    for turn in 1..=2 {
        let mut commit = Commit::default();
        commit.push_row(1, &bet);
        let checksum = Checksum(turn);
        commit.push_entry(Entry::Batch { agency: 1, count: 1, stored: true, checksum });
        settle(&mut ledger, &commit);
        let expected = Expected::of(&ledger, &machine);
        drop(ledger);
        let mut names = Vec::new();
        let disk = |which| MemoryDisk { machine: machine.clone(), which };
        let visit = |stored: &StoredBet<'_>| names.push(stored.bet.first_name.text.to_vec());
        let (path, csv, wal) = (Path::new("bets.csv"), disk(Which::Csv), disk(Which::Log));
        let opened = FileLedger::over(csv, wal, path, OPTIONS, visit, goes_on);
        ledger = opened.expect("no damage").0;
        assert_eq!(Expected::of(&ledger, &machine), expected);
        assert_eq!(names, vec![name.text.to_vec(); turn as usize]);
    }
}
