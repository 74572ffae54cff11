//! What the lottery has a ledger say of itself, and what is refused because of that.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use ledger::testing::{Machine, MemoryStorage};
use ledger::{Durability, Options};
use proptest::prelude::*;
use wire::bet::{Name, ValidBet};
use wire::{Bet, bet};

use super::file_store::{FileStore, Opened};
use super::test_support::{batch, staged};
use super::*;
use crate::lottery::{Entry, Staged, State};
use crate::row::{self, StoredBet};

const OPTIONS: Options = Options::unbounded(Durability::Synced, 4096);

fn open_with(
    machine: &Rc<RefCell<Machine>>,
    options: Options,
    terms: impl Into<Terms>,
    visit: impl FnMut(&StoredBet<'_>),
) -> Result<Opened<MemoryStorage>, StoreError> {
    let (files, path) = (MemoryStorage::files(machine), Path::new("bets.csv"));
    let goes_on = |_| ControlFlow::Continue(());
    FileStore::with_storage(files, path, options, terms, visit, goes_on)
}

fn open_for(
    machine: &Rc<RefCell<Machine>>,
    terms: impl Into<Terms>,
) -> Result<Opened<MemoryStorage>, StoreError> {
    open_with(machine, OPTIONS, terms, |_| {})
}

/// A lottery of a draw with this name.
fn named(agencies: u32, draw: &str) -> Terms {
    Terms { agencies, draw: Some(draw.parse().expect("a name")) }
}

/// The refusal of a start for this lottery, which must leave everything as it is.
fn refused_for(machine: &Rc<RefCell<Machine>>, terms: impl Into<Terms>) -> String {
    let files = |machine: &Machine| (machine.rows.live.clone(), machine.wal.live.clone());
    let before = files(&machine.borrow());
    let error = open_for(machine, terms).expect_err("another lottery").to_string();
    assert!(files(&machine.borrow()) == before, "nothing is changed");
    error
}

/// State and rows.
type Held = (State, Vec<u8>);

fn held(opened: &Opened<MemoryStorage>, machine: &Rc<RefCell<Machine>>) -> Held {
    (opened.state.clone(), machine.borrow().rows.live.clone())
}

/// A ledger for five agencies after these commits and a kill.
fn killed(commits: &[Entry]) -> (Rc<RefCell<Machine>>, Held) {
    killed_of(5, commits)
}

/// The same of this lottery.
fn killed_of(terms: impl Into<Terms>, commits: &[Entry]) -> (Rc<RefCell<Machine>>, Held) {
    let machine = Rc::default();
    let mut opened = open_for(&machine, terms).expect("a new one");
    for entry in commits {
        opened.make_durable(&[*entry]);
    }
    let held = held(&opened, &machine);
    (machine, held)
}

#[test]
fn a_lottery_is_read_back_with_its_rows() {
    let entries = [batch(1, 3, true), batch(2, 2, false), Entry::Finished { agency: 2 }];
    let (machine, expected) = killed(&entries);
    let mut documents = Vec::new();
    let opened = open_with(&machine, OPTIONS, 5, |stored| {
        documents.push(String::from_utf8(stored.bet.document.to_vec()).expect("digits"));
    });
    let opened = opened.expect("it opens");
    assert_eq!(held(&opened, &machine), expected);
    assert_eq!(documents, ["30000000", "30000001", "30000002"]);
    let recovery = opened.recovery;
    assert_eq!((recovery.rows, recovery.commit_rows, recovery.files.commits), (3, 3, 3));
    assert_eq!(recovery.agencies_before, None);
    // Behind a checkpoint the rows are in their file alone.
    opened.close();
    let recovery = open_for(&machine, 5).expect("it opens").recovery;
    assert_eq!((recovery.rows, recovery.commit_rows, recovery.files.commits), (3, 0, 0));
}

#[test]
fn a_ledger_is_for_as_many_agencies_as_before_or_more_until_the_draw() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    open_for(&machine, 3).expect("a new one");
    let fewer = "bets.csv: it is for 3 agencies, found 2 configured: the draw would run without \
                 the others: set SERVER_AGENCIES=3, or for another lottery remove bets.csv and \
                 bets.csv.wal, and start again";
    assert_eq!(refused_for(&machine, 2), fewer);
    assert_eq!(open_for(&machine, 3).expect("as many").recovery.agencies_before, None);
    let mut opened = open_for(&machine, 5).expect("more, before the draw");
    assert_eq!(opened.recovery.agencies_before, Some(3));
    opened.make_durable(&[Entry::Drawn]);
    drop(opened);
    assert!(refused_for(&machine, 4).contains("it is for 5 agencies, found 4"));
    let more = "bets.csv: its draw has run among 5 agencies, found 6 configured: set \
                SERVER_AGENCIES=5, or for another lottery remove bets.csv and bets.csv.wal, and start again";
    assert_eq!(refused_for(&machine, 6), more);
    assert!(open_for(&machine, 5).is_ok());
}

