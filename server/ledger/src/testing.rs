//! A disk that crashes: the ledger's two files in memory, what of them is durable, and a machine
//! that stops in the middle of a write, fills up, or fails to sync.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use crate::{Storage, SyncTarget};

const SECTOR: usize = 512;

/// One file: what is durable, and what was done since.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// What is left of it when the power goes.
    pub durable: Vec<u8>,
    pending: Vec<Change>,
    /// What a program reads of it.
    pub live: Vec<u8>,
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
    /// A file with these bytes, which are durable.
    pub fn of(bytes: &[u8]) -> Self {
        Self { durable: bytes.to_vec(), pending: Vec::new(), live: bytes.to_vec() }
    }

    /// Whether something was written that isn't synced.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    /// What is there after the power was gone: of what wasn't synced, the last write alone.
    pub fn lose_all_but_the_last_write(&mut self) {
        self.pending.drain(..self.pending.len().saturating_sub(1));
        self.pending.iter().for_each(|change| apply(&mut self.durable, change));
        self.pending.clear();
        self.live = self.durable.clone();
    }

    /// What is there after the power was gone: everything but the sector that was written last.
    pub fn lose_the_last_sector(&mut self) {
        if let Some(Change::Write(bytes, at)) = self.pending.last_mut() {
            let end = *at + bytes.len();
            let sector = (end - 1) / SECTOR * SECTOR;
            bytes.truncate(sector.saturating_sub(*at));
        }
        self.pending.iter().for_each(|change| apply(&mut self.durable, change));
        self.pending.clear();
        self.live = self.durable.clone();
    }

    /// What is there after the power was gone: of what wasn't synced, any sectors.
    pub fn lose_power(&mut self, random: &mut fastrand::Rng) {
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
pub struct Machine {
    /// The rows.
    pub rows: Content,
    /// The wal.
    pub wal: Content,
    /// Operations until it stops; `None` for never.
    pub left: Option<usize>,
    /// Appending rows fails for want of space, half of it written.
    pub full: bool,
    /// Most bytes of rows: what goes beyond isn't written, as by `ulimit -f`.
    pub quota: Option<usize>,
    /// Bytes that are free, as the file system says.
    pub free: Option<u64>,
    /// Syncing fails.
    pub sync_fails: bool,
    /// The name of this file leads to it no longer.
    pub gone: Option<SyncTarget>,
}

/// One of a machine's two files.
#[derive(Debug)]
pub struct MemoryStorage {
    /// The machine.
    pub machine: Rc<RefCell<Machine>>,
    /// Which file.
    pub file: SyncTarget,
}

impl MemoryStorage {
    /// Both files of a machine: the rows and the wal.
    pub fn files(machine: &Rc<RefCell<Machine>>) -> (Self, Self) {
        let of = |file| Self { machine: machine.clone(), file };
        (of(SyncTarget::Rows), of(SyncTarget::Wal))
    }
}

impl Machine {
    /// One with these files, which are durable.
    pub fn with_files(rows: &[u8], wal: &[u8]) -> Self {
        let (rows, wal) = (Content::of(rows), Content::of(wal));
        Self { rows, wal, ..Self::default() }
    }

    /// One of the two files.
    pub fn content(&mut self, file: SyncTarget) -> &mut Content {
        match file {
            SyncTarget::Rows => &mut self.rows,
            SyncTarget::Wal => &mut self.wal,
        }
    }

    /// What is there after the power was gone.
    pub fn lose_power(&mut self, random: &mut fastrand::Rng) {
        self.rows.lose_power(random);
        self.wal.lose_power(random);
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

impl Storage for MemoryStorage {
    fn len_at(&self, _: &Path) -> io::Result<Option<u64>> {
        let gone = self.machine.borrow().gone == Some(self.file);
        if gone { Ok(None) } else { self.len().map(Some) }
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        Ok(self.machine.borrow().free)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.machine.borrow_mut().content(self.file).live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.machine.borrow_mut();
        let live = &machine.content(self.file).live;
        let from = usize::try_from(offset).expect("it is in memory").min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        let last = machine.spend()?;
        let full = machine.full && self.file == SyncTarget::Rows;
        let at = usize::try_from(offset).expect("it is in memory");
        let quota = machine.quota.filter(|_| self.file == SyncTarget::Rows).unwrap_or(usize::MAX);
        if at + bytes.len() > quota {
            let fits = bytes[..quota.saturating_sub(at)].to_vec();
            machine.content(self.file).change(Change::Write(fits, at));
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // A process that is killed, or a disk that is full, leaves a write half done. The kernel
        // takes bytes page by page: no sector is half written.
        let middle = (at + bytes.len() / 2).next_multiple_of(SECTOR) - at;
        let half = if last || full { middle.min(bytes.len()) } else { bytes.len() };
        machine.content(self.file).change(Change::Write(bytes[..half].to_vec(), at));
        match (last, full) {
            (true, _) => Err(io::Error::other("the machine has stopped")),
            (_, true) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        machine.spend()?;
        machine
            .content(self.file)
            .change(Change::SetLen(usize::try_from(len).expect("it is in memory")));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        machine.spend()?;
        if machine.sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        let content = machine.content(self.file);
        content.durable = content.live.clone();
        content.pending.clear();
        Ok(())
    }
}
