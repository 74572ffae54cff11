//! Log lines that a peer can cause at will, by kind: each has a budget in the [log](runtime::logging::budget).
//!
//! Knows no connection and no clock.

use std::fmt;
use std::io;

use reactor::{CloseReason, RefuseReason};
use runtime::logging::{Fail, InProgress, Line, LineResult, Success, budget};
use rustix::io::Errno;
use tls::{Fault, TlsError};
use wire::ErrorCode;

/// The budgets of all kinds.
pub(crate) type LogBudget = budget::LogBudget<Kind>;

/// What a peer was refused or cut off for, or what went wrong on its behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An agency was refused, with this code.
    Agency(ErrorCode),
    /// An echo line longer than allowed.
    LongLine,
    /// TLS, which this central doesn't take.
    Tls,
    /// No TLS, without which this central takes nothing.
    Plaintext,
    /// TLS went wrong: the peer's certificate fails at this, or the peer breaks the protocol.
    TlsFailed(Option<Fault>),
    /// Its handshake was the oldest of too many.
    HandshakeEvicted,
    /// Its certificate is revoked.
    Revoked,
    /// Nothing, or no whole line, for too long.
    Silence,
    /// It read nothing of its output for too long.
    WriteStalled,
    /// More input than any line or frame has.
    InputOverflow,
    /// It held the most memory when all connections together held too much.
    BufferLimit,
    /// It had been silent longest when all connections were taken.
    Evicted,
    /// Its address has as many connections as one may.
    AddressConnections,
    /// Its address connects more often than one may.
    AddressConnects,
    /// The connections that are left are for trusted addresses.
    Reserved,
    /// The limit on connections is reached: further clients wait in the backlog.
    Full,
    /// They wait because there are no descriptors.
    NoDescriptors,
    /// They wait because the kernel has no memory.
    NoMemory,
    /// They wait because `accept` fails for another reason.
    AcceptFailed,
    /// The storage took nothing of what a turn brought.
    CommitFailed,
}

/// Codes of refusals have indices of their own, from 0 on.
const CODES: usize = ErrorCode::StoreUnreachable as usize + 1;
const CAUSES: usize = FAULTS + Fault::Certificate as usize + 1;
/// So have faults of certificates, behind all other causes.
const FAULTS: usize = CODES + 19;

impl Cause {
    /// What a connection was cut off for, when it was.
    pub(crate) fn of(reason: &CloseReason) -> Option<Self> {
        match reason {
            CloseReason::WriteStalled { .. } => Some(Self::WriteStalled),
            CloseReason::InputOverflow { .. } => Some(Self::InputOverflow),
            CloseReason::BufferLimit { .. } => Some(Self::BufferLimit),
            CloseReason::Evicted { .. } => Some(Self::Evicted),
            CloseReason::Layer(error) => {
                let error = error.downcast_ref::<TlsError>();
                Some(Self::TlsFailed(error.and_then(TlsError::fault)))
            }
            CloseReason::HandshakeEvicted => Some(Self::HandshakeEvicted),
            _ => None,
        }
    }

