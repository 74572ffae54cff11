//! A connection in memory, as the kernel keeps one: two ends, bytes on their way, and what each end
//! may learn of it. The rules are those of Linux; `loop-tests/tests/conformance` compares them.
//!
//! Knows no loop and no other connection: a method changes this one, and marks the ends that a poll
//! has something to report to.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::system::Readiness;

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end that called; of an attached pair, the handler's.
    Caller,
    /// The end that was called; of an attached pair, the other thread's.
    Callee,
}

impl Side {
    /// The end at the other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// What a connection is made of: an end that goes away is noticed differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    /// A pair of Unix sockets.
    Pair,
}

/// The end of one direction's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fin {
    NotSent,
    InFlight,
    Arrived,
    /// It was in flight when the connection was reset.
    Lost,
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    in_flight: VecDeque<u8>,
    arrived: VecDeque<u8>,
    fin: Fin,
}

impl Pipe {
    fn new() -> Self {
        Self { in_flight: VecDeque::new(), arrived: VecDeque::new(), fin: Fin::NotSent }
    }

    fn len(&self) -> usize {
        self.in_flight.len() + self.arrived.len()
    }
}

/// A socket at one end.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that vary independently")]
struct End {
    /// The socket is closed: no holder is left.
    closed: bool,
    /// No direction goes on: the connection was reset, or the other end of a pair was closed.
    broken: bool,
    /// The next call returns it, once.
    error: Option<ErrorKind>,
    /// A write found no room; an event reports when there is.
    starved: bool,
    /// A poll has something to report.
    edge: bool,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    Pending,
    Established,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    kind: Kind,
    handshake: Handshake,
    /// By the end that it belongs to.
    ends: [End; 2],
    /// By the end that sends.
    pipes: [Pipe; 2],
    /// Most bytes of a direction that were sent and not read.
    capacity: usize,
    /// Nothing moves any more, and neither end learns of it.
    vanished: bool,
}

impl Link {
    /// A connection that was asked for.
    pub(super) fn pending(capacity: usize) -> Self {
        let unheld = End { closed: true, ..End::default() };
        Self {
            kind: Kind::Tcp,
            handshake: Handshake::Pending,
            ends: [End::default(), unheld],
            pipes: [Pipe::new(), Pipe::new()],
            capacity,
            vanished: false,
        }
    }

    /// An established connection.
    pub(super) fn established(kind: Kind, capacity: usize) -> Self {
        let mut link = Self { kind, ..Self::pending(capacity) };
        link.establish();
        link
    }

    /// The callee takes the connection.
    pub(super) fn establish(&mut self) {
        self.handshake = Handshake::Established;
        self.end(Side::Callee).closed = false;
        self.end(Side::Caller).edge = true;
    }

    pub(super) fn is_pair(&self) -> bool {
        self.kind == Kind::Pair
    }

    pub(super) fn is_established(&self) -> bool {
        self.handshake == Handshake::Established
    }

    /// Whether the callee has neither taken nor refused it.
    pub(super) fn is_pending(&self) -> bool {
        let caller = &self.ends[Side::Caller as usize];
        self.handshake == Handshake::Pending && !caller.broken && !caller.closed
    }

    fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// Whether a poll has something to report to this end; it is marked as reported.
    pub(super) fn take_edge(&mut self, side: Side) -> bool {
        std::mem::take(&mut self.end(side).edge)
    }

    /// What a poll reports to this end now.
    pub(super) fn readiness(&self, side: Side) -> Readiness {
        let (incoming, outgoing) = (&self.pipes[side.other() as usize], &self.pipes[side as usize]);
        let end = &self.ends[side as usize];
        if self.handshake == Handshake::Pending && !end.broken {
            return Readiness::default();
        }
        let read_closed = end.broken || incoming.fin == Fin::Arrived;
        let write_shut = end.broken || outgoing.fin != Fin::NotSent;
        let hung_up = read_closed && write_shut;
        let has_room =
            self.capacity.saturating_sub(outgoing.len()) >= room_to_report(self.capacity);
        let (writable, error) = (write_shut || has_room, end.error.is_some());
        Readiness {
            readable: read_closed || !incoming.arrived.is_empty(),
            writable,
            read_closed,
            write_closed: hung_up || (writable && error),
            error,
        }
    }

