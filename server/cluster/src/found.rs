//! What a response of etcd holds, read with care: bytes that no central writes are an error.
//!
//! Must not know what is done about it.

use etcd::{OpResponse, RangeResponse, Response, TxnResponse};

use crate::account::Account;
use crate::closed;
use crate::error::Error;
use crate::keys::Keys;

/// What HELLO, commit or END finds when its conditions don't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) account: Option<Account>,
    /// Who held the draw, if it was held.
    pub(crate) closed: Option<String>,
    /// Whether `meta` is the one that this central began with.
    pub(crate) is_same_meta: bool,
}

impl Found {
    /// What a transaction of this agency has found, that reads account, `closed` and `meta`.
    pub(crate) fn read(
        txn: &TxnResponse,
        keys: &Keys,
        agency: u32,
        meta: &[u8],
    ) -> Result<Self, Error> {
        Ok(Self {
            account: account(keys, agency, range(txn, 0)?)?,
            closed: closed(keys, range(txn, 1)?)?,
            is_same_meta: value(range(txn, 2)?) == Some(meta),
        })
    }
}

/// The response to a transaction.
pub(crate) fn txn(response: Response) -> Result<TxnResponse, Error> {
    match response {
        Response::Txn(txn) => Ok(txn),
        Response::Range(_) => Err(Error::Response { expected: "the response to a transaction" }),
    }
}

/// What the operation at this index has read.
pub(crate) fn range(txn: &TxnResponse, index: usize) -> Result<&RangeResponse, Error> {
    match txn.responses.get(index) {
        Some(OpResponse::Range(range)) => Ok(range),
        Some(OpResponse::Put(_)) | None => {
            Err(Error::Response { expected: "what each operation has read" })
        }
    }
}

/// The value of the key that was read, if it is there.
pub(crate) fn value(range: &RangeResponse) -> Option<&[u8]> {
    range.kvs.first().map(|kv| &kv.value[..])
}

/// The account that was read.
pub(crate) fn account(
    keys: &Keys,
    agency: u32,
    range: &RangeResponse,
) -> Result<Option<Account>, Error> {
    let decode = |bytes: &[u8]| {
        let account = Account::decode(bytes);
        account.ok_or_else(|| Error::corrupt(&keys.account(agency), Account::FORM, bytes))
    };
    value(range).map(decode).transpose()
}

/// Who held the draw, as was read.
pub(crate) fn closed(keys: &Keys, range: &RangeResponse) -> Result<Option<String>, Error> {
    value(range).map(|bytes| closed_by(keys, bytes)).transpose()
}

/// Who held the draw, if these are the bytes of `closed`.
pub(crate) fn closed_by(keys: &Keys, bytes: &[u8]) -> Result<String, Error> {
    closed::decode(bytes).ok_or_else(|| Error::corrupt(&keys.closed(), closed::FORM, bytes))
}

/// All accounts that were read, with their agencies.
pub(crate) fn accounts(keys: &Keys, range: &RangeResponse) -> Result<Vec<(u32, Account)>, Error> {
    let accounts = range.kvs.iter().map(|kv| {
        let agency = keys.agency_of(&kv.key).ok_or_else(|| {
            Error::corrupt(&kv.key, "the key of an agency's account", kv.key.as_slice())
        })?;
        let account = Account::decode(&kv.value);
        let account = account.ok_or_else(|| Error::corrupt(&kv.key, Account::FORM, &kv.value))?;
        Ok((agency, account))
    });
    accounts.collect()
}

#[cfg(test)]
mod tests {
    use etcd::KeyValue;

    use super::*;

    fn keys() -> Keys {
        Keys::new("a")
    }

    fn read_of(key: Vec<u8>, value: &[u8]) -> RangeResponse {
        let kv = KeyValue { key, value: value.to_vec(), ..KeyValue::default() };
        RangeResponse { kvs: vec![kv], count: 1, ..RangeResponse::default() }
    }

    fn txn_of(ranges: Vec<RangeResponse>) -> TxnResponse {
        let responses = ranges.into_iter().map(OpResponse::Range).collect();
        TxnResponse { responses, ..TxnResponse::default() }
    }

    #[test]
    fn a_failed_write_has_found_account_draw_and_meta() {
        let account = Account { session: 7, ..Account::default() };
        let all = vec![
            read_of(keys().account(3), &account.encode()),
            read_of(keys().closed(), br#"{"by":"me"}"#),
            read_of(keys().meta(), b"meta"),
        ];
        let found = Found::read(&txn_of(all), &keys(), 3, b"meta");
        let closed = Some("me".to_owned());
        let expected = Found { account: Some(account), closed, is_same_meta: true };
        assert_eq!(found, Ok(expected));
        let none = vec![RangeResponse::default(); 3];
        let expected = Found { account: None, closed: None, is_same_meta: false };
        assert_eq!(Found::read(&txn_of(none), &keys(), 3, b"meta"), Ok(expected));
    }

    #[test]
    fn what_was_not_asked_for_is_an_error() {
        let short = txn_of(vec![RangeResponse::default(); 2]);
        let error = Found::read(&short, &keys(), 3, b"meta");
        assert!(matches!(error, Err(Error::Response { .. })), "{error:?}");
        assert!(txn(Response::Range(RangeResponse::default())).is_err());
    }

    #[test]
    fn bytes_that_no_central_writes_are_named() {
        let error = account(&keys(), 3, &read_of(keys().account(3), b"{}"));
        let text = error.expect_err("no account").to_string();
        let expected = format!("key /loteria/a/acct/3: expected {}, found \"{{}}\"", Account::FORM);
        assert_eq!(text, expected);
        assert!(closed(&keys(), &read_of(keys().closed(), b"me")).is_err());
        let mut page = read_of(keys().account(3), &Account::default().encode());
        assert_eq!(accounts(&keys(), &page), Ok(vec![(3, Account::default())]));
        page.kvs[0].key = b"/loteria/a/acct/x".to_vec();
        assert!(accounts(&keys(), &page).is_err());
    }
}
