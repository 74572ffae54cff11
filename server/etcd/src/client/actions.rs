//! What the client asks of its driver.

use std::fmt;

/// A connection, from [`Action::Connect`] until [`Action::Close`] or until it was lost. None is named
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionNumber(pub u64);

/// What is to be done with a connection. To be done in this order. `Debug` shows how long heads and
/// bodies are, not what is in them: a token, a password, values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Connect. Either [`on_connected`](crate::Client::on_connected) follows, once bytes can be sent,
    /// or [`on_closed`](crate::Client::on_closed).
    Connect {
        /// Its name from now on.
        connection: ConnectionNumber,
        /// Index of the endpoint in [`Config::endpoints`](crate::Config::endpoints).
        endpoint: usize,
    },
    /// Send both, one behind the other.
    Send {
        /// Where to.
        connection: ConnectionNumber,
        /// The head of a request.
        head: &'a [u8],
        /// Its body.
        body: &'a [u8],
    },
    /// Close at once; what isn't sent yet is dropped. Nothing of this connection is taken any more.
    Close {
        /// Which one. It may be lost already.
        connection: ConnectionNumber,
    },
}

impl fmt::Debug for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { connection, endpoint } => f
                .debug_struct("Connect")
                .field("connection", connection)
                .field("endpoint", endpoint)
                .finish(),
            Self::Send { connection, head, body } => f
                .debug_struct("Send")
                .field("connection", connection)
                .field("head_len", &head.len())
                .field("body_len", &body.len())
                .finish(),
            Self::Close { connection } => {
                f.debug_struct("Close").field("connection", connection).finish()
            }
        }
    }
}

/// An action without its bytes, which are where they are kept anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Connect { connection: ConnectionNumber, endpoint: usize },
    Send(ConnectionNumber),
    Close(ConnectionNumber),
}
