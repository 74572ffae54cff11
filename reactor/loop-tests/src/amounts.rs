//! How long is long, and how much is much, for a test over real sockets.

use std::time::Duration;

/// Longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Never comes while a test runs.
pub const NEVER: Duration = Duration::from_hours(1);

/// Comes at once, as far as a test can tell.
pub const SOON: Duration = Duration::from_millis(20);

/// More than the sockets of both sides hold, in bytes.
pub const HUGE: usize = 16 * 1024 * 1024;
