//! The event loop over real sockets: what it promises to a handler and to the peers.
//!
//! Everything waits for something that happens, nothing for time to pass. Where a peer can do its
//! part before the loop begins, it does: the kernel then holds the same bytes on every run.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

mod accepting;
mod apart;
mod attached;
mod budgets;
mod closing;
mod connecting;
mod connection_limits;
mod hooks;
mod misbehaving;
mod reading;
mod shutdown;
mod stale;
mod stress;
mod timers;
mod writing;
