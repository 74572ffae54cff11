//! Bytes of connections that wait: input that the handler has not consumed, output that the socket
//! has not taken; and the pool of their memory.
//!
//! An idle connection holds nothing here but a null pointer. Bytes wait in chunks of one size, which
//! return to the pool as the bytes leave: a busy loop allocates nothing, a peak leaves nothing behind,
//! and growth leaves no holes of all sizes in the heap (which were up to half of what was held). Only
//! short input is kept in as much memory as it needs: a peer that never sends the rest of its frame
//! holds that part alone.
//!
//! [`Pool::held`] is the memory of all of it together, at any time.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::layer::Layered;

/// Bytes in one chunk.
const CHUNK: usize = 8 * 1024;

/// Bytes in the first chunk of short output: the replies of a thousand connections stay in the
/// processor's cache until they leave.
const SMALL_CHUNK: usize = 2 * 1024;

/// Most spare chunks of each size, 10 MiB together: as many as wait at the same time in a busy turn.
/// More are freed.
const POOLED: usize = 1024;

/// Most spare boxes, and the longest list of chunks that stays when it is empty: 1 MiB at most.
const POOLED_BOXES: usize = 1024;
const LIST_KEPT: usize = 16;

/// Most chunks that one write offers the socket.
pub(crate) const CHUNKS_AT_ONCE: usize = 16;

/// Largest capacity of the scratch buffer that is kept, in bytes.
const SCRATCH_KEPT: usize = 64 * 1024;

/// Input of up to this many bytes is kept in no more memory than it needs.
const SMALL_INPUT: usize = CHUNK / 2;

/// Memory for buffers that aren't empty, shared by all connections.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
    spare_small: Vec<Vec<u8>>,
    #[expect(clippy::vec_box, reason = "the boxes are what is kept: a connection holds a pointer")]
    boxes: Vec<Box<Pending>>,
    /// What a handler encodes, until it is copied into chunks.
    scratch: Vec<u8>,
    /// Capacity of all chunks, spare ones included.
    held: usize,
}

impl Pool {
    /// Bytes of memory in the input and output of this pool's connections and in the spare chunks,
    /// used or not.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Frees all spare chunks.
    pub(crate) fn drop_spare(&mut self) {
        let spare = self.spare.drain(..).chain(self.spare_small.drain(..));
        self.held -= spare.map(|chunk| chunk.capacity()).sum::<usize>();
    }

    /// An empty chunk.
    fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| self.allocate(CHUNK))
    }

    fn take_small(&mut self) -> Vec<u8> {
        self.spare_small.pop().unwrap_or_else(|| self.allocate(SMALL_CHUNK))
    }

    fn allocate(&mut self, capacity: usize) -> Vec<u8> {
        let chunk = Vec::with_capacity(capacity);
        self.held += chunk.capacity();
        chunk
    }

    fn put(&mut self, mut chunk: Vec<u8>) {
        let spare = match chunk.capacity() {
            CHUNK => &mut self.spare,
            SMALL_CHUNK => &mut self.spare_small,
            capacity => return self.held -= capacity,
        };
        if spare.len() < POOLED {
            chunk.clear();
            spare.push(chunk);
        } else {
            self.held -= chunk.capacity();
        }
    }

    fn take_box(&mut self) -> Box<Pending> {
        self.boxes.pop().unwrap_or_default()
    }

    fn put_box(&mut self, empty: Box<Pending>) {
        if self.boxes.len() < POOLED_BOXES {
            self.boxes.push(empty);
        }
    }
}

/// Bytes in chunks. Invariant: none is empty, and all but the last are full.
#[derive(Debug, Default)]
struct Chunks {
    list: VecDeque<Vec<u8>>,
}

