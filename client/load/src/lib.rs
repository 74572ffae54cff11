//! What makes a lottery happen without people: load, files of bets, and all processes on one machine.
//!
//! | file | what it is for |
//! |---|---|
//! | [`swarm`] | load from any number of connections, measured (binary `swarm`) |
//! | [`dataset`] | agency files out of a seed (binary `dataset`) |
//! | [`generated`] | which files it has made, so that it overwrites no others |
//! | [`demo`] | a lottery to watch: who sends what, how fast, and what befalls whom (binary `lottery`) |
//! | [`certificates`] | those of a lottery over TLS on one machine (binary `lottery`) |
//! | [`processes`] | programs of this project side by side (binary `lottery`) |
//! | [`verify`] | whether a lottery came out right: files, ledger and winners compared (binary `lottery`) |
//!
//! Knows the central by its protocol, its ledger file and its log lines alone.

pub mod certificates;
pub mod dataset;
pub mod demo;
pub mod generated;
pub mod processes;
pub mod swarm;
pub mod verify;
