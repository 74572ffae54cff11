//! What the central remembers of one connection: which protocol it speaks, and how far it is.
//!
//! The first byte tells the protocols apart: a lottery frame begins with a byte that no text
//! begins with, so everything else is echo.

use std::net::IpAddr;

use log::Level;
use reactor::ConnectionId;
use wire::{Agency, FrameDecoder, LineDecoder, MAGIC};

use crate::healthcheck;

/// One connection. Kept small: thousands of them are idle most of the time.
#[derive(Debug)]
pub(crate) struct Session {
    /// Of its slot: tells it from an earlier connection that had the same place.
    generation: u32,
    pub(crate) ip: IpAddr,
    pub(crate) protocol: Protocol,
    /// The start of a line or frame has come, and the clock for the rest of it runs.
    pub(crate) partial: bool,
}

/// What it speaks.
#[derive(Debug)]
pub(crate) enum Protocol {
    /// It has said nothing yet.
    Unknown,
    Echo(Box<LineDecoder>),
    Lottery(Box<AgencySession>),
    /// It is refused behind answers that it is still owed: whatever it sends is thrown away, and it
    /// ends when it has been told.
    Refused,
    /// It was refused, or has had its answer: whatever it still sends is thrown away.
    Over,
}

/// A connection that speaks the lottery protocol.
#[derive(Debug, Default)]
pub(crate) struct AgencySession {
    pub(crate) decoder: FrameDecoder,
    /// Who it introduced itself as.
    pub(crate) agency: Option<Agency>,
    /// A request had no effect, so the ones that were on their way behind it have none either.
    pub(crate) unavailable: bool,
    /// Answers to it that wait for the storage.
    pub(crate) owed: u32,
    /// Whether its requests are taken.
    pub(crate) intake: Intake,
}

/// Whether the requests of an agency are taken. While they aren't, nothing is read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Intake {
    /// They are.
    #[default]
    Open,
    /// Too much waits for the storage.
    Held,
    /// It has asked for winners, and gets them before anything else.
    AwaitsWinners,
}

impl Session {
    pub(crate) fn new(id: ConnectionId, ip: IpAddr) -> Self {
        let (generation, ip) = (id.generation(), ip.to_canonical());
        Self { generation, ip, protocol: Protocol::Unknown, partial: false }
    }

    /// Whether it is the one that `id` names, in its slot.
    pub(crate) fn is_named(&self, id: ConnectionId) -> bool {
        self.generation == id.generation()
    }

    /// Its id, unless it is over.
    pub(crate) fn name_if_open(&self, place: usize) -> Option<ConnectionId> {
        let open = !matches!(self.protocol, Protocol::Refused | Protocol::Over);
        open.then(|| u32::try_from(place).ok())
            .flatten()
            .map(|place| ConnectionId::new(place, self.generation))
    }

    /// How important what an echo connection does is in the log: the health check's is not.
    pub(crate) fn log_level(&self) -> Level {
        if self.is_probe() { Level::Debug } else { Level::Info }
    }

    /// Whether the health check calls.
    pub(crate) fn is_probe(&self) -> bool {
        self.ip == healthcheck::PROBE
    }

    /// Decides by the first byte.
    pub(crate) fn identify(&mut self, first: u8, max_line: usize) {
        if !matches!(self.protocol, Protocol::Unknown) {
            return;
        }
        self.protocol = if first == MAGIC {
            Protocol::Lottery(Box::default())
        } else {
            Protocol::Echo(Box::new(LineDecoder::new(max_line)))
        };
    }

    pub(crate) fn lottery(&mut self) -> Option<&mut AgencySession> {
        match &mut self.protocol {
            Protocol::Lottery(session) => Some(session),
            Protocol::Unknown | Protocol::Echo(_) | Protocol::Refused | Protocol::Over => None,
        }
    }

    /// Whether its requests aren't taken for the time being.
    pub(crate) fn is_paused(&mut self) -> bool {
        self.lottery().is_some_and(|session| session.intake != Intake::Open)
    }

    /// Who it is, as far as it has said so.
    pub(crate) fn agency(&self) -> Option<Agency> {
        match &self.protocol {
            Protocol::Lottery(session) => session.agency,
            Protocol::Unknown | Protocol::Echo(_) | Protocol::Refused | Protocol::Over => None,
        }
    }
}
