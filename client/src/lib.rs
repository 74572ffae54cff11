//! The lottery's agency.
//!
//! | file | what it is for |
//! |---|---|
//! | [`settings`] | what can be set: each setting, declared once |
//! | [`config`] | what was set, as each part of the program takes it |
//! | `yaml` | the file that it is set in |
//! | [`source`] | where bets come from: memory, a file; the check of a file |
//! | [`session`] | sessions with the central, as state machines without a connection |
//! | [`connection`] | reaching the central, and driving a session |
//! | [`echo`] | mode `echo`: the loop of numbered messages |
//! | [`check_files`] | `client check`: the check of files, with a report |
//! | [`exit_schedule`] | when the result is logged, and when the program ends |
//! | [`log_budget`] | the budgets of lines that a central can repeat |
//! | [`progress`], [`progress_bar`] | the progress of a run, and its bar on a terminal |
//! | `service_status` | the progress of a run as a line for a service manager |
//! | `test_world` | a handler over the loop in memory, for unit tests |

pub mod check_files;
pub mod config;
pub mod connection;
pub mod echo;
pub mod exit_schedule;
pub mod log_budget;
pub mod progress;
pub mod progress_bar;
mod service_status;
pub mod session;
pub mod settings;
pub mod source;
#[cfg(test)]
mod test_world;
mod yaml;
