//! A ledger with damaged bytes is refused, or gives what was committed up to some commit.

#![no_main]

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use server::ledger::disk::Disk;
use server::ledger::{Commit, Entry, FileLedger, Ledger, Options, Sync};
use wire::bet;
use wire::{Bet, Checksum};

const OPTIONS: Options = Options::unbounded(Sync::Never, 4096, 60);

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Disk for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.borrow().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.borrow();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.borrow_mut();
        let end = offset as usize + written.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(written);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.borrow_mut().resize(len as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(csv: &Memory, log: &Memory) -> Option<FileLedger<Memory>> {
    let (path, watch) = (Path::new("bets.csv"), |_| ControlFlow::Continue(()));
    let opened = FileLedger::over(csv.clone(), log.clone(), path, OPTIONS, |_| {}, watch);
    opened.ok().map(|(ledger, _)| ledger)
}

/// Both files after some commits, and how long `bets.csv` was after each.
static GOOD: LazyLock<(Vec<u8>, Vec<u8>, Vec<usize>)> = LazyLock::new(|| {
    let (csv, log, mut lengths) = (Memory::default(), Memory::default(), vec![0]);
    let mut ledger = open(&csv, &log).expect("a new one");
    for agency in 1..=60 {
        let mut commit = Commit::default();
        let bet = Bet::from_fields([b"Ana", b"Paz", b"30904465", b"1999-03-17", b"7574"]);
        commit.push_row(agency, &bet::check(&bet).expect("a good bet"));
        let checksum = Checksum(agency);
        commit.push_entry(Entry::Batch { agency, count: 1, stored: true, checksum });
        ledger.submit_waiting(&commit).expect("there is space");
        // Turns of one to three commits.
        if agency % 5 < 3 {
            ledger.sync().expect("nothing fails");
        }
        lengths.push(csv.0.borrow().len());
    }
    drop(ledger);
    (csv.0.take(), log.0.take(), lengths)
});

fuzz_target!(|damage: Vec<(bool, u16, u8)>| {
    let (good_csv, good_log, lengths) = &*GOOD;
    let (csv, log) = (Memory::default(), Memory::default());
    (*csv.0.borrow_mut(), *log.0.borrow_mut()) = (good_csv.clone(), good_log.clone());
    for (in_log, place, value) in damage {
        let mut bytes = if in_log { log.0.borrow_mut() } else { csv.0.borrow_mut() };
        let place = usize::from(place) % bytes.len();
        bytes[place] = value;
    }
    let Some(_ledger) = open(&csv, &log) else { return };
    let found = csv.0.borrow();
    assert!(lengths.contains(&found.len()), "{} bytes are no commit's end", found.len());
    assert_eq!(&good_csv[..found.len()], &found[..]);
});
