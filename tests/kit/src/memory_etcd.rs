//! etcd in memory: the JSON gateway of a cluster, as bytes in and out. No socket, no clock: which requests
//! reach it, in which order, how often, and whether their responses arrive, is the test's choice.
//!
//! It is linearizable: a request is done as a whole when [`MemoryEtcd::call`] is called, whichever member it
//! was sent to. What real etcd refuses, and no test asks for, fails the test.
//!
//! | file | what it is for |
//! |---|---|
//! | [`http`] | requests in a stream, and responses as bytes |
//! | [`request`] | the JSON of requests, read |
//! | [`history`] | what was ever put, and what a watch says of it |

pub mod history;
pub mod http;
pub mod request;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::history::{Change, History};
use self::request::{Compare, Condition, Op, Range, Txn};

/// What a member says when no space is left.
const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// The store of a cluster.
#[derive(Debug, Clone, Default)]
pub struct MemoryEtcd {
    entries: BTreeMap<Vec<u8>, Entry>,
    revision: i64,
    /// Named in each response.
    pub cluster_id: u64,
    /// The same; it grows with each election.
    pub raft_term: u64,
    /// All that was ever put or deleted.
    pub history: History,
    /// It has no space: no transaction that might put is done.
    pub is_full: bool,
    /// What it does wrong.
    pub faults: Faults,
}

/// What it does wrong: what users rely on is taken back, to see that they notice.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Conditions on keys in whose names this is always hold.
    pub ignored_condition: Option<&'static str>,
    /// Every count is this one.
    pub count: Option<i64>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    created: i64,
    modified: i64,
    version: i64,
}

impl MemoryEtcd {
    /// An empty store.
    pub fn new() -> Self {
        Self { revision: 1, cluster_id: 7, raft_term: 2, ..Self::default() }
    }

    /// A store with the keys that a read of a real one has returned, each put when it was put last.
    pub fn loaded(response: &str) -> Self {
        let response: Value = serde_json::from_str(response).expect("JSON");
        let kvs = response["kvs"].as_array().cloned().unwrap_or_default();
        let number = |kv: &Value| -> i64 {
            kv["mod_revision"].as_str().and_then(|text| text.parse().ok()).expect("a revision")
        };
        let bytes = |kv: &Value, name: &str| {
            STANDARD.decode(kv[name].as_str().unwrap_or_default()).expect("base64")
        };
        let mut puts: Vec<_> =
            kvs.iter().map(|kv| (number(kv), bytes(kv, "key"), bytes(kv, "value"))).collect();
        puts.sort();
        let mut store = Self::new();
        for (revision, key, value) in puts {
            store.revision = revision;
            store.put_now(&key, &value);
        }
        store
    }

    /// Does what the body of a request asks for. The response: its status, and its body.
    pub fn call(&mut self, resource: &str, body: &[u8]) -> (u16, String) {
        match resource {
            "/v3/kv/txn" => self.txn(&request::txn(body)),
            "/v3/kv/range" => (200, self.with_header(self.range(&request::range(body)))),
            _ => panic!("expected a transaction or a read, found {resource}"),
        }
    }

