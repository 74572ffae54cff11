//! What an operator sees of a central: metrics, health, status, a live page, over HTTP.
//!
//! Sans-IO: knows no socket, no clock and no lottery; what there is to see, a central fills in. Only
//! [`process`] reads anything itself: what the kernel says of this process.
//!
//! | file | what it is for |
//! |---|---|
//! | [`exposition`] | metrics as Prometheus' text format |
//! | [`page`] | the live page, with its script, style and texts in `page/` |
//! | [`process`] | the standard metrics of a process |
//! | [`status`] | how the lottery stands: what `/status.json`, the page and its events show |

pub mod exposition;
pub mod page;
pub mod process;
pub mod status;
