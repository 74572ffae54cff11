//! What an operator sees of a central: metrics, health, status, a live page, over HTTP.
//!
//! Sans-IO: knows no socket, no clock and no lottery; what there is to see, a central fills in. Only
//! [`process`] reads anything itself: what the kernel says of this process.
//!
//! | file | what it is for |
//! |---|---|
//! | [`events`] | server-sent events, encoded once for all streams |
//! | [`exposition`] | metrics as Prometheus' text format |
//! | [`host`] | which hosts a request may be meant for |
//! | [`limits`] | what connections may cost |
//! | [`page`] | the live page, with its script, style and texts in `page/` |
//! | [`process`] | the standard metrics of a process |
//! | [`routes`] | the resources |
//! | [`session`] | what happens on one connection |
//! | [`shared`] | what all connections share |
//! | [`status`] | how the lottery stands: what `/status.json`, the page and its events show |
//! | [`view`] | what a central lets an operator see |

pub mod events;
pub mod exposition;
pub mod host;
pub mod limits;
pub mod page;
pub mod process;
mod routes;
pub mod session;
pub mod shared;
pub mod status;
pub mod view;
