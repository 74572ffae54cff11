//! Making durable what the lottery decides.
//!
//! | file | what it is for |
//! |---|---|
//! | `interface` | what is asked of a store, so that a test, or another kind of store, can be put in its place |
//! | `file_store` | a store in a [`ledger`]: `bets.csv`, and the wal that vouches for it |
//! | `loading` | reading the lottery back from such a ledger |
//! | `snapshot` | the lottery's state in a checkpoint |
//! | `terms` | which lottery a ledger is for |
//! | `error` | what ends a store, and what an operator can do about it |

mod error;
mod file_store;
#[cfg(test)]
mod golden_tests;
mod interface;
mod loading;
mod snapshot;
mod terms;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub(crate) use error::advice;
pub use file_store::{FileStore, Opened};
pub use interface::{AppendError, ReadRows, Store};
pub use loading::Recovery;
pub(crate) use snapshot::{decode as decode_snapshot, encode as encode_snapshot};
pub use terms::Terms;
