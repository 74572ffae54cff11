//! The lottery's agency.
//!
//! | file | what it is for |
//! |---|---|
//! | [`config`] | what can be set |
//! | `yaml` | the file that it is set in |
//! | [`source`] | where bets come from: memory, a file; the check of a file |
//! | [`session`] | what an agency says to the central, without a connection |
//! | [`connection`] | reaching the central, and driving a session |
//! | [`echo`] | mode `echo`: the loop of numbered messages |
//! | [`check_files`] | `client check`: files judged, a table at the end |
//! | [`exit_schedule`] | when the result is logged, and when the program ends |
//! | [`log_budget`] | how much of what a central can repeat is logged |
//! | [`progress`], [`progress_bar`] | how far a run is, and the bar for a person at a terminal |
//! | `memory_io` | the loop's side in memory, for tests |

pub mod check_files;
pub mod config;
pub mod connection;
pub mod echo;
pub mod exit_schedule;
pub mod log_budget;
#[cfg(test)]
mod memory_io;
pub mod progress;
pub mod progress_bar;
pub mod session;
pub mod source;
mod yaml;
