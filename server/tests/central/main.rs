//! The central as a state machine, over the loop in memory: no socket and no file.
//!
//! | file | what it is for |
//! |---|---|
//! | `protocol` | requests in, responses out |
//! | `group_commits` | whatever is staged in one turn fits into commits |
//! | `tls` | which connections are taken, and who they are |
//! | `tls_peer` | a peer's side of TLS in the test's hands |
//! | `world` | a central with its peers in the test's hands |
//! | `memory_store` | a store that does what the test says |

mod group_commits;
mod memory_store;
mod protocol;
mod tls;
mod tls_peer;
mod world;
