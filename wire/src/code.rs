//! Enumerations that travel as one byte.

use crate::error::MessageError;

/// How far the lottery is for one agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Bets are taken.
    Open = 0,
    /// The agency has ended its input; the draw hasn't run.
    Finished = 1,
    /// The draw has run.
    Drawn = 2,
}

/// Why a connection of an agency is ended by the central.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorCode {
    /// The bytes aren't a frame, or the frame isn't a message.
    Malformed = 1,
    /// A frame is over [`FRAME_MAX`](crate::FRAME_MAX).
    Oversized = 2,
    /// A frame of a kind that isn't a request.
    UnknownKind = 3,
    /// Another protocol version.
    Version = 4,
    /// An agency that isn't one of the lottery's.
    UnknownAgency = 5,
    /// A request before the introduction.
    NotIntroduced = 6,
    /// A second introduction.
    AlreadyIntroduced = 7,
    /// A batch beyond the position expected.
    Gap = 8,
    /// A batch that begins before the position expected and ends after it.
    Overlap = 9,
    /// A batch after the agency's end.
    Finished = 10,
    /// A batch or an end after the draw.
    Drawn = 11,
    /// An end whose total isn't the position reached.
    WrongTotal = 12,
    /// Winners asked for by an agency that hasn't ended its input.
    NotFinished = 13,
    /// Another connection introduced itself as the same agency.
    Superseded = 14,
    /// The peer was silent, or slow, for longer than allowed. Try again.
    Timeout = 15,
    /// The central is shutting down. Try again.
    ShuttingDown = 16,
    /// A frame in plaintext, to a central that takes the lottery over TLS alone.
    TlsRequired = 17,
    /// A frame over TLS, by a peer that presented no certificate.
    CertificateRequired = 18,
    /// The certificate that the connection began with is revoked by now.
    CertificateRevoked = 19,
    /// The peer's certificate isn't that of the agency as which it introduces itself.
    WrongAgency = 20,
    /// An agency that calls from an address that isn't one of its own.
    WrongAddress = 21,
    /// An agency of another draw than the central's.
    WrongDraw = 22,
    /// The central can't reach its store; another central of the lottery may. Try again.
    StoreUnreachable = 23,
}

impl ErrorCode {
    /// Whether the same agency may try again with the same input and hope for better.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Gap | Self::Timeout | Self::ShuttingDown | Self::StoreUnreachable)
    }

    /// Whether it may at another central of the same lottery. What a central refuses for what the agency
    /// is, sends or has set, every other one refuses too.
    ///
    /// Of several centrals a slow one learns late that the agency has left it: that it supersedes a
    /// connection says nothing of another program.
    pub fn is_transient_elsewhere(self) -> bool {
        self.is_transient() || self == Self::Superseded
    }
}

/// Implements `TryFrom<u8>`, from the byte that travels, for an enumeration.
macro_rules! from_number {
    ($name:ident, $what:literal, [$($variant:ident),+ $(,)?]) => {
        impl TryFrom<u8> for $name {
            type Error = MessageError;

            fn try_from(found: u8) -> Result<Self, MessageError> {
                $(if found == Self::$variant as u8 { return Ok(Self::$variant); })+
                Err(MessageError::UnknownCode { what: $what, found })
            }
        }
    };
}
pub(crate) use from_number;

from_number!(Phase, "phase", [Open, Finished, Drawn]);
from_number!(
    ErrorCode,
    "error code",
    [
        Malformed,
        Oversized,
        UnknownKind,
        Version,
        UnknownAgency,
        NotIntroduced,
        AlreadyIntroduced,
        Gap,
        Overlap,
        Finished,
        Drawn,
        WrongTotal,
        NotFinished,
        Superseded,
        Timeout,
        ShuttingDown,
        TlsRequired,
        CertificateRequired,
        CertificateRevoked,
        WrongAgency,
        WrongAddress,
        WrongDraw,
        StoreUnreachable,
    ]
);
