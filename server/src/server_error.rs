//! Why the server fails, and what to do about it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use reactor::RunError;
use runtime::service_manager::PassedSocketsError;
use rustix::io::Errno;

use crate::admin_address::AdminAddress;
use crate::joining::JoinError;
use crate::passed_sockets::AssignError;
use crate::store::{StoreError, advice};

/// The first port that takes no privilege, unless the system is configured otherwise.
const UNPRIVILEGED_PORT: u16 = 1024;

/// Why the server fails.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The ledger can't be opened, or not be relied on any more.
    #[error("ledger: {0}")]
    Ledger(#[from] StoreError),
    /// A certificate, a key or a revocation list can't be used.
    #[error(transparent)]
    Certificates(#[from] tls::SettingError),
    /// The admin listener's name leads nowhere.
    #[error(
        "SERVER_ADMIN_ADDRESS = {address}: can't look that name up: {source}: set a name or an address of \
         this machine, as localhost or 127.0.0.1, or off"
    )]
    ResolveAdmin {
        /// The name.
        address: AdminAddress,
        /// What the system says.
        source: io::Error,
    },
    /// The admin listener's address can't be had.
    #[error(
        "SERVER_ADMIN_ADDRESS = {address}: can't listen there: {source}: end what listens at that port (ss \
         -ltnp shows it), or set an address of this machine and a port that is free, or off"
    )]
    ListenAdmin {
        /// The address.
        address: AdminAddress,
        /// What the kernel returned.
        source: io::Error,
    },
    /// Commits don't fit into the wal as it is.
    #[error(
        "SERVER_GROUP_COMMIT_BYTES = {asked}: the ledger's wal, which keeps the size that it was made with, \
         takes at most {room}: set that or less"
    )]
    GroupCommit {
        /// Bytes configured.
        asked: usize,
        /// Bytes that fit.
        room: usize,
    },
    /// The lottery that etcd keeps can't be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The loop can't go on with the lottery that etcd keeps.
    #[error(transparent)]
    RunCluster(#[from] RunError<cluster::Error>),
    /// The address can't be bound.
    #[error("can't listen at {address}: {source}{}", Advice { address, source })]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// What a service manager passes on can't be used.
    #[error(transparent)]
    PassedSockets(#[from] PassedSocketsError),
    /// What it passes on isn't what is configured.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// A socket that it passes on can't be listened at.
    #[error("the passed socket of {listener}: can't listen there: {source}")]
    ListenPassed {
        /// Whose it is.
        listener: &'static str,
        /// What was found.
        source: io::Error,
    },
    /// The kernel gives no poll, or no signals.
    #[error("can't set up the event loop: {0}: the system lacks descriptors or memory (ulimit -n)")]
    EventLoop(#[source] io::Error),
    /// The disk's thread can't be started.
    #[error(
        "can't start the thread that waits for the disk: {0}: the system lacks descriptors, memory or \
         processes (ulimit -n, ulimit -u)"
    )]
    DiskThread(#[source] io::Error),
    /// The loop can't go on.
    #[error(transparent)]
    Run(#[from] RunError<StoreError>),
}

/// What can be done about an address that can't be bound.
struct Advice<'e> {
    address: &'e SocketAddr,
    source: &'e io::Error,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port();
        match self.source.kind() {
            ErrorKind::AddrInUse => write!(
                f,
                ": another process listens at port {port} (ss -ltnp shows which): end it, or set \
                 another SERVER_PORT"
            ),
            ErrorKind::PermissionDenied if port < UNPRIVILEGED_PORT => write!(
                f,
                ": ports below {UNPRIVILEGED_PORT} take root or CAP_NET_BIND_SERVICE: set a higher \
                 SERVER_PORT"
            ),
            ErrorKind::AddrNotAvailable => f.write_str(
                ": SERVER_BIND must be an address of this machine, or 0.0.0.0 for all of them",
            ),
            _ => f.write_str(match self.source.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::AFNOSUPPORT) => {
                    ": this machine has no IPv6: set SERVER_BIND to an IPv4 address"
                }
                Some(error) => advice(error),
                None => "",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_bound_says_what_to_do() {
        let text = |address: &str, number| {
            let address = address.parse().unwrap();
            let source = io::Error::from_raw_os_error(number);
            ServerError::Listen { address, source }.to_string()
        };
        assert_eq!(
            text("0.0.0.0:12345", 98),
            "can't listen at 0.0.0.0:12345: Address already in use (os error 98): another process \
             listens at port 12345 (ss -ltnp shows which): end it, or set another SERVER_PORT"
        );
        assert_eq!(
            text("0.0.0.0:80", 13),
            "can't listen at 0.0.0.0:80: Permission denied (os error 13): ports below 1024 take root \
             or CAP_NET_BIND_SERVICE: set a higher SERVER_PORT"
        );
        assert_eq!(
            text("192.0.2.1:80", 99),
            "can't listen at 192.0.2.1:80: Cannot assign requested address (os error 99): \
             SERVER_BIND must be an address of this machine, or 0.0.0.0 for all of them"
        );
        assert_eq!(
            text("[::1]:80", 97),
            "can't listen at [::1]:80: Address family not supported by protocol (os error 97): this \
             machine has no IPv6: set SERVER_BIND to an IPv4 address"
        );
        assert_eq!(
            text("0.0.0.0:80", 24),
            "can't listen at 0.0.0.0:80: Too many open files (os error 24): raise the limit of open \
             files (ulimit -n)"
        );
        assert!(text("0.0.0.0:80", 23).ends_with("(sysctl fs.file-max)"));
        assert!(text("0.0.0.0:8080", 13).ends_with("Permission denied (os error 13)"));
    }
}
