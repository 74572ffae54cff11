//! The endpoints, time-outs and limits.

use std::fmt;
use std::time::Duration;

use http1::InvalidHead;

/// The longest wait for a response: for members on a local network with an election time-out of 300 ms.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(250);

/// The longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// The longest wait for a token: etcd hashes the password for it, as slowly as its `--bcrypt-cost` says.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits after a try of which nothing is known, and a member after a failure.
pub const RETRY_DELAY: Duration = Duration::from_millis(20);

/// How many requests may be waiting or under way.
pub const MAX_REQUESTS: usize = 64;

/// How many bytes their bodies may have together: about 2 MiB of values as base64.
pub const MAX_REQUEST_BYTES: usize = 3 << 20;

/// How many bytes the body of a response, or a line of a watch, may have.
pub const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// How many connections a member may have at once for requests; a watch has one more.
pub const CONNECTIONS_PER_MEMBER: usize = 16;

/// The endpoints, time-outs and limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// The members as `HOST:PORT`, at least one. They are asked one after another, the last one before
    /// the first.
    pub endpoints: Vec<String>,
    /// Index of the endpoint that is asked first. Where each of several clients begins with another, their
    /// requests are spread over the members.
    pub first_endpoint: usize,
    /// The longest wait for a response, from when the request is sent, above 0; [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// The longest wait for a connection, above 0; [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// The longest wait for a token, above 0; [`TOKEN_TIMEOUT`]. Only after it the member has failed.
    pub token_timeout: Duration,
    /// How long a request waits after a try of which nothing is known, and a member after a failure,
    /// above 0; [`RETRY_DELAY`].
    pub retry_delay: Duration,
    /// How many requests may be waiting or under way, at least 1; [`MAX_REQUESTS`].
    pub max_requests: usize,
    /// How many bytes their bodies may have together, at least 1; [`MAX_REQUEST_BYTES`].
    pub max_request_bytes: usize,
    /// How many bytes the body of a response, or a line of a watch, may have, at least 1;
    /// [`MAX_RESPONSE_BYTES`].
    /// Each connection may hold so many.
    pub max_response_bytes: usize,
    /// How many connections a member may have at once for requests, at least 1;
    /// [`CONNECTIONS_PER_MEMBER`].
    pub connections_per_member: usize,
    /// Who asks, where etcd wants to know.
    pub credentials: Option<Credentials>,
}

impl Config {
    /// With everything as it is by default, without credentials.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            first_endpoint: 0,
            request_timeout: REQUEST_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            token_timeout: TOKEN_TIMEOUT,
            retry_delay: RETRY_DELAY,
            max_requests: MAX_REQUESTS,
            max_request_bytes: MAX_REQUEST_BYTES,
            max_response_bytes: MAX_RESPONSE_BYTES,
            connections_per_member: CONNECTIONS_PER_MEMBER,
            credentials: None,
        }
    }
}

/// User and password. `Debug` shows only the first.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no endpoint.
    #[error("expected at least one endpoint, found none")]
    NoEndpoint,
    /// An endpoint is none.
    #[error("endpoint \"{endpoint}\": {source}")]
    Endpoint {
        /// The endpoint, escaped.
        endpoint: String,
        /// What is wrong with it.
        source: InvalidHead,
    },
    /// There is no such endpoint.
    #[error("expected first_endpoint below {count}, the number of endpoints, found {found}")]
    FirstEndpoint {
        /// How many endpoints there are.
        count: usize,
        /// The index.
        found: usize,
    },
    /// Nothing could ever be asked.
    #[error("expected {name} above 0, found 0")]
    Zero {
        /// Which limit or duration.
        name: &'static str,
    },
}
