//! What tests of several crates share.
//!
//! | file | what it is for |
//! |---|---|
//! | [`programs`] | this workspace's programs, built from the sources as they are |
//! | [`process`], [`processes`] | any process, several of them |
//! | [`server`], [`client`] | the two programs as processes |
//! | [`service_manager`] | who has started a program, as systemd would |
//! | [`scripted_central`] | a central that does what a script says |
//! | [`etcd`] | a cluster of real etcd members |
//! | [`networks`] | networks of a test's own, whose links can be cut |
//! | [`memory_etcd`] | one in memory, in whose way anything can be put |
//! | [`sockets`] | connections of a client that is a state machine |
//! | [`strace`] | programs that are killed, or fail, at a system call |
//! | [`log`] | log lines |
//! | [`stopwatch`] | what of a wait a process is to blame for |
//! | [`reads`] | reads that end, of output and sockets |
//! | [`lottery`] | a central and its agencies as processes, and what must come of them |
//! | [`inputs`] | agencies' files, and what the ledger must hold of them |
//! | [`certificates`] | certificates of a central and its agencies, in files |
//! | [`stream`] | a connection with or without TLS |
//! | [`tls_client`] | a TLS client whose records are in the test's hands |
//! | [`conversation`] | a request and a response at a time |
//! | [`frames`] | the protocol's frames, and responses in words |
//! | [`http`] | requests to the admin listener, and their responses |
//!
//! Knows only `wire`, `pki` and the log lines of `runtime`: then tests and benches of the crates above can use
//! it, and no crate depends on itself by way of its tests.

#![allow(clippy::missing_panics_doc, reason = "what doesn't hold in a test fails it")]

pub mod certificates;
pub mod client;
pub mod conversation;
pub mod etcd;
pub mod frames;
pub mod http;
pub mod inputs;
pub mod log;
pub mod lottery;
pub mod memory_etcd;
pub mod networks;
pub mod process;
pub mod processes;
pub mod programs;
pub mod reads;
pub mod scripted_central;
pub mod server;
pub mod service_manager;
pub mod sockets;
pub mod stopwatch;
pub mod strace;
pub mod stream;
pub mod tls_client;
