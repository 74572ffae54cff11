//! A client of etcd as a state machine: requests and events come in, bytes for connections and responses
//! go out. Sans-IO: knows no socket and no clock, and nothing of the lottery.
//!
//! Speaks to etcd's JSON gateway by HTTP/1.1. The driver of a [`Client`] has
//! connections, perhaps with TLS, and the time.
//!
//! | file | what it is for |
//! |---|---|
//! | [`request`] | what can be asked for, and its bytes |
//! | [`json`] | writes JSON without a copy |
//! | [`response`] | the responses of etcd, parsed |
//! | [`outcome`] | what is known after a try: etcd's errors in words of this crate |
//! | [`watch_line`] | what a watch says, line by line |
//! | [`config`] | endpoints, time-outs and limits |
//! | [`client`] | the state machine; its parts are in `client/` |
//! | [`client::members`] | which member is asked next |
//! | [`client::requests`] | requests that aren't completed |
//! | [`client::connections`] | connections, and what each is busy with |
//! | [`client::heads`] | the heads of requests, with the token |
//! | [`client::actions`], [`client::events`] | what goes out |
//! | [`client::counters`] | what has happened so far |
//! | [`client::dispatch`] | gives waiting work to connections |
//! | [`client::completion`] | what comes of responses and failures |
//! | [`client::token`] | the token that a user has for a password |
//! | [`client::watching`], [`client::watch_state`] | the watch |

#![forbid(unsafe_code)]

pub mod client;
pub mod config;
mod json;
pub mod outcome;
pub mod request;
pub mod response;
mod watch_line;

pub use client::Client;
pub use client::actions::{Action, ConnectionNumber};
pub use client::counters::Counters;
pub use client::events::{Change, Completion, Event};
pub use client::requests::{SubmitError, Ticket};
pub use config::{Config, ConfigError, Credentials};
pub use outcome::Refusal;
pub use request::{Compare, Op, Range, Request, Txn, prefix_end};
pub use response::{Header, KeyValue, OpResponse, RangeResponse, Response, TxnResponse};
