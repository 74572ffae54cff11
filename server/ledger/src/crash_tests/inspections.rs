//! Ledgers that are only read: as of one time though they are written to meanwhile, and with every flipped
//! bit found.

use proptest::prelude::*;

use super::*;
use crate::progress::Watch;
use crate::record::{BLOCK, RecordHeader};
use crate::recovery::{Inspected, inspect};

/// What both files held after each write.
type History = Rc<RefCell<Vec<(Vec<u8>, Vec<u8>)>>>;

/// A file of a machine that notes what both held after each write.
#[derive(Debug)]
struct Recorded {
    file: MemoryStorage,
    history: History,
}

impl Recorded {
    fn note(&self) {
        let machine = self.file.machine.borrow();
        self.history.borrow_mut().push((machine.rows.live.clone(), machine.wal.live.clone()));
    }
}

impl Storage for Recorded {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        let written = self.file.write_at(bytes, offset);
        self.note();
        written
    }

    fn set_len(&mut self, len: u64) -> std::io::Result<()> {
        let set = self.file.set_len(len);
        self.note();
        set
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.file.sync()
    }
}

/// A ledger's life: what its files held after each write, and what was committed and confirmed by then.
struct Life {
    history: Vec<(Vec<u8>, Vec<u8>)>,
    /// Everything that was ever committed, in order.
    committed: Vec<Known>,
    /// From which write on how many of these were confirmed.
    confirmed: Vec<(usize, usize)>,
}

/// Commits of such sizes, each in a turn of its own; the disk is full for one in `full`.
fn life(sizes: &[u16], full: usize) -> Life {
    let (machine, history) = (new_machine(), History::default());
    let (rows, wal) = MemoryStorage::files(&machine);
    let recorded = |file| Recorded { file, history: history.clone() };
    let (mut known, goes_on) = (Known::default(), |_: Progress| ControlFlow::Continue(()));
    let (path, initial) = (Path::new("bets.csv"), known.encoded());
    let (rows, wal, initial) = (recorded(rows), recorded(wal), snapshot(&initial));
    let opened = Ledger::with_storage(rows, wal, path, OPTIONS, initial, &mut known, goes_on);
    let (mut ledger, _) = opened.expect("a new one");
    let mut committed = vec![known.clone()];
    let mut confirmed = vec![(history.borrow().len() - 1, 0)];
    for (index, (size, kind)) in sizes.iter().zip([1, 2, 3].into_iter().cycle()).enumerate() {
        let commit = commit(kind, *size);
        // An append that fails has left less than all: so much that half of it is in another sector.
        machine.borrow_mut().full = *size >= 25 && index % full == full - 1;
        let mut appended = ledger.append(&commit.meta, &commit.rows);
        if matches!(appended, Err(AppendError::Busy)) {
            ledger.sync(snapshot(&known.encoded())).expect("nothing fails");
            appended = ledger.append(&commit.meta, &commit.rows);
        }
        machine.borrow_mut().full = false;
        match appended {
            Ok(_) => {
                known = known.with(&commit);
                committed.push(known.clone());
            }
            Err(AppendError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
        ledger.sync(snapshot(&known.encoded())).expect("nothing fails");
        confirmed.push((history.borrow().len() - 1, committed.len() - 1));
    }
    let history = history.borrow().clone();
    Life { history, committed, confirmed }
}

/// A file of a life, read while time goes on.
struct Passing<'l> {
    life: &'l Life,
    is_wal: bool,
    now: &'l RefCell<(usize, fastrand::Rng)>,
    pace: usize,
}

impl Passing<'_> {
    fn with<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let mut now = self.now.borrow_mut();
        let (at, random) = &mut *now;
        // Mostly nothing happens; sometimes much.
        let steps = if random.u8(..4) == 0 { random.usize(..=self.pace) } else { 0 };
        *at = (*at + steps).min(self.life.history.len() - 1);
        let (rows, wal) = &self.life.history[*at];
        look(if self.is_wal { wal } else { rows })
    }
}

impl Storage for Passing<'_> {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }

    /// A block at a time.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.with(|bytes| {
            let from = usize::try_from(offset).expect("it is in memory").min(bytes.len());
            let count = buffer.len().min(bytes.len() - from).min(4 * BLOCK);
            buffer[..count].copy_from_slice(&bytes[from..from + count]);
            Ok(count)
        })
    }

    fn write_at(&mut self, _: &[u8], _: u64) -> std::io::Result<()> {
        panic!("it is only read")
    }

    fn set_len(&mut self, _: u64) -> std::io::Result<()> {
        panic!("it is only read")
    }

    fn sync(&mut self) -> std::io::Result<()> {
        panic!("it is only read")
    }
}

