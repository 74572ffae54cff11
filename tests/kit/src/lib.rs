//! What tests of several crates share.
//!
//! | file | what it is for |
//! |---|---|
//! | [`programs`] | this workspace's programs, built from the sources as they are |
//! | [`process`] | the server as a process, and what any process does |
//! | [`running`] | a client's process |
//! | [`lottery`] | a central and its agencies as processes, and what must come of them |
//! | [`inputs`] | agencies' files, and what the ledger must hold of them |
//! | [`frames`] | the protocol's frames, and responses in words |
//!
//! Must not know any crate but `wire`: then every crate's tests and benches can use it, and no crate
//! depends on itself by way of its tests.

#![allow(clippy::missing_panics_doc, reason = "what doesn't hold in a test fails it")]

pub mod frames;
pub mod inputs;
pub mod lottery;
pub mod process;
pub mod programs;
pub mod running;
