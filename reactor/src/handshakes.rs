//! Handshakes of layers that aren't complete: how many there are, and which began first.

use std::collections::VecDeque;

use crate::id::ConnectionId;

/// Entries beyond those of handshakes in flight, from which on those that are over are removed.
const STALE_MAX: usize = 1024;

/// In order of their beginning.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// Those that are over stay, until they come to the front or are too many.
    begun: VecDeque<ConnectionId>,
    in_flight: usize,
}

impl Handshakes {
    pub(crate) fn begin(
        &mut self,
        id: ConnectionId,
        is_handshaking: impl Fn(ConnectionId) -> bool,
    ) {
        if self.begun.len() >= 2 * self.in_flight + STALE_MAX {
            self.begun.retain(|id| is_handshaking(*id));
        }
        self.begun.push_back(id);
        self.in_flight += 1;
    }

    /// How many aren't complete.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// One is complete, or isn't waited for any more.
    pub(crate) fn end(&mut self) {
        self.in_flight -= 1;
    }

    /// The one that began first, if there are more than `most`.
    pub(crate) fn oldest_above(
        &mut self,
        most: usize,
        is_handshaking: impl Fn(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        while self.in_flight > most {
            let oldest = self.begun.pop_front()?;
            if is_handshaking(oldest) {
                return Some(oldest);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(slot, 1)
    }

    #[test]
    fn the_oldest_in_flight_makes_room() {
        let mut handshakes = Handshakes::default();
        for slot in 0..4 {
            handshakes.begin(id(slot), |_| true);
        }
        assert_eq!(handshakes.oldest_above(4, |_| true), None);
        handshakes.end();
        let oldest = handshakes.oldest_above(2, |found| found != id(0));
        assert_eq!(oldest, Some(id(1)), "the first is complete");
    }

    #[test]
    fn those_that_are_over_cost_no_memory() {
        let mut handshakes = Handshakes::default();
        handshakes.begin(id(0), |_| true);
        for slot in 1..100_000 {
            handshakes.begin(id(slot), |found| found == id(0));
            handshakes.end();
        }
        assert!(handshakes.begun.len() <= STALE_MAX + 2, "{}", handshakes.begun.len());
        assert_eq!(handshakes.oldest_above(0, |found| found == id(0)), Some(id(0)));
    }
}
