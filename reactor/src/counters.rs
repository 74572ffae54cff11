//! What has happened in the loop, in numbers.

/// How often things happened since the loop was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Turns in which nothing happened: no byte moved, no connection opened or closed, no timer
    /// fired, no signal came. A few are normal (a readiness event is a hint); many would be a busy loop.
    pub idle_turns: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Outgoing connections established.
    pub established: u64,
    /// Times that accepting had to pause.
    pub accept_pauses: u64,
    /// Peers that were refused.
    pub refused: u64,
    /// Connections closed, for whatever reason.
    pub closed: u64,
    /// Bytes read, discarded ones included.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Deadlines and timers that fired.
    pub timers_fired: u64,
}

impl Counters {
    /// A number that changes whenever something happened.
    pub(crate) fn progress(&self) -> u64 {
        [
            self.accepted,
            self.established,
            self.refused,
            self.closed,
            self.bytes_read,
            self.bytes_written,
            self.timers_fired,
        ]
        .into_iter()
        .fold(0, u64::wrapping_add)
    }
}