fn inspected<S: Storage>(rows: &S, wal: &S, in_use: bool) -> Result<(Inspection, Known), Error> {
    let mut known = Known::default();
    let paths = Paths::new(Path::new("bets.csv"));
    let files = Inspected { rows, wal, paths: &paths, copied: None };
    let mut goes_on = |_: Progress| ControlFlow::Continue(());
    let mut watch = Watch::new(&mut goes_on);
    let found = inspect(&files, &mut || Ok(in_use), &mut known, &mut watch);
    Ok((found.map_err(ledger_error)?, known))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever happens between any two reads, what is found is what had been committed at some time, with
    /// all that had been confirmed before.
    #[test]
    fn a_ledger_that_is_written_to_is_read_as_of_one_time(
        sizes in prop::collection::vec(0..30_u16, 1..40),
        full in 2..12_usize,
        begin in any::<prop::sample::Index>(),
        seed in any::<u64>(),
        pace in 1..12_usize,
    ) {
        let life = life(&sizes, full);
        let first = life.confirmed[0].0;
        let begin = first + begin.index(life.history.len() - first);
        let now = RefCell::new((begin, fastrand::Rng::with_seed(seed)));
        let file = |is_wal| Passing { life: &life, is_wal, now: &now, pace };
        let (found, known) = inspected(&file(false), &file(true), true)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let before = life.confirmed.iter().rev().find(|(from, _)| *from <= begin);
        let least = before.expect("at least the first").1;
        let at = life.committed.iter().position(|committed| *committed == known);
        prop_assert!(at.is_some(), "never committed: {} bytes of rows", known.rows.len());
        prop_assert!(life.committed[least..].contains(&known), "it had more: {at:?} < {least}");
        prop_assert_eq!(found.rows_len, known.rows.len() as u64);
        prop_assert_eq!(found.rows_crc, crc32fast::hash(&known.rows));
    }
}

/// Where the records of a segment of 4096 bytes end, and their epoch; `None` if there are none.
fn records_end(wal: &[u8], segment: usize) -> Option<(usize, u64)> {
    let start = 4096 * (1 + segment);
    let (mut at, mut epoch) = (start, None);
    while let Some(header) = wal[at..start + 4096].first_chunk().and_then(RecordHeader::decode) {
        if *epoch.get_or_insert(header.epoch) != header.epoch {
            break;
        }
        at += usize::try_from(header.record_len()).expect("short");
    }
    Some((at, epoch?))
}

/// Whether a byte of the wal is what an earlier epoch has left behind the zeros that follow the last record.
fn is_of_the_past(wal: &[u8], at: usize) -> bool {
    let Some(segment) = (at / 4096).checked_sub(1) else { return false };
    records_end(wal, segment).is_some_and(|(end, epoch)| epoch > 2 && at >= end + BLOCK)
}

/// A ledger after so many commits: killed, or closed in order.
fn after(commits: u32, close: bool) -> (Machine, Known) {
    let machine = new_machine();
    let mut opened = open(&machine).expect("a new one");
    for index in 0..commits {
        opened.commit_durably(&commit(1 + index % 2, 20));
    }
    let known = opened.known.clone();
    if close {
        assert!(opened.close().expect("nothing fails"));
    } else {
        drop(opened);
    }
    (taken(machine), known)
}

fn inspected_at_rest(rows: &[u8], wal: &[u8]) -> Result<(Inspection, Known), Error> {
    let machine = Rc::new(RefCell::new(Machine::with_files(rows, wal)));
    let (rows, wal) = MemoryStorage::files(&machine);
    inspected(&rows, &wal, false)
}

