//! Bytes that wait: what the handler has not consumed, what the socket has not taken, and a pool of
//! the memory that nobody uses just now.
//!
//! An idle connection holds no memory here but one pointer to nothing. Bytes wait in pieces of one
//! size, which go back to the pool as they leave: a busy loop asks the allocator for nothing, a peak
//! leaves nothing behind, and what grows leaves no holes of all sizes, which were together up to half
//! as much as what was held. Only a little input is kept in as much memory as it needs: a peer that
//! never sends the other half of its frame holds that half alone.
//!
//! How much memory all of it is together, the pool knows at any time: see [`Pool::held`].

use std::collections::VecDeque;
use std::io::IoSlice;

/// Bytes in one piece.
const PIECE: usize = 8 * 1024;

/// Bytes in the first piece of output that is short: the answers of a thousand connections stay in the
/// processor's cache until they leave.
const SMALL_PIECE: usize = 2 * 1024;

/// Most pieces of each size that the pool keeps, 10 MiB: as many as wait at the same time on a busy turn; more than
/// that are given back to the allocator.
const POOLED: usize = 1024;

/// Most boxes that the pool keeps, and the longest list of pieces that stays in one: 1 MiB at most.
const POOLED_BOXES: usize = 1024;
const LIST_KEPT: usize = 16;

/// Most pieces that are handed to the socket at once.
pub(crate) const PIECES_AT_ONCE: usize = 16;

/// Largest buffer that is kept for what a handler writes next, in bytes.
const SCRATCH_KEPT: usize = 64 * 1024;

/// Input up to this many bytes is kept in no more memory than it needs.
const SMALL_INPUT: usize = PIECE / 2;

/// Memory for buffers that aren't empty.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
    spare_small: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "the boxes are what is kept: a connection holds a pointer")]
    boxes: Vec<Box<Waiting>>,
    /// What a handler writes, until it is cut into pieces.
    scratch: Vec<u8>,
    /// Capacity of all pieces, the spare ones included.
    held: usize,
}

impl Pool {
    /// Bytes of memory in the input and output of this pool's connections and in the spare pieces,
    /// used or not.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Gives what nobody uses back to the allocator.
    pub(crate) fn drop_spare(&mut self) {
        let spare = self.spare.drain(..).chain(self.spare_small.drain(..));
        self.held -= spare.map(|piece| piece.capacity()).sum::<usize>();
    }

    /// An empty piece.
    fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| self.allocate(PIECE))
    }

    fn take_small(&mut self) -> Vec<u8> {
        self.spare_small.pop().unwrap_or_else(|| self.allocate(SMALL_PIECE))
    }

    fn allocate(&mut self, capacity: usize) -> Vec<u8> {
        let piece = Vec::with_capacity(capacity);
        self.held += piece.capacity();
        piece
    }

    fn give(&mut self, mut piece: Vec<u8>) {
        let spare = match piece.capacity() {
            PIECE => &mut self.spare,
            SMALL_PIECE => &mut self.spare_small,
            capacity => return self.held -= capacity,
        };
        if spare.len() < POOLED {
            piece.clear();
            spare.push(piece);
        } else {
            self.held -= piece.capacity();
        }
    }

    fn take_box(&mut self) -> Box<Waiting> {
        self.boxes.pop().unwrap_or_default()
    }

    fn give_box(&mut self, empty: Box<Waiting>) {
        let lists = empty.input.list.capacity().max(empty.output.list.capacity());
        if self.boxes.len() < POOLED_BOXES && lists <= LIST_KEPT {
            self.boxes.push(empty);
        }
    }
}

/// Bytes in pieces, none of them empty, all but the last of them full.
#[derive(Debug, Default)]
struct Pieces {
    list: VecDeque<Vec<u8>>,
}

