//! What has a maximum that isn't a setting.

/// The most headers a request or a response may have: browsers send about 20.
pub const HEADERS_MAX: usize = 100;

/// The most bytes a request's target may have: no resource is asked for by more than 20.
pub const TARGET_MAX: usize = 2048;

/// The most bytes a line may have that says how long a chunk is, with its extensions and its end.
pub const CHUNK_LINE_MAX: usize = 1024;

/// The most bytes the trailers behind a body in chunks may have, with the empty line at their end.
pub const TRAILERS_MAX: usize = 8 * 1024;

/// The most interim responses (100 to 199) before a response.
pub const INTERIM_MAX: u8 = 8;
