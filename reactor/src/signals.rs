//! SIGTERM and SIGINT as one more source in the poll.

use std::io;

use mio::Registry;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals as Source;

/// The signals that ask the process to end.
pub(crate) struct Signals {
    source: Source,
}

impl Signals {
    /// Takes the signals over from their default action, which ends the process on the spot.
    pub(crate) fn register(registry: &Registry, token: mio::Token) -> io::Result<Self> {
        let mut source = Source::new([SIGTERM, SIGINT])?;
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self { source })
    }

    /// Names of those that have come since the last call. Several of one kind between two calls
    /// count once, as signals do.
    pub(crate) fn pending(&mut self) -> impl Iterator<Item = &'static str> {
        self.source.pending().map(|number| if number == SIGINT { "SIGINT" } else { "SIGTERM" })
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}
