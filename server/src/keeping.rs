//! What an operator does with a ledger besides running a central on it: `server ledger`.
//!
//! | file | what it is for |
//! |---|---|
//! | [`commands`] | what each command was asked for, and what it says at its end |
//! | [`audit`] | a ledger read back and counted: what is wrong with it, and what is in it |
//! | [`report`] | that as a table and as JSON |
//! | [`check`] | `server ledger check PATH` |
//! | [`check_etcd`] | the same of a draw that etcd keeps |
//! | [`export`] | `server ledger export PATH` |
//! | [`backup`] | `server ledger backup PATH DEST`, `server ledger restore SRC PATH` |
//! | [`error`] | why one of these fails, and the exit code |
//! | [`progress`] | how far it has come, on a terminal |
//!
//! None of them is on the event loop: nobody is served meanwhile, and a signal ends the process, which leaves
//! nothing behind that would be taken for a whole file.

pub mod audit;
pub mod backup;
pub mod check;
pub mod check_etcd;
pub mod commands;
pub mod error;
pub mod export;
pub mod progress;
pub mod report;
