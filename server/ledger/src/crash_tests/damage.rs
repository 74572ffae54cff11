//! Files that were damaged or cut off: the same ledger, or a refusal that changes nothing.

use super::*;

/// Opens files that were tampered with: the same ledger, or a refusal that changes nothing.
fn same_or_refused(rows: &[u8], wal: &[u8], expected: &[&Known], what: &str) -> bool {
    let machine = Rc::new(RefCell::new(Machine::with_files(rows, wal)));
    let opened = open(&machine);
    if let Ok(Opened { known: found, .. }) = opened {
        assert!(expected.contains(&&found), "{what}: {found:?}");
        return true;
    }
    let text = opened.expect_err("it was looked at above").to_string();
    assert!(names_its_place(&text), "{what}: {text}");
    assert!(machine.borrow().rows.live == rows && machine.borrow().wal.live == wal, "{what}");
    false
}

/// Whether an error says in which file something is wrong, and where: at which byte, after how many,
/// or in the header.
fn names_its_place(text: &str) -> bool {
    let place = text.strip_prefix("bets.csv.wal: ").or_else(|| text.strip_prefix("bets.csv: "));
    place.is_some_and(|place| ["byte", "header", " rows"].iter().any(|word| place.contains(word)))
}

/// Every bit of what was written and of what is behind it; one bit in a hundred of the zeros
/// that nothing has come near.
fn worthwhile_bits(wal: &[u8]) -> impl Iterator<Item = usize> {
    let near = |block: usize| {
        let from = block.saturating_sub(1) * 64;
        wal[from..(block + 1) * 64].iter().any(|byte| *byte != 0)
    };
    (0..8 * wal.len()).filter(move |bit| bit % 97 == 0 || near(bit / 8 / 64))
}

#[test]
fn files_cut_off_at_any_byte_are_repaired_or_refused() {
    let (machine, expected) = killed(&[commit(1, 3), commit(1, 0), commit(2, 2)]);
    let (rows, wal) = (&machine.rows.live, &machine.wal.live);
    for len in 0..rows.len() {
        let repaired = same_or_refused(&rows[..len], wal, &[&expected], &format!("rows at {len}"));
        assert!(repaired, "no checkpoint covers the rows: the wal has them all");
    }
    for len in 0..wal.len() {
        let repaired = same_or_refused(rows, &wal[..len], &[&expected], &format!("wal at {len}"));
        assert!(!repaired, "a wal that lost its end at {len} is refused");
    }
}

#[test]
fn any_flipped_bit_is_repaired_refused_or_harmless() {
    // In their first use, in their first use after a checkpoint, and recycled.
    for commits in [2, 5, 9] {
        let commits: Vec<_> = (0..commits).map(|index| commit(1 + index % 2, 20)).collect();
        let (machine, expected) = killed(&commits);
        let (_, without_last) = killed(&commits[..commits.len() - 1]);
        // The one thing that can't be distinguished: see the documentation of `recovery::judge`.
        let recycled = commits.len() == 9;
        let right = if recycled { vec![&expected, &without_last] } else { vec![&expected] };
        let (rows, wal) = (&machine.rows.live, &machine.wal.live);
        for bit in worthwhile_bits(wal) {
            let mut flipped = wal.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(rows, &flipped, &right, &format!("bit {bit} of the wal"));
        }
        for bit in (0..8 * rows.len()).step_by(commits.len()) {
            let mut flipped = rows.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(&flipped, wal, &[&expected], &format!("bit {bit} of the rows"));
        }
    }
}

