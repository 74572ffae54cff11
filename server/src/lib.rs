//! The lottery's central.
//!
//! | file | what it is for |
//! |---|---|
//! | [`central`] | both protocols of the port: echo and the lottery, as a handler of the event loop |
//! | [`disk_thread`] | waits for the disk, so that the loop doesn't |
//! | [`lottery`] | where each agency stands, what a request does, the draw |
//! | [`standing`] | how far the lottery is, for a person who asks |
//! | [`winners`] | where in the ledger each agency's winners stand |
//! | [`scan`] | reading them from there, for all who ask at once |
//! | [`plain`] | the quick way through a batch of bets with nothing particular about them |
//! | [`startup_log`] | log lines of a start |
//! | [`opening`] | opens the ledger, and closes it in order |
//! | [`server_error`] | why the server fails, and what to do about it |
//! | [`settings`] | what can be set: each setting and limit, declared once |
//! | [`config`] | what was set, as each part of the program takes it |
//! | [`ini`] | the file that it is set in |
//! | [`healthcheck`] | whether a running central answers |
//! | [`ledger`] | `bets.csv` and the log that vouches for it |

pub mod central;
pub mod config;
pub mod disk_thread;
pub mod healthcheck;
pub mod ini;
pub mod ledger;
pub mod lottery;
pub mod opening;
pub mod plain;
pub mod scan;
pub mod server_error;
pub mod settings;
pub mod standing;
pub mod startup_log;
pub mod winners;
