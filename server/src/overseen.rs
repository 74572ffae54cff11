//! The seam between the admin listener and the handler that an operator looks at.

use std::time::SystemTime;

use admin::shared::Responses;
use admin::view::View;
use reactor::{Context, Handler, Layer, LayerError};
use wire::Agency;

/// A handler that an operator can look at.
pub trait Overseen: Handler {
    /// How it is in one turn.
    type View<'a>: View
    where
        Self: 'a;

    /// How it is in this turn.
    fn look(&self, cx: &impl Context, overview: Overview, usage: AdminUsage) -> Self::View<'_>;

    /// The health check asks: looks at what a healthy process can't be without.
    fn on_probe(&mut self) {}

    /// TLS for a connection of the admin listener.
    ///
    /// # Errors
    /// When it can't be had.
    fn make_layer(&self) -> Result<Box<dyn Layer>, LayerError>;
}

/// How it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Overview {
    /// When the process began.
    pub started: SystemTime,
    /// The system's clock, or a test's.
    pub clock: fn() -> SystemTime,
    /// Agencies that have metrics of their own.
    pub metrics_agencies: Agency,
}

/// How the admin listener is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdminUsage {
    /// What requests came to.
    pub responses: Responses,
    /// Pages that are kept up to date.
    pub streams: usize,
    /// Connections, those of pages included.
    pub connections: usize,
}
