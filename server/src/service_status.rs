//! How the central stands, in the one line that a service manager shows (`systemctl status`).
//!
//! Knows no service manager.

use std::fmt;

use admin::view::NotReady;
use wire::Agency;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceStatus {
    /// There are no agencies: lines are echoed.
    Echo,
    /// Agencies take part, and some of them haven't sent everything.
    Open {
        /// Those that haven't.
        missing: Agency,
        /// All of them.
        agencies: Agency,
    },
    /// The draw was held.
    Drawn,
    /// Nothing is taken at the moment.
    NotReady(NotReady),
}

impl fmt::Display for ServiceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("echo: no agencies, no sorteo"),
            Self::Open { missing: 0, .. } => f.write_str("sorteo: no agency is missing"),
            Self::Open { missing: 1, agencies } => {
                write!(f, "open: falta 1 agencia of {agencies}")
            }
            Self::Open { missing, agencies } => {
                write!(f, "open: faltan {missing} agencias of {agencies}")
            }
            Self::Drawn => f.write_str("sorteo: held"),
            Self::NotReady(reason) => write!(f, "{reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_line_that_says_what_is_waited_for() {
        let open = |missing| ServiceStatus::Open { missing, agencies: 5 };
        for (status, expected) in [
            (ServiceStatus::Echo, "echo: no agencies, no sorteo"),
            (open(5), "open: faltan 5 agencias of 5"),
            (open(1), "open: falta 1 agencia of 5"),
            (open(0), "sorteo: no agency is missing"),
            (ServiceStatus::Drawn, "sorteo: held"),
            (
                ServiceStatus::NotReady(NotReady::StorageFailing),
                "storage failing: commits fail and are tried again",
            ),
        ] {
            assert_eq!(status.to_string(), expected);
        }
    }
}
