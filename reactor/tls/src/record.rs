//! Where records begin and end, which rustls doesn't tell: an end of the stream in the middle of one is
//! an error, and what of it has arrived is held in memory.

/// Bytes before a record's content.
const HEADER: usize = 5;

/// Types of records in clear: alert, handshake. A peer's first record is one of them.
const ALERT: u8 = 0x15;

/// The first byte of a connection that begins with TLS: a client's handshake message.
pub const HANDSHAKE: u8 = 0x16;

/// Whether a peer that speaks TLS may begin with this byte.
pub(crate) fn is_tls(first: u8) -> bool {
    matches!(first, ALERT | HANDSHAKE)
}

/// Follows the bytes of one direction.
#[derive(Debug, Default)]
pub(crate) struct RecordTracker {
    header: [u8; HEADER],
    /// Bytes of the record that have arrived; 0 between two.
    arrived: usize,
    /// The longest whole record since [`trimmed`](Self::trimmed).
    longest: usize,
}

impl RecordTracker {
    /// Bytes that have arrived of a record that isn't whole.
    pub(crate) fn partial(&self) -> usize {
        self.arrived
    }

    /// Bytes of a buffer that grows with the records, and isn't given back before it is trimmed.
    pub(crate) fn held(&self) -> usize {
        self.arrived.max(self.longest)
    }

    /// The buffer's memory was given back.
    pub(crate) fn trimmed(&mut self) {
        self.longest = 0;
    }

    /// More has arrived.
    pub(crate) fn pass(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() {
            let missing = self.missing();
            let (now, later) = wire.split_at(missing.min(wire.len()));
            if self.arrived < HEADER {
                self.header[self.arrived..self.arrived + now.len()].copy_from_slice(now);
            }
            self.arrived += now.len();
            if self.arrived >= HEADER && self.missing() == 0 {
                self.longest = self.longest.max(self.arrived);
                self.arrived = 0;
            }
            wire = later;
        }
    }

    /// Bytes until the header is whole, or else until the record is.
    fn missing(&self) -> usize {
        if self.arrived < HEADER {
            return HEADER - self.arrived;
        }
        let [.., high, low] = self.header;
        HEADER + usize::from(u16::from_be_bytes([high, low])) - self.arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let mut record = vec![23, 3, 3];
        record.extend(length.to_be_bytes());
        record.resize(HEADER + usize::from(length), 0);
        record
    }

    #[test]
    fn records_end_where_they_do_however_they_arrive() {
        let stream = [record(0), record(1), record(300), record(7)].concat();
        for piece in 1..stream.len() {
            let mut tracker = RecordTracker::default();
            for part in stream.chunks(piece) {
                tracker.pass(part);
            }
            assert_eq!(tracker.partial(), 0, "{piece}");
        }
        let mut tracker = RecordTracker::default();
        tracker.pass(&stream[..5 + 6 + 5 + 299]);
        assert_eq!(tracker.partial(), 304);
    }

    #[test]
    fn the_longest_record_is_held_until_the_buffer_is_trimmed() {
        let mut tracker = RecordTracker::default();
        tracker.pass(&[record(9000), record(400), vec![23; 3]].concat());
        assert_eq!(tracker.held(), 9005);
        tracker.trimmed();
        assert_eq!(tracker.held(), 3);
    }
}
