//! What it costs to count what an operator sees, beside the batch of bets that is counted.
//!
//! A turn of the loop and a commit observe a histogram each, and a batch adds to a few integers. The bets of
//! one batch are validated and encoded here as well: what they take is all that a batch costs a turn at least.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use reactor::{Histogram, exponential_bounds};
use server::lottery::fast_path;
use wire::{Batch, BatchBuilder, Bet, FrameDecoder, Push, Request};

/// As many buckets as the loop's turns have.
const BOUNDS: &[Duration; 10] = &exponential_bounds(Duration::from_micros(10), 4);

/// A full frame of bets like those of the course's files.
fn frame() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for index in 0_u64.. {
        let document = format!("{:08}", 30_000_000 + index);
        let number = format!("{}", index % 10_000);
        let fields = ["Santiago Lionel", "Fernández", &document, "1999-03-17", &number];
        if builder.push(&Bet::from_fields(fields.map(str::as_bytes))) != Ok(Push::Added) {
            break;
        }
    }
    let mut frame = Vec::new();
    Request::Batch(builder.batch(0)).encode(&mut frame);
    frame
}

fn batch(frame: &[u8]) -> Batch<'_> {
    let frame = FrameDecoder::default().decode(frame).expect("a frame").expect("a whole one");
    let Ok(Request::Batch(batch)) = Request::decode(frame) else { unreachable!("a batch") };
    batch
}

fn counting(criterion: &mut Criterion) {
    let frame = frame();
    let batch = batch(&frame);
    let mut group = criterion.benchmark_group("counting");
    group.bench_function(format!("{} bets, validated and encoded", batch.count), |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            assert!(fast_path::push_rows(1, black_box(&batch), &mut out, |_| {}));
            out.len()
        });
    });
    group.bench_function("a duration in a histogram", |bencher| {
        let mut histogram = Histogram::new(BOUNDS);
        // Of turns and commits that are long and short, in no order that a processor could learn.
        let mut micros = 1_u64;
        bencher.iter(|| {
            micros = micros.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            histogram.observe(Duration::from_micros(black_box(micros >> 48)));
        });
        black_box(histogram);
    });
    group.bench_function("three integers", |bencher| {
        let mut counts = [0_u64; 3];
        bencher.iter(|| {
            for count in &mut counts {
                *count += black_box(1);
            }
            black_box(&counts);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = counting
}
criterion_main!(benches);
