//! The JSON of requests to etcd's gateway, read: what this workspace's client asks for, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A transaction.
#[derive(Debug, Clone)]
pub struct Txn {
    /// What must hold.
    pub compare: Vec<Compare>,
    /// What is done if it does.
    pub success: Vec<Op>,
    /// What is done otherwise.
    pub failure: Vec<Op>,
}

/// What must hold of a key.
#[derive(Debug, Clone)]
pub struct Compare {
    /// The key.
    pub key: Vec<u8>,
    /// What must hold of it.
    pub condition: Condition,
}

/// What must hold.
#[derive(Debug, Clone)]
pub enum Condition {
    /// It has this value.
    Value(Vec<u8>),
    /// It was created at this revision; 0 if it must not be there.
    Created(i64),
}

/// An operation.
#[derive(Debug, Clone)]
pub enum Op {
    /// Gives a key a value.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Reads.
    Range(Range),
}

/// Which keys are read.
#[derive(Debug, Clone)]
pub struct Range {
    /// The key, or the first one.
    pub key: Vec<u8>,
    /// The key behind the last one; empty for `key` alone.
    pub end: Vec<u8>,
    /// How many are returned at most; 0 for all.
    pub limit: usize,
    /// Whether they are only counted.
    pub is_count_only: bool,
}

impl Op {
    /// Whether it writes.
    pub(super) fn is_put(&self) -> bool {
        matches!(self, Self::Put { .. })
    }
}

impl Range {
    /// Whether this key, which isn't before the first one, is in it.
    pub fn holds(&self, key: &[u8]) -> bool {
        if self.end.is_empty() { key == self.key } else { key < &self.end[..] }
    }
}

/// A transaction, from its bytes.
pub fn txn(body: &[u8]) -> Txn {
    let value = parse(body);
    let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    let ops = |name: &str| list(name).iter().map(op).collect();
    Txn {
        compare: list("compare").iter().map(compare).collect(),
        success: ops("success"),
        failure: ops("failure"),
    }
}

/// A read, from its bytes.
pub(super) fn range(body: &[u8]) -> Range {
    range_of(&parse(body))
}

/// The first key that a watch is for.
pub fn watched_key(body: &[u8]) -> Vec<u8> {
    bytes(&parse(body)["create_request"], "key")
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

fn compare(value: &Value) -> Compare {
    assert_eq!(value["result"], "EQUAL");
    let condition = match value["target"].as_str() {
        Some("VALUE") => Condition::Value(bytes(value, "value")),
        Some("CREATE") => {
            Condition::Created(value["create_revision"].as_i64().expect("a revision"))
        }
        other => panic!("expected a condition on value or creation, found {other:?}"),
    };
    Compare { key: bytes(value, "key"), condition }
}

fn op(value: &Value) -> Op {
    match (value.get("request_put"), value.get("request_range")) {
        (Some(put), None) => Op::Put { key: bytes(put, "key"), value: bytes(put, "value") },
        (None, Some(range)) => Op::Range(range_of(range)),
        _ => panic!("expected a put or a read, found {value}"),
    }
}

fn range_of(value: &Value) -> Range {
    assert!(value.get("revision").is_none(), "there is no history to read");
    let limit = value["limit"].as_u64().unwrap_or_default();
    Range {
        key: bytes(value, "key"),
        end: bytes(value, "range_end"),
        limit: usize::try_from(limit).expect("a number of keys"),
        is_count_only: value["count_only"].as_bool().unwrap_or_default(),
    }
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(value[name].as_str().unwrap_or_default()).expect("base64")
}