impl Chunks {
    fn append(&mut self, pool: &mut Pool, mut bytes: &[u8]) {
        if self.list.is_empty() && bytes.len() <= SMALL_CHUNK {
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

    /// Replaces the content with `bytes`, in no more memory than they need if they are few.
    fn replace(&mut self, pool: &mut Pool, bytes: &[u8]) {
        let length = bytes.len();
        let fits = |chunk: &Vec<u8>| (length..=length * 4).contains(&chunk.capacity());
        if self.list.len() == 1
            && let Some(chunk) = self.list.front_mut().filter(|chunk| fits(chunk))
        {
            chunk.clear();
            chunk.extend_from_slice(bytes);
            return;
        }
        self.clear(pool);
        if length <= SMALL_INPUT {
            let mut chunk = pool.allocate(length);
            chunk.extend_from_slice(bytes);
            self.list.push_back(chunk);
        } else {
            self.append(pool, bytes);
        }
    }

    fn clear(&mut self, pool: &mut Pool) {
        self.list.drain(..).for_each(|chunk| pool.put(chunk));
        self.shrink();
    }

    /// Drops the memory of a long list that is empty: a connection may keep it for ever.
    fn shrink(&mut self) {
        if self.list.is_empty() && self.list.capacity() > LIST_KEPT {
            self.list = VecDeque::new();
        }
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

/// Bytes of one connection that wait, and the layer that they pass. A null pointer while there is
/// neither.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Option<Box<Pending>>);

/// ```text
///  input:   [ not consumed by the handler ] ...
///  output:  [ taken by the socket | pending ] [ pending ] ... [ pending | room ]
///           0                     sent
/// ```
#[derive(Debug, Default)]
struct Pending {
    input: Chunks,
    output: Chunks,
    /// Bytes of the first chunk of output that the socket has taken. Invariant: less than its length.
    sent: usize,
    /// Bytes of output that the socket, or the layer, has not taken.
    unsent: usize,
    layered: Option<Box<Layered>>,
    /// Of the pool's bytes, those that the layer holds.
    layer_held: usize,
}

impl Pending {
    fn capacity(&self) -> usize {
        self.input.capacity() + self.output.capacity() + self.layer_held
    }

    fn advance(&mut self, pool: &mut Pool, count: usize) {
        assert!(count <= self.unsent, "no more is taken than was offered");
        self.unsent -= count;
        self.sent += count;
        let chunks = &mut self.output.list;
        while chunks.front().is_some_and(|first| first.len() <= self.sent) {
            let Some(first) = chunks.pop_front() else { break };
            self.sent -= first.len();
            pool.put(first);
        }
        self.output.shrink();
    }
}

/// Puts the beginning of the output, of which `sent` bytes were taken, into `slices`. Returns how many
/// of them it fills.
fn fill<'a>(
    slices: &mut [IoSlice<'a>; CHUNKS_AT_ONCE],
    output: &'a Chunks,
    mut sent: usize,
) -> usize {
    for (slice, chunk) in slices.iter_mut().zip(&output.list) {
        *slice = IoSlice::new(&chunk[std::mem::take(&mut sent)..]);
    }
    output.list.len().min(CHUNKS_AT_ONCE)
}

impl Buffers {
    /// Whether the handler has consumed all input.
    pub(crate) fn is_input_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|pending| pending.input.is_empty())
    }

    /// Bytes of input that the handler has not consumed.
    pub(crate) fn unconsumed(&self) -> usize {
        self.0.as_ref().map_or(0, |pending| pending.input.len())
    }

    /// Copies the input to the beginning of `buffer`, which is at least as long. Returns its length.
    pub(crate) fn copy_input(&self, buffer: &mut [u8]) -> usize {
        let mut copied = 0;
        for chunk in self.0.iter().flat_map(|pending| &pending.input.list) {
            buffer[copied..copied + chunk.len()].copy_from_slice(chunk);
            copied += chunk.len();
        }
        copied
    }

    /// Bytes of output that neither the socket nor the layer has taken.
    pub(crate) fn queued(&self) -> usize {
        self.0.as_ref().map_or(0, |pending| pending.unsent)
    }

    /// Bytes that the socket has not taken: of output, and of the layer.
    pub(crate) fn unsent(&self) -> usize {
        let layer = self.layered().map_or(0, |layered| layered.layer.unsent());
        self.queued() + layer
    }

    /// Bytes of memory in input, output and layer, used or not.
    pub(crate) fn capacity(&self) -> usize {
        self.0.as_deref().map_or(0, Pending::capacity)
    }

    /// The layer that its bytes pass, if there is one.
    pub(crate) fn layered(&self) -> Option<&Layered> {
        self.0.as_ref()?.layered.as_deref()
    }

    pub(crate) fn layered_mut(&mut self) -> Option<&mut Layered> {
        self.0.as_mut()?.layered.as_deref_mut()
    }

    /// Bytes pass this layer from now on.
    pub(crate) fn set_layer(&mut self, pool: &mut Pool, layered: Layered) {
        let pending = self.0.get_or_insert_with(|| pool.take_box());
        pending.layered = Some(Box::new(layered));
        self.count_layer(pool);
    }

    /// Passes as much output to the layer as it takes. Returns what is left.
    pub(crate) fn pass_output(&mut self, pool: &mut Pool) -> usize {
        loop {
            let mut slices = [IoSlice::new(&[]); CHUNKS_AT_ONCE];
            let Some(pending) = &mut self.0 else { return 0 };
            let Some(layered) = &mut pending.layered else { return pending.unsent };
            let count = fill(&mut slices, &pending.output, pending.sent);
            let taken = if count == 0 { 0 } else { layered.layer.send(&slices[..count]) };
            if taken == 0 {
                return pending.unsent;
            }
            pending.advance(pool, taken);
        }
    }

    /// Counts what the layer holds, after it has taken or written something.
    pub(crate) fn count_layer(&mut self, pool: &mut Pool) {
        let Some(pending) = &mut self.0 else { return };
        let held = pending.layered.as_ref().map_or(0, |layered| layered.layer.held());
        pool.held = pool.held + held - pending.layer_held;
        pending.layer_held = held;
    }

    /// Drops the output.
    pub(crate) fn drop_output(&mut self, pool: &mut Pool) {
        let Some(pending) = &mut self.0 else { return };
        pending.output.clear(pool);
        (pending.sent, pending.unsent) = (0, 0);
        self.release_if_empty(pool);
    }

    /// Replaces the input with `bytes`.
    pub(crate) fn set_input(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if !bytes.is_empty() {
            let pending = self.0.get_or_insert_with(|| pool.take_box());
            pending.input.replace(pool, bytes);
        } else if let Some(pending) = &mut self.0 {
            pending.input.clear(pool);
            self.release_if_empty(pool);
        }
    }

    /// Replaces the input with `bytes`, whose first `kept` are the input now. Long input isn't copied
    /// again for the little that comes behind it.
    pub(crate) fn extend_input(&mut self, pool: &mut Pool, bytes: &[u8], kept: usize) {
        match &mut self.0 {
            Some(pending) if kept > SMALL_INPUT => pending.input.append(pool, &bytes[kept..]),
            _ => self.set_input(pool, bytes),
        }
    }

    /// Takes the input out.
    pub(crate) fn take_input(&mut self, pool: &mut Pool) -> Vec<u8> {
        let length = self.0.as_ref().map_or(0, |pending| pending.input.len());
        let mut input = vec![0; length];
        self.copy_input(&mut input);
        self.set_input(pool, &[]);
        input
    }

    /// Appends to the output.
    pub(crate) fn append(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if !bytes.is_empty() {
            let pending = self.0.get_or_insert_with(|| pool.take_box());
            pending.unsent += bytes.len();
            pending.output.append(pool, bytes);
        }
    }

    /// Appends what `write` writes to the output. Returns how many bytes that are.
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

    /// Puts the beginning of the output into `slices`. Returns how many of them it fills.
    pub(crate) fn output<'a>(&'a self, slices: &mut [IoSlice<'a>; CHUNKS_AT_ONCE]) -> usize {
        self.0.as_ref().map_or(0, |pending| fill(slices, &pending.output, pending.sent))
    }

    /// The socket took `count` bytes.
    pub(crate) fn advance(&mut self, pool: &mut Pool, count: usize) {
        let Some(pending) = &mut self.0 else { return };
        pending.advance(pool, count);
        self.release_if_empty(pool);
    }

    /// Drops input, output and layer, and returns what is the pool's to it.
    pub(crate) fn discard(&mut self, pool: &mut Pool) {
        let Some(pending) = &mut self.0 else { return };
        pending.layered = None;
        pool.held -= std::mem::take(&mut pending.layer_held);
        pending.input.clear(pool);
        pending.output.clear(pool);
        (pending.sent, pending.unsent) = (0, 0);
        self.release_if_empty(pool);
    }

    /// Drops input, output and layer, and frees their memory.
    pub(crate) fn drop_all(&mut self, pool: &mut Pool) {
        pool.held -= self.capacity();
        self.0 = None;
    }

    /// Returns the box to the pool when nothing is left in it.
    fn release_if_empty(&mut self, pool: &mut Pool) {
        let empty = self.0.take_if(|pending| {
            pending.output.is_empty() && pending.input.is_empty() && pending.layered.is_none()
        });
        if let Some(empty) = empty {
            pool.put_box(empty);
        }
    }
}

#[cfg(test)]
mod tests;
