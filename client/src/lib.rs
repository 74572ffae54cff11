//! The lottery's agency.
//!
//! | file | what it is for |
//! |---|---|
//! | [`config`] | what can be set |
//! | [`check_files`] | `client check`: files judged, a table at the end |
//! | [`csv_rows`] | rows of strict CSV, with the lines that a person finds them on |
//! | `yaml` | the file that it is set in |
//! | [`source`], [`csv_source`] | where bets come from: memory, a file |
//! | [`data_check`] | all bad rows of a file, before any of it is sent |
//! | [`file_stamp`] | whether a file is still the one that was opened |
//! | [`input`] | bets with positions and checksum, cut into batches |
//! | [`dialogue`] | what an agency says, as a state machine without a connection |
//! | [`agency`] | mode `loteria`: the whole input, then the winners |
//! | [`apuesta`] | mode `apuesta`: one bet by hand |
//! | [`echo`] | mode `echo`: the loop of numbered messages |
//! | [`caller`] | drives a dialogue over real connections |
//! | [`farewell`] | when the result is announced, and when the program ends |
//! | [`log_budget`] | how much of what a central can repeat is logged |
//! | `look_up` | names into addresses, by a thread that nobody waits for |
//! | `dialer`, [`backoff`] | reaching the central, again and again |
//! | `memory_io` | the loop's side in memory, for tests |
//! | [`progress`], `screen` | the bar for a person at a terminal |

pub mod agency;
pub mod apuesta;
pub mod backoff;
pub mod caller;
pub mod check_files;
pub mod config;
pub mod csv_rows;
pub mod csv_source;
pub mod data_check;
mod dialer;
pub mod dialogue;
pub mod echo;
pub mod farewell;
pub mod file_stamp;
pub mod input;
pub mod log_budget;
mod look_up;
#[cfg(test)]
mod memory_io;
pub mod progress;
mod screen;
pub mod source;
pub mod stranger;
mod yaml;
