//! Sockets that a service manager has passed on, each to the listener that it is for.

use std::net::TcpListener;

use runtime::service_manager::PassedSocket;

/// What the admin listener's socket is called.
const ADMIN: &str = "admin";

/// A listener's socket; `None` for one that the central opens itself.
#[derive(Debug)]
pub struct PassedSockets<L = TcpListener> {
    /// For agencies and for echo.
    pub lottery: Option<L>,
    /// For an operator.
    pub admin: Option<L>,
}

/// Why sockets that were passed on are of no use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AssignError {
    /// There is one more than listeners.
    #[error(
        "the passed socket {name}: expected one socket for agencies, and one that is called {ADMIN} \
         (FileDescriptorName=), found another"
    )]
    Unwanted {
        /// Its name.
        name: String,
    },
    /// There is to be no admin listener.
    #[error(
        "the passed socket {ADMIN}: SERVER_ADMIN_ADDRESS is off: set it to the address of that socket, or \
         stop passing it"
    )]
    AdminOff,
}

impl PassedSockets {
    /// What is whose.
    ///
    /// # Errors
    /// [`AssignError`]: a socket that nobody serves would let clients wait for ever.
    pub fn assign(passed: Vec<PassedSocket>, has_admin: bool) -> Result<Self, AssignError> {
        let named = passed.into_iter().map(|PassedSocket { name, listener }| (name, listener));
        assign(named, has_admin)
    }
}

/// The one that is called so is the admin listener's, the other one the lottery's, whatever it is called:
/// without a name of its own a socket has that of its unit.
fn assign<L>(
    passed: impl Iterator<Item = (String, L)>,
    has_admin: bool,
) -> Result<PassedSockets<L>, AssignError> {
    let mut sockets = PassedSockets { lottery: None, admin: None };
    for (name, listener) in passed {
        if name == ADMIN && !has_admin {
            return Err(AssignError::AdminOff);
        }
        let place = if name == ADMIN { &mut sockets.admin } else { &mut sockets.lottery };
        if place.is_some() {
            return Err(AssignError::Unwanted { name });
        }
        *place = Some(listener);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], has_admin: bool) -> Result<[Option<usize>; 2], AssignError> {
        let passed = names.iter().enumerate().map(|(index, &name)| (name.to_owned(), index));
        assign(passed, has_admin).map(|PassedSockets { lottery, admin }| [lottery, admin])
    }

    #[test]
    fn the_admin_listeners_is_known_by_its_name_and_the_other_is_the_lotterys() {
        assert_eq!(of(&[], false), Ok([None, None]));
        assert_eq!(of(&["unknown"], false), Ok([Some(0), None]));
        assert_eq!(of(&["admin", "loteria-server.socket"], true), Ok([Some(1), Some(0)]));
        assert_eq!(of(&["admin"], true), Ok([None, Some(0)]));
    }

    #[test]
    fn a_socket_that_nobody_serves_is_refused() {
        for (names, has_admin, expected) in [
            (&["lottery", "loteria"][..], true, "the passed socket loteria: expected one socket"),
            (&["admin", "admin"], true, "the passed socket admin: expected one socket"),
            (&["lottery", "admin"], false, "the passed socket admin: SERVER_ADMIN_ADDRESS is off"),
        ] {
            let error = of(names, has_admin).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
