//! What stands between the bytes of both sides and those that are compared: nothing, the toy layer, TLS.

use std::sync::LazyLock;

use loop_tests::toy::Toy;
use reactor::Layer;
use tls::testing::Pair;

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Toy,
    Tls,
}

impl Security {
    pub(crate) const LAYERED: [Self; 2] = [Self::Toy, Self::Tls];

    /// The layer of the side that was called, if there is one.
    pub(crate) fn called(self) -> Option<Box<dyn Layer>> {
        match self {
            Self::Plain => None,
            Self::Toy => Some(Box::new(Toy::server())),
            Self::Tls => Some(Box::new(TLS.server())),
        }
    }

    /// The layer of the side that calls, if there is one.
    pub(crate) fn calling(self) -> Option<Box<dyn Layer>> {
        match self {
            Self::Plain => None,
            Self::Toy => Some(Box::new(Toy::client())),
            Self::Tls => Some(Box::new(TLS.client())),
        }
    }
}

static TLS: LazyLock<Pair> = LazyLock::new(Pair::default);
