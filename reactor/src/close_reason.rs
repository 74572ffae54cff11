//! Why a connection was closed, in words for the log.
//!
//! A reason names who closed it and why. It may be alone or follow "the connection ended: ".

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::layer::LayerError;

/// Why a connection was closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The handler closed it, and everything was sent.
    Done,
    /// The same, after the peer had ended.
    PeerEnded,
    /// The handler aborted it.
    Aborted,
    /// The socket failed: the peer has reset the connection, or is unreachable.
    Failed(io::Error),
    /// It was never established.
    NotConnected(io::Error),
    /// Its [layer](crate::Layer) couldn't go on: the peer broke its protocol, or isn't trusted.
    Layer(LayerError),
    /// The handshake of its layer wasn't complete, and more than
    /// [`Limits::max_handshakes`](crate::Limits::max_handshakes) had begun.
    HandshakeEvicted,
    /// The socket took nothing for [`Limits::write_timeout`](crate::Limits::write_timeout) while output
    /// waited: the peer doesn't read.
    WriteStalled {
        /// Bytes that the socket had not taken.
        unsent: usize,
    },
    /// The handler left more input unconsumed than
    /// [`Limits::max_unconsumed`](crate::Limits::max_unconsumed).
    InputOverflow {
        /// Bytes of it.
        rest: usize,
    },
    /// All connections together held nearly as much memory as
    /// [`Limits::max_buffered_bytes`](crate::Limits::max_buffered_bytes), and this one more than others.
    BufferLimit {
        /// Bytes of memory that it held.
        buffered: usize,
    },
    /// A new connection came at [`Limits::max_connections`](crate::Limits::max_connections), and this
    /// one had been silent longest.
    Evicted {
        /// How long it had been silent.
        silent: Duration,
    },
    /// It was still open when [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout) was
    /// exceeded.
    ShutdownTimeout {
        /// Bytes that the socket had not taken.
        unsent: usize,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("closed by this side"),
            Self::PeerEnded => f.write_str("closed by the peer"),
            Self::Aborted => f.write_str("dropped by this side"),
            Self::Failed(error) => fmt_failure(error, f),
            Self::NotConnected(error) => fmt_no_connection(error, f),
            Self::Layer(error) => write!(f, "{error}"),
            Self::HandshakeEvicted => {
                f.write_str("evicted: its handshake wasn't complete, and too many others had begun")
            }
            Self::WriteStalled { unsent } => {
                write!(f, "write stalled: {unsent} bytes unsent")
            }
            Self::InputOverflow { rest } => {
                write!(f, "input overflow: {rest} bytes without a whole message")
            }
            Self::BufferLimit { buffered } => {
                write!(f, "buffer limit reached: it held {buffered} bytes of memory")
            }
            Self::Evicted { silent } => {
                write!(f, "evicted: silent for {} s at the connection limit", silent.as_secs())
            }
            Self::ShutdownTimeout { unsent } => {
                write!(f, "shutdown timeout exceeded, {unsent} bytes unsent")
            }
        }
    }
}

/// Why an established connection failed. Which call notices a reset is an accident: `read` returns
/// ECONNRESET, `write` EPIPE, `shutdown` ENOTCONN.
fn fmt_failure(error: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::NotConnected => {
            f.write_str("reset by the peer: it ended, or dropped the connection")
        }
        ErrorKind::BrokenPipe | ErrorKind::WriteZero => {
            f.write_str("reset by the peer: it took no more of what was sent")
        }
        ErrorKind::TimedOut => {
            f.write_str("lost: the peer or the network on the way doesn't answer any more")
        }
        _ => write!(f, "lost: {error}"),
    }
}

fn fmt_no_connection(error: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("not connected: ")?;
    match error.kind() {
        ErrorKind::ConnectionRefused => write!(f, "nothing listens there ({error})"),
        ErrorKind::TimedOut => write!(f, "no answer from there ({error})"),
        _ => write!(f, "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_who_ended_it_and_why() {
        let failed = |kind: ErrorKind| CloseReason::Failed(kind.into());
        let raw = io::Error::from_raw_os_error;
        for (reason, text) in [
            (CloseReason::Done, "closed by this side"),
            (CloseReason::PeerEnded, "closed by the peer"),
            (CloseReason::Aborted, "dropped by this side"),
            (
                failed(ErrorKind::ConnectionReset),
                "reset by the peer: it ended, or dropped the connection",
            ),
            (
                failed(ErrorKind::NotConnected),
                "reset by the peer: it ended, or dropped the connection",
            ),
            (failed(ErrorKind::BrokenPipe), "reset by the peer: it took no more of what was sent"),
            (
                failed(ErrorKind::TimedOut),
                "lost: the peer or the network on the way doesn't answer any more",
            ),
            (CloseReason::Failed(raw(113)), "lost: No route to host (os error 113)"),
            (
                CloseReason::NotConnected(raw(111)),
                "not connected: nothing listens there (Connection refused (os error 111))",
            ),
            (
                CloseReason::NotConnected(raw(110)),
                "not connected: no answer from there (Connection timed out (os error 110))",
            ),
            (CloseReason::NotConnected(raw(113)), "not connected: No route to host (os error 113)"),
            (CloseReason::Layer("broken".into()), "broken"),
            (
                CloseReason::HandshakeEvicted,
                "evicted: its handshake wasn't complete, and too many others had begun",
            ),
            (CloseReason::WriteStalled { unsent: 7 }, "write stalled: 7 bytes unsent"),
            (
                CloseReason::InputOverflow { rest: 7 },
                "input overflow: 7 bytes without a whole message",
            ),
            (
                CloseReason::BufferLimit { buffered: 7 },
                "buffer limit reached: it held 7 bytes of memory",
            ),
            (
                CloseReason::Evicted { silent: Duration::from_secs(7) },
                "evicted: silent for 7 s at the connection limit",
            ),
            (
                CloseReason::ShutdownTimeout { unsent: 7 },
                "shutdown timeout exceeded, 7 bytes unsent",
            ),
        ] {
            assert_eq!(reason.to_string(), text);
        }
    }
}
