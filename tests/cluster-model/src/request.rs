//! A transaction of a central, from its first try until an answer settles it.
//!
//! It must not know what the answer means.

use std::sync::Arc;

use crate::store::{Account, Answer, Txn};

/// A transaction under way: the same bytes are tried until an answer settles it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// What it is for.
    pub purpose: Purpose,
    /// Its bytes.
    pub txn: Arc<Txn>,
    /// The account that it puts.
    pub wanted: Account,
    /// Its newest try.
    pub newest: Try,
    /// An earlier try was given up, and may have been applied, or be applied yet.
    pub is_unknown: bool,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The fence.
    Hello,
    /// Batches.
    Commit,
    /// END.
    End,
    /// The draw.
    Close,
}

/// A try.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Try {
    /// On its way to etcd.
    Asked,
    /// On its way back.
    Answered(Answer),
}

impl Request {
    /// A transaction that is sent now.
    pub fn new(purpose: Purpose, txn: Txn, wanted: Account) -> Self {
        Self { purpose, txn: Arc::new(txn), wanted, newest: Try::Asked, is_unknown: false }
    }

    /// Given up, and sent again: the same bytes.
    pub fn send_again(&mut self) {
        self.newest = Try::Asked;
        self.is_unknown = true;
    }
}
