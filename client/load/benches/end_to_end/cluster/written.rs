//! What centrals have written for one agency, as etcd has it, and the same as requests that are ready to
//! be sent: of the same number, sizes and conditions, with nothing left to do but to send them.

use std::net::SocketAddr;

use etcd::{Compare, Op, Range, Request, Txn};
use http1::RequestHead;
use kit::etcd::Cluster;

use super::DRAW;
use super::loader::Transaction;

/// What the loader's draw was begun as, in the form of a central's.
const META: &str = r#"{"format":1,"agencies":16,"id":"0123456789abcdef"}"#;

/// An agency's transactions.
pub(crate) struct Written {
    agency: u32,
    /// How many batches each has stored.
    batches: Vec<usize>,
    /// Bets of a batch: all have the same.
    batch_len: u64,
    /// Their rows.
    rows: Vec<u8>,
}

/// Mean size of what transactions have stored, in bytes.
#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
pub(crate) fn mean_value(all: &[Written]) -> f64 {
    let bytes: usize =
        all.iter().map(|one| one.rows.len() * one.batches.iter().sum::<usize>()).sum();
    let transactions: usize = all.iter().map(|one| one.batches.len()).sum();
    bytes as f64 / transactions as f64
}

fn key(name: &str) -> String {
    format!("/loteria/{DRAW}/{name}")
}

/// The form of an account.
fn account(consumed: u64) -> String {
    format!(
        r#"{{"session":"0123456789abcdef","consumed":{consumed},"checksum":"01234567","stored":{consumed},"rejected":0,"winners":0,"finished":false}}"#
    )
}

fn get(key: &str) -> Op<'_> {
    Op::Range(Range::of_key(key.as_bytes()))
}

impl Written {
    /// Reads what is stored of an agency: so many bets, in whole batches.
    pub(crate) fn read(etcd: &Cluster, agency: u32, consumed: u64, batch_len: u64) -> Self {
        let prefix = key(&format!("bets/{agency}/"));
        let keys = etcd.keys(0, &prefix);
        let firsts = keys.iter().map(|key| key.name[prefix.len()..].parse().expect("a position"));
        let firsts: Vec<u64> = firsts.collect();
        let ends = firsts.iter().skip(1).copied().chain([consumed]);
        let batches = firsts.iter().zip(ends).map(|(first, end)| {
            assert!((end - first).is_multiple_of(batch_len), "whole batches");
            usize::try_from((end - first) / batch_len).expect("a few")
        });
        let batches: Vec<_> = batches.collect();
        let mut rows = etcd.value(0, &keys[0].name).expect("the first value");
        rows.truncate(rows.len() / batches[0]);
        Self { agency, batches, batch_len, rows }
    }

    /// Requests to the member at `address` that do the same, in an etcd of their own, in which this puts
    /// what they rest on.
    pub(crate) fn transactions(&self, etcd: &Cluster, address: SocketAddr) -> Vec<Transaction> {
        etcd.put(0, &key("meta"), META);
        etcd.put(0, &key(&format!("acct/{}", self.agency)), &account(0));
        let head = RequestHead::new("POST", "/v3/kv/txn", &address.to_string());
        let head = head.and_then(|head| head.header("Content-Type", "application/json"));
        let head = head.and_then(|head| head.header("Grpc-Metadata-hasleader", "true"));
        let head = head.expect("a good head");
        let mut consumed = 0;
        let transaction = |batches: &usize| {
            let bets = *batches as u64 * self.batch_len;
            let body = self.body(consumed, bets, &self.rows.repeat(*batches));
            consumed += bets;
            let mut request = Vec::new();
            head.write(Some(body.len()), &mut request);
            request.extend_from_slice(&body);
            Transaction { bets, request }
        };
        self.batches.iter().map(transaction).collect()
    }

    /// A commit as a central writes it.
    fn body(&self, consumed: u64, bets: u64, rows: &[u8]) -> Vec<u8> {
        let (known, wanted) = (account(consumed), account(consumed + bets));
        let (meta, closed) = (key("meta"), key("closed"));
        let account = key(&format!("acct/{}", self.agency));
        let stored = key(&format!("bets/{}/{consumed:020}", self.agency));
        let compare = [
            Compare::Value { key: account.as_bytes(), is: known.as_bytes() },
            Compare::Absent { key: closed.as_bytes() },
            Compare::Value { key: meta.as_bytes(), is: META.as_bytes() },
        ];
        let success = [
            Op::Put { key: account.as_bytes(), value: wanted.as_bytes() },
            Op::Put { key: stored.as_bytes(), value: rows },
        ];
        let failure = [get(&account), get(&closed), get(&meta)];
        let txn = Txn { compare: &compare, success: &success, failure: &failure };
        let mut body = Vec::new();
        Request::Txn(txn).write(&mut body);
        body
    }
}