    /// The reads of a transaction as it fails, without looking at its conditions.
    pub fn fail(&mut self, body: &[u8]) -> (u16, String) {
        let txn = request::txn(body);
        self.done(false, &txn.failure)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key.as_bytes()).map(|entry| &entry.value[..])
    }

    /// All keys with this prefix, in their order, and their values.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(&[u8], &[u8])> {
        let from = self.entries.range(prefix.as_bytes().to_vec()..);
        let all = from.take_while(|(key, _)| key.starts_with(prefix.as_bytes()));
        all.map(|(key, entry)| (&key[..], &entry.value[..])).collect()
    }

    /// Puts, as an operator does by hand.
    pub fn put(&mut self, key: &str, value: &[u8]) {
        self.revision += 1;
        self.put_now(key.as_bytes(), value);
    }

    /// Deletes, as an operator does by hand, all keys with this prefix.
    pub fn delete(&mut self, prefix: &str) {
        self.revision += 1;
        let found = self.with_prefix(prefix);
        let keys: Vec<_> = found.into_iter().map(|(key, _)| key.to_vec()).collect();
        for key in keys {
            self.entries.remove(&key);
            self.history.add(Change { revision: self.revision, key, value: None });
        }
    }

    /// The first line of a watch, and the revision behind which it reports changes.
    pub fn watch(&self) -> (String, i64) {
        let body = json!({ "result": { "header": self.header(), "created": true } });
        (format!("{body}\n"), self.revision)
    }

    fn txn(&mut self, txn: &Txn) -> (u16, String) {
        if self.is_full && txn.success.iter().chain(&txn.failure).any(Op::is_put) {
            return http::refusal(429, 8, NO_SPACE);
        }
        let holds = txn.compare.iter().all(|compare| self.holds(compare));
        self.done(holds, if holds { &txn.success } else { &txn.failure })
    }

    fn done(&mut self, succeeded: bool, ops: &[Op]) -> (u16, String) {
        // All puts of a transaction have one revision.
        self.revision += i64::from(ops.iter().any(Op::is_put));
        let responses: Vec<_> = ops.iter().map(|op| self.op(op)).collect();
        (200, self.with_header(json!({ "succeeded": succeeded, "responses": responses })))
    }

    fn op(&mut self, op: &Op) -> Value {
        match op {
            Op::Put { key, value } => {
                self.put_now(key, value);
                json!({ "response_put": { "header": { "revision": text(self.revision) } } })
            }
            Op::Range(range) => json!({ "response_range": self.range(range) }),
        }
    }

    fn put_now(&mut self, key: &[u8], value: &[u8]) {
        let revision = self.revision;
        let is_newest = self
            .history
            .changes()
            .last()
            .is_some_and(|change| change.revision == revision && change.key == key);
        assert!(!is_newest, "etcd refuses a key twice in a transaction");
        let before = self.entries.get(key);
        let entry = Entry {
            value: value.to_vec(),
            created: before.map_or(revision, |entry| entry.created),
            modified: revision,
            version: before.map_or(1, |entry| entry.version + 1),
        };
        self.entries.insert(key.to_vec(), entry);
        self.history.add(Change { revision, key: key.to_vec(), value: Some(value.to_vec()) });
    }

    fn holds(&self, compare: &Compare) -> bool {
        let is_in = |part: &str| compare.key.windows(part.len()).any(|at| at == part.as_bytes());
        if self.faults.ignored_condition.is_some_and(is_in) {
            return true;
        }
        let entry = self.entries.get(&compare.key);
        match &compare.condition {
            Condition::Value(value) => entry.is_some_and(|entry| entry.value == *value),
            Condition::Created(revision) => entry.map_or(0, |entry| entry.created) == *revision,
        }
    }

    fn range(&self, range: &Range) -> Value {
        let found = self.entries.range(range.key.clone()..);
        let found: Vec<_> = found.take_while(|(key, _)| range.holds(key)).collect();
        let count =
            self.faults.count.filter(|_| range.is_count_only).map_or(text(found.len()), text);
        if range.is_count_only {
            return json!({ "count": count });
        }
        let limit = if range.limit == 0 { found.len() } else { range.limit };
        let kvs = found.iter().take(limit).map(|(key, entry)| {
            json!({
                "key": STANDARD.encode(key),
                "value": STANDARD.encode(&entry.value),
                "create_revision": text(entry.created),
                "mod_revision": text(entry.modified),
                "version": text(entry.version),
            })
        });
        let kvs: Vec<_> = kvs.collect();
        json!({ "kvs": kvs, "more": found.len() > limit, "count": count })
    }

    fn header(&self) -> Value {
        json!({
            "cluster_id": text(self.cluster_id),
            "member_id": "1",
            "revision": text(self.revision),
            "raft_term": text(self.raft_term),
        })
    }

    fn with_header(&self, mut body: Value) -> String {
        body["header"] = self.header();
        body.to_string()
    }
}

/// The gateway writes numbers of 64 bits as text.
fn text<N: ToString + Copy>(number: N) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(etcd: &mut MemoryEtcd, body: &Value) -> Value {
        let (status, body) = etcd.call("/v3/kv/txn", body.to_string().as_bytes());
        assert_eq!(status, 200);
        serde_json::from_str(&body).expect("JSON")
    }

    fn absent(key: &str) -> Value {
        json!({ "result": "EQUAL", "target": "CREATE", "key": STANDARD.encode(key), "create_revision": 0 })
    }

    fn put(key: &str) -> Value {
        json!({ "request_put": { "key": STANDARD.encode(key), "value": "" } })
    }

    #[test]
    fn a_transaction_is_done_as_a_whole_at_one_revision() {
        let mut etcd = MemoryEtcd::new();
        let count =
            json!({ "request_range": { "key": "YQ==", "range_end": "Yg==", "count_only": true } });
        let body = json!({ "compare": [absent("a")], "success": [put("a"), put("a2"), count] });
        let done = call(&mut etcd, &body);
        assert_eq!((&done["succeeded"], &done["header"]["revision"]), (&json!(true), &json!("2")));
        assert_eq!(done["responses"][2]["response_range"]["count"], json!("2"));
        let again = call(&mut etcd, &body);
        assert_eq!((&again["succeeded"], &again["responses"]), (&json!(false), &json!([])));
        assert_eq!(etcd.history.changes().len(), 2);
    }

    #[test]
    fn what_it_does_wrong_is_what_was_asked_for() {
        let mut etcd = MemoryEtcd::new();
        etcd.put("a", b"");
        etcd.faults = Faults { ignored_condition: Some("a"), count: None };
        let done = call(&mut etcd, &json!({ "compare": [absent("a")], "success": [put("b")] }));
        assert_eq!(done["succeeded"], json!(true));
        etcd.is_full = true;
        let body = json!({ "compare": [absent("c")], "failure": [put("c")] }).to_string();
        let (status, body) = etcd.call("/v3/kv/txn", body.as_bytes());
        assert!(status == 429 && body.contains(NO_SPACE) && etcd.get("c").is_none());
    }

    #[test]
    fn a_watch_reports_what_changes_behind_its_beginning() {
        let mut etcd = MemoryEtcd::new();
        etcd.put("closed", b"1");
        let (line, revision) = etcd.watch();
        assert!(line.contains("\"created\":true"));
        etcd.put("other", b"");
        etcd.delete("closed");
        let lines = etcd.history.lines(b"closed", revision, etcd.cluster_id);
        assert!(lines.len() == 1 && lines[0].contains("DELETE"), "{lines:?}");
    }
}
