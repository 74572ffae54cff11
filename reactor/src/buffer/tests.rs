//! What the pool holds, and that bytes come out as they went in.

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
    let held = |pending: &Pending| pending.input.capacity() + pending.output.capacity();
    let connections = buffers.iter().filter_map(|buffers| buffers.0.as_deref()).map(held);
    let spare = pool.spare.iter().chain(&pool.spare_small).map(Vec::capacity);
    connections.chain(spare).sum()
}

/// All output that waits.
fn output(buffers: &Buffers) -> Vec<u8> {
    let Some(pending) = &buffers.0 else { return Vec::new() };
    let all: Vec<_> = pending.output.list.iter().flatten().copied().collect();
    all[pending.sent..].to_vec()
}

/// Holds the buffers against the output and input that they must have.
fn check(buffers: &Buffers, output: &[u8], input: &[u8]) -> Result<(), TestCaseError> {
    prop_assert_eq!(self::output(buffers), output);
    prop_assert_eq!(buffers.unsent(), output.len());
    let mut slices = [IoSlice::new(&[]); CHUNKS_AT_ONCE];
    let offered = buffers.output(&mut slices);
    let offered = slices[..offered].iter().flat_map(|slice| slice.iter().copied());
    let offered: Vec<_> = offered.collect();
    prop_assert!(output.starts_with(&offered));
    prop_assert!(!offered.is_empty() || output.is_empty());
    let mut copy = vec![0; input.len() + 10];
    let copied = buffers.copy_input(&mut copy);
    prop_assert_eq!(&copy[..copied], input);
    prop_assert_eq!(buffers.is_input_empty(), input.is_empty());
    prop_assert_eq!(buffers.0.is_none(), input.is_empty() && output.is_empty());
    // One chunk more than is full, what has left of the first, and a small one.
    let chunks = buffers.0.as_ref().map_or(0, |pending| pending.output.list.len());
    prop_assert!(chunks <= (output.len() + CHUNK).div_ceil(CHUNK) + 1);
    prop_assert!(!output.is_empty() || chunks == 0);
    Ok(())
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
                    let kept = one.0.as_ref().map_or(0, |pending| pending.input.len());
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
            check(&buffers, &output, &input)?;
        }
    }
}

/// A chunk of output isn't reused for a short input.
#[test]
fn input_is_kept_in_little_more_memory_than_it_needs() {
    let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
    buffers.append(&mut pool, &vec![0; 100_000]);
    buffers.advance(&mut pool, 100_000);
    for length in [10, 60_000, 10, 5_000, 20_000, 10] {
        buffers.set_input(&mut pool, &vec![1; length]);
        let most = if length > SMALL_INPUT { length + CHUNK } else { length };
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
    while input.len() < 5 * CHUNK {
        input.push(1);
        buffers.extend_input(&mut pool, &input, input.len() - 1);
        let most = if input.len() > SMALL_INPUT { input.len() + CHUNK } else { input.len() * 4 };
        assert!(buffers.capacity() <= most, "{} for {}", buffers.capacity(), input.len());
        if input.len() > SMALL_INPUT {
            let chunk = &mut buffers.0.as_mut().unwrap().input.list[0];
            // To write it again would undo this.
            chunk[0] = 2;
            assert!(first.replace(chunk.as_ptr()).is_none_or(|first| first == chunk.as_ptr()));
        }
    }
    let mut copy = vec![0; input.len()];
    assert_eq!(buffers.copy_input(&mut copy), input.len());
    assert_eq!((copy[0], &copy[1..]), (2, &input[1..]));
}

/// A reader who has taken most of a large response doesn't hold the memory of all of it.
#[test]
fn output_that_has_left_gives_its_memory_back() {
    const PEAK: usize = 16 * 1024 * 1024;
    let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
    buffers.append_with(&mut pool, |bytes| bytes.resize(PEAK, 0));
    assert_eq!(pool.scratch.capacity(), 0);
    for _ in 0..PEAK / 1024 - 1 {
        buffers.advance(&mut pool, 1024);
        assert!(buffers.capacity() <= buffers.unsent() + CHUNK);
        assert!(pool.held() <= buffers.capacity() + POOLED * CHUNK);
    }
    assert_eq!(buffers.unsent(), 1024);
}

#[test]
fn the_pool_is_bounded() {
    let mut pool = Pool::default();
    let chunks: Vec<_> = (0..2000).map(|_| pool.take()).collect();
    for chunk in chunks {
        pool.put(chunk);
    }
    (0..2000).for_each(|_| pool.put_box(Box::default()));
    assert_eq!((pool.spare.len(), pool.boxes.len()), (POOLED, POOLED_BOXES));
    assert_eq!(pool.held(), POOLED * CHUNK);
}

/// A connection with a layer keeps its lists as long as it lives.
#[test]
fn a_peak_leaves_no_long_list_behind() {
    let (mut pool, mut buffers) = (Pool::default(), Buffers::default());
    for _ in 0..2 {
        buffers.append(&mut pool, &vec![0; 1000 * CHUNK]);
        buffers.extend_input(&mut pool, &vec![0; 1000 * CHUNK], 0);
        buffers.0.as_mut().unwrap().advance(&mut pool, 1000 * CHUNK);
        buffers.0.as_mut().unwrap().input.clear(&mut pool);
        let pending = buffers.0.as_ref().unwrap();
        let lists = [&pending.input.list, &pending.output.list];
        assert!(lists.iter().all(|list| list.capacity() <= LIST_KEPT), "{lists:?}");
    }
}