impl Pieces {
    fn append(&mut self, pool: &mut Pool, mut bytes: &[u8]) {
        if self.list.is_empty() && bytes.len() <= SMALL_PIECE {
            self.list.push_back(pool.take_small());
        }
        while !bytes.is_empty() {
            if self.list.back().is_none_or(|last| last.len() == last.capacity()) {
                self.list.push_back(pool.take());
            }
            let Some(last) = self.list.back_mut() else { return };
            let (now, later) = bytes.split_at(bytes.len().min(last.capacity() - last.len()));
            last.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Makes it exactly `bytes`, in no more memory than they need if they are few.
    fn replace(&mut self, pool: &mut Pool, bytes: &[u8]) {
        let length = bytes.len();
        let fits = |piece: &Vec<u8>| (length..=length * 4).contains(&piece.capacity());
        if self.list.len() == 1
            && let Some(piece) = self.list.front_mut().filter(|piece| fits(piece))
        {
            piece.clear();
            piece.extend_from_slice(bytes);
            return;
        }
        self.clear(pool);
        if length <= SMALL_INPUT {
            let mut piece = pool.allocate(length);
            piece.extend_from_slice(bytes);
            self.list.push_back(piece);
        } else {
            self.append(pool, bytes);
        }
    }

    fn clear(&mut self, pool: &mut Pool) {
        self.list.drain(..).for_each(|piece| pool.give(piece));
    }

    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn len(&self) -> usize {
        self.list.iter().map(Vec::len).sum()
    }

    fn capacity(&self) -> usize {
        self.list.iter().map(Vec::capacity).sum()
    }
}

/// Bytes of one connection that wait. Nothing but a pointer while there are none.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Option<Box<Waiting>>);

/// ```text
///  input:   [ not consumed by the handler ] ...
///  output:  [ taken by the socket | waiting ] [ waiting ] ... [ waiting | room ]
///           0                     sent
/// ```
#[derive(Debug, Default)]
struct Waiting {
    input: Pieces,
    output: Pieces,
    /// Bytes of the first piece of output that the socket has taken: fewer than there are in it.
    sent: usize,
    /// Bytes of output that wait.
    unsent: usize,
}

impl Buffers {
    /// Whether the handler has consumed all input.
    pub(crate) fn is_input_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.input.is_empty())
    }

    /// Copies what the handler has not consumed to the beginning of `buffer`, which is at least as
    /// long; says how many bytes that is.
    pub(crate) fn copy_input(&self, buffer: &mut [u8]) -> usize {
        let mut copied = 0;
        for piece in self.0.iter().flat_map(|waiting| &waiting.input.list) {
            buffer[copied..copied + piece.len()].copy_from_slice(piece);
            copied += piece.len();
        }
        copied
    }