#[test]
fn a_ledger_is_of_one_draw_for_ever() {
    let (machine, expected) = killed_of(named(3, "ayer"), &[batch(1, 2, true)]);
    let other = "bets.csv: it is of draw ayer, found draw hoy configured: set SERVER_DRAW=ayer to go on \
                 with it, or for another draw set a SERVER_STORAGE_PATH of its own, as with {draw} in it, \
                 which stands for the name";
    for agencies in [2, 3, 4] {
        assert_eq!(
            refused_for(&machine, named(agencies, "hoy")),
            other,
            "before their number counts"
        );
    }
    assert!(
        refused_for(&machine, 3).contains("is of draw ayer, found the unnamed draw configured")
    );
    assert!(refused_for(&machine, named(2, "ayer")).contains("it is for 3 agencies, found 2"));
    let mut opened =
        open_for(&machine, named(4, "ayer")).expect("the same draw, and more agencies");
    assert_eq!(opened.recovery.agencies_before, Some(3));
    assert_eq!(held(&opened, &machine), expected);
    // Through checkpoints of a running process, a graceful end, and a draw.
    for _ in 0..20 {
        opened.make_durable(&[batch(4, 20, true)]);
    }
    opened.make_durable(&[Entry::Drawn]);
    opened.close();
    assert_eq!(refused_for(&machine, named(4, "hoy")), other);
    open_for(&machine, named(4, "ayer")).expect("the same one");
}

#[test]
fn a_ledger_from_before_draws_had_names_is_of_the_unnamed_one() {
    let (machine, _) = killed(&[batch(1, 2, true)]);
    let unnamed = "bets.csv: it is of the unnamed draw, found draw hoy configured: set no SERVER_DRAW to \
                   go on with it, ";
    let refused = refused_for(&machine, named(5, "hoy"));
    assert!(refused.starts_with(unnamed), "{refused}");
    forget_agencies(&machine);
    let refused = refused_for(&machine, named(5, "hoy"));
    assert!(refused.starts_with(unnamed), "{refused}");
    open_for(&machine, 5).expect("the unnamed one");
}

