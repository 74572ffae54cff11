//! The loop in memory, for tests of handlers: deterministic, with a clock that doesn't move until it
//! is moved.
//!
//! It isn't another loop. A [`MemoryLoop`] makes the very turns of [`EventLoop`](crate::EventLoop);
//! what it runs on is a [`MemoryNetwork`] instead of the kernel. The network keeps to what Linux does
//! with sockets and edge-triggered events, and the tests in `loop-tests/tests/conformance` hold one against the other.
//!
//! | file | what it is for |
//! |---|---|
//! | `memory_loop` | [`MemoryLoop`]: a handler and its loop, turn by turn |
//! | `inspection` | what a test can see of it |
//! | `network` | [`MemoryNetwork`]: time, and what becomes of bytes |
//! | `peer` | [`Peer`]: the test's end of a connection |
//! | `recorder` | [`Recorder`]: a handler whose calls are recorded |
//! | `no_handler` | [`NoHandler`]: for tests that need a `Context` alone |
//! | `memory_system` | what the loop asks of its system, answered by a network |
//! | `state` | what a network consists of |
//! | `stepping` | the loop over the kernel turn by turn |
//! | `link` | a connection as the kernel keeps one |

mod inspection;
mod link;
mod memory_loop;
mod memory_system;
mod network;
mod no_handler;
mod peer;
mod recorder;
mod state;
mod stepping;

pub use link::Side;
pub use memory_loop::{Attached, MemoryLoop};
pub use network::MemoryNetwork;
pub use no_handler::NoHandler;
pub use peer::Peer;
pub use recorder::{Call, Ending, Recorder};
pub use state::LinkId;
