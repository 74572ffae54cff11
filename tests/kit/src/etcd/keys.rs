//! Reads and writes of keys, as a test or an operator does by hand. Knows no process.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Cluster;
use crate::process::wait_until;

/// A key, and the revisions at which it was created and put last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// When it was created.
    pub created: i64,
    /// When it was put last.
    pub modified: i64,
}

impl Cluster {
    /// All keys with a prefix, as one member says, once it does: it may be without a leader, or the test's
    /// token have ended.
    pub fn keys(&self, index: usize, prefix: &str) -> Vec<Key> {
        let mut response = Value::Null;
        wait_until("a member reads", || {
            let body = self.range(index, prefix, r#","keys_only":true"#);
            response = serde_json::from_str(&body.unwrap_or_default()).unwrap_or_default();
            response["header"].is_object()
        });
        let number = |kv: &Value, name: &str| -> i64 {
            kv[name].as_str().and_then(|text| text.parse().ok()).expect("a revision")
        };
        let key = |kv: &Value| {
            let name = STANDARD.decode(kv["key"].as_str().expect("a key")).expect("base64");
            let name = String::from_utf8(name).expect("text");
            let [created, modified] = ["create_revision", "mod_revision"].map(|of| number(kv, of));
            Key { name, created, modified }
        };
        response["kvs"].as_array().into_iter().flatten().map(key).collect()
    }

    /// The value of a key, as one member says; `None` if there is none, or the member doesn't say.
    pub fn value(&self, index: usize, key: &str) -> Option<Vec<u8>> {
        let body = self.range(index, key, r#","limit":1"#)?;
        let response: Value = serde_json::from_str(&body).ok()?;
        let found = &response["kvs"][0];
        let is_it = found["key"] == STANDARD.encode(key).as_str();
        STANDARD.decode(found["value"].as_str().filter(|_| is_it)?).ok()
    }

    /// Puts a key, as an operator does by hand.
    pub fn put(&self, index: usize, key: &str, value: &str) {
        let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
        let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
        self.call(index, "/v3/kv/put", &body).expect("a response");
    }

    /// Deletes all keys with a prefix, as an operator does by hand.
    pub fn delete(&self, index: usize, prefix: &str) {
        let (key, end) = prefix_range(prefix);
        let body = format!(r#"{{"key":"{key}","range_end":"{end}"}}"#);
        self.call(index, "/v3/kv/deleterange", &body).expect("a response");
    }

    /// The body of the response to a read of all keys with a prefix.
    pub fn with_prefix(&self, index: usize, prefix: &str) -> Option<String> {
        self.range(index, prefix, "")
    }

    fn range(&self, index: usize, prefix: &str, further: &str) -> Option<String> {
        let (key, end) = prefix_range(prefix);
        let body = format!(r#"{{"key":"{key}","range_end":"{end}"{further}}}"#);
        let response = self.call(index, "/v3/kv/range", &body)?;
        response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }
}

/// The first key with a prefix, and the one behind the last, as requests have them.
pub(super) fn prefix_range(prefix: &str) -> (String, String) {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix") += 1;
    (STANDARD.encode(prefix), STANDARD.encode(end))
}
