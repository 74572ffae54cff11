//! Reaching the central, and driving a session over a connection to it.
//!
//! | file | what it is for |
//! |---|---|
//! | [`driver`] | drives a session over real connections |
//! | `dialer` | reaching the central, again and again |
//! | `resolver` | names into addresses, by a thread that is never waited for |
//! | [`backoff`] | the pauses between attempts |
//! | [`foreign_service`] | what answers where a central should |

pub mod backoff;
pub(crate) mod dialer;
pub mod driver;
pub mod foreign_service;
pub(crate) mod resolver;
