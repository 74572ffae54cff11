//! How far the shutdown is.
//!
//! ```text
//!           request             begin                 handler is idle
//!  Running ---------> Requested -------> ShuttingDown ----------------> Closing
//!     |                                   ^     |
//!     +------------- begin ---------------+     +---- timeout ---------> TimedOut
//! ```

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Shutdown {
    #[default]
    Running,
    /// The handler has called [`Context::shutdown`](crate::Context::shutdown) in this turn.
    Requested,
    /// The listener is closed. What the handler has under way goes on.
    ShuttingDown,
    /// Every connection was closed in order: what was sent still leaves.
    Closing,
    /// [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout) is exceeded: every connection
    /// was marked as closed.
    TimedOut,
}

impl Shutdown {
    pub(crate) fn request(&mut self) {
        if *self == Self::Running {
            *self = Self::Requested;
        }
    }

    /// Begins the shutdown. Returns whether it hadn't begun.
    pub(crate) fn begin(&mut self) -> bool {
        let begins = !self.has_begun();
        if begins {
            *self = Self::ShuttingDown;
        }
        begins
    }

    /// Closes the connections if nothing is under way. Returns whether it does.
    pub(crate) fn begin_closing(&mut self, is_idle: impl FnOnce() -> bool) -> bool {
        let begins = *self == Self::ShuttingDown && is_idle();
        if begins {
            *self = Self::Closing;
        }
        begins
    }

    pub(crate) fn time_out(&mut self) {
        *self = Self::TimedOut;
    }

    /// Whether connections are closed as soon as the handler is idle.
    pub(crate) fn waits_for_handler(self) -> bool {
        self == Self::ShuttingDown
    }

    pub(crate) fn is_requested(self) -> bool {
        self == Self::Requested
    }

    pub(crate) fn has_begun(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Closing | Self::TimedOut)
    }

    pub(crate) fn is_closing(self) -> bool {
        matches!(self, Self::Closing | Self::TimedOut)
    }

    pub(crate) fn is_timed_out(self) -> bool {
        self == Self::TimedOut
    }
}
