//! The ledger on a disk that crashes, tears, fills up and fails, and with files that were damaged.

mod crashes;
mod damage;
mod files;
mod inspections;
mod space;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use crate::testing::{Machine, MemoryStorage};
use crate::*;

const OPTIONS: Options = Options::unbounded(Durability::Synced, 4096);

/// What a commit holds: its meta, and its rows.
#[derive(Debug, Clone, Default)]
struct Commit {
    meta: Vec<u8>,
    rows: Vec<u8>,
}

/// So many rows of this kind, or a commit without any.
fn commit(kind: u32, count: u16) -> Commit {
    let row = |index| {
        format!("{kind},\"Íñigo, \"\"Tito\"\"\",Paz,{},2000-02-29,{index}\r\n", 10_000_000 + index)
    };
    let rows = (0..u32::from(count)).map(row).collect::<String>().into_bytes();
    Commit { meta: [&kind.to_be_bytes()[..], &count.to_be_bytes(), b"meta!"].concat(), rows }
}

/// What the user of the ledger knows: all metas, and the rows.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    /// A checksum over the metas of all commits.
    metas: u32,
    rows: Vec<u8>,
}

impl Known {
    fn with(&self, commit: &Commit) -> Self {
        let mut next = self.clone();
        next.apply(&commit.meta);
        next.rows.extend_from_slice(&commit.rows);
        next
    }

    fn apply(&mut self, meta: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.metas);
        hasher.update(meta);
        self.metas = hasher.finalize();
    }

    /// As a snapshot keeps it: as long as one of two agencies was when these tests were written.
    fn encoded(&self) -> Vec<u8> {
        [&self.metas.to_be_bytes()[..], &[0x5A; 69]].concat()
    }
}

impl Replay for Known {
    type Error = Infallible;

    fn snapshot(&mut self, found: Snapshot<'_>) -> Result<(), Malformed> {
        let metas = found.bytes.first_chunk().ok_or(Malformed)?;
        *self = Self { metas: u32::from_be_bytes(*metas), rows: Vec::new() };
        if found == snapshot(&self.encoded()) { Ok(()) } else { Err(Malformed) }
    }

    fn commit(&mut self, meta: &[u8]) -> Result<(), Malformed> {
        self.apply(meta);
        if meta.ends_with(b"meta!") { Ok(()) } else { Err(Malformed) }
    }

    fn check(&mut self, _: &Paths) -> Result<(), Infallible> {
        Ok(())
    }

    fn rows(&mut self, rows: &mut RowReader<'_>) -> Result<(), Infallible> {
        // What can't be read is the ledger's to report.
        let _ = rows.read_to_end(&mut self.rows);
        Ok(())
    }
}

fn snapshot(bytes: &[u8]) -> Snapshot<'_> {
    Snapshot { format: 1, bytes }
}

/// A ledger and what its user knows.
#[derive(Debug)]
struct Opened {
    ledger: Ledger<MemoryStorage>,
    known: Known,
    recovery: Recovery,
}

impl Opened {
    fn append(&mut self, commit: &Commit) -> Result<Lsn, AppendError> {
        let lsn = self.ledger.append(&commit.meta, &commit.rows)?;
        self.known.apply(&commit.meta);
        self.known.rows.extend_from_slice(&commit.rows);
        Ok(lsn)
    }

