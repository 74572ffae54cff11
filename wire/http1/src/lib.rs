//! HTTP/1.1 as bytes, of a server and of a client. Sans-IO: knows no socket, no clock and no resource.
//!
//! A server reads less of HTTP than there is: GET and HEAD without a body. What it refuses, it refuses
//! with a status code and a text, and the stream can't be trusted behind it. A client writes any request
//! whose body is at hand, and reads every response that can be read in one way alone.
//!
//! | file | what it is for |
//! |---|---|
//! | [`decoder`] | finds requests in a stream that arrives in pieces |
//! | [`request`] | what a head asks for, and what it must not have |
//! | [`target`] | the two forms of a target that are understood |
//! | [`error`] | what is wrong with a request, and its status code |
//! | [`response`] | writes responses |
//! | [`status_code`] | the status codes that are sent |
//! | [`request_head`] | writes requests |
//! | [`response_decoder`] | finds responses in a stream that arrives in pieces, and hands out their bodies |
//! | [`response_head`] | what a head says, and how its body ends |
//! | [`chunks`] | what stands between the chunks of a body |
//! | [`response_error`] | what is wrong with a response |
//! | [`head_end`], [`headers`] | what both directions have in common |
//! | [`excerpt`] | what was found, cut and escaped |
//! | [`limits`] | what has a maximum that isn't a setting |

mod chunks;
pub mod decoder;
pub mod error;
pub mod excerpt;
mod head_end;
mod headers;
pub mod limits;
pub mod request;
pub mod request_head;
pub mod response;
pub mod response_decoder;
pub mod response_error;
pub mod response_head;
pub mod status_code;
mod target;

pub use decoder::{Decoded, RequestDecoder, begins_with_head};
pub use error::RequestError;
pub use excerpt::Excerpt;
pub use request::{Method, Request};
pub use request_head::{InvalidHead, RequestHead};
pub use response::{AfterResponse, Response};
pub use response_decoder::{DecodedPart, ResponseDecoder, ResponseLimits, ResponsePart};
pub use response_error::ResponseError;
pub use response_head::{BodyEnd, ResponseHead};
pub use status_code::StatusCode;
