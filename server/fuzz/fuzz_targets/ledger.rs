//! A ledger with damaged bytes is refused, or gives what was committed up to some commit. Whether its draw
//! has a name or not: no damage makes it one of another draw.

#![no_main]

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use ledger::{Durability, Options, Storage};
use libfuzzer_sys::fuzz_target;
use server::lottery::{Entry, Staged};
use server::row;
use server::store::{AppendError, FileStore, Opened, Store as _, Terms};
use wire::bet;
use wire::{Bet, Checksum};

const OPTIONS: Options = Options::unbounded(Durability::NotSynced, 4096);

const AGENCIES: u32 = 60;

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Storage for Memory {
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

const NAMES: [Option<&str>; 2] = [None, Some("2026-11-27")];

fn open(rows: &Memory, wal: &Memory, draw: Option<&str>) -> Option<Opened<Memory>> {
    let (path, watch) = (Path::new("bets.csv"), |_| ControlFlow::Continue(()));
    let files = (rows.clone(), wal.clone());
    let draw = draw.map(|name| name.parse().expect("a name"));
    let terms = Terms { agencies: AGENCIES, draw };
    FileStore::with_storage(files, path, OPTIONS, terms, |_| {}, watch).ok()
}

/// Makes everything durable; nothing is waited for.
fn sync(opened: &mut Opened<Memory>) {
    while opened.store.begin_sync().expect("nothing fails").is_some() {
        opened.store.checkpoint(&opened.state).expect("nothing fails");
    }
}

/// Both files after some commits, and how many bytes of rows there were after each.
type Good = (Vec<u8>, Vec<u8>, Vec<usize>);

static GOOD: LazyLock<[Good; 2]> = LazyLock::new(|| NAMES.map(good));

fn good(draw: Option<&str>) -> Good {
    let (rows, wal, mut lengths) = (Memory::default(), Memory::default(), vec![0]);
    let mut opened = open(&rows, &wal, draw).expect("a new one");
    for agency in 1..=AGENCIES {
        let mut staged = Staged::default();
        let bet = Bet::from_fields([b"Ana", b"Paz", b"30904465", b"1999-03-17", b"7574"]);
        row::encode(agency, &bet::check(&bet).expect("a good bet"), staged.rows_mut());
        let checksum = Checksum(agency);
        let entry = Entry::Batch { agency, count: 1, stored: true, checksum };
        staged.push_entry(entry);
        if let Err(AppendError::Busy) = opened.store.append(&staged) {
            sync(&mut opened);
            opened.store.append(&staged).expect("there is space");
        }
        opened.state.apply(&entry);
        // Turns of one to three commits.
        if agency % 5 < 3 {
            sync(&mut opened);
        }
        lengths.push(rows.0.borrow().len());
    }
    drop(opened);
    (rows.0.take(), wal.0.take(), lengths)
}

fn check(damage: &[(bool, u16, u8)], good: &Good, own: Option<&str>, other: Option<&str>) {
    let (good_rows, good_wal, lengths) = good;
    let (rows, wal) = (Memory::default(), Memory::default());
    (*rows.0.borrow_mut(), *wal.0.borrow_mut()) = (good_rows.clone(), good_wal.clone());
    for &(in_wal, index, value) in damage {
        let mut bytes = if in_wal { wal.0.borrow_mut() } else { rows.0.borrow_mut() };
        let index = usize::from(index) % bytes.len();
        bytes[index] = value;
    }
    assert!(open(&rows, &wal, other).is_none(), "it is of {own:?}, and was opened for {other:?}");
    let Some(_opened) = open(&rows, &wal, own) else { return };
    let found = rows.0.borrow();
    assert!(lengths.contains(&found.len()), "{} bytes are no commit's end", found.len());
    assert_eq!(&good_rows[..found.len()], &found[..]);
}

fuzz_target!(|damage: Vec<(bool, u16, u8)>| {
    let [unnamed, named] = &*GOOD;
    let [no_name, name] = NAMES;
    check(&damage, unnamed, no_name, name);
    check(&damage, named, name, no_name);
});
