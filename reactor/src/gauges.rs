//! How much there is in the loop now, of what is bounded.

/// What the connections of one listener take, and what they may take, see
/// [`Context::gauges`](crate::Context::gauges).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Connections to peers that weren't removed yet, closing ones included. To the main listener's
    /// belong those that the handler has asked for.
    pub connections: usize,
    /// At most so many.
    pub connections_limit: usize,
    /// Of these connections, those that the handler has asked for and that aren't established.
    pub connecting: usize,
    /// Handshakes of layers that aren't complete: of all listeners, which share the limit.
    pub handshakes: usize,
    /// At most so many.
    pub handshakes_limit: usize,
    /// Bytes of memory in the buffers of these connections, and in spare ones.
    pub buffered_bytes: usize,
    /// At most so many.
    pub buffered_bytes_limit: usize,
}
