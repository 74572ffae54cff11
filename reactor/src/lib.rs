//! A single-threaded readiness loop, and what a program needs around it.

pub mod limits;
pub mod service;
pub mod token;

pub use limits::Limits;
pub use service::{CloseReason, Io, ListenerEvent, Service, StopCause};
pub use token::{Timer, Token};
