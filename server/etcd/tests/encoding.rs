//! What is written is what `serde_json` would write of the same; the responses of etcd come back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd::{Compare, Op, Range, Request, Txn, prefix_end};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Debug, Clone)]
enum OwnedOp {
    Put(Vec<u8>, Vec<u8>),
    Range(OwnedRange),
}

#[derive(Debug, Clone)]
struct OwnedRange {
    key: Vec<u8>,
    range_end: Vec<u8>,
    limit: u32,
    revision: i64,
    is_count_only: bool,
}

#[derive(Debug, Clone)]
enum OwnedCompare {
    Value(Vec<u8>, Vec<u8>),
    CreateRevision(Vec<u8>, i64),
    Absent(Vec<u8>),
}

impl OwnedRange {
    fn borrowed(&self) -> Range<'_> {
        let Self { key, range_end, limit, revision, is_count_only } = self;
        Range { key, range_end, limit: *limit, revision: *revision, is_count_only: *is_count_only }
    }

    fn json(&self) -> Value {
        let mut value = json!({ "key": base64(&self.key) });
        if !self.range_end.is_empty() {
            value["range_end"] = base64(&self.range_end);
        }
        if self.limit > 0 {
            value["limit"] = self.limit.into();
        }
        if self.revision > 0 {
            value["revision"] = self.revision.into();
        }
        if self.is_count_only {
            value["count_only"] = true.into();
        }
        value
    }
}

impl OwnedOp {
    fn borrowed(&self) -> Op<'_> {
        match self {
            Self::Put(key, value) => Op::Put { key, value },
            Self::Range(range) => Op::Range(range.borrowed()),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Put(key, value) => {
                json!({ "request_put": { "key": base64(key), "value": base64(value) } })
            }
            Self::Range(range) => json!({ "request_range": range.json() }),
        }
    }
}

impl OwnedCompare {
    fn borrowed(&self) -> Compare<'_> {
        match self {
            Self::Value(key, is) => Compare::Value { key, is },
            Self::CreateRevision(key, is) => Compare::CreateRevision { key, is: *is },
            Self::Absent(key) => Compare::Absent { key },
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Value(key, is) => json!({
                "result": "EQUAL", "target": "VALUE", "key": base64(key), "value": base64(is),
            }),
            Self::CreateRevision(key, is) => json!({
                "result": "EQUAL", "target": "CREATE", "key": base64(key), "create_revision": is,
            }),
            Self::Absent(key) => json!({
                "result": "EQUAL", "target": "CREATE", "key": base64(key), "create_revision": 0,
            }),
        }
    }
}

fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn range() -> impl Strategy<Value = OwnedRange> {
    (bytes(), bytes(), 0..3_u32, 0..3_i64, any::<bool>()).prop_map(
        |(key, range_end, limit, revision, is_count_only)| OwnedRange {
            key,
            range_end,
            limit,
            revision,
            is_count_only,
        },
    )
}

fn ops() -> impl Strategy<Value = Vec<OwnedOp>> {
    let put = (bytes(), bytes()).prop_map(|(key, value)| OwnedOp::Put(key, value));
    prop::collection::vec(prop_oneof![put, range().prop_map(OwnedOp::Range)], 0..4)
}

fn compares() -> impl Strategy<Value = Vec<OwnedCompare>> {
    let one = prop_oneof![
        (bytes(), bytes()).prop_map(|(key, is)| OwnedCompare::Value(key, is)),
        (bytes(), 1_i64..).prop_map(|(key, is)| OwnedCompare::CreateRevision(key, is)),
        bytes().prop_map(OwnedCompare::Absent),
    ];
    prop::collection::vec(one, 0..4)
}

fn written(request: &Request<'_>) -> Value {
    let mut out = b"before".to_vec();
    request.write(&mut out);
    serde_json::from_slice(&out[6..]).expect("JSON")
}

proptest! {
    #[test]
    fn a_transaction_is_what_serde_json_would_write(
        compare in compares(), success in ops(), failure in ops(),
    ) {
        let compare_refs: Vec<_> = compare.iter().map(OwnedCompare::borrowed).collect();
        let success_refs: Vec<_> = success.iter().map(OwnedOp::borrowed).collect();
        let failure_refs: Vec<_> = failure.iter().map(OwnedOp::borrowed).collect();
        let txn = Txn { compare: &compare_refs, success: &success_refs, failure: &failure_refs };
        let mut expected = json!({});
        let lists = [
            ("compare", compare.iter().map(OwnedCompare::json).collect::<Vec<_>>()),
            ("success", success.iter().map(OwnedOp::json).collect()),
            ("failure", failure.iter().map(OwnedOp::json).collect()),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                expected[name] = list.into();
            }
        }
        prop_assert_eq!(written(&Request::Txn(txn)), expected);
    }

    #[test]
    fn a_range_is_what_serde_json_would_write(range in range()) {
        prop_assert_eq!(written(&Request::Range(range.borrowed())), range.json());
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begin_with_it(prefix in bytes(), key in bytes()) {
        let end = prefix_end(&prefix);
        let first = prefix.iter().all(|byte| *byte == 0xff);
        prop_assume!(!first);
        let is_between = key >= prefix && key < end;
        prop_assert_eq!(is_between, key.starts_with(&prefix));
    }
}

#[test]
fn a_prefix_without_a_next_one_ends_with_the_last_key() {
    assert_eq!(prefix_end(b"\xff\xff"), [0]);
    assert_eq!(prefix_end(b""), [0]);
    assert_eq!(prefix_end(b"a/\xff"), b"a0");
}
