//! What a draw was begun as: `meta`. Its bytes are in the conditions of every transaction, and are never
//! the same again, because a random number is in them: what was meant for one draw isn't done to
//! another of the same name.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record;

/// The form of keys and values that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// The value of `meta` by which an operator says that the draw was deleted: no central begins it again.
pub const DELETED: &str = r#"{"format":1,"deleted":true}"#;

/// What `meta` is, for a message.
const FORM: &str = "the number of agencies and an id, as a central of this version writes them";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetaRecord {
    format: u32,
    agencies: u32,
    /// 16 digits, hexadecimal.
    id: String,
}

/// By hand, so its form is free.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletedRecord {
    #[serde(rename = "format")]
    _format: u32,
    deleted: bool,
}

#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// The bytes for a draw of so many agencies that begins now.
pub(crate) fn encode(agencies: u32, id: u64) -> Vec<u8> {
    record::encode(&MetaRecord { format: FORMAT, agencies, id: format!("{id:016x}") })
}

/// Whether these bytes are a draw of so many agencies.
///
/// # Errors
/// [`Error`]: the draw was deleted, was begun otherwise, or by a version that this one doesn't understand.
pub(crate) fn check(key: &[u8], bytes: &[u8], agencies: u32) -> Result<(), Error> {
    let any: Option<AnyFormat> = serde_json::from_slice(bytes).ok();
    if let Some(AnyFormat { format }) = any
        && format != FORMAT
    {
        return Err(Error::Format { expected: FORMAT, found: format });
    }
    if is_deleted(bytes) {
        return Err(Error::Deleted);
    }
    match record::decode(bytes) {
        Some(MetaRecord { agencies: found, .. }) if found != agencies => {
            Err(Error::Agencies { expected: agencies, found })
        }
        Some(MetaRecord { .. }) => Ok(()),
        None => Err(Error::corrupt(key, FORM, bytes)),
    }
}

fn is_deleted(bytes: &[u8]) -> bool {
    serde_json::from_slice::<DeletedRecord>(bytes).is_ok_and(|record| record.deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), Error> {
        check(b"meta", text.as_bytes(), 5)
    }

    #[test]
    fn a_draw_is_what_it_was_begun_as() {
        let text = r#"{"format":1,"agencies":5,"id":"000000000000002a"}"#;
        assert_eq!(encode(5, 42), text.as_bytes());
        assert_eq!(checked(text), Ok(()));
        let error = checked(&text.replace(":5", ":6"));
        assert_eq!(error, Err(Error::Agencies { expected: 5, found: 6 }));
        let error = checked(r#"{"format":2,"agencies":"five"}"#);
        assert_eq!(error, Err(Error::Format { expected: 1, found: 2 }));
    }

    #[test]
    fn a_deleted_draw_is_known_by_hand_written_bytes_too() {
        for text in [DELETED, "{ \"format\": 1, \"deleted\": true }\n"] {
            assert_eq!(checked(text), Err(Error::Deleted), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_there_is_named() {
        for text in ["", "1", "{\"format\":1}", "{\"format\":1,\"deleted\":false}"] {
            assert!(matches!(checked(text), Err(Error::Corrupt { .. })), "{text}");
        }
    }
}
