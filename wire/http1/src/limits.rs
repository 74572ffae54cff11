//! What has a maximum that isn't a setting.

/// The most headers a request may have: browsers send about 20.
pub const HEADERS_MAX: usize = 100;

/// The most bytes a request's target may have: no resource is asked for by more than 20.
pub const TARGET_MAX: usize = 2048;
