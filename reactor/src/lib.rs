//! A single-threaded readiness loop on `mio`.
//!
//! | file | what it is for |
//! |---|---|
//! | [`handler`] | the seam: a [`Handler`] is called, a [`Context`] is what it acts through |
//! | `turn_hook` | [`TurnHook`]: what a program does at fixed moments of a turn, such as flushing log lines |
//! | `event_loop` | [`EventLoop`]: the loop over the kernel |
//! | `turn` | the turn: wait, read, expire, accept, commit, flush, reap |
//! | `reading` | step 3: reading and delivering |
//! | `accepting` | step 5: accepting, and when it is worth trying |
//! | `output` | step 8: flushing |
//! | `connections` | all connections and the lists of what is to be done with them |
//! | `table` | connections by id: slots and generations |
//! | [`layer`] | the seam between a connection's bytes on the wire and those of its handler: [`Layer`] |
//! | `handshakes` | how many layers haven't completed their handshake |
//! | `connection` | one socket, its readiness, its bytes in between, its states |
//! | `close_reason` | why a connection is closed, in words |
//! | `shares` | what the connections of each listener have to themselves |
//! | `shutdown` | the states of the shutdown |
//! | `system` | what the loop asks of the system that it runs on |
//! | `kernel` | the system in production |
//! | `stream` | a peer's socket, or the end of a pair that the handler has attached |
//! | `listener` | a listening socket |
//! | `listener_event` | what happens to it, for an operator |
//! | `socket_options` | options of TCP sockets |
//! | [`addresses`] | limits of each address: connections, and connects in a second |
//! | `eviction` | which connection makes room at the limit |
//! | `clock` | time as the loop counts it |
//! | `deadlines` | whose deadlines there are |
//! | `timers` | deadlines in order of time |
//! | `buffer` | bytes that wait, and the pool of their memory |
//! | `signals` | signals as one more source, and what each means |
//! | `outcome` | how a loop ends |
//! | `testing` | the loop in memory, for tests; a feature of its own |
//! | `counters` | what has happened, in numbers |
//! | `gauges` | how much there is now, of what is bounded |
//! | `histogram` | how often a duration was how long |
//! | [`limits`] | every limit of the loop, with its reason |
//! | [`id`] | names of connections, timers and listeners |
//!
//! Knows no log, no setting, and nothing of what the bytes mean. There is one thread and no shared
//! state: no lock, no channel, no atomic. Blocking work that a handler leaves to another thread
//! returns its result through a pair of sockets like a peer ([`Context::attach`]).

mod accepting;
pub mod addresses;
mod buffer;
mod clock;
mod close_reason;
mod connection;
mod connections;
mod counters;
mod deadlines;
mod event_loop;
mod eviction;
mod gauges;
pub mod handler;
mod handshakes;
mod histogram;
pub mod id;
mod kernel;
pub mod layer;
pub mod limits;
mod listener;
mod listener_event;
mod outcome;
mod output;
mod reading;
mod shares;
mod shutdown;
mod signals;
mod socket_options;
mod stream;
mod system;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod turn;
mod turn_hook;

pub use addresses::{BadNetwork, Network};
pub use close_reason::CloseReason;
pub use counters::Counters;
pub use event_loop::EventLoop;
pub use gauges::Gauges;
pub use handler::{Context, Handler, ShutdownCause};
pub use histogram::{Histogram, TurnDurations, exponential_bounds};
pub use id::{ConnectionId, ListenerId, TimerId};
pub use layer::{KEPT_MAX, Layer, LayerError, Received};
pub use limits::{Limits, ListenerLimits};
pub use listener::Bound;
pub use listener_event::{ListenerEvent, RefuseReason};
pub use outcome::{Outcome, RunError};
pub use signals::{Hangup, REPEAT_SPAN, Signal, is_ignored, is_in_mask};
pub use turn_hook::TurnHook;
