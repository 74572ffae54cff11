//! A loop whose handler a test scripts, with the peers in the test's own hands.
//!
//! The script sees every call that the loop makes. Every call is recorded too, and checked against
//! the order that [`Handler`](reactor::Handler) promises, so each test of whatever theme is a test of that promise.
//! When the loop has ended, the turns in which nothing happened are counted: a loop that spins fails
//! every test.
//!
//! | file | what it is for |
//! |---|---|
//! | `running` | a loop that listens, runs in a thread, and ends |
//! | `script` | the scripted handler: calls recorded, checked, and handed to a test's closure |
//! | `peer` | the other side of a connection |
//! | [`toy`] | a layer, and what it says on the wire |
//! | `amounts` | how long is long, how much is much |
//! | `harness` | tests one after the other in the main thread |
//!
//! Knows only `reactor`, so that `runtime`'s tests can use it too.

#![allow(clippy::missing_panics_doc, reason = "what doesn't hold in a test fails it")]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

mod amounts;
mod harness;
mod peer;
mod running;
mod script;
pub mod toy;

pub use amounts::{HUGE, NEVER, PATIENCE, SOON};
pub use harness::run_all;
pub use peer::{
    fill, narrow_peer, pattern, peer, peer_from, read_all, read_exactly, read_some, reset,
};
pub use reactor::testing::Ending;
pub use running::{Finished, Running, listening, run, spawn};
pub use script::{Call, DynContext, Event, Recorder, Refused, Script, echo};
