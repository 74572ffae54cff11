//! What one bet costs on its way from the frame into the ledger, step by step; and what a list of winners
//! costs on its way out.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger::{Durability, Options, Work};
use reactor::ConnectionId;
use server::lottery::winners::WinnerIndex;
use server::lottery::{Entry, Staged, State, fast_path};
use server::row::{self, load_bets};
use server::store::{AppendError, FileStore, Opened, ReadRows, Store as _, StoreError};
use server::winners_scan::WinnersScan;
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

fn commit(frame: &[u8], batches: u64) -> Staged {
    let mut staged = Staged::default();
    for _ in 0..batches {
        let batch = batch(frame);
        assert!(fast_path::push_rows(1, &batch, staged.rows_mut(), |_| {}));
        let count = batch.count;
        staged.push_entry(Entry::Batch { agency: 1, count, stored: true, checksum: Checksum(0) });
    }
    staged
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
            assert!(fast_path::push_rows(1, black_box(&batch), &mut out, |_| {}));
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

fn open(durability: Durability) -> (tempfile::TempDir, Opened<File>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, options) = (folder.path().join("bets.csv"), Options::unbounded(durability, 8 << 20));
    let opened = FileStore::open(&path, options, 1, |_| {}, |_| ControlFlow::Continue(()));
    (folder, opened.expect("a new one"))
}

/// Makes everything durable, here and now.
fn sync(store: &mut FileStore<File>, state: &State) {
    while let Some(work) = store.begin_sync().expect("nothing fails") {
        match work {
            Work::Snapshot => store.checkpoint(state).expect("nothing fails"),
            Work::Sync(target) => {
                let result = store.sync_here(target);
                store.end_sync(result).expect("nothing fails");
            }
        }
    }
}

fn append(criterion: &mut Criterion) {
    let (frame, count) = frame();
    let mut group = criterion.benchmark_group("ledger append");
    group.bench_function("look whether the files are in place", |bencher| {
        let (_folder, opened) = open(Durability::NotSynced);
        bencher.iter(|| black_box(&opened.store).verify().expect("they are"));
    });
    let durabilities = [("synced", Durability::Synced), ("not synced", Durability::NotSynced)];
    for (name, durability) in durabilities {
        for batches in [1, 16] {
            let commit = commit(&frame, batches);
            group.throughput(Throughput::Elements(batches * count));
            group.bench_function(format!("{batches} batches a commit, {name}"), |bencher| {
                let (_folder, Opened { mut store, mut state, .. }) = open(durability);
                bencher.iter_batched(
                    || (),
                    |()| {
                        if let Err(AppendError::Busy) = store.append(&commit) {
                            sync(&mut store, &state);
                            store.append(&commit).expect("there is space");
                        }
                        for entry in commit.entries() {
                            state.apply(entry);
                        }
                        sync(&mut store, &state);
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

/// Default of `SERVER_WINNERS_BUDGET`.
const WINNERS_BUDGET: usize = 256 << 10;

/// Rows in a file of their own, which nobody changes.
struct Rows {
    file: File,
    len: u64,
}

impl ReadRows for Rows {
    fn rows_len(&self) -> u64 {
        self.len
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let left = usize::try_from(self.len.saturating_sub(offset)).expect("it fits");
        let count = left.min(buffer.len());
        let buffer = &mut buffer[..count];
        self.file.read_exact_at(buffer, offset).expect("it is there");
        Ok(count)
    }

    fn rows_changed(&self, offset: u64) -> StoreError {
        unreachable!("the rows at {offset} are as they were written")
    }
}

/// So many rows, of which one in `lucky` wins, and where the winners are.
fn rows(count: u64, lucky: u64) -> (Rows, WinnerIndex) {
    let mut bytes = Vec::new();
    for index in 0..count {
        let document = format!("{:08}", 10_000_000 + index);
        let number = if index % lucky == 0 { "7574" } else { "7573" };
        let fields = ["Santiago Lionel", "Lorca", &document, "1999-03-17", number];
        let bet = Bet::from_fields(fields.map(str::as_bytes));
        row::encode(1, &bet::check(&bet).expect("good"), &mut bytes);
    }
    let mut winners = WinnerIndex::default();
    load_bets(bytes.as_slice(), |stored| winners.visit(stored)).expect("good rows");
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    (Rows { file, len: bytes.len() as u64 }, winners)
}

/// Sends a list from its beginning to its end; how many bytes that was.
fn send_list(scan: &mut WinnersScan, rows: &Rows, winners: &WinnerIndex) -> usize {
    let connection = ConnectionId::new(0, 0);
    scan.begin(connection, 1, winners.by_agency.of(1));
    let mut sent = 0;
    while scan.is_active() {
        let count = |_, frame: &[u8]| {
            sent += frame.len();
            true
        };
        scan.advance(rows, &winners.stripes, WINNERS_BUDGET, count).expect("nothing fails");
    }
    sent
}

fn scan(criterion: &mut Criterion) {
    const COUNT: u64 = 1_000_000;
    let mut group = criterion.benchmark_group("winners of a million bets");
    for (name, lucky) in [("one in 10,000", 10_000), ("one in 100", 100), ("all", 1)] {
        let (rows, winners) = rows(COUNT, lucky);
        group.throughput(Throughput::Elements(COUNT / lucky));
        let mut scan = WinnersScan::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| send_list(&mut scan, &rows, &winners));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = micro, append, scan
}
criterion_main!(benches);
