//! What is kept of a draw that was held: who held it.

use serde::{Deserialize, Serialize};

use crate::record;

/// What a record of the draw is, for a message.
pub(crate) const FORM: &str = "the name of the central that held the draw";

/// The form in etcd.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosedRecord {
    by: String,
}

/// The bytes that say that `central` held the draw.
pub(crate) fn encode(central: &str) -> Vec<u8> {
    record::encode(&ClosedRecord { by: central.to_owned() })
}

/// Who held the draw, if these bytes say so.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    record::decode(bytes).map(|ClosedRecord { by }| by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_whatever_is_in_it() {
        for name in ["central-1", "a \"b\" \\ ñ\n"] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
        }
        assert_eq!(encode("central-1"), br#"{"by":"central-1"}"#);
        for bytes in ["", "{}", r#"{"by":"a" }"#, r#"{"by":1}"#, r#"{"by":"a","x":1}"#] {
            assert_eq!(decode(bytes.as_bytes()), None, "{bytes}");
        }
    }
}
