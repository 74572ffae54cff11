//! Bytes that wait: what the service has not consumed, what the socket has not taken, and a pool of
//! the memory that nobody uses just now.
//!
//! An idle connection holds no memory here but one pointer to nothing. Output buffers that have
//! become empty go back to the pool, so a busy loop asks the allocator for nothing. Input is kept in
//! as much memory as it needs and no more: a peer that never sends the other half of its frame holds
//! that half alone.

/// Most buffers that the pool keeps: as many connections as have bytes waiting at the same time on
/// a busy turn; more than that are given back to the allocator.
const POOLED: usize = 64;

/// Largest buffer that the pool keeps, in bytes: one that has grown for a slow reader is given back.
const POOLED_CAPACITY: usize = 128 * 1024;

/// Memory for buffers that aren't empty.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "the boxes are what is kept: a connection holds a pointer")]
    boxes: Vec<Box<Waiting>>,
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

    fn take_box(&mut self) -> Box<Waiting> {
        self.boxes.pop().unwrap_or_default()
    }

    fn give_box(&mut self, empty: Box<Waiting>) {
        if self.boxes.len() < POOLED {
            self.boxes.push(empty);
        }
    }
}

/// Bytes of one connection that wait. Nothing but a pointer while there are none.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Option<Box<Waiting>>);

/// ```text
///  input:   [ not consumed by the service ]
///  output:  [ taken by the socket | waiting ]
///           0                     sent      len      0 <= sent <= len
/// ```
#[derive(Debug, Default)]
struct Waiting {
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
}

impl Buffers {
    /// What the service has not consumed.
    pub(crate) fn input(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |waiting| &waiting.input)
    }

    /// Makes the input exactly `bytes`.
    pub(crate) fn set_input(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if bytes.is_empty() && self.0.is_none() {
            return;
        }
        let waiting = self.0.get_or_insert_with(|| pool.take_box());
        if bytes.is_empty() {
            waiting.input = Vec::new();
            return self.settle(pool);
        }
        waiting.input.clear();
        waiting.input.reserve_exact(bytes.len());
        waiting.input.extend_from_slice(bytes);
    }

    /// The input, which is empty afterwards.
    pub(crate) fn take_input(&mut self, pool: &mut Pool) -> Vec<u8> {
        let Some(waiting) = &mut self.0 else { return Vec::new() };
        let input = std::mem::take(&mut waiting.input);
        self.settle(pool);
        input
    }

    /// Lets `write` append to the output.
    pub(crate) fn append(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) {
        let waiting = self.0.get_or_insert_with(|| pool.take_box());
        if waiting.output.capacity() == 0 {
            waiting.output = pool.take();
        }
        write(&mut waiting.output);
        self.settle(pool);
    }

    /// The output that waits.
    pub(crate) fn output(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |waiting| &waiting.output[waiting.sent..])
    }

    /// The socket took `count` bytes.
    pub(crate) fn advance(&mut self, pool: &mut Pool, count: usize) {
        let Some(waiting) = &mut self.0 else { return };
        waiting.sent += count;
        assert!(waiting.sent <= waiting.output.len(), "a socket takes no more than it was offered");
        if waiting.sent >= waiting.output.len() / 2 {
            // Moves at most as many bytes as were taken since the last time: linear overall.
            waiting.output.drain(..waiting.sent);
            waiting.sent = 0;
        }
        self.settle(pool);
    }

    /// Gives the memory back, with whatever still waited.
    pub(crate) fn discard(&mut self, pool: &mut Pool) {
        if let Some(waiting) = &mut self.0 {
            waiting.output.clear();
            (waiting.input, waiting.sent) = (Vec::new(), 0);
            self.settle(pool);
        }
    }

    /// Keeps no memory for what is empty.
    fn settle(&mut self, pool: &mut Pool) {
        let Some(waiting) = &mut self.0 else { return };
        if waiting.output.is_empty() {
            pool.give(std::mem::take(&mut waiting.output));
            if let Some(empty) = self.0.take_if(|waiting| waiting.input.is_empty()) {
                pool.give_box(empty);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Append(u8),
        Advance(usize),
        SetInput(usize),
        TakeInput,
        Discard,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..50_u8).prop_map(Step::Append),
            4 => (0..60_usize).prop_map(Step::Advance),
            3 => (0..40_usize).prop_map(Step::SetInput),
            1 => Just(Step::TakeInput),
            1 => Just(Step::Discard),
        ];
        prop::collection::vec(step, 0..100)
    }

    proptest! {
        /// Output comes out as it went in, however it is cut; input is what was set last; and
        /// nothing that is empty holds memory.
        #[test]
        fn bytes_wait_in_order_and_nothing_else_is_held(steps in steps()) {
            let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
            let (mut output, mut input, mut next) = (Vec::new(), Vec::new(), 0_u8);
            for step in steps {
                match step {
                    Step::Append(count) => buffers.append(&mut pool, |bytes| {
                        for _ in 0..count {
                            bytes.push(next);
                            output.push(next);
                            next = next.wrapping_add(1);
                        }
                    }),
                    Step::Advance(count) => {
                        let count = count.min(output.len());
                        buffers.advance(&mut pool, count);
                        output.drain(..count);
                    }
                    Step::SetInput(length) => {
                        input = vec![next; length];
                        buffers.set_input(&mut pool, &input);
                    }
                    Step::TakeInput => {
                        prop_assert_eq!(buffers.take_input(&mut pool), std::mem::take(&mut input));
                    }
                    Step::Discard => {
                        buffers.discard(&mut pool);
                        input.clear();
                        output.clear();
                    }
                }
                prop_assert_eq!(buffers.output(), &output);
                prop_assert_eq!(buffers.input(), &input);
                prop_assert_eq!(buffers.0.is_none(), input.is_empty() && output.is_empty());
                let held = buffers.0.as_ref().map_or(0, |waiting| waiting.output.capacity());
                prop_assert!(!output.is_empty() || held == 0);
            }
        }
    }

    /// A buffer that has been large for somebody's output isn't given to somebody's half a frame.
    #[test]
    fn input_is_kept_in_no_more_memory_than_it_needs() {
        let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
        buffers.append(&mut pool, |bytes| bytes.resize(100_000, 0));
        buffers.advance(&mut pool, 100_000);
        buffers.set_input(&mut pool, &[1; 10]);
        let waiting = buffers.0.as_ref().expect("it holds input");
        assert!(waiting.input.capacity() < 100 && waiting.output.capacity() == 0);
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::default();
        for _ in 0..1000 {
            pool.give(Vec::with_capacity(16));
            pool.give_box(Box::default());
        }
        pool.give(Vec::with_capacity(POOLED_CAPACITY + 1));
        assert_eq!((pool.spare.len(), pool.boxes.len()), (POOLED, POOLED));
    }
}
