//! Values that are JSON, written in one way only: the same content is always the same bytes.
//!
//! Transactions compare values byte for byte, so bytes that say the same in another way are refused. Must
//! not know what the values are for.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The bytes of a record.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    // Records are numbers, words and text: none of them fails to be written to memory.
    serde_json::to_vec(record).unwrap_or_default()
}

/// The record that has exactly these bytes, if there is one.
pub(crate) fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let record: T = serde_json::from_slice(bytes).ok()?;
    (encode(&record) == bytes).then_some(record)
}
