//! What the central remembers of one connection: which protocol it speaks, and how far it is.
//!
//! The first byte distinguishes the protocols: a lottery frame and TLS each begin with a byte that no
//! text begins with, so everything else is echo.
//!
//! ```text
//!            another byte
//!   Unknown ──────────────> Echo ──────────────────────────close──> Closing
//!      │ HANDSHAKE                                                     ^
//!      ├──────> Tls ──secure──> Secured, from which on it is like Unknown, but that TLS doesn't begin
//!      │ MAGIC                                                         │
//!      └──────> Lottery ───refuse, nothing is owed─────────────────────┤
//!                  │                                                   │
//!                  └───────refuse, replies are owed──> Refused ──close─┘
//!
//!   close leads from every state to Closing.
//! ```

use std::net::IpAddr;

use reactor::ConnectionId;
use runtime::logging::Level;
use tls::HANDSHAKE;
use wire::{Agency, MAGIC};

use super::echo::EchoSession;
use super::identity::{Identity, Security};
use super::lottery_session::{Intake, LotterySession};
use super::peer::Peer;
use crate::healthcheck;

/// One connection. Kept small: thousands of them are idle most of the time.
#[derive(Debug)]
pub(crate) struct Session {
    /// Of its slot: distinguishes it from an earlier connection that had the same slot.
    generation: u32,
    ip: IpAddr,
    state: State,
    /// The start of a line or frame has come, and the deadline of the rest is armed.
    partial: bool,
}

#[derive(Debug)]
enum State {
    Unknown,
    /// It has begun TLS. If that is taken, the handshake goes on by the certificates of this generation.
    Tls(Option<u32>),
    Secured(Security),
    Echo(EchoSession),
    Lottery(Box<LotterySession>),
    Refused,
    Closing,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// It has sent nothing yet.
    Unknown,
    /// It has begun TLS.
    Tls,
    /// TLS is established, and it has sent nothing in it yet.
    Secured,
    Echo,
    Lottery,
    /// It is refused behind replies that it is still owed: whatever it sends is thrown away, and it
    /// closes when it has been sent them.
    Refused,
    /// It was refused, or has had its reply: whatever it still sends is thrown away.
    Closing,
}

/// What a connection speaks, and whether its requests are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) protocol: Protocol,
    /// Open for all but an agency that waits.
    pub(crate) intake: Intake,
}

/// Which deadline a connection has after input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The one that it had.
    Unchanged,
    /// That of the rest of a line or frame.
    Frame,
    /// That of TLS's handshake.
    Handshake,
    /// That of the next line or frame.
    Idle,
    Never,
}

impl Session {
    pub(crate) fn new(id: ConnectionId, ip: IpAddr) -> Self {
        let (generation, ip) = (id.generation(), ip.to_canonical());
        Self { generation, ip, state: State::Unknown, partial: false }
    }

    /// Whether it is the one that `id` names, in its slot.
    pub(crate) fn is_named(&self, id: ConnectionId) -> bool {
        self.generation == id.generation()
    }

