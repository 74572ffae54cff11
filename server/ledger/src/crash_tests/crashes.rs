//! Crashes at any point: what was confirmed is there.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// One life of the process: turns of a few commits each, until it is done, or until the machine stops.
#[derive(Debug, Clone)]
struct Life {
    turns: Vec<Vec<Commit>>,
    /// Commits go on while a sync is under way.
    overlaps: bool,
    stops_after: usize,
    power_loss: Option<u64>,
    closes: bool,
}

/// Rows, or none.
fn commits() -> impl Strategy<Value = Commit> {
    let count = prop_oneof![8 => 1..60_u16, 2 => Just(0)];
    (1..4_u32, count).prop_map(|(kind, count)| commit(kind, count))
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (
        prop::collection::vec(prop::collection::vec(commits(), 1..5), 0..8),
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

type UnderWay = Option<(SyncTarget, bool)>;

/// The turns while syncs take their time: each begins when it may and ends a few commits later. What
/// the disk has done by then it did at its beginning, or at its end.
fn live_overlapping(
    opened: &mut Opened,
    turns: &[Vec<Commit>],
    possible: &mut Vec<Known>,
) -> Result<(), AppendError> {
    let mut appended = VecDeque::new();
    let mut under_way = None;
    for (index, commit) in turns.iter().flatten().enumerate() {
        possible.push(possible[possible.len() - 1].with(commit));
        let lsn = loop {
            match opened.append(commit) {
                Err(AppendError::Busy) => {}
                result => break result?,
            }
            begin_sync(opened, &mut under_way, index)?;
            end_sync(opened, &mut under_way)?;
        };
        appended.push_back(lsn);
        if index % 3 == 0 {
            end_sync(opened, &mut under_way)?;
        }
        begin_sync(opened, &mut under_way, index)?;
        let durable = opened.ledger.durable_lsn();
        while appended.pop_front_if(|lsn| *lsn <= durable).is_some() {
            possible.remove(0);
        }
    }
    Ok(())
}

fn begin_sync(
    opened: &mut Opened,
    under_way: &mut UnderWay,
    index: usize,
) -> Result<(), AppendError> {
    if let Some(target) = opened.begin_sync().map_err(AppendError::Fatal)? {
        let at_once = index.is_multiple_of(2);
        if at_once {
            let synced = opened.ledger.sync_file(target);
            synced.map_err(|_| AppendError::Busy)?;
        }
        *under_way = Some((target, at_once));
    }
    Ok(())
}

fn end_sync(opened: &mut Opened, under_way: &mut UnderWay) -> Result<(), AppendError> {
    let Some((target, done)) = under_way.take() else { return Ok(()) };
    let result = if done { Ok(()) } else { opened.ledger.sync_file(target) };
    opened.ledger.end_sync(result).map_err(AppendError::Fatal)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whenever it stops, and whatever of the unsynced bytes is lost: what was confirmed is there,
    /// in order and once, with at most the first few of the commits that were under way.
    #[test]
    fn what_was_confirmed_survives_every_crash(lives in lives()) {
        let machine = new_machine();
        // What was confirmed, and what it becomes with each commit that is under way.
        let mut possible = vec![Known::default()];
        for life in lives {
            let mut opened = open(&machine).expect("a crash is no damage");
            let found = opened.known.clone();
            prop_assert!(possible.contains(&found), "{found:?}");
            possible = vec![found];
            machine.borrow_mut().left = Some(life.stops_after);
            let finished = if life.overlaps {
                live_overlapping(&mut opened, &life.turns, &mut possible).is_ok()
            } else {
                life.turns.iter().all(|turn| live(&mut opened, turn, &mut possible))
            };
            if life.closes && finished {
                let _ = opened.close();
            }
            let mut machine = machine.borrow_mut();
            machine.left = None;
            if let Some(seed) = life.power_loss {
                machine.lose_power(&mut fastrand::Rng::with_seed(seed));
            }
        }
        let found = open(&machine).expect("a crash is no damage").known;
        prop_assert!(possible.contains(&found), "{found:?}");
    }

    /// A crash while the two files are made leaves a ledger that can be made.
    #[test]
    fn an_unfinished_creation_is_begun_anew(stops_after in 0..12_usize, seed in any::<u64>()) {
        let machine = new_machine();
        machine.borrow_mut().left = Some(stops_after);
        let _ = open(&machine);
        machine.borrow_mut().left = None;
        machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        let opened = open(&machine).expect("nothing was ever confirmed");
        prop_assert_eq!(opened.known, Known::default());
    }
}

#[test]
fn a_record_behind_a_torn_one_never_follows_another() {
    // All lengths, so that some records end where a sector does; segments that were used before.
    for count in 1..60 {
        for history in 6..14 {
            let machine = new_machine();
            let mut possible = vec![Known::default()];
            let mut opened = open(&machine).expect("a new one");
            for _ in 0..history {
                assert!(live(&mut opened, &[commit(1, 20)], &mut possible), "nothing fails");
            }
            // Of two commits of a turn the second alone reaches the disk.
            for kind in 1..=2 {
                append(&mut opened, &commit(kind, count), &mut possible);
            }
            drop(opened);
            machine.borrow_mut().wal.lose_all_but_the_last_write();
            possible = vec![reopened(&machine, &possible)];
            // Another one in the first one's place, but for the zeros that end the wal.
            let mut opened = open(&machine).expect("it was opened before");
            append(&mut opened, &commit(3, count), &mut possible);
            drop(opened);
            machine.borrow_mut().wal.lose_the_last_sector();
            reopened(&machine, &possible);
        }
    }
}

fn append(opened: &mut Opened, commit: &Commit, possible: &mut Vec<Known>) {
    opened.append_waiting(commit).expect("nothing fails");
    possible.push(possible[possible.len() - 1].with(commit));
}

/// What a commit without effect left is gone for good before another takes its place: else a crash
/// that leaves a part of each would look like damage.
#[test]
fn nothing_takes_the_place_of_a_wiped_commit_before_the_wipe_is_durable() {
    let (first, second) = (commit(1, 12), commit(2, 14));
    for seed in 0..1000 {
        let machine = new_machine();
        let mut opened = open(&machine).expect("a new one");
        let nothing = Known::default();
        let mut possible = vec![nothing.clone(), nothing.with(&first)];
        machine.borrow_mut().full = true;
        assert!(matches!(opened.append(&first), Err(AppendError::Unavailable(_))));
        machine.borrow_mut().full = false;
        let crash_comes_early = seed % 2 == 0;
        assert_eq!(opened.begin_sync().expect("nothing fails"), Some(SyncTarget::Wal));
        assert!(matches!(opened.append(&second), Err(AppendError::Busy)));
        if !crash_comes_early {
            let synced = opened.ledger.sync_file(SyncTarget::Wal);
            opened.ledger.end_sync(synced).expect("nothing fails");
            opened.append(&second).expect("there is space again");
            possible = vec![nothing.clone(), nothing.with(&second)];
        }
        drop(opened);
        machine.borrow_mut().lose_power(&mut fastrand::Rng::with_seed(seed));
        reopened(&machine, &possible);
    }
}

#[test]
fn a_failed_sync_is_fatal() {
    let machine = new_machine();
    let mut opened = open(&machine).expect("a new one");
    machine.borrow_mut().sync_fails = true;
    let before = opened.ledger.durable_lsn();
    opened.append(&commit(1, 3)).expect("it is written");
    opened.sync().expect_err("it can't be synced");
    assert_eq!(opened.ledger.durable_lsn(), before, "nothing is confirmed");
}

#[test]
fn nothing_follows_the_graceful_end() {
    let mut opened = open(&new_machine()).expect("a new one");
    opened.ledger.begin_close();
    assert!(matches!(opened.append(&commit(1, 2)), Err(AppendError::Busy)));
    opened.sync().expect("nothing fails");
    assert!(opened.ledger.is_closed());
    assert!(matches!(opened.append(&commit(1, 2)), Err(AppendError::Busy)));
}

/// A snapshot that changed otherwise than by commits is there before the next of them.
#[test]
fn a_checkpoint_that_was_asked_for_comes_before_the_next_commit() {
    let machine = new_machine();
    let mut opened = open(&machine).expect("a new one");
    opened.ledger.request_checkpoint();
    assert!(matches!(opened.append(&commit(1, 2)), Err(AppendError::Busy)));
    let synced = machine.borrow().wal.live.clone();
    opened.commit_durably(&commit(1, 2));
    let checkpoint = 4096 + 4096;
    let wal = &machine.borrow().wal.live;
    assert_ne!(synced[checkpoint..], wal[checkpoint..], "the other segment is in use");
}

/// Without syncs nothing is waited for, and snapshots are taken all the same.
#[test]
fn a_ledger_that_is_not_synced_survives_a_kill() {
    let options = Options { durability: Durability::NotSynced, ..OPTIONS };
    let machine = new_machine();
    let mut expected = Known::default();
    for life in 0..4 {
        let mut opened = open_with(&machine, options).expect("a kill is no damage");
        assert_eq!(opened.known, expected);
        for kind in 1..20 {
            let commit = commit(kind, 20);
            opened.append_waiting(&commit).expect("nothing fails");
            assert_eq!(opened.begin_sync().expect("nothing fails"), None);
            assert_eq!(opened.ledger.durable_lsn(), opened.ledger.appended_lsn());
            expected = expected.with(&commit);
        }
        if life % 2 == 0 {
            assert!(opened.close().expect("nothing fails"));
        }
    }
}
