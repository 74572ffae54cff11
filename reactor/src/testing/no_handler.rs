//! A handler that does nothing.

use std::convert::Infallible;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, ShutdownCause};
use crate::id::ConnectionId;

/// Does nothing, so that a test may do it instead: for tests of what a handler consists of, which
/// need a [`Context`] alone.
#[derive(Debug, Clone, Copy)]
pub struct NoHandler;

impl Handler for NoHandler {
    type Fatal = Infallible;

    fn on_open(&mut self, _: &mut impl Context, _: ConnectionId, _: SocketAddr) {}

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) -> usize {
        0
    }

    fn on_eof(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) {}

    fn on_deadline(&mut self, _: &mut impl Context, _: ConnectionId) {}

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}

    fn on_shutdown(&mut self, _: &mut impl Context, _: ShutdownCause) {}
}
