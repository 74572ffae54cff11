//! Sockets that the service manager has opened, and passes on as descriptors from 3 on: it listens while
//! the program is started, or started anew, and no connection is refused meanwhile.
//!
//! To make a socket of a descriptor's number isn't safe in Rust: `listenfd` does that, after it has
//! looked whether the number is that of a TCP socket.

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

/// How many there are.
const COUNT: &str = "LISTEN_FDS";

/// Whom they are for.
const PROCESS: &str = "LISTEN_PID";

/// What they are called, with colons between.
const NAMES: &str = "LISTEN_FDNAMES";

/// What one without a name is called.
const UNNAMED: &str = "unknown";

/// More than anybody passes on.
const COUNT_MAX: usize = 64;

/// A socket that was passed on.
#[derive(Debug)]
pub struct PassedSocket {
    /// What it is called, for whoever has passed it on.
    pub name: String,
    /// The socket.
    pub listener: TcpListener,
}

/// Why what was passed on can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketsError {
    /// There is no such number of sockets.
    #[error("{COUNT} = {found}: expected how many sockets are passed on, up to {COUNT_MAX}")]
    Count {
        /// What stands there.
        found: String,
    },
    /// Their names are others than they are.
    #[error("{NAMES} = {found}: expected {expected} names, one for each of {COUNT}")]
    Names {
        /// What stands there.
        found: String,
        /// How many sockets there are.
        expected: usize,
    },
    /// One of them isn't what it should be.
    #[error("the passed socket {name}: expected one of TCP: {source}")]
    Socket {
        /// Its name.
        name: String,
        /// What was found.
        source: io::Error,
    },
}

/// Takes the sockets that were passed on to this process, in order; none when there are none, or when they
/// are for another process. To be called once, before anything is opened: what isn't there could
/// otherwise be mistaken for what is.
///
/// # Errors
/// [`PassedSocketsError`].
pub fn take_passed_sockets() -> Result<Vec<PassedSocket>, PassedSocketsError> {
    let names = names(|name| env::var_os(name), std::process::id())?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut passed = ListenFd::from_env();
    let take = |(index, name): (usize, String)| match passed.take_tcp_listener(index) {
        Ok(Some(listener)) => Ok(PassedSocket { name, listener }),
        Ok(None) => {
            let source = io::ErrorKind::NotFound.into();
            Err(PassedSocketsError::Socket { name, source })
        }
        Err(source) => Err(PassedSocketsError::Socket { name, source }),
    };
    names.into_iter().enumerate().map(take).collect()
}

/// The names of the sockets that are passed on to process `pid`.
fn names(
    variable: impl Fn(&str) -> Option<OsString>,
    pid: u32,
) -> Result<Vec<String>, PassedSocketsError> {
    let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    let (Some(found), Some(process)) = (text(COUNT), text(PROCESS)) else { return Ok(Vec::new()) };
    if process.parse() != Ok(pid) {
        return Ok(Vec::new());
    }
    let count = found.parse().ok().filter(|count| *count <= COUNT_MAX);
    let Some(expected) = count else { return Err(PassedSocketsError::Count { found }) };
    let Some(found) = text(NAMES) else { return Ok(vec![UNNAMED.to_owned(); expected]) };
    let names: Vec<_> = found.split(':').map(str::to_owned).collect();
    if names.len() != expected {
        return Err(PassedSocketsError::Names { found, expected });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let find = |name: &str| variables.iter().find(|found| found.0 == name);
        names(|name| Some(find(name)?.1.into()), 7).map_err(|error| error.to_string())
    }

    #[test]
    fn they_are_for_this_process_alone() {
        let none: Result<Vec<String>, _> = Ok(Vec::new());
        assert_eq!(of(&[]), none);
        assert_eq!(of(&[(COUNT, "1")]), none, "for nobody in particular");
        assert_eq!(of(&[(COUNT, "1"), (PROCESS, "8")]), none);
        assert_eq!(of(&[(COUNT, "0"), (PROCESS, "7")]), none);
        assert_eq!(of(&[(COUNT, "2"), (PROCESS, "7")]).unwrap(), ["unknown", "unknown"]);
    }

    #[test]
    fn each_has_its_name() {
        let named = |names| of(&[(COUNT, "2"), (PROCESS, "7"), (NAMES, names)]);
        assert_eq!(
            named("loteria-server.socket:admin").unwrap(),
            ["loteria-server.socket", "admin"]
        );
        for names in ["", "one", "one:two:three"] {
            let error =
                format!("LISTEN_FDNAMES = {names}: expected 2 names, one for each of LISTEN_FDS");
            assert_eq!(named(names), Err(error));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for count in ["", "-1", "many", "65", "99999999999999999999"] {
            let error = of(&[(COUNT, count), (PROCESS, "7")]).unwrap_err();
            assert!(
                error.starts_with(&format!("LISTEN_FDS = {count}: expected how many")),
                "{error}"
            );
        }
    }
}
