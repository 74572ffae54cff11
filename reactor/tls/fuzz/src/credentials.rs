//! The two sides, which are configured once.

use std::sync::LazyLock;

use tls::TlsLayer;
use tls::testing::Pair;

static TLS: LazyLock<Pair> = LazyLock::new(Pair::default);

/// Which side of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

impl Role {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    pub(crate) fn layer(self) -> TlsLayer {
        match self {
            Self::Server => TLS.server(),
            Self::Client => TLS.client(),
        }
    }
}
