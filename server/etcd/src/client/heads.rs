//! The heads of requests, checked once, and made anew when there is another token.

use http1::{InvalidHead, RequestHead};

/// Where a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Txn,
    Range,
    Watch,
    Authenticate,
}

const RESOURCES: [(Resource, &str); 4] = [
    (Resource::Txn, "/v3/kv/txn"),
    (Resource::Range, "/v3/kv/range"),
    (Resource::Watch, "/v3/watch"),
    (Resource::Authenticate, "/v3/auth/authenticate"),
];

/// A head for each resource. Not `Debug`: the token is in them.
pub(crate) struct Heads {
    by_resource: [RequestHead; 4],
}

impl Heads {
    /// Heads of requests to the member at `endpoint`, with this token if there is one.
    pub(crate) fn new(endpoint: &str, token: Option<&str>) -> Result<Self, InvalidHead> {
        let [txn, range, watch, authenticate] = RESOURCES;
        let head = |(resource, path): (Resource, &str)| {
            // A member without a leader says so at once, instead of waiting for one for seconds.
            let head = RequestHead::new("POST", path, endpoint)?
                .header("Content-Type", "application/json")?
                .header("Grpc-Metadata-hasleader", "true")?;
            match token {
                Some(token) if resource != Resource::Authenticate => {
                    head.header("Authorization", token)
                }
                _ => Ok(head),
            }
        };
        Ok(Self { by_resource: [head(txn)?, head(range)?, head(watch)?, head(authenticate)?] })
    }

    /// Writes the head of a request whose body has so many bytes.
    pub(crate) fn write(&self, resource: Resource, body_length: usize, out: &mut Vec<u8>) {
        self.by_resource[resource as usize].write(Some(body_length), out);
    }
}
