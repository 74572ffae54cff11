//! Reaching the central: names into addresses, one attempt after the other.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use log::{debug, error, warn};
use reactor::logging::Escaped;
use reactor::{Io, Timer, Token};

use crate::backoff::Backoff;
use crate::config::Retry;

/// Fires when it is time for another attempt.
pub(crate) const DIAL: Timer = Timer(0);

/// Looks a name up.
type Resolve = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Attempts at one name. An attempt looks the name up anew and tries all that it stands for, one
/// after the other; only then there is a pause.
#[derive(Debug)]
pub(crate) struct Dialer {
    address: String,
    resolve: Resolve,
    /// What the name stands for and this attempt hasn't tried.
    untried: VecDeque<SocketAddr>,
    backoff: Backoff,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(address: String, retry: Retry, timeout: Duration, seed: u64) -> Self {
        let (resolve, untried): (Resolve, _) = (look_up, VecDeque::new());
        Self { address, resolve, untried, backoff: Backoff::new(retry, seed), timeout }
    }

    /// One whose name stands for what the test says.
    #[cfg(test)]
    pub(crate) fn resolving(self, resolve: Resolve) -> Self {
        Self { resolve, ..self }
    }

    /// Begins an attempt.
    pub(crate) fn dial(&mut self, io: &mut impl Io) -> io::Result<Token> {
        self.untried = (self.resolve)(&self.address)?.into();
        self.dial_next(io).ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    fn dial_next(&mut self, io: &mut impl Io) -> Option<Token> {
        let connection = io.connect(self.untried.pop_front()?);
        io.set_deadline(connection, Some(self.timeout));
        Some(connection)
    }

    /// A connection is established: when it is lost, another attempt begins at the beginning.
    pub(crate) fn connected(&mut self) {
        self.untried.clear();
    }

    /// A connection was lost, or never established: goes on at the next address of the attempt, if
    /// there is one.
    pub(crate) fn failed(&mut self, io: &mut impl Io, reason: &str) -> Option<Token> {
        let connection = self.dial_next(io)?;
        debug!("action: connect | result: in_progress | error: {}", Escaped(reason.as_bytes()));
        Some(connection)
    }

    /// The attempt has failed: sets the timer for another. Says whether there will be one.
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

/// Blocks, at most for as long as the resolver is configured to; nobody else is served by this
/// process meanwhile, because there is nobody else.
fn look_up(address: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(address.to_socket_addrs()?.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_io::MemoryIo;

    const RETRY: Retry =
        Retry { min: Duration::from_millis(100), max: Duration::from_secs(5), limit: 0 };

    fn dialer(retry: Retry, resolve: Resolve) -> Dialer {
        let timeout = Duration::from_secs(9);
        Dialer::new("central:12345".into(), retry, timeout, 7).resolving(resolve)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands in for a lookup that can fail")]
    fn two_addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(name, "central:12345");
        Ok(vec![([10, 0, 0, 1], 12345).into(), ([10, 0, 0, 2], 12345).into()])
    }

    #[test]
    fn all_addresses_are_tried_before_there_is_a_pause() {
        let (mut dialer, mut io) = (dialer(RETRY, two_addresses), MemoryIo::new());
        for _ in 0..3 {
            let first = dialer.dial(&mut io).unwrap();
            let second = dialer.failed(&mut io, "refused").expect("there is another address");
            let addresses = [first, second].map(|token| io.lines[&token].address.to_string());
            assert_eq!(addresses, ["10.0.0.1:12345", "10.0.0.2:12345"]);
            assert_eq!(io.lines[&second].deadline, Some(Duration::from_secs(9)));
            assert!(io.timers.is_empty());
            assert_eq!(dialer.failed(&mut io, "refused"), None);
            assert!(dialer.retry(&mut io, "refused"));
            assert!(io.timers.remove(&DIAL).is_some());
        }
    }

    #[test]
    fn an_attempt_counts_once_however_many_addresses_there_are() {
        let once = Retry { limit: 2, ..RETRY };
        let (mut dialer, mut io) = (dialer(once, two_addresses), MemoryIo::new());
        for another in [true, false] {
            dialer.dial(&mut io).unwrap();
            assert!(dialer.failed(&mut io, "refused").is_some());
            assert_eq!(dialer.retry(&mut io, "refused"), another);
        }
    }

    #[test]
    fn a_connection_that_is_lost_is_sought_at_the_first_address_again() {
        let (mut dialer, mut io) = (dialer(RETRY, two_addresses), MemoryIo::new());
        dialer.dial(&mut io).unwrap();
        dialer.connected();
        assert_eq!(dialer.failed(&mut io, "reset"), None);
        let again = dialer.dial(&mut io).unwrap();
        assert_eq!(io.lines[&again].address, ([10, 0, 0, 1], 12345).into());
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_an_error() {
        let mut io = MemoryIo::new();
        let error = dialer(RETRY, |_| Ok(Vec::new())).dial(&mut io).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        let error = dialer(RETRY, |_| Err(io::ErrorKind::NotFound.into())).dial(&mut io);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(io.lines.is_empty());
    }
}