    /// The same for a user that waits for the disk anyway.
    fn append_waiting(&mut self, commit: &Commit) -> Result<Lsn, AppendError> {
        match self.append(commit) {
            Err(AppendError::Busy) => {
                self.sync().map_err(AppendError::Fatal)?;
                self.append(commit)
            }
            result => result,
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.ledger.sync(snapshot(&self.known.encoded()))
    }

    /// Begins what is due; a snapshot is given at once.
    fn begin_sync(&mut self) -> Result<Option<SyncTarget>, Error> {
        loop {
            match self.ledger.begin_sync()? {
                None => return Ok(None),
                Some(Work::Sync(target)) => return Ok(Some(target)),
                Some(Work::Snapshot) => {
                    self.ledger.checkpoint(snapshot(&self.known.encoded()))?;
                }
            }
        }
    }

    fn close(self) -> Result<bool, Error> {
        self.ledger.close(snapshot(&self.known.encoded()))
    }

    /// A commit in a turn of its own.
    fn commit_durably(&mut self, commit: &Commit) {
        let lsn = self.append_waiting(commit).expect("nothing fails");
        self.sync().expect("nothing fails");
        assert_eq!(self.ledger.durable_lsn().max(lsn), self.ledger.durable_lsn());
    }
}

fn ledger_error(error: OpenError<Infallible>) -> Error {
    match error {
        OpenError::Ledger(error) => error,
        OpenError::Refused(never) => match never {},
    }
}

fn open_watched(
    machine: &Rc<RefCell<Machine>>,
    options: Options,
    watch: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Opened, Error> {
    let (rows, wal) = MemoryStorage::files(machine);
    let (path, mut known) = (Path::new("bets.csv"), Known::default());
    let initial = known.encoded();
    let initial = snapshot(&initial);
    let opened = Ledger::with_storage(rows, wal, path, options, initial, &mut known, watch);
    let (ledger, recovery) = opened.map_err(ledger_error)?;
    let opened = Opened { ledger, known, recovery };
    let live = machine.borrow().rows.live.clone();
    assert!(opened.known.rows == live, "the user was handed what is in the file");
    Ok(opened)
}

fn open_with(machine: &Rc<RefCell<Machine>>, options: Options) -> Result<Opened, Error> {
    open_watched(machine, options, |_| ControlFlow::Continue(()))
}

fn open(machine: &Rc<RefCell<Machine>>) -> Result<Opened, Error> {
    open_with(machine, OPTIONS)
}

fn new_machine() -> Rc<RefCell<Machine>> {
    Rc::default()
}

/// A turn of so many commits; whether the machine has survived it.
fn live(opened: &mut Opened, turn: &[Commit], possible: &mut Vec<Known>) -> bool {
    for commit in turn {
        possible.push(possible[possible.len() - 1].with(commit));
        if opened.append_waiting(commit).is_err() {
            return false;
        }
    }
    if opened.sync().is_err() {
        return false;
    }
    possible.drain(..turn.len());
    true
}

/// Opens a ledger again that a crash has left: one of the possible ones.
fn reopened(machine: &Rc<RefCell<Machine>>, possible: &[Known]) -> Known {
    let found = open(machine).expect("a crash is no damage").known;
    assert!(possible.contains(&found), "{found:?}");
    found
}

fn taken(machine: Rc<RefCell<Machine>>) -> Machine {
    Rc::try_unwrap(machine).expect("the ledger is gone").into_inner()
}

/// A ledger after these commits and a kill: everything is on disk, nothing was closed.
fn killed(commits: &[Commit]) -> (Machine, Known) {
    let (machine, mut expected) = killed_after_turns(commits, 1);
    (machine, expected.pop().expect("at least what there was at first"))
}

/// The same, the last turn of so many commits. Returns what was there before that turn, and with each
/// of its commits.
fn killed_after_turns(commits: &[Commit], last_turn: usize) -> (Machine, Vec<Known>) {
    let machine = new_machine();
    let mut opened = open(&machine).expect("a new one");
    let mut expected = vec![Known::default()];
    let (durable, last_turn) = commits.split_at(commits.len().saturating_sub(last_turn));
    for commit in durable {
        let turn = std::slice::from_ref(commit);
        assert!(live(&mut opened, turn, &mut expected), "nothing fails");
    }
    for commit in last_turn {
        opened.append_waiting(commit).expect("nothing fails");
        expected.push(expected[expected.len() - 1].with(commit));
    }
    opened.sync().expect("nothing fails");
    drop(opened);
    (taken(machine), expected)
}
