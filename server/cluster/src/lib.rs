//! A lottery's facts in etcd, kept there by several equal centrals, as a state machine: what agencies ask
//! of one central comes in, bytes for connections to etcd and what became of it go out. Sans-IO: knows no
//! socket, no clock, nothing of the protocol that agencies speak, and nothing of what a bet is.
//!
//! # The scheme
//!
//! Centrals keep nothing that counts: every fact of a lottery is in etcd, below a prefix of its own, and
//! any central serves any agency. There is no leader and no lock. Instead each transaction says what it
//! rests on, and etcd applies it only if that still holds: a central that was frozen, or cut off, or is
//! asked by an agency that has long gone elsewhere, can do no harm.
//!
//! Keys below `/loteria/<draw>/`; a draw's name is never used twice:
//!
//! | key | value | put by |
//! |---|---|---|
//! | `meta` | format, number of agencies, a random id; or that the draw was deleted | the first central that starts; the operator |
//! | `acct/<agency>` | an [`Account`] as JSON, always the same bytes for the same content | HELLO, commit, END |
//! | `bets/<agency>/<first position, 20 digits>` | rows, as they were given; no key if there are none | commit |
//! | `win/<agency>/<first position, 20 digits>` | documents of winning bets, each with a line feed behind it; no key if there are none | commit |
//! | `fin/<agency>` | empty | END |
//! | `closed` | which central held the draw | close |
//!
//! | transaction | only if | then | else |
//! |---|---|---|---|
//! | HELLO | the account is what was read, `closed` is absent, `meta` is the same | put the account with a session that never was: the *fence* | get account, `closed`, `meta` |
//! | commit | the account is what this session last wrote, `closed` is absent, `meta` is the same | put account, `bets/`, `win/` | the same |
//! | END | the same | put the account as finished, and `fin/`; count `fin/` | the same |
//! | close | `closed` is absent, `meta` is the same | put `closed` | get `closed`, `meta` |
//! | any read | `meta` is the same | get what is asked for | get `meta` |
//!
//! *Is the same* compares bytes, of `meta` too. Who has counted as many `fin/` as there are agencies may
//! close: none of them ever goes. What a response means is judged in [`outcome`]; what is unknown after a
//! try, [`etcd::Client`] tries again, byte for byte the same, until it is known.
//!
//! An operator deletes a draw by putting [`DELETED`] into its `meta`, and then deleting its other keys: in
//! this order, so that no central begins it anew between the two. Every central of the draw stops
//! then, and none starts.
//!
//! The scheme is explored exhaustively, as a model, in `tests/cluster-model`.
//!
//! | file | what it is for |
//! |---|---|
//! | [`config`] | which draw, for how many agencies, and limits |
//! | [`keys`] | the names of keys |
//! | [`record`] | values that are JSON: one form for each content |
//! | [`account`], [`meta`], [`closed`] | what is kept under these keys |
//! | [`transactions`] | the table above, for etcd |
//! | [`found`] | what a response of etcd holds |
//! | [`outcome`] | what it means |
//! | [`error`] | why a central has to stop |
//! | [`export`] | reads all rows of a draw |
//! | [`event`] | what is reported |
//! | [`agencies`] | the agencies that are served, and where each is |
//! | [`tickets`] | requests under way: what each is for |
//! | [`store`] | the state machine; its parts are in `store/` |
//! | `store/submitting` | gives etcd's client what waits, as far as there is room |
//! | `store/completions` | from a completion to whom it concerns |
//! | `store/starting` | `meta`, read or created |
//! | `store/writes` | HELLO, commit and END |
//! | `store/drawing` | the poll, the watch, and the draw |
//! | `store/paging` | winners, page by page |

#![forbid(unsafe_code)]

mod account;
mod agencies;
mod closed;
pub mod config;
mod error;
mod event;
pub mod export;
mod found;
mod keys;
mod meta;
mod outcome;
mod record;
pub mod store;
mod tickets;
mod transactions;

pub use account::Account;
pub use config::{Config, ConfigError};
pub use error::Error;
pub use event::{Documents, Event, Phase};
pub use export::{Export, ExportEvent};
pub use meta::DELETED;
pub use store::{ClusterStore, Commit, NotTaken};