    /// Why accepting pauses: `error` is what `accept` said, if it failed.
    pub(crate) fn of_pause(error: Option<&io::Error>) -> Self {
        let Some(error) = error else { return Self::Full };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE) => Self::NoDescriptors,
            Some(Errno::NOMEM | Errno::NOBUFS) => Self::NoMemory,
            _ => Self::AcceptFailed,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Agency(code) => code as usize,
            Self::LongLine => CODES,
            Self::Silence => CODES + 1,
            Self::WriteStalled => CODES + 2,
            Self::InputOverflow => CODES + 3,
            Self::Full => CODES + 4,
            Self::NoDescriptors => CODES + 5,
            Self::CommitFailed => CODES + 6,
            Self::BufferLimit => CODES + 7,
            Self::Evicted => CODES + 8,
            Self::AddressConnections => CODES + 9,
            Self::AddressConnects => CODES + 10,
            Self::Reserved => CODES + 11,
            Self::NoMemory => CODES + 12,
            Self::AcceptFailed => CODES + 13,
            Self::Tls => CODES + 14,
            Self::Plaintext => CODES + 15,
            Self::TlsFailed(None) => CODES + 16,
            Self::TlsFailed(Some(fault)) => FAULTS + fault as usize,
            Self::HandshakeEvicted => CODES + 17,
            Self::Revoked => CODES + 18,
        }
    }

    /// The beginning of its lines. A refusal is final; a client that waits is accepted later, and a
    /// commit is tried again.
    fn outcome(self) -> (&'static str, LineResult) {
        match self {
            Self::Full | Self::NoDescriptors | Self::NoMemory | Self::AcceptFailed => {
                ("accept_connections", InProgress)
            }
            Self::CommitFailed => ("commit", InProgress),
            Self::AddressConnections | Self::AddressConnects | Self::Reserved => {
                ("accept_connections", Fail)
            }
            _ => ("refuse_connection", Fail),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agency(code) => write!(f, "code {}", *code as u8),
            Self::LongLine => f.write_str("line too long"),
            Self::Tls => f.write_str("this central takes no TLS (SERVER_TLS=off)"),
            Self::Plaintext => {
                f.write_str("this central takes connections over TLS alone (SERVER_TLS=required)")
            }
            Self::TlsFailed(None) => f.write_str("TLS failed"),
            Self::TlsFailed(Some(fault)) => write!(f, "TLS failed: {}", of_certificate(*fault)),
            Self::HandshakeEvicted => f.write_str("too many handshakes at once"),
            Self::Revoked => f.write_str("the certificate is revoked"),
            Self::Silence => f.write_str("silent for too long"),
            Self::WriteStalled => f.write_str("write stalled"),
            Self::InputOverflow => f.write_str("input overflow"),
            Self::BufferLimit => f.write_str("buffer limit reached"),
            Self::Evicted => f.write_str("evicted to let others in"),
            Self::AddressConnections => f.write_str("too many connections of one address"),
            Self::AddressConnects => f.write_str("connections of one address too fast"),
            Self::Reserved => f.write_str("only reserved connections left"),
            Self::Full => f.write_str("connection limit reached"),
            Self::NoDescriptors => f.write_str("no descriptors left: raise ulimit -n"),
            Self::NoMemory => f.write_str("the kernel has no memory for connections"),
            Self::AcceptFailed => f.write_str("accept failed"),
            Self::CommitFailed => f.write_str("storage unavailable"),
        }
    }
}

/// What a peer's certificate fails at.
fn of_certificate(fault: Fault) -> &'static str {
    match fault {
        Fault::Authority => "a certificate of another authority",
        Fault::Name => "a certificate for another name",
        Fault::Time => "a certificate that has expired or isn't valid yet",
        Fault::Revoked => "a revoked certificate",
        Fault::RevocationList => "no revocation list in date says that a certificate isn't revoked",
        Fault::Certificate => "a certificate that is broken or for another purpose",
    }
}

impl From<RefuseReason> for Cause {
    fn from(reason: RefuseReason) -> Self {
        match reason {
            RefuseReason::AddressConnections => Self::AddressConnections,
            RefuseReason::AddressConnects => Self::AddressConnects,
            _ => Self::Reserved,
        }
    }
}

/// What happens to a peer that keeps to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Accepted,
    /// The listener waits for the next connection, or goes on after a pause.
    Accepting,
    Echoed,
    Introduced,
    BatchReceived,
    BatchStored,
    BatchRejected,
    BetStored,
    BetRejected,
    /// The bad bet of a rejected batch.
    BetInvalid,
    Finished,
    /// HELLO was accepted.
    HelloReceived,
    /// END was accepted.
    EndReceived,
    /// A connection of an agency was superseded by another.
    Superseded,
    /// An agency that hasn't finished is gone.
    AgencyLost,
    Closed,
}

const EVENTS: usize = Event::Closed as usize + 1;

