//! The lottery's central.
//!
//! | file | what it is for |
//! |---|---|
//! | [`central`] | both protocols, as a handler of the event loop |
//! | `session` | what is remembered of one connection |
//! | `batch_log` | what the log says of a batch that was judged |
//! | `listener_log` | what happens to the listening socket, as log lines |
//! | `known_addresses` | where agencies have called from, for when places are few |
//! | `log_budget` | what a peer can have logged at will: the first as it is, the rest as counts |
//! | [`disk_thread`] | waits for the disk, so that the loop doesn't |
//! | [`answers`] | answers that wait for their commit |
//! | `commit_retry` | when a commit that had no effect is followed by another |
//! | [`lottery`] | where each agency stands, what a request does, the draw |
//! | `draw_watch` | when the log says what the draw waits for |
//! | [`standing`] | how far the lottery is, for a person who asks |
//! | [`winners`] | where in the ledger each agency's winners stand |
//! | [`scan`] | reading them from there, for all who ask at once |
//! | [`plain`] | the quick way through a batch of bets with nothing particular about them |
//! | [`startup_log`] | what the log says of a start |
//! | [`start_error`] | what ends the central before its time, and what to do about it |
//! | [`config`] | what can be set |
//! | [`ini`] | the file that it is set in |
//! | [`limits`] | every limit, with its reason and what happens when it is reached |
//! | [`healthcheck`] | whether a running central answers |
//! | [`ledger`] | `bets.csv` and the log that vouches for it |

pub mod answers;
mod batch_log;
pub mod central;
mod commit_retry;
pub mod config;
pub mod disk_thread;
mod draw_watch;
pub mod healthcheck;
pub mod ini;
mod known_addresses;
pub mod ledger;
pub mod limits;
mod listener_log;
mod log_budget;
pub mod lottery;
pub mod plain;
pub mod scan;
mod session;
pub mod standing;
pub mod start_error;
pub mod startup_log;
pub mod winners;
