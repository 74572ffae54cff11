//! Output for a person, on standard output or error, outside the log.
//!
//! A stream that is closed or full is no reason to end otherwise: what it doesn't take is lost.
//! (`println!` panics then.)

use std::io::{self, Write as _};

/// Prints on standard output.
pub fn print(text: &str) {
    // Lost, as said above.
    let _ = try_print(text);
}

/// Prints on standard output what is the program's whole result.
///
/// # Errors
/// When it didn't arrive, unless its reader has gone.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints on standard error.
pub fn complain(text: &str) {
    // Lost, as said above.
    let _ = io::stderr().write_all(text.as_bytes());
}
