//! Exit codes beyond 0 and 1, the same for every program.

/// The configuration can't be used.
pub const BAD_CONFIGURATION: u8 = 2;

/// The program has panicked; what Rust itself uses.
pub const PANICKED: u8 = 101;

/// A second signal ended the program at once; what a shell shows for a program that SIGINT ended.
pub const FORCED: u8 = 130;
