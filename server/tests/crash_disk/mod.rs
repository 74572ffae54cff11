//! A disk that crashes: the ledger's two files in memory, what of them is durable, and a machine
//! that stops in the middle of a write, fills up, or fails to sync.
//!
//! Compiled into the ledger's own tests and into the simulation; `Disk` is their parent's import.

#![allow(dead_code, reason = "neither of them needs all of it")]

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::Disk;

const SECTOR: usize = 512;

/// One file: what is durable, and what was done since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) durable: Vec<u8>,
    pending: Vec<Change>,
    pub(crate) live: Vec<u8>,
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
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { durable: bytes.to_vec(), pending: Vec::new(), live: bytes.to_vec() }
    }

    /// Something was written that isn't synced.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    /// What is there after the power was gone: of what wasn't synced, the last write alone.
    pub(crate) fn lose_all_but_the_last_write(&mut self) {
        self.pending.drain(..self.pending.len().saturating_sub(1));
        self.pending.iter().for_each(|change| apply(&mut self.durable, change));
        self.pending.clear();
        self.live = self.durable.clone();
    }

    /// What is there after the power was gone: everything but the sector that was written last.
    pub(crate) fn lose_the_last_sector(&mut self) {
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
    pub(crate) fn lose_power(&mut self, random: &mut fastrand::Rng) {
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
pub(crate) struct Machine {
    pub(crate) csv: Content,
    pub(crate) log: Content,
    /// Operations until it stops; `None` for never.
    pub(crate) left: Option<usize>,
    /// Appending to the ledger fails for want of space, half of it written.
    pub(crate) full: bool,
    /// Most bytes that the ledger may have: what goes beyond isn't written, as by `ulimit -f`.
    pub(crate) quota: Option<usize>,
    /// Bytes that are free, as the file system says.
    pub(crate) free: Option<u64>,
    /// Syncing fails.
    pub(crate) sync_fails: bool,
    /// The name of this file leads to it no longer.
    pub(crate) gone: Option<Which>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Csv,
    Log,
}

#[derive(Debug)]
pub(crate) struct MemoryDisk {
    pub(crate) machine: Rc<RefCell<Machine>>,
    pub(crate) which: Which,
}

impl Machine {
    pub(crate) fn content(&mut self, which: Which) -> &mut Content {
        match which {
            Which::Csv => &mut self.csv,
            Which::Log => &mut self.log,
        }
    }

    /// What is there after the power was gone.
    pub(crate) fn lose_power(&mut self, random: &mut fastrand::Rng) {
        self.csv.lose_power(random);
        self.log.lose_power(random);
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
    fn len_at(&self, _: &Path) -> io::Result<Option<u64>> {
        let gone = self.machine.borrow().gone == Some(self.which);
        if gone { Ok(None) } else { self.len().map(Some) }
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        Ok(self.machine.borrow().free)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.machine.borrow_mut().content(self.which).live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.machine.borrow_mut();
        let live = &machine.content(self.which).live;
        let from = usize::try_from(offset).expect("it is in memory").min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut machine = self.machine.borrow_mut();
        let last = machine.spend()?;
        let full = machine.full && self.which == Which::Csv;
        let at = usize::try_from(offset).expect("it is in memory");
        let quota = machine.quota.filter(|_| self.which == Which::Csv).unwrap_or(usize::MAX);
        if at + bytes.len() > quota {
            let fits = bytes[..quota.saturating_sub(at)].to_vec();
            machine.content(self.which).change(Change::Write(fits, at));
            return Err(io::ErrorKind::FileTooLarge.into());
        }
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
        machine
            .content(self.which)
            .change(Change::SetLen(usize::try_from(len).expect("it is in memory")));
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
