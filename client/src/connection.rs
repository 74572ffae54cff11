//! Connects to a central, and drives a session over the connection.
//!
//! | file | what it is for |
//! |---|---|
//! | [`driver`] | drives a session over real connections |
//! | `dialer` | connects to a central, attempt by attempt |
//! | `centrals` | which central is in use, and which comes next |
//! | `lost` | why a connection is gone |
//! | `resolver` | names into addresses, without blocking the loop |
//! | [`certificates`] | TLS: its beginning, its failures, its files |
//! | `remedy` | what to change after a refusal |
//! | [`backoff`] | the pauses between attempts |
//! | [`foreign_service`] | recognizes another service at the central's address |

pub mod backoff;
pub(crate) mod centrals;
pub mod certificates;
pub(crate) mod dialer;
pub mod driver;
pub mod foreign_service;
pub(crate) mod lost;
pub(crate) mod remedy;
pub(crate) mod resolver;
