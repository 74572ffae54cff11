//! HTTP/1.1 as bytes: requests are read, responses are written. Sans-IO: knows no socket, no clock and
//! no resource.
//!
//! Reads less of HTTP than there is: GET and HEAD without a body. What it refuses, it refuses with a
//! status code and a text, and the stream can't be trusted behind it.
//!
//! | file | what it is for |
//! |---|---|
//! | [`decoder`] | finds the end of a head in a stream that arrives in pieces |
//! | [`request`] | what a head asks for, and what it must not have |
//! | [`target`] | the two forms of a target that are understood |
//! | [`error`] | what is wrong with a request, and its status code |
//! | [`excerpt`] | what was found, cut and escaped |
//! | [`limits`] | what has a maximum that isn't a setting |
//! | [`response`] | writes responses |
//! | [`status_code`] | the status codes that are sent |

pub mod decoder;
pub mod error;
pub mod excerpt;
pub mod limits;
pub mod request;
pub mod response;
pub mod status_code;
mod target;

pub use decoder::{Decoded, RequestDecoder, begins_with_head};
pub use error::RequestError;
pub use excerpt::Excerpt;
pub use request::{Method, Request};
pub use response::{AfterResponse, Response};
pub use status_code::StatusCode;
