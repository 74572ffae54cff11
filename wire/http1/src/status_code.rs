//! The status codes that are sent, and no others.

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum StatusCode {
    /// 200: here it is.
    Ok = 200,
    /// 400: this is no request, or one that could be read in two ways.
    BadRequest = 400,
    /// 404: there is no such resource.
    NotFound = 404,
    /// 405: neither GET nor HEAD.
    MethodNotAllowed = 405,
    /// 408: the head isn't whole in time.
    RequestTimeout = 408,
    /// 414: the target is too long.
    UriTooLong = 414,
    /// 417: it expects what isn't done here.
    ExpectationFailed = 417,
    /// 421: it is meant for another host.
    MisdirectedRequest = 421,
    /// 431: the head is too large, or has too many headers.
    HeadTooLarge = 431,
    /// 503: not now.
    ServiceUnavailable = 503,
    /// 505: another version of HTTP.
    VersionNotSupported = 505,
}

impl StatusCode {
    /// The number, from 200 to 505.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The phrase that the standard gives the number.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::UriTooLong => "URI Too Long",
            Self::ExpectationFailed => "Expectation Failed",
            Self::MisdirectedRequest => "Misdirected Request",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::ServiceUnavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}