/// Makes the only checkpoint of a ledger one of the version that recorded no number of agencies.
fn forget_agencies(machine: &Rc<RefCell<Machine>>) {
    let other = Rc::new(RefCell::new(Machine::default()));
    let mut state = Vec::new();
    let first_version = snapshot::encode(None, &State::default(), &mut state);
    let (rows, wal) = MemoryStorage::files(&other);
    let (path, goes_on) = (Path::new("bets.csv"), |_| ControlFlow::Continue(()));
    let mut loader = loading::Loader::new(5.into(), |_: &StoredBet<'_>| {});
    let made =
        ledger::Ledger::with_storage(rows, wal, path, OPTIONS, first_version, &mut loader, goes_on);
    drop(made.expect("a new one"));
    // The checkpoint alone: header and one block, behind the file's header.
    let checkpoint = 4096..4096 + 128;
    let made = other.borrow().wal.live[checkpoint.clone()].to_vec();
    let mut machine = machine.borrow_mut();
    let rows = machine.rows.live.clone();
    let mut wal = machine.wal.live.clone();
    wal[checkpoint].copy_from_slice(&made);
    *machine = Machine::with_files(&rows, &wal);
}

#[test]
fn a_ledger_of_an_earlier_version_is_for_the_agencies_it_has_entries_of() {
    let (machine, expected) = killed(&[batch(1, 2, true), batch(3, 2, true)]);
    forget_agencies(&machine);
    assert!(refused_for(&machine, 2).contains("it is for 3 agencies, found 2 configured"));
    let opened = open_for(&machine, 4).expect("more than it has entries of");
    assert_eq!(opened.recovery.agencies_before, None, "it didn't say");
    assert_eq!(held(&opened, &machine), expected);
    drop(opened);
    // A start that came to nothing leaves no trace.
    let mut opened = open_for(&machine, 3).expect("as many as it has entries of");
    opened.make_durable(&[batch(2, 1, true)]);
    drop(opened);
    let mut opened = open_for(&machine, 4).expect("more");
    opened.make_durable(&[batch(2, 1, true)]);
    drop(opened);
    assert!(refused_for(&machine, 3).contains("it is for 4 agencies"), "now it says so");
}

/// A graceful end without a commit isn't the first commit of a larger lottery, nor is one that found
/// no space.
#[test]
fn a_larger_lottery_that_came_to_nothing_is_not_recorded() {
    let (machine, _) = killed(&[batch(1, 2, true)]);
    open_for(&machine, 7).expect("more").close();
    open_for(&machine, 5).expect("it is for as many as before").close();
    let options = Options { max_size: 1, ..OPTIONS };
    let mut opened = open_with(&machine, options, 7, |_| {}).expect("more");
    let full = opened.append(&staged(&[batch(6, 1, true)])).expect_err("there is no space");
    assert!(matches!(full, AppendError::Unavailable(_)), "{full}");
    opened.close();
    open_for(&machine, 5).expect("it is for as many as before");
}

/// The room is that behind a checkpoint of the agencies to come, before they are recorded.
#[test]
fn a_larger_lottery_has_less_room_for_a_commit_from_the_start() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let options = Options { segment_size: 1 << 20, ..OPTIONS };
    let room = |agencies| {
        let opened = open_with(&machine, options, agencies, |_| {}).expect("as large or larger");
        opened.store.commit_room().expect("some")
    };
    let small = room(5);
    let large = room(10_000);
    let checkpoint =
        |agencies| ledger::checkpoint_record_len(snapshot::encoded_len(Terms::from(agencies)));
    assert_eq!(small - large, checkpoint(10_000) - checkpoint(5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A crash while a larger lottery is recorded leaves the ledger that it was.
    #[test]
    fn a_larger_lottery_is_recorded_or_not(
        commits in 1..9_u32, stops_after in 0..12_usize, seed in any::<u64>(),
    ) {
        let commits: Vec<_> = (0..commits).map(|index| batch(1 + index % 2, 20, true)).collect();
        let (machine, expected) = killed(&commits);
        let next = staged(&[batch(7, 1, true)]);
        let mut with_next = expected.clone();
        with_next.0.apply(&next.entries()[0]);
        with_next.1.extend_from_slice(next.rows());
        machine.borrow_mut().left = Some(stops_after);
        let stored = open_for(&machine, 7).is_ok_and(|mut opened| {
            let busy = matches!(opened.store.append(&next), Err(AppendError::Busy));
            busy && opened.try_sync().is_ok()
                && opened.append(&next).is_ok()
                && opened.try_sync().is_ok()
        });
        machine.borrow_mut().left = None;
        machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        if stored {
            prop_assert!(refused_for(&machine, 6).contains("it is for 7 agencies"));
        }
        let found = held(&open_for(&machine, 7).expect("a crash is no damage"), &machine);
        prop_assert!(found == with_next || !stored && found == expected);
    }

    /// A crash at any moment, also while the ledger is made, leaves one of its own draw, or none.
    #[test]
    fn a_crash_never_leaves_a_ledger_of_another_draw(
        commits in 0..9_u32, stops_after in 0..40_usize, seed in any::<u64>(), power: bool,
    ) {
        let machine = Rc::new(RefCell::new(Machine::default()));
        machine.borrow_mut().left = Some(stops_after);
        let mut is_made = false;
        if let Ok(mut opened) = open_for(&machine, named(5, "hoy")) {
            is_made = true;
            for index in 0..commits {
                let next = staged(&[batch(1 + index % 2, 20, true)]);
                let appended = opened.store.append(&next);
                if !matches!(appended, Ok(_) | Err(AppendError::Busy)) {
                    break;
                }
                if appended.is_ok() {
                    opened.state.apply(&next.entries()[0]);
                }
                if opened.try_sync().is_err() {
                    break;
                }
            }
        }
        machine.borrow_mut().left = None;
        if power {
            machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        }
        if is_made {
            for other in [5.into(), named(5, "ayer")] {
                prop_assert!(refused_for(&machine, other).contains("it is of draw hoy, found "));
            }
        }
        let opened = open_for(&machine, named(5, "hoy")).expect("a crash is no damage");
        drop(opened);
        prop_assert!(refused_for(&machine, named(5, "ayer")).contains("it is of draw hoy"));
    }
}

/// Which names are blank has grown: what an earlier version took for a name is no damage.
#[test]
fn rows_that_are_not_taken_any_more_are_recovered() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let mut opened = open_for(&machine, 5).expect("a new one");
    let name = Name { text: "\u{200b}".as_bytes(), plain: true };
    let taken = bet::check(&Bet::from_fields([b"Ana", b"Paz", b"1", b"2000-02-29", b"7574"]));
    let bet = ValidBet { first_name: name, last_name: name, ..taken.expect("a good bet") };
    // The first turn's rows are found in the file, those of the last one in the wal as well.
    for turn in 1..=2_usize {
        let mut staged = Staged::default();
        row::encode(1, &bet, staged.rows_mut());
        staged.push_entry(batch(1, 1, true));
        opened.append(&staged).expect("there is space");
        opened.sync();
        let expected = held(&opened, &machine);
        drop(opened);
        let mut names = Vec::new();
        let visit = |stored: &StoredBet<'_>| names.push(stored.bet.first_name.text.to_vec());
        opened = open_with(&machine, OPTIONS, 5, visit).expect("no damage");
        assert_eq!(held(&opened, &machine), expected);
        assert_eq!(names, vec![name.text.to_vec(); turn]);
    }
}

/// Rows that a commit's entries don't account for are damage, whatever their checksum says.
#[test]
fn rows_must_be_as_many_as_the_entries_say() {
    let machine = Rc::new(RefCell::new(Machine::default()));
    let mut opened = open_for(&machine, 5).expect("a new one");
    let mut staged = staged(&[batch(1, 2, true)]);
    let row = staged.rows()[..staged.rows().len() / 2].to_vec();
    staged.rows_mut().extend_from_slice(&row);
    opened.append(&staged).expect("the store doesn't count");
    opened.sync();
    drop(opened);
    let text = refused_for(&machine, 5);
    assert!(text.starts_with("bets.csv: agency 1 has 3 rows, the wal says 2: restore"), "{text}");
    // And a row that is none.
    let machine = Rc::new(RefCell::new(Machine::default()));
    let mut opened = open_for(&machine, 5).expect("a new one");
    let mut staged = Staged::default();
    staged.rows_mut().extend_from_slice(b"1,Ana\r\n");
    staged.push_entry(batch(1, 1, true));
    opened.append(&staged).expect("the store doesn't look");
    opened.sync();
    drop(opened);
    let text = refused_for(&machine, 5);
    assert!(text.starts_with("bets.csv: row 1 at byte 0: expected 6 fields, found 2: "), "{text}");
}