    /// Bytes of output that wait.
    pub(crate) fn unsent(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.unsent)
    }

    /// Bytes of memory in input and output, used or not.
    pub(crate) fn capacity(&self) -> usize {
        let both = |waiting: &Waiting| waiting.input.capacity() + waiting.output.capacity();
        self.0.as_deref().map_or(0, both)
    }

    /// Makes the input exactly `bytes`.
    pub(crate) fn set_input(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if !bytes.is_empty() {
            let waiting = self.0.get_or_insert_with(|| pool.take_box());
            waiting.input.replace(pool, bytes);
        } else if let Some(waiting) = &mut self.0 {
            waiting.input.clear(pool);
            self.settle(pool);
        }
    }

    /// Makes the input exactly `bytes`, whose first `kept` are the input now. Long input isn't written
    /// again for the little that comes behind it.
    pub(crate) fn extend_input(&mut self, pool: &mut Pool, bytes: &[u8], kept: usize) {
        match &mut self.0 {
            Some(waiting) if kept > SMALL_INPUT => waiting.input.append(pool, &bytes[kept..]),
            _ => self.set_input(pool, bytes),
        }
    }

    /// The input, which is empty afterwards.
    pub(crate) fn take_input(&mut self, pool: &mut Pool) -> Vec<u8> {
        let length = self.0.as_ref().map_or(0, |waiting| waiting.input.len());
        let mut input = vec![0; length];
        self.copy_input(&mut input);
        self.set_input(pool, &[]);
        input
    }

    /// Appends to the output.
    pub(crate) fn append(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if !bytes.is_empty() {
            let waiting = self.0.get_or_insert_with(|| pool.take_box());
            waiting.unsent += bytes.len();
            waiting.output.append(pool, bytes);
        }
    }

    /// Appends what `write` writes to the output; says how many bytes that were.
    pub(crate) fn append_with(
        &mut self,
        pool: &mut Pool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let mut scratch = std::mem::take(&mut pool.scratch);
        scratch.clear();
        write(&mut scratch);
        self.append(pool, &scratch);
        let appended = scratch.len();
        if scratch.capacity() <= SCRATCH_KEPT {
            pool.scratch = scratch;
        }
        appended
    }

    /// The beginning of the output that waits, in the first so many of `slices`.
    pub(crate) fn output<'a>(&'a self, slices: &mut [IoSlice<'a>; PIECES_AT_ONCE]) -> usize {
        let Some(waiting) = &self.0 else { return 0 };
        let mut sent = waiting.sent;
        for (slice, piece) in slices.iter_mut().zip(&waiting.output.list) {
            *slice = IoSlice::new(&piece[std::mem::take(&mut sent)..]);
        }
        waiting.output.list.len().min(PIECES_AT_ONCE)
    }

    /// The socket took `count` bytes.
    pub(crate) fn advance(&mut self, pool: &mut Pool, count: usize) {
        let Some(waiting) = &mut self.0 else { return };
        assert!(count <= waiting.unsent, "a socket takes no more than it was offered");
        waiting.unsent -= count;
        waiting.sent += count;
        let pieces = &mut waiting.output.list;
        while pieces.front().is_some_and(|first| first.len() <= waiting.sent) {
            let Some(first) = pieces.pop_front() else { break };
            waiting.sent -= first.len();
            pool.give(first);
        }
        self.settle(pool);
    }

    /// Gives the memory back, with whatever still waited.
    pub(crate) fn discard(&mut self, pool: &mut Pool) {
        let Some(waiting) = &mut self.0 else { return };
        waiting.input.clear(pool);
        waiting.output.clear(pool);
        (waiting.sent, waiting.unsent) = (0, 0);
        self.settle(pool);
    }

    /// Like [`discard`](Self::discard), straight to the allocator: the pool keeps nothing of it.
    pub(crate) fn drop_all(&mut self, pool: &mut Pool) {
        pool.held -= self.capacity();
        self.0 = None;
    }

    /// Keeps no memory for what is empty.
    fn settle(&mut self, pool: &mut Pool) {
        let empty = self.0.take_if(|waiting| waiting.output.is_empty() && waiting.input.is_empty());
        if let Some(empty) = empty {
            pool.give_box(empty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Append(usize),
        Advance(usize),
        SetInput(usize),
        ExtendInput(usize),
        TakeInput,
        Discard,
        DropAll,
        DropSpare,
    }

    fn step(longest: usize) -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..longest).prop_map(Step::Append),
            4 => (0..longest).prop_map(Step::Advance),
            3 => (0..longest).prop_map(Step::SetInput),
            3 => (0..longest).prop_map(Step::ExtendInput),
            1 => Just(Step::TakeInput),
            1 => Just(Step::Discard),
            1 => Just(Step::DropAll),
            1 => Just(Step::DropSpare),
        ]
    }

    /// What the pool says is held, counted from scratch.
    fn recount(pool: &Pool, buffers: &[Buffers]) -> usize {
        let held = |waiting: &Waiting| waiting.input.capacity() + waiting.output.capacity();
        let connections = buffers.iter().filter_map(|buffers| buffers.0.as_deref()).map(held);
        let spare = pool.spare.iter().chain(&pool.spare_small).map(Vec::capacity);
        connections.chain(spare).sum()
    }

    /// All output that waits.
    fn output(buffers: &Buffers) -> Vec<u8> {
        let Some(waiting) = &buffers.0 else { return Vec::new() };
        let all: Vec<_> = waiting.output.list.iter().flatten().copied().collect();
        all[waiting.sent..].to_vec()
    }

    proptest! {
        /// Whatever several connections do with one pool, it knows how much memory that is.
        #[test]
        fn the_pool_knows_how_much_is_held(
            steps in prop::collection::vec((0..4_usize, step(20_000)), 0..200),
        ) {
            let mut pool = Pool::default();
            let mut buffers: [Buffers; 4] = Default::default();
            for (index, step) in steps {
                let one = &mut buffers[index];
                match step {
                    Step::Append(count) => {
                        let write = |bytes: &mut Vec<u8>| bytes.resize(bytes.len() + count, 0);
                        prop_assert_eq!(one.append_with(&mut pool, write), count);
                    }
                    Step::Advance(count) => {
                        let count = count.min(one.unsent());
                        one.advance(&mut pool, count);
                    }
                    Step::SetInput(length) => one.set_input(&mut pool, &vec![0; length]),
                    Step::ExtendInput(count) => {
                        let kept = one.0.as_ref().map_or(0, |waiting| waiting.input.len());
                        one.extend_input(&mut pool, &vec![0; kept + count], kept);
                    }
                    Step::TakeInput => drop(one.take_input(&mut pool)),
                    Step::Discard => one.discard(&mut pool),
                    Step::DropAll => one.drop_all(&mut pool),
                    Step::DropSpare => pool.drop_spare(),
                }
                prop_assert_eq!(pool.held(), recount(&pool, &buffers));
            }
        }

        /// Output comes out as it went in, however it is cut; input is what was set last; and
        /// nothing that is empty holds memory.
        #[test]
        fn bytes_wait_in_order_and_nothing_else_is_held(
            steps in prop_oneof![
                prop::collection::vec(step(50), 0..100),
                prop::collection::vec(step(40_000), 0..40),
            ],
        ) {
            let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
            let (mut output, mut input, mut next) = (Vec::new(), Vec::new(), 0_u8);
            for step in steps {
                match step {
                    Step::Append(count) => {
                        let appended = buffers.append_with(&mut pool, |bytes| {
                            for _ in 0..count {
                                bytes.push(next);
                                output.push(next);
                                next = next.wrapping_add(1);
                            }
                        });
                        prop_assert_eq!(appended, count);
                    }
                    Step::Advance(count) => {
                        let count = count.min(output.len());
                        buffers.advance(&mut pool, count);
                        output.drain(..count);
                    }
                    Step::SetInput(length) => {
                        input = vec![next; length];
                        buffers.set_input(&mut pool, &input);
                    }
                    Step::ExtendInput(count) => {
                        let kept = input.len();
                        input.resize(kept + count, next);
                        next = next.wrapping_add(1);
                        buffers.extend_input(&mut pool, &input, kept);
                    }
                    Step::TakeInput => {
                        prop_assert_eq!(buffers.take_input(&mut pool), std::mem::take(&mut input));
                    }
                    Step::Discard | Step::DropAll => {
                        match step {
                            Step::Discard => buffers.discard(&mut pool),
                            _ => buffers.drop_all(&mut pool),
                        }
                        input.clear();
                        output.clear();
                    }
                    Step::DropSpare => pool.drop_spare(),
                }
                prop_assert_eq!(self::output(&buffers), output.clone());
                prop_assert_eq!(buffers.unsent(), output.len());
                let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
                let offered = buffers.output(&mut slices);
                let offered = slices[..offered].iter().flat_map(|slice| slice.iter().copied());
                let offered: Vec<_> = offered.collect();
                prop_assert!(output.starts_with(&offered));
                prop_assert!(!offered.is_empty() || output.is_empty());
                let mut copy = vec![0; input.len() + 10];
                let copied = buffers.copy_input(&mut copy);
                prop_assert_eq!(&copy[..copied], &input);
                prop_assert_eq!(buffers.is_input_empty(), input.is_empty());
                prop_assert_eq!(buffers.0.is_none(), input.is_empty() && output.is_empty());
                // One piece more than is full, what has left of the first, and a small one.
                let pieces = buffers.0.as_ref().map_or(0, |waiting| waiting.output.list.len());
                prop_assert!(pieces <= (output.len() + PIECE).div_ceil(PIECE) + 1);
                prop_assert!(!output.is_empty() || pieces == 0);
            }
        }
    }

    /// Memory that has been somebody's output isn't given to somebody's half a frame.
    #[test]
    fn input_is_kept_in_little_more_memory_than_it_needs() {
        let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
        buffers.append(&mut pool, &vec![0; 100_000]);
        buffers.advance(&mut pool, 100_000);
        for length in [10, 60_000, 10, 5_000, 20_000, 10] {
            buffers.set_input(&mut pool, &vec![1; length]);
            let most = if length > SMALL_INPUT { length + PIECE } else { length };
            assert!(buffers.capacity() <= most, "{} for {length}", buffers.capacity());
        }
        let mut other = Buffers::default();
        other.set_input(&mut pool, &[1; 10]);
        assert!(other.capacity() < 100);
    }

    /// Nor is there more of it when it comes byte by byte, and what is long stays where it is.
    #[test]
    fn input_that_grows_byte_by_byte_is_not_written_again() {
        let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
        let mut input = Vec::new();
        let mut first = None;
        while input.len() < 5 * PIECE {
            input.push(1);
            buffers.extend_input(&mut pool, &input, input.len() - 1);
            let most =
                if input.len() > SMALL_INPUT { input.len() + PIECE } else { input.len() * 4 };
            assert!(buffers.capacity() <= most, "{} for {}", buffers.capacity(), input.len());
            if input.len() > SMALL_INPUT {
                let piece = &mut buffers.0.as_mut().unwrap().input.list[0];
                // To write it again would undo this.
                piece[0] = 2;
                assert!(first.replace(piece.as_ptr()).is_none_or(|first| first == piece.as_ptr()));
            }
        }
        let mut copy = vec![0; input.len()];
        assert_eq!(buffers.copy_input(&mut copy), input.len());
        assert_eq!((copy[0], &copy[1..]), (2, &input[1..]));
    }

    /// A reader who has taken most of a large answer doesn't hold the memory of all of it.
    #[test]
    fn output_that_has_left_gives_its_memory_back() {
        const PEAK: usize = 16 * 1024 * 1024;
        let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
        buffers.append_with(&mut pool, |bytes| bytes.resize(PEAK, 0));
        assert_eq!(pool.scratch.capacity(), 0);
        for _ in 0..PEAK / 1024 - 1 {
            buffers.advance(&mut pool, 1024);
            assert!(buffers.capacity() <= buffers.unsent() + PIECE);
            assert!(pool.held() <= buffers.capacity() + POOLED * PIECE);
        }
        assert_eq!(buffers.unsent(), 1024);
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::default();
        let pieces: Vec<_> = (0..2000).map(|_| pool.take()).collect();
        for piece in pieces {
            pool.give(piece);
        }
        (0..2000).for_each(|_| pool.give_box(Box::default()));
        assert_eq!((pool.spare.len(), pool.boxes.len()), (POOLED, POOLED_BOXES));
        assert_eq!(pool.held(), POOLED * PIECE);
    }
}