/// In their first use, in their first use after a checkpoint, and recycled; each killed, and closed in order.
#[test]
fn every_flipped_bit_is_found_or_harmless() {
    for (commits, close) in [1, 2, 5, 9].into_iter().flat_map(|n| [(n, false), (n, true)]) {
        let (machine, expected) = after(commits, close);
        let (_, before) = after(commits - 1, false);
        let (rows, wal) = (machine.rows.live, machine.wal.live);
        let (found, known) = inspected_at_rest(&rows, &wal).expect("nothing is wrong");
        assert_eq!((found.remarks, found.is_clean), (Vec::new(), close));
        assert!(known == expected);
        let (mut past, mut remarked) = (0, 0);
        // What was written, and a few in each block of what wasn't. An odd step comes to each bit of a byte.
        let step = (commits | 1) as usize;
        for bit in (0..8 * wal.len()).step_by(step) {
            let at = bit / 8;
            if wal[at / 64 * 64..][..64] == [0; 64] && bit % 101 != 0 {
                continue;
            }
            let mut flipped = wal.clone();
            flipped[at] ^= 1 << (bit % 8);
            let what = format!("{commits} commits, closed: {close}, bit {bit}");
            match inspected_at_rest(&rows, &flipped) {
                Err(error) => assert!(error.to_string().contains("bets.csv"), "{what}: {error}"),
                Ok((found, known)) if found.remarks.is_empty() => {
                    assert!(is_of_the_past(&wal, at), "{what}: not found");
                    assert!(known == expected, "{what}");
                    past += 1;
                }
                Ok((_, known)) => {
                    assert!([&expected, &before].contains(&&known), "{what}: {known:?}");
                    remarked += 1;
                }
            }
        }
        // Segments are used again from the third on.
        let is_recycled = commits == 9 || (commits, close) == (5, true);
        assert_eq!(past > 0, is_recycled, "{commits} commits: {past}, {remarked}");
        for bit in (0..8 * rows.len()).step_by(step) {
            let mut flipped = rows.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let what = format!("{commits} commits, closed: {close}, bit {bit} of the rows");
            match inspected_at_rest(&flipped, &wal) {
                Err(error) => {
                    assert!(matches!(error, Error::RowsDamaged { .. }), "{what}: {error}");
                }
                Ok((found, known)) => {
                    // It is in the wal too.
                    let lacking = |remark: &Remark| matches!(remark, Remark::RowsLacking { .. });
                    assert!(found.remarks.iter().any(lacking), "{what}: not found");
                    assert!(!close && known == expected, "{what}");
                }
            }
        }
    }
}

#[test]
fn swapped_segments_and_cut_files_are_found() {
    for close in [false, true] {
        let (machine, _) = after(9, close);
        let (rows, wal) = (machine.rows.live, machine.wal.live);
        let swapped = [&wal[..4096], &wal[8192..], &wal[4096..8192]].concat();
        // A segment doesn't say which of the two it is: nothing is lost by it.
        assert!(inspected_at_rest(&rows, &swapped).is_ok());
        for segment in [1, 2] {
            let mut blank = wal.clone();
            blank[4096 * segment..][..4096].fill(0);
            assert!(inspected_at_rest(&rows, &blank).is_err(), "segment {segment} is gone");
            let mut twice = wal.clone();
            twice.copy_within(4096 * segment..4096 * (segment + 1), 4096 * (3 - segment));
            assert!(inspected_at_rest(&rows, &twice).is_err(), "segment {segment} is there twice");
        }
        let (other, _) = after(8, close);
        let earlier = inspected_at_rest(&rows, &other.wal.live);
        let is_remarked = earlier.is_ok_and(|(found, _)| !found.remarks.is_empty());
        assert_eq!(is_remarked, !close, "a crash may leave rows without their record");
        for len in 0..wal.len() {
            assert!(inspected_at_rest(&rows, &wal[..len]).is_err(), "cut at {len}");
        }
        let longer = [&wal[..], &[0]].concat();
        let error = inspected_at_rest(&rows, &longer).expect_err("it is longer").to_string();
        assert!(error.contains("damaged at byte 12288: the file is longer"), "{error}");
        for len in 0..rows.len() {
            let found = inspected_at_rest(&rows[..len], &wal);
            let is_remarked = found.is_ok_and(|(found, _)| !found.remarks.is_empty());
            // What the last checkpoint doesn't count is in the wal.
            assert!(!close || !is_remarked, "cut at {len}");
        }
        assert!(inspected_at_rest(&[], &wal).is_err(), "no rows are left");
    }
}

#[test]
fn what_a_crash_leaves_is_remarked_and_no_damage() {
    let (machine, known) = after(3, false);
    let (rows, wal) = (machine.rows.live, machine.wal.live);
    let longer = [&rows[..], b"1,Ana"].concat();
    let (found, _) = inspected_at_rest(&longer, &wal).expect("a crash leaves that");
    let offset = rows.len() as u64;
    assert_eq!(found.remarks, [Remark::RowsSurplus { offset, bytes: 5 }]);
    let shorter = &rows[..rows.len() - 7];
    let (found, restored) = inspected_at_rest(shorter, &wal).expect("it is in the wal");
    assert_eq!(found.remarks, [Remark::RowsLacking { offset: offset - 7, bytes: 7 }]);
    assert!(restored == known);
    // After a graceful end nothing is behind the rows.
    let (machine, _) = after(3, true);
    let longer = [&machine.rows.live[..], b"1,Ana"].concat();
    let error = inspected_at_rest(&longer, &machine.wal.live).expect_err("another program's");
    assert!(matches!(error, Error::RowsSurplus { .. }), "{error}");
}
