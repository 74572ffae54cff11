//! What a program needs around a loop.
//!
//! | file | what it is for |
//! |---|---|
//! | [`settings`](mod@settings) | settings in layers, from one table per program |
//! | [`logging`] | log lines that leave once a turn and never block it |
//! | [`service_manager`] | who has started the program: notifications, watchdog, sockets that are passed on |
//! | `turn` | the adapter between the loop and these: [`event_loop`] makes a loop that flushes log lines |
//! | [`console`] | output for a person, outside the log |
//! | [`exit_code`] | exit codes that every program shares |
//! | [`regular_file`] | opening files without blocking on a named pipe |
//!
//! Knows no connection, no protocol and no program: the server and the agencies are run the same way
//! and don't know each other.

pub mod console;
pub mod exit_code;
pub mod logging;
pub mod regular_file;
pub mod service_manager;
pub mod settings;
mod turn;

pub use turn::{EventLoop, Surroundings, event_loop, managed_event_loop};
