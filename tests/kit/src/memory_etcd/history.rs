//! What was ever put or deleted, and what a watch says of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// At which revision of the store.
    pub revision: i64,
    /// The key.
    pub key: Vec<u8>,
    /// Its new value; `None` when it was deleted.
    pub value: Option<Vec<u8>>,
}

/// All changes, in their order.
#[derive(Debug, Clone, Default)]
pub struct History {
    changes: Vec<Change>,
}

impl History {
    /// A further change.
    pub(super) fn add(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// All of them.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What the watch of a key says of the changes behind a revision.
    pub fn lines(&self, key: &[u8], behind: i64, cluster_id: u64) -> Vec<String> {
        let news =
            self.changes.iter().filter(|change| change.revision > behind && change.key == key);
        let line = |change: &Change| {
            let header = json!({
                "cluster_id": cluster_id.to_string(),
                "revision": change.revision.to_string(),
            });
            let key = STANDARD.encode(&change.key);
            let event = match &change.value {
                Some(value) => json!({ "kv": { "key": key, "value": STANDARD.encode(value) } }),
                None => json!({ "type": "DELETE", "kv": { "key": key } }),
            };
            format!("{}\n", json!({ "result": { "header": header, "events": [event] } }))
        };
        news.map(line).collect()
    }
}