impl Event {
    /// The beginning of its lines, and of the line that counts them.
    fn outcome(self) -> (&'static str, LineResult) {
        match self {
            Self::Accepted => ("accept_connections", Success),
            Self::Accepting => ("accept_connections", InProgress),
            Self::Echoed => ("receive_message", Success),
            Self::Introduced => ("introduce", Success),
            Self::BatchReceived => ("receive_batch", Success),
            Self::BatchStored => ("apuesta_recibida", Success),
            Self::BatchRejected => ("apuesta_recibida", Fail),
            Self::BetStored => ("apuesta_almacenada", Success),
            Self::BetRejected => ("apuesta_almacenada", Fail),
            Self::BetInvalid => ("validate_bet", Fail),
            Self::Finished => ("finish", Success),
            Self::HelloReceived => ("receive_hello", Success),
            Self::EndReceived => ("receive_end", Success),
            Self::Superseded => ("supersede_connection", Success),
            Self::AgencyLost => ("lose_agency", InProgress),
            Self::Closed => ("close_connection", Success),
        }
    }
}

/// A kind of line, with a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cause(Cause),
    Event(Event),
}

impl budget::Kind for Kind {
    const EVENTS: usize = EVENTS;
    const COUNT: usize = EVENTS + CAUSES;

    fn index(self) -> usize {
        match self {
            Self::Event(event) => event as usize,
            Self::Cause(cause) => EVENTS + cause.index(),
        }
    }

    fn line(self) -> Line {
        let ((action, result), cause) = match self {
            Self::Cause(cause) => (cause.outcome(), Some(cause)),
            Self::Event(event) => (event.outcome(), None),
        };
        Line::new(action, result).with_some("error", cause)
    }
}

impl From<Cause> for Kind {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

impl From<Event> for Kind {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use budget::Kind as _;

    #[test]
    fn a_pause_says_what_accept_failed_of() {
        let cause = |number| Cause::of_pause(Some(&io::Error::from_raw_os_error(number)));
        assert_eq!(Cause::of_pause(None), Cause::Full);
        assert_eq!([24, 23].map(cause), [Cause::NoDescriptors; 2], "EMFILE, ENFILE");
        assert_eq!([12, 105].map(cause), [Cause::NoMemory; 2], "ENOMEM, ENOBUFS");
        assert_eq!([1, 22].map(cause), [Cause::AcceptFailed; 2], "EPERM, EINVAL");
    }

    #[test]
    fn no_two_kinds_share_a_count() {
        let codes = (0..=u8::MAX).filter_map(|code| ErrorCode::try_from(code).ok());
        let causes = codes.map(Cause::Agency).chain([
            Cause::LongLine,
            Cause::Tls,
            Cause::Plaintext,
            Cause::TlsFailed(None),
            Cause::TlsFailed(Some(Fault::Authority)),
            Cause::TlsFailed(Some(Fault::Name)),
            Cause::TlsFailed(Some(Fault::Time)),
            Cause::TlsFailed(Some(Fault::Revoked)),
            Cause::TlsFailed(Some(Fault::RevocationList)),
            Cause::TlsFailed(Some(Fault::Certificate)),
            Cause::HandshakeEvicted,
            Cause::Revoked,
            Cause::Silence,
            Cause::WriteStalled,
            Cause::InputOverflow,
            Cause::Full,
            Cause::NoDescriptors,
            Cause::NoMemory,
            Cause::AcceptFailed,
            Cause::CommitFailed,
            Cause::BufferLimit,
            Cause::Evicted,
            Cause::AddressConnections,
            Cause::AddressConnects,
            Cause::Reserved,
        ]);
        let mut indices: Vec<_> = causes.map(|cause| Kind::from(cause).index()).collect();
        indices.extend([Event::Accepted, Event::Closed].map(|event| Kind::from(event).index()));
        let count = indices.len();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), count);
        assert_eq!(indices.last(), Some(&(EVENTS + CAUSES - 1)));
    }
}
