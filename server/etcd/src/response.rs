//! The responses of etcd, parsed. Its numbers of 64 bits come as strings, and what is zero, false or empty
//! is left out.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// By a transaction.
    Txn(TxnResponse),
    /// By a read.
    Range(RangeResponse),
}

impl Response {
    /// Which member has responded, and when.
    pub fn header(&self) -> Header {
        match self {
            Self::Txn(response) => response.header,
            Self::Range(response) => response.header,
        }
    }
}

/// Which member has responded, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The cluster; 0 where none is named, never in a [`Response`].
    #[serde(deserialize_with = "number")]
    pub cluster_id: u64,
    /// The member.
    #[serde(deserialize_with = "number")]
    pub member_id: u64,
    /// The store's revision at that time.
    #[serde(deserialize_with = "number")]
    pub revision: i64,
    /// Grows with each election.
    #[serde(deserialize_with = "number")]
    pub raft_term: u64,
}

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TxnResponse {
    /// Which member, and at which revision.
    pub header: Header,
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// What each operation did, in their order.
    pub responses: Vec<OpResponse>,
}

/// What an operation of a transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum OpResponse {
    /// It has put.
    #[serde(rename = "response_put")]
    Put(PutResponse),
    /// It has read.
    #[serde(rename = "response_range")]
    Range(RangeResponse),
}

/// What a put did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PutResponse {
    /// At which revision.
    pub header: Header,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RangeResponse {
    /// Who has read, and the newest revision then; within a transaction only this.
    pub header: Header,
    /// Keys and values in the order of the keys; none of a count.
    pub kvs: Vec<KeyValue>,
    /// Whether there are more than the limit.
    pub more: bool,
    /// How many there are, beyond the limit too.
    #[serde(deserialize_with = "number")]
    pub count: i64,
}

/// A key and its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// The key.
    #[serde(deserialize_with = "bytes")]
    pub key: Vec<u8>,
    /// The value.
    #[serde(deserialize_with = "bytes")]
    pub value: Vec<u8>,
    /// The revision at which the key was created.
    #[serde(deserialize_with = "number")]
    pub create_revision: i64,
    /// The revision at which it was last put.
    #[serde(deserialize_with = "number")]
    pub mod_revision: i64,
    /// How often it was put since it was created.
    #[serde(deserialize_with = "number")]
    pub version: i64,
}

/// A token for user and password.
#[derive(Deserialize)]
pub(crate) struct TokenResponse {
    #[serde(default)]
    pub(crate) header: Header,
    pub(crate) token: String,
}

/// A number as one, or as a string of digits.
pub(crate) fn number<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: FromStr + TryFrom<i64> + TryFrom<u64>,
{
    deserializer.deserialize_any(NumberVisitor(std::marker::PhantomData))
}

struct NumberVisitor<N>(std::marker::PhantomData<N>);

impl<N: FromStr + TryFrom<i64> + TryFrom<u64>> Visitor<'_> for NumberVisitor<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 64 bits, perhaps as a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        N::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        N::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_str(BytesVisitor)
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes as base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        // The text isn't shown: it may be long.
        STANDARD.decode(text).map_err(|error| E::custom(format_args!("no base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_strings_or_numbers_and_what_is_absent_is_a_default() {
        let text = r#"{"header":{"cluster_id":"18446744073709551615","member_id":7,"revision":"-1"},
            "kvs": [{"key": "a/\u002b", "value": "+/A=", "version": "3", "lease": "0"}], "count": "1"}"#;
        let response: Result<RangeResponse, _> = serde_json::from_str(&text.replace("a/", "YWI"));
        let response = response.expect("a response");
        assert_eq!(
            response.header,
            Header { cluster_id: u64::MAX, member_id: 7, revision: -1, raft_term: 0 }
        );
        let expected = KeyValue {
            key: STANDARD.decode("YWI+").expect("base64"),
            value: vec![0xfb, 0xf0],
            version: 3,
            ..KeyValue::default()
        };
        assert_eq!((response.kvs, response.more, response.count), (vec![expected], false, 1));
        let empty: TxnResponse = serde_json::from_str("{}").expect("a response");
        assert_eq!(empty, TxnResponse::default());
    }

    #[test]
    fn a_transaction_says_what_each_operation_did() {
        let text = r#"{"succeeded":true,"responses":[{"response_put":{"header":{"revision":"5"}}},
            {"response_range":{"header":{"revision":"5"},"count":"2"}}]}"#;
        let response: TxnResponse = serde_json::from_str(text).expect("a response");
        let header = Header { revision: 5, ..Header::default() };
        let put = OpResponse::Put(PutResponse { header });
        let range =
            OpResponse::Range(RangeResponse { header, count: 2, ..RangeResponse::default() });
        assert_eq!((response.succeeded, response.responses), (true, vec![put, range]));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for text in [
            "",
            "{\"count\":\"x\"}",
            "{\"count\":1.5}",
            "{\"count\":\"9223372036854775808\"}",
            "{\"kvs\":[{\"key\":\"a\"}]}",
            "{\"kvs\":[{\"key\":\"YQ\"}]}",
            "{\"count\":1}x",
            "{\"count\":1,\"count\":1}",
            "{\"header\":{\"cluster_id\":\"-1\"}}",
        ] {
            assert!(serde_json::from_str::<RangeResponse>(text).is_err(), "{text}");
        }
    }
}
