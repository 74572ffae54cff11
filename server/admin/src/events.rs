//! Server-sent events: how the lottery stands, to many streams at once.
//!
//! A change is encoded once for all streams, and holds only the agencies that differ from what was sent
//! last. A stream whose output hasn't left gets nothing meanwhile, and then all of it: nothing waits in
//! a queue. Knows no stream and no clock: the caller ticks every [`INTERVAL`] while there are streams.

use std::rc::Rc;
use std::time::Duration;

use crate::status::{Agency, Status};

/// The time between two ticks: a stream gets at most four events a second, however much happens.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// The time between two [`KEEP_ALIVE`]s on a stream.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// An event without news: it keeps proxies from closing a stream on which nothing happens, and by its
/// absence a page notices that the stream is dead. Browsers show scripts no comments.
pub const KEEP_ALIVE: &[u8] = b"event: alive\ndata: {}\n\n";

/// What a stream begins with: a client whose stream ends connects again after so many milliseconds.
pub const RETRY: &[u8] = b"retry: 2000\n\n";

/// What all streams have been sent.
///
/// Invariant: each stream has been sent what `last` says, but for those that are owed a
/// [`full`](Self::full) event. There is no `last` while there are no streams.
#[derive(Debug)]
pub struct Events {
    /// Of this process: ids of an earlier one name nothing of this one.
    epoch: u64,
    /// Of the last change.
    sequence: u64,
    last: Option<Status>,
    /// `last` as an event, if a stream has asked for it.
    full: Option<Rc<[u8]>>,
}

impl Events {
    /// Events of a process that has this epoch, by which it differs from those before it: the time of
    /// its start, for instance.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, sequence: 0, last: None, full: None }
    }

    /// The event for every stream that has had all before it, unless nothing but the time has changed.
    /// To be called every [`INTERVAL`]; while there are no streams it returns `None` and does nothing.
    pub fn tick(&mut self, mut status: Status) -> Option<Rc<[u8]>> {
        let last = self.last.take()?;
        self.full = None;
        let is_same = is_same(&last, &mut status);
        let is_comparable = have_same_agencies(&last, &status);
        let status = self.last.insert(status);
        if is_same {
            return None;
        }
        self.sequence += 1;
        if !is_comparable {
            let event = encode("status", self.epoch, self.sequence, status);
            self.full = Some(Rc::clone(&event));
            return Some(event);
        }
        let agencies = std::mem::take(&mut status.agencies);
        status.agencies = changed(&last.agencies, &agencies);
        let event = encode("change", self.epoch, self.sequence, status);
        status.agencies = agencies;
        Some(event)
    }

    /// All of it, as of the last tick, for a stream that begins or has missed something. The first
    /// stream takes `status`, as there was no tick.
    pub fn full(&mut self, status: impl FnOnce() -> Status) -> Rc<[u8]> {
        let sequence = &mut self.sequence;
        let last = self.last.get_or_insert_with(|| {
            *sequence += 1;
            status()
        });
        let full = || encode("status", self.epoch, *sequence, last);
        Rc::clone(self.full.get_or_insert_with(full))
    }

    /// There are no streams any more. The next one gets what there is then.
    pub fn forget(&mut self) {
        (self.last, self.full) = (None, None);
    }
}

/// Whether they are equal but for the time.
fn is_same(last: &Status, status: &mut Status) -> bool {
    let time = std::mem::replace(&mut status.time, last.time);
    let is_same = status == last;
    status.time = time;
    is_same
}

/// Whether an event can say what has changed: it can't say that an agency is gone.
fn have_same_agencies(last: &Status, status: &Status) -> bool {
    let (numbers, new_numbers) = (last.agencies.iter(), status.agencies.iter());
    numbers.map(|agency| agency.agency).eq(new_numbers.map(|agency| agency.agency))
}

/// The agencies that have changed, of two lists of the same ones.
fn changed(last: &[Agency], now: &[Agency]) -> Vec<Agency> {
    let pairs = last.iter().zip(now).filter(|(last, now)| last != now);
    pairs.map(|(_, now)| now.clone()).collect()
}

fn encode(event: &str, epoch: u64, sequence: u64, status: &Status) -> Rc<[u8]> {
    let mut out = format!("event: {event}\nid: {epoch}-{sequence}\ndata: ").into_bytes();
    out.append(&mut status.to_json());
    out.extend_from_slice(b"\n\n");
    out.into()
}