    /// One `read`.
    pub(super) fn read(&mut self, side: Side, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let incoming = &mut self.pipes[side.other() as usize];
        if !incoming.arrived.is_empty() {
            let (first, second) = incoming.arrived.as_slices();
            let count = buffer.len().min(incoming.arrived.len());
            let (to_first, to_second) = buffer[..count].split_at_mut(count.min(first.len()));
            to_first.copy_from_slice(&first[..to_first.len()]);
            to_second.copy_from_slice(&second[..to_second.len()]);
            incoming.arrived.drain(..count);
            self.report_room(side.other());
            return Ok(count);
        }
        let ended = incoming.fin == Fin::Arrived;
        // A TCP socket that has seen the end says so again, whatever has failed since.
        if ended && self.kind == Kind::Tcp {
            return Ok(0);
        }
        let end = self.end(side);
        match end.error.take() {
            Some(error) => Err(error),
            None if ended || end.broken => Ok(0),
            None => Err(ErrorKind::WouldBlock),
        }
    }

    /// One `write`.
    pub(super) fn write(&mut self, side: Side, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let established = self.is_established();
        let (end, pipe) = (&mut self.ends[side as usize], &mut self.pipes[side as usize]);
        // Of a pair only `read` returns it.
        if let Some(error) = end.error.take_if(|_| self.kind == Kind::Tcp) {
            return Err(error);
        }
        if end.broken || pipe.fin != Fin::NotSent {
            return Err(ErrorKind::BrokenPipe);
        }
        let room = if established { self.capacity.saturating_sub(pipe.len()) } else { 0 };
        let count = bytes.len().min(room);
        pipe.in_flight.extend(&bytes[..count]);
        end.starved |= count < bytes.len();
        if count == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock) } else { Ok(count) }
    }

    /// Shuts down the sending side.
    pub(super) fn shutdown(&mut self, side: Side) -> Result<(), ErrorKind> {
        // A pair doesn't mind that its other end is gone.
        let broken = self.ends[side as usize].broken && self.kind == Kind::Tcp;
        if broken || !self.is_established() {
            return Err(ErrorKind::NotConnected);
        }
        let pipe = &mut self.pipes[side as usize];
        if pipe.fin == Fin::NotSent {
            pipe.fin = Fin::InFlight;
        }
        self.end(side).edge = true;
        Ok(())
    }

    /// The socket at this end is closed.
    pub(super) fn close(&mut self, side: Side) {
        let unread = std::mem::take(&mut self.pipes[side.other() as usize].arrived);
        self.end(side).closed = true;
        let other = side.other();
        match self.kind {
            // Its sender must learn that it wasn't read.
            Kind::Tcp if !unread.is_empty() => self.reset(side),
            Kind::Tcp => {
                let _ = self.shutdown(side);
            }
            Kind::Pair => {
                let pipe = &mut self.pipes[side as usize];
                pipe.arrived.extend(std::mem::take(&mut pipe.in_flight));
                pipe.fin = Fin::Arrived;
                let end = self.end(other);
                end.broken = true;
                end.edge = true;
                if !unread.is_empty() {
                    end.error = Some(ErrorKind::ConnectionReset);
                }
            }
        }
    }

    /// This end goes without an orderly end, as TCP can: the other one learns of it.
    pub(super) fn reset(&mut self, by: Side) {
        if self.kind == Kind::Pair {
            return;
        }
        self.lose_in_flight();
        self.end(by).broken = true;
        if !self.vanished {
            self.fail(by.other(), None);
        }
    }

    /// Both ends learn that the connection is broken.
    pub(super) fn break_off(&mut self, error: Option<ErrorKind>) {
        self.lose_in_flight();
        self.fail(Side::Caller, error);
        self.fail(Side::Callee, error);
    }

    fn lose_in_flight(&mut self) {
        for pipe in &mut self.pipes {
            pipe.in_flight.clear();
            if pipe.fin == Fin::InFlight {
                pipe.fin = Fin::Lost;
            }
        }
    }

    fn fail(&mut self, side: Side, error: Option<ErrorKind>) {
        let ended = self.pipes[side.other() as usize].fin == Fin::Arrived;
        let established = self.is_established();
        let end = self.end(side);
        if end.closed || end.broken {
            return;
        }
        end.broken = true;
        end.edge = true;
        end.error = error.or(Some(match () {
            () if !established => ErrorKind::ConnectionRefused,
            () if ended => ErrorKind::BrokenPipe,
            () => ErrorKind::ConnectionReset,
        }));
    }

    pub(super) fn take_error(&mut self, side: Side) -> Option<ErrorKind> {
        self.end(side).error.take()
    }

    /// Moves up to `count` bytes that `sender` has sent to where the other end can read them, and
    /// the end behind them if they are the last.
    pub(super) fn deliver(&mut self, sender: Side, count: usize) {
        if self.vanished {
            return;
        }
        let pipe = &mut self.pipes[sender as usize];
        let count = count.min(pipe.in_flight.len());
        if self.ends[sender.other() as usize].closed && count > 0 {
            return self.reset(sender.other());
        }
        if pipe.arrived.is_empty() && count == pipe.in_flight.len() {
            std::mem::swap(&mut pipe.arrived, &mut pipe.in_flight);
        } else {
            pipe.arrived.extend(pipe.in_flight.drain(..count));
        }
        let ends = pipe.in_flight.is_empty() && pipe.fin == Fin::InFlight;
        if ends {
            pipe.fin = Fin::Arrived;
        }
        self.end(sender.other()).edge |= ends || count > 0;
    }

    /// Bytes that have arrived and that this end hasn't read.
    pub(super) fn unread(&self, side: Side) -> usize {
        self.pipes[side.other() as usize].arrived.len()
    }

    /// Bytes that `sender` has sent and that haven't arrived.
    pub(super) fn in_flight(&self, sender: Side) -> usize {
        self.pipes[sender as usize].in_flight.len()
    }

    /// Whether [`deliver`](Self::deliver) has something to move.
    pub(super) fn can_deliver(&self, sender: Side) -> bool {
        let pipe = &self.pipes[sender as usize];
        !self.vanished && (!pipe.in_flight.is_empty() || pipe.fin == Fin::InFlight)
    }

    /// Of what `sender` has sent and what hasn't arrived, keeps the first so many bytes.
    pub(super) fn truncate_in_flight(&mut self, sender: Side, kept: usize) {
        self.pipes[sender as usize].in_flight.truncate(kept);
    }

    /// Nothing moves from now on, and neither end learns of it.
    pub(super) fn vanish(&mut self) {
        self.vanished = true;
    }

    /// Both ends learn that nothing moves any more.
    pub(super) fn time_out(&mut self) {
        self.vanished = false;
        self.break_off(Some(ErrorKind::TimedOut));
    }

    pub(super) fn has_vanished(&self) -> bool {
        self.vanished
    }

    /// Whether neither end is closed or has failed.
    pub(super) fn is_intact(&self) -> bool {
        !self.vanished && self.ends.iter().all(|end| !end.closed && !end.broken)
    }

    /// Whether both sockets are closed.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.closed)
    }

    fn report_room(&mut self, sender: Side) {
        let room = self.capacity.saturating_sub(self.pipes[sender as usize].len());
        let enough = room >= room_to_report(self.capacity);
        let end = self.end(sender);
        end.edge |= enough && std::mem::take(&mut end.starved);
    }
}

/// A socket that was full is reported as writable again only when it takes a good deal.
fn room_to_report(capacity: usize) -> usize {
    (capacity / 3).max(1)
}
