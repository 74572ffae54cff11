//! What the client asks of whoever drives it.

/// A connection, from [`Action::Connect`] until [`Action::Close`] or until it was lost. None is named
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionNumber(pub u64);

/// What is to be done with a connection. To be done in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// An action without its bytes, which are where they are kept anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Connect { connection: ConnectionNumber, endpoint: usize },
    Send(ConnectionNumber),
    Close(ConnectionNumber),
}