    /// Its id, unless it is closing.
    pub(crate) fn name_if_open(&self, slot: usize) -> Option<ConnectionId> {
        let open = !matches!(self.state, State::Refused | State::Closing);
        let slot = u32::try_from(slot).ok().filter(|_| open);
        slot.map(|slot| ConnectionId::new(slot, self.generation))
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Who it is, as far as that is known.
    pub(crate) fn peer(&self) -> Peer {
        let serial = self.identity().map(|identity| identity.serial.clone());
        Peer { agency: self.agency(), ip: self.ip, serial }
    }

    /// Whose certificate it has shown, if any.
    fn identity(&self) -> Option<&Identity> {
        let security = match &self.state {
            State::Secured(security) => security,
            State::Lottery(session) => session.security(),
            _ => return None,
        };
        match security {
            Security::Identified(identity) => Some(identity),
            Security::Plain | Security::Anonymous => None,
        }
    }

    /// How important what an echo connection does is in the log: the health check's is not.
    pub(crate) fn log_level(&self) -> Level {
        if self.is_probe() { Level::Debug } else { Level::Info }
    }

    /// Whether the health check calls.
    pub(crate) fn is_probe(&self) -> bool {
        healthcheck::is_probe(self.ip)
    }

    /// Decides by the first byte, unless it is decided.
    pub(crate) fn identify(&mut self, first: u8, max_line: usize) {
        let security = match &mut self.state {
            State::Unknown if first == HANDSHAKE => {
                self.state = State::Tls(None);
                return;
            }
            State::Unknown => Security::Plain,
            State::Secured(security) => std::mem::take(security),
            _ => return,
        };
        self.state = match first {
            MAGIC => State::Lottery(Box::new(LotterySession::new(security))),
            _ => State::Echo(EchoSession::new(max_line)),
        };
    }

    /// TLS begins, by the certificates of this generation.
    pub(crate) fn begin_tls(&mut self, generation: u32) {
        self.state = State::Tls(Some(generation));
    }

    /// Which certificates its handshake goes by, if it goes on.
    pub(crate) fn tls_generation(&self) -> Option<u32> {
        match self.state {
            State::Tls(generation) => generation,
            _ => None,
        }
    }

    /// TLS is established.
    pub(crate) fn secure(&mut self, security: Security) {
        if matches!(self.state, State::Tls(_)) {
            self.state = State::Secured(security);
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match &self.state {
            State::Unknown => Protocol::Unknown,
            State::Tls(_) => Protocol::Tls,
            State::Secured(_) => Protocol::Secured,
            State::Echo(_) => Protocol::Echo,
            State::Lottery(_) => Protocol::Lottery,
            State::Refused => Protocol::Refused,
            State::Closing => Protocol::Closing,
        }
    }

    /// What it speaks and does.
    pub(crate) fn activity(&self) -> Activity {
        let intake = match &self.state {
            State::Lottery(session) => session.intake(),
            _ => Intake::Open,
        };
        Activity { protocol: self.protocol(), intake }
    }

    pub(crate) fn echo(&mut self) -> Option<&mut EchoSession> {
        match &mut self.state {
            State::Echo(session) => Some(session),
            _ => None,
        }
    }

    pub(crate) fn lottery(&mut self) -> Option<&mut LotterySession> {
        match &mut self.state {
            State::Lottery(session) => Some(session),
            _ => None,
        }
    }

    /// Who it is, as far as it has said so.
    pub(crate) fn agency(&self) -> Option<Agency> {
        match &self.state {
            State::Lottery(session) => session.agency(),
            _ => None,
        }
    }

    /// Takes nothing more from it. Returns whether it is owed replies, and so isn't closed yet.
    pub(crate) fn refuse(&mut self) -> bool {
        let owed = self.lottery().is_some_and(|session| session.is_owed_replies());
        self.state = if owed { State::Refused } else { State::Closing };
        owed
    }

    /// Takes nothing more from it, whatever it is owed.
    pub(crate) fn close(&mut self) {
        self.state = State::Closing;
    }

    /// Notes that input came of which `consumed` bytes were taken and `rest` were left.
    pub(crate) fn note_input(&mut self, consumed: usize, rest: usize) -> Deadline {
        if matches!(self.state, State::Tls(_)) {
            return Deadline::Handshake;
        }
        // What a paused connection leaves has arrived; it is the central that waits.
        let paused = self.lottery().is_some_and(|session| session.is_paused());
        let partial = rest > 0 && !paused;
        let was_partial = std::mem::replace(&mut self.partial, partial);
        match partial {
            // An agency may think, and wait for the draw, for as long as it likes: TCP's keepalive
            // notices when it is gone.
            false if self.agency().is_some() => Deadline::Never,
            false => Deadline::Idle,
            true if was_partial && consumed == 0 => Deadline::Unchanged,
            true => Deadline::Frame,
        }
    }

    /// It is the central that waits: the deadline of a frame is armed anew when it is read again.
    pub(crate) fn forget_partial(&mut self) {
        self.partial = false;
    }

    /// Whether the start of a line or frame has come, and the rest hasn't.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial
    }

    /// What an expired deadline means.
    pub(crate) fn timeout_reason(&self) -> &'static str {
        if matches!(self.state, State::Tls(_)) {
            "waited too long for the end of the TLS handshake"
        } else if self.partial {
            "waited too long for a whole line or frame"
        } else {
            "waited too long for a line or frame"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId::new(3, 9);

    fn session(first: u8) -> Session {
        let mut session = Session::new(ID, [192, 0, 2, 1].into());
        session.identify(first, 100);
        session
    }

    #[test]
    fn an_idle_connection_takes_little_memory() {
        assert_eq!(size_of::<Option<Session>>(), 40);
    }

    #[test]
    fn the_first_byte_decides_for_good() {
        let mut session = session(b'a');
        session.identify(MAGIC, 100);
        assert_eq!(session.protocol(), Protocol::Echo);
        session.close();
        session.identify(MAGIC, 100);
        assert_eq!(session.protocol(), Protocol::Closing);
    }

    #[test]
    fn an_agency_that_waits_is_seen_to_wait() {
        let activity = |protocol, intake| Activity { protocol, intake };
        let mut agency = session(MAGIC);
        assert_eq!(agency.activity(), activity(Protocol::Lottery, Intake::Open));
        agency.lottery().unwrap().await_winners();
        assert_eq!(agency.activity(), activity(Protocol::Lottery, Intake::AwaitsWinners));
        agency.refuse();
        assert_eq!(agency.activity(), activity(Protocol::Closing, Intake::Open));
    }

    #[test]
    fn each_first_byte_is_of_one_protocol() {
        for first in 0..=u8::MAX {
            let expected = match first {
                0xBE => Protocol::Lottery,
                0x16 => Protocol::Tls,
                _ => Protocol::Echo,
            };
            assert_eq!(session(first).protocol(), expected, "{first:#04x}");
        }
    }

    #[test]
    fn a_peer_is_named_by_its_certificate_and_by_what_it_introduces_itself_as() {
        let ip = [192, 0, 2, 1].into();
        let mut session = session(HANDSHAKE);
        assert_eq!(session.peer(), Peer { agency: None, ip, serial: None });
        let identity = Identity { serial: "1f".into(), agency: Ok(7) };
        session.secure(Security::Identified(Box::new(identity)));
        let serial = Some("1f".to_owned());
        assert_eq!(session.peer(), Peer { agency: None, ip, serial: serial.clone() });
        session.identify(MAGIC, 100);
        session.lottery().unwrap().introduce(7).unwrap();
        assert_eq!(session.peer(), Peer { agency: Some(7), ip, serial });
    }

    #[test]
    fn who_is_owed_replies_is_refused_behind_them() {
        let mut owed = session(MAGIC);
        owed.lottery().unwrap().reply_queued();
        assert_eq!(owed.name_if_open(3), Some(ID));
        assert!(owed.refuse());
        assert_eq!(owed.protocol(), Protocol::Refused);
        assert_eq!(owed.name_if_open(3), None);
        for mut other in [session(MAGIC), session(b'a')] {
            assert!(!other.refuse());
            assert_eq!(other.protocol(), Protocol::Closing);
        }
    }

    #[test]
    fn the_deadline_of_a_frame_is_armed_when_it_begins_and_not_by_each_byte() {
        let mut session = session(MAGIC);
        assert_eq!(session.note_input(0, 5), Deadline::Frame);
        assert_eq!(session.note_input(0, 6), Deadline::Unchanged);
        assert_eq!(session.note_input(6, 1), Deadline::Frame, "another one");
        assert_eq!(session.note_input(1, 0), Deadline::Idle);
        session.lottery().unwrap().introduce(1).unwrap();
        assert_eq!(session.note_input(8, 0), Deadline::Never);
        assert_eq!(session.note_input(0, 5), Deadline::Frame);
        session.lottery().unwrap().await_winners();
        assert_eq!(session.note_input(0, 6), Deadline::Never, "it is the central that waits");
        session.lottery().unwrap().resume();
        assert_eq!(session.note_input(0, 6), Deadline::Frame);
    }
}
