//! The loop over the kernel turn by turn, for tests that compare it with the one in memory.

use crate::event_loop::EventLoop;
use crate::handler::Handler;
use crate::outcome::RunError;
use crate::turn_hook::TurnHook;

impl<T: TurnHook> EventLoop<T> {
    /// The first turn, with [`Handler::on_start`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn start<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.0.start(handler)
    }

    /// One turn. It waits for as long as it has nothing to do, and
    /// [`TurnHook::retry_after`] allows.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn<H: Handler>(&mut self, handler: &mut H) -> Result<(), RunError<H::Fatal>> {
        self.0.turn(handler)
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
}
