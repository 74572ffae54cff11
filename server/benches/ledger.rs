//! What one bet costs on its way from the frame into the ledger, step by step.

use std::fs::File;
use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use server::ledger::{Commit, Entry, FileLedger, Ledger, Options, Sync, load_bets, row};
use server::plain;
use wire::bet;
use wire::{Batch, BatchBuilder, Bet, Checksum, FrameDecoder, Push, Request};

/// A full frame of bets like those of the course's files.
fn frame() -> (Vec<u8>, u64) {
    let mut builder = BatchBuilder::new();
    for index in 0_u64.. {
        let (document, number) =
            (format!("{:08}", 30_000_000 + index), format!("{}", index % 10_000));
        let fields = ["Santiago Lionel", "Fernández", &document, "1999-03-17", &number];
        if builder.push(&Bet::from_fields(fields.map(str::as_bytes))) != Ok(Push::Added) {
            break;
        }
    }
    let mut frame = Vec::new();
    Request::Batch(builder.batch(0)).encode(&mut frame);
    (frame, u64::from(builder.count()))
}

fn batch(frame: &[u8]) -> Batch<'_> {
    let frame = FrameDecoder::default().decode(frame).expect("a frame").expect("a whole one");
    let Ok(Request::Batch(batch)) = Request::decode(frame) else { unreachable!("a batch") };
    batch
}

fn commit(frame: &[u8], batches: u64) -> Commit {
    let mut commit = Commit::default();
    for _ in 0..batches {
        let batch = batch(frame);
        assert!(commit.push_plain_rows(1, &batch, |_| {}));
        let count = batch.count;
        commit.push_entry(Entry::Batch { agency: 1, count, stored: true, checksum: Checksum(0) });
    }
    commit
}

fn micro(criterion: &mut Criterion) {
    let (frame, count) = frame();
    let batch = batch(&frame);
    let decoded: Vec<_> = batch.bets().map(|bet| bet.expect("a bet")).collect();
    let checked: Vec<_> = decoded.iter().map(|bet| bet::check(bet).expect("good")).collect();
    let rows = commit(&frame, 100);
    let mut group = criterion.benchmark_group("per bet");
    group.throughput(Throughput::Elements(count));
    group.bench_function("decode a frame", |bencher| {
        bencher.iter(|| {
            let frame = FrameDecoder::default().decode(black_box(&frame)).expect("a frame");
            let request = Request::decode(frame.expect("a whole one"));
            let Ok(Request::Batch(batch)) = request else { unreachable!("a batch") };
            batch.bets().filter(|bet| black_box(bet).is_ok()).count()
        });
    });
    group.bench_function("check", |bencher| {
        bencher.iter(|| decoded.iter().filter(|bet| bet::check(black_box(bet)).is_ok()).count());
    });
    group.bench_function("encode a row", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for bet in &checked {
                row::encode(1, black_box(bet), &mut out);
            }
            out.len()
        });
    });
    group.bench_function("check and encode plain bets, a batch at a time", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            assert!(plain::push_rows(1, black_box(&batch), &mut out, |_| {}));
            out.len()
        });
    });
    group.bench_function("checksum", |bencher| {
        bencher.iter(|| Checksum::default().extended(black_box(&frame)));
    });
    group.throughput(Throughput::Elements(100 * count));
    group.bench_function("read back (load_bets)", |bencher| {
        bencher.iter(|| {
            let mut rows_read = 0_u64;
            let result = load_bets(black_box(rows.rows()), |_| rows_read += 1);
            result.map(|()| rows_read).expect("good rows")
        });
    });
    group.finish();
}

fn open(sync: Sync) -> (tempfile::TempDir, FileLedger<File>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, options) = (folder.path().join("bets.csv"), Options::unbounded(sync, 8 << 20, 1));
    let opened = FileLedger::open(&path, options, |_| {}, |_| ControlFlow::Continue(()));
    (folder, opened.expect("a new one").0)
}

fn append(criterion: &mut Criterion) {
    let (frame, count) = frame();
    let mut group = criterion.benchmark_group("ledger append");
    group.bench_function("look whether the files are in place", |bencher| {
        let (_folder, ledger) = open(Sync::Never);
        bencher.iter(|| black_box(&ledger).verify().expect("they are"));
    });
    for (name, sync) in [("synced", Sync::Always), ("not synced", Sync::Never)] {
        for batches in [1, 16] {
            let commit = commit(&frame, batches);
            group.throughput(Throughput::Elements(batches * count));
            group.bench_function(format!("{batches} batches a commit, {name}"), |bencher| {
                let (_folder, mut ledger) = open(sync);
                bencher.iter_batched(
                    || (),
                    |()| {
                        ledger.submit_waiting(&commit).expect("there is space");
                        ledger.sync().expect("nothing fails");
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = micro, append
}
criterion_main!(benches);
