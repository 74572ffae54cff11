//! Reaching the central: names into addresses, one attempt after the other.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use log::{error, warn};
use reactor::logging::Escaped;
use reactor::{Io, Timer, Token};

use crate::backoff::Backoff;
use crate::config::Retry;

/// Fires when it is time for another attempt.
pub(crate) const DIAL: Timer = Timer(0);

/// Attempts at one name.
#[derive(Debug)]
pub(crate) struct Dialer {
    address: String,
    /// What the name stands for and hasn't been tried since it was looked up.
    untried: Vec<SocketAddr>,
    backoff: Backoff,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(address: String, retry: Retry, timeout: Duration, seed: u64) -> Self {
        Self { address, untried: Vec::new(), backoff: Backoff::new(retry, seed), timeout }
    }

    /// Begins an attempt at the next address of the name.
    ///
    /// Looking the name up blocks, at most for as long as the resolver is configured to; nobody
    /// else is served by this process meanwhile, because there is nobody else.
    pub(crate) fn dial(&mut self, io: &mut impl Io) -> io::Result<Token> {
        if self.untried.is_empty() {
            self.untried = self.address.to_socket_addrs()?.collect();
            self.untried.reverse();
        }
        let address = self.untried.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let connection = io.connect(address);
        io.set_deadline(connection, Some(self.timeout));
        Ok(connection)
    }

    /// An attempt, or a connection, has failed: sets the timer for the next one. Says whether there
    /// will be one.
    pub(crate) fn retry(&mut self, io: &mut impl Io, reason: &str) -> bool {
        let (address, reason) = (Escaped(self.address.as_bytes()), Escaped(reason.as_bytes()));
        let Some(pause) = self.backoff.pause() else {
            error!("action: connect | result: fail | server_address: {address} | error: {reason}");
            return false;
        };
        warn!(
            "action: connect | result: in_progress | server_address: {address} | retry_in: {}ms | \
             error: {reason}",
            pause.as_millis()
        );
        io.set_timer(DIAL, Some(pause));
        true
    }

    /// The central has answered: the next failure is the first again.
    pub(crate) fn reached(&mut self) {
        self.backoff.reset();
    }
}
