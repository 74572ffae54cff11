//! Bytes that wait: a connection's output, and a pool of the memory that nobody uses just now.
//!
//! An idle connection holds no memory here. A buffer that has become empty goes back to the pool,
//! so a busy loop asks the allocator for nothing.

/// Most buffers that the pool keeps: as many connections as have bytes waiting at the same time on
/// a busy turn; more than that are given back to the allocator.
const POOLED: usize = 64;

/// Largest buffer that the pool keeps, in bytes: one that has grown for a slow reader is given back.
const POOLED_CAPACITY: usize = 128 * 1024;

/// Memory for buffers that aren't empty.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
}

impl Pool {
    /// An empty buffer, with memory if there is some to spare.
    fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        let wanted = buffer.capacity() > 0 && buffer.capacity() <= POOLED_CAPACITY;
        if wanted && self.spare.len() < POOLED {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Makes `buffer` hold exactly `bytes`, and no memory when there are none.
    pub(crate) fn refill(&mut self, buffer: &mut Vec<u8>, bytes: &[u8]) {
        if bytes.is_empty() {
            self.give(std::mem::take(buffer));
            return;
        }
        if buffer.capacity() == 0 {
            *buffer = self.take();
        }
        buffer.clear();
        buffer.extend_from_slice(bytes);
    }
}

/// Output of one connection that its socket has not taken yet.
///
/// ```text
///  bytes:  [ taken by the socket | waiting ]
///          0                     sent      len      0 <= sent <= len
/// ```
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// Lets `write` append to what waits.
    pub(crate) fn append(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take();
        }
        write(&mut self.bytes);
        if self.bytes.is_empty() {
            pool.give(std::mem::take(&mut self.bytes));
        }
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The socket took `count` bytes.
    pub(crate) fn advance(&mut self, pool: &mut Pool, count: usize) {
        self.sent += count;
        assert!(self.sent <= self.bytes.len(), "a socket takes no more than it was offered");
        if self.sent == self.bytes.len() {
            pool.give(std::mem::take(&mut self.bytes));
            self.sent = 0;
        } else if self.sent >= self.bytes.len() / 2 {
            // Moves at most as many bytes as were taken since the last time: linear overall.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Gives the memory back, with whatever still waited.
    pub(crate) fn discard(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.bytes));
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What goes in comes out, in order, however it is cut; and an empty buffer holds no memory.
        #[test]
        fn output_is_a_queue(steps in prop::collection::vec((0..50_usize, 0..60_usize), 0..100)) {
            let (mut pool, mut output) = (Pool::default(), Output::default());
            let (mut next_in, mut next_out) = (0_u8, 0_u8);
            for (grow, take) in steps {
                output.append(&mut pool, |bytes| {
                    for _ in 0..grow {
                        bytes.push(next_in);
                        next_in = next_in.wrapping_add(1);
                    }
                });
                let take = take.min(output.len());
                for &byte in &output.waiting()[..take] {
                    prop_assert_eq!(byte, next_out);
                    next_out = next_out.wrapping_add(1);
                }
                output.advance(&mut pool, take);
                prop_assert!(!output.is_empty() || output.bytes.capacity() == 0);
            }
        }
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::default();
        for _ in 0..1000 {
            pool.give(Vec::with_capacity(16));
        }
        pool.give(Vec::with_capacity(POOLED_CAPACITY + 1));
        assert_eq!(pool.spare.len(), POOLED);
    }
}
