//! A single-threaded readiness loop on `mio`.
//!
//! | file | what it is for |
//! |---|---|
//! | [`handler`] | the seam: [`Handler`] is what is served, [`Context`] is what it can ask for |
//! | `turn_hook` | [`TurnHook`]: what a program does at fixed moments of a turn, such as flushing log lines |
//! | `event_loop` | the turn: wait, serve, commit, write, reap |
//! | `connections` | all connections and the lists of what is to be done with them |
//! | `connection` | one socket, its readiness, its bytes in between, its states |
//! | `close_reason` | why a connection is gone, in words |
//! | `stream` | a peer's socket, or the end of a pair that the handler has attached |
//! | `accepting` | what becomes of a peer that was accepted |
//! | `listener` | the listening socket, and whether somebody may be waiting at it |
//! | [`addresses`] | how many connections each address has, and how quickly it makes them |
//! | `eviction` | who makes room at the limit of connections |
//! | `timers` | deadlines in order of time |
//! | `buffer` | output that waits, and the pool of memory |
//! | `signals` | signals as one more source, and what each means |
//! | [`limits`] | every limit of the loop, with its reason |
//! | [`id`] | names of connections and timers |
//!
//! Knows no log, no setting, and nothing of what the bytes mean. There is one thread, and nothing here is shared with
//! another: no lock, no channel, no atomic. What a handler leaves to another thread, because it
//! has no form that doesn't block, answers through a pair of sockets like any peer ([`Context::attach`]).

mod accepting;
pub mod addresses;
mod buffer;
mod close_reason;
mod connection;
mod connections;
mod event_loop;
mod eviction;
pub mod handler;
pub mod id;
pub mod limits;
mod listener;
mod signals;
mod stream;
mod timers;
mod turn_hook;

pub use addresses::Network;
pub use close_reason::CloseReason;
pub use connections::Counters;
pub use event_loop::{EventLoop, Outcome, RunError};
pub use handler::{Context, Handler, ListenerEvent, RefuseReason, ShutdownCause};
pub use id::{ConnectionId, TimerId};
pub use limits::Limits;
pub use listener::Bound;
pub use signals::{Hangup, REPEAT_SPAN, Signal, is_ignored, is_in_mask};
pub use turn_hook::TurnHook;
