//! What a transaction with a value at the cap costs: written, and read back.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etcd::{Compare, Op, Range, Request, Txn, TxnResponse};

/// Bytes of a value.
const VALUE: usize = 128 << 10;

fn encode(criterion: &mut Criterion) {
    let (value, account, key) = (vec![7; VALUE], [7; 60], b"/loteria/draw/acct/1");
    let compare =
        [Compare::Value { key, is: &account }, Compare::Absent { key: b"/loteria/draw/closed" }];
    let bets = Op::Put { key: b"/loteria/draw/bets/1/00000000000000000000", value: &value };
    let success = [Op::Put { key, value: &account }, bets];
    let failure = [Op::Range(Range::of_key(key))];
    let request = Request::Txn(Txn { compare: &compare, success: &success, failure: &failure });
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("etcd");
    group.throughput(Throughput::Bytes(VALUE as u64));
    group.bench_function("a transaction of 128 KiB is written", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(request).write(&mut out);
            out.len()
        });
    });
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let header = r#""header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"1000","raft_term":"2"}"#;
    let put = format!(r#"{{"response_put":{{{header}}}}}"#);
    let succeeded = format!(r#"{{{header},"succeeded":true,"responses":[{put},{put}]}}"#);
    let value = STANDARD.encode(vec![7; VALUE]);
    let kv = format!(
        r#"{{"key":"YQ==","create_revision":"5","mod_revision":"5","version":"1","value":"{value}"}}"#
    );
    let failed = format!(
        r#"{{{header},"responses":[{{"response_range":{{{header},"kvs":[{kv}],"count":"1"}}}}]}}"#
    );
    let mut group = criterion.benchmark_group("etcd");
    let parse = |text: &str| serde_json::from_str::<TxnResponse>(text).expect("a response");
    group.bench_function("the response to two puts is read", |bencher| {
        bencher.iter(|| parse(black_box(&succeeded)));
    });
    group.throughput(Throughput::Bytes(VALUE as u64));
    group.bench_function("a response of 128 KiB is read", |bencher| {
        bencher.iter(|| parse(black_box(&failed)));
    });
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