#[test]
fn a_flipped_bit_in_a_turn_of_several_commits_touches_no_earlier_turn() {
    // Eleven: the last segment is recycled, and holds a turn before the last one.
    for (count, recycled) in [(3, false), (4, false), (11, true)] {
        let commits: Vec<_> = (0..count).map(|index| commit(1 + index % 2, 10)).collect();
        let (machine, expected) = killed_after_turns(&commits, 3);
        // A torn write can't be distinguished from damage where nothing later vouches for it.
        let right: Vec<_> =
            if recycled { expected.iter().collect() } else { expected[3..].iter().collect() };
        let (rows, wal) = (&machine.rows.live, &machine.wal.live);
        for bit in worthwhile_bits(wal) {
            let mut flipped = wal.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(rows, &flipped, &right, &format!("bit {bit} of the wal of {count}"));
        }
    }
}

/// A ledger and the lives that it has had: so many commits each, and a close but for the last, which
/// may have been killed.
struct History {
    lives: &'static [u16],
    closed: bool,
    /// The last record replaced an older one, and nothing follows it.
    recycled: bool,
}

impl History {
    fn machine(&self, commits_left_out: usize) -> (Machine, Known) {
        let machine = new_machine();
        let mut expected = Known::default();
        let commits: usize = self.lives.iter().map(|commits| usize::from(*commits)).sum();
        let mut left = commits - commits_left_out;
        for (life, commits) in self.lives.iter().enumerate() {
            let mut opened = open(&machine).expect("no crash, no damage");
            for index in 0..usize::from(*commits).min(left) {
                let commit = commit(1 + u32::from(index % 2 == 0), 20);
                opened.commit_durably(&commit);
                expected = expected.with(&commit);
                left -= 1;
            }
            if self.closed || life + 1 < self.lives.len() {
                opened.close().expect("nothing fails");
            }
        }
        (taken(machine), expected)
    }
}

/// Four commits of twenty bets fill a segment.
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
fn however_often_it_was_opened_and_closed_a_cut_is_repaired_or_refused() {
    for history in HISTORIES {
        let (machine, expected) = history.machine(0);
        let (rows, wal) = (&machine.rows.live, &machine.wal.live);
        let repaired = (0..rows.len())
            .filter(|len| {
                same_or_refused(&rows[..*len], wal, &[&expected], &format!("rows at {len}"))
            })
            .count();
        // What was there at the last close isn't in the wal any more.
        assert_eq!(repaired > 0, !history.closed, "{:?}", history.lives);
        for len in 0..wal.len() {
            let what = format!("wal at {len}");
            assert!(!same_or_refused(rows, &wal[..len], &[&expected], &what), "{what}");
        }
    }
}

#[test]
fn however_often_it_was_opened_and_closed_a_flipped_bit_is_repaired_refused_or_harmless() {
    for history in HISTORIES {
        let (machine, expected) = history.machine(0);
        let (_, without_last) = history.machine(1);
        let right = if history.recycled { vec![&expected, &without_last] } else { vec![&expected] };
        let (rows, wal) = (&machine.rows.live, &machine.wal.live);
        // Each bit of the small ones, each place in a byte of the others.
        let step = if rows.len() < 3000 { 1 } else { 29 };
        for bit in worthwhile_bits(wal).step_by(step) {
            let mut flipped = wal.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            same_or_refused(rows, &flipped, &right, &format!("bit {bit} of the wal"));
        }
        for bit in (0..8 * rows.len()).step_by(step) {
            let mut flipped = rows.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let what = format!("bit {bit} of the rows");
            let repaired = same_or_refused(&flipped, wal, &[&expected], &what);
            assert!(!(repaired && history.closed), "{what}: nothing is left to repair it from");
        }
    }
}

#[test]
fn a_torn_row_appended_by_hand_is_cut_off_and_counted() {
    let (machine, expected) = killed(&[commit(1, 3)]);
    let rows = [&machine.rows.live[..], b"1,Santiago,Lor"].concat();
    let machine = Rc::new(RefCell::new(Machine::with_files(&rows, &machine.wal.live)));
    let Opened { known, recovery, .. } = open(&machine).expect("it is no damage");
    assert_eq!(known, expected);
    assert_eq!((recovery.cut, recovery.restored), (14, 0));
}
