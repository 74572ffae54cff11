//! The loop in memory against the loop over the kernel: the same script runs over both, and the
//! handler gets the same calls, and the peers see the same.
//!
//! | file | what it is for |
//! |---|---|
//! | `interpreter` | the handler: it does what its input says |
//! | `script` | what peers do, step by step; what came of it |
//! | `driver` | the two loops, as a script sees them |
//! | `scenarios` | one script for each rule |
//! | `random` | any scripts at all |
//!
//! A script runs in memory first. Over the kernel each step waits until as much has come of it as did
//! in memory, or in vain: so nothing here depends on how long the kernel takes, and what differs is
//! found when both records are compared.

mod driver;
mod interpreter;
mod random;
mod scenarios;
mod script;
