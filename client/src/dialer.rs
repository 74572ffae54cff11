//! Reaching the central: names into addresses, one attempt after the other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{debug, error, warn};
use reactor::logging::Escaped;
use reactor::{CloseReason, Io, Timer, Token};

use crate::backoff::Backoff;
use crate::config::Retry;
use crate::look_up::LookUp;
#[cfg(test)]
use crate::look_up::Resolve;

/// Fires when it is time for another attempt.
pub(crate) const DIAL: Timer = Timer(0);

/// What has become of an attempt: a connection was begun, or nothing yet, or it has failed.
pub(crate) type Attempt = io::Result<Option<Token>>;

/// Attempts at one name. An attempt looks the name up anew and tries all that it stands for, one
/// after the other; only then there is a pause.
#[derive(Debug)]
pub(crate) struct Dialer {
    address: String,
    look_up: LookUp,
    /// What the name stands for and this attempt hasn't tried.
    untried: VecDeque<SocketAddr>,
    /// The connection that was begun last is, or was, established.
    is_connected: bool,
    backoff: Backoff,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(address: String, retry: Retry, timeout: Duration, seed: u64) -> Self {
        Self {
            address,
            look_up: LookUp::new(),
            untried: VecDeque::new(),
            is_connected: false,
            backoff: Backoff::new(retry, seed),
            timeout,
        }
    }

    /// One whose name stands for what the test says.
    #[cfg(test)]
    pub(crate) fn resolving(self, resolve: Resolve) -> Self {
        Self { look_up: LookUp::through(resolve), ..self }
    }

    /// How the way to the central is, for who asks. `connection` is what an attempt came to.
    pub(crate) fn describe(&self, connection: Option<Token>) -> &'static str {
        match connection {
            _ if self.look_up.is_wanted() => "looking_up",
            None => "none",
            Some(_) if self.is_connected => "open",
            Some(_) => "connecting",
        }
    }

    /// Begins an attempt: with looking the name up, unless it is an address itself.
    pub(crate) fn dial(&mut self, io: &mut impl Io) -> Attempt {
        if let Ok(address) = self.address.parse() {
            return self.dial_all(io, [address].into());
        }
        self.look_up.begin(io, &self.address, self.timeout)?;
        Ok(None)
    }

    fn dial_all(&mut self, io: &mut impl Io, addresses: VecDeque<SocketAddr>) -> Attempt {
        self.untried = addresses;
        self.dial_next(io).map(Some).ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Whether this is no connection to the central, but where the answer to a look-up arrives. The
    /// service leaves its input alone, and says when it has ended, is late or is lost.
    pub(crate) fn is_look_up(&self, connection: Token) -> bool {
        self.look_up.is_answer(connection)
    }

    /// The answer to the look-up has ended: goes on with the attempt, if it still waits for it.
    pub(crate) fn looked_up(&mut self, io: &mut impl Io, answer: &[u8]) -> Attempt {
        match self.look_up.answered(io, answer) {
            Some(addresses) => self.dial_all(io, addresses?.into()),
            None => Ok(None),
        }
    }

    /// The answer to the look-up is late: the attempt has failed.
    pub(crate) fn look_up_expired(&mut self, io: &mut impl Io) -> Attempt {
        self.look_up.give_up(io);
        let timeout = humantime::format_duration(self.timeout);
        Err(io::Error::other(format!("the name wasn't looked up within {timeout}")))
    }

    /// There will be no answer to the look-up.
    pub(crate) fn look_up_lost(&mut self, io: &mut impl Io, reason: &CloseReason) -> Attempt {
        match self.look_up.answered(io, &[]) {
            Some(_) => Err(io::Error::other(format!("looking the name up: {reason}"))),
            None => Ok(None),
        }
    }

    /// There will be no further attempt.
    pub(crate) fn give_up(&mut self, io: &mut impl Io) {
        self.look_up.give_up(io);
    }

    fn dial_next(&mut self, io: &mut impl Io) -> Option<Token> {
        self.is_connected = false;
        let connection = io.connect(self.untried.pop_front()?);
        io.set_deadline(connection, Some(self.timeout));
        Some(connection)
    }

    /// A connection is established: when it is lost, another attempt begins at the beginning.
    pub(crate) fn connected(&mut self) {
        self.untried.clear();
        self.is_connected = true;
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

    /// Begins an attempt, and lets the thread look the name up.
    fn dial(dialer: &mut Dialer, io: &mut MemoryIo) -> io::Result<Token> {
        assert_eq!(dialer.dial(io)?, None, "no connection before the name is looked up");
        let answer = io.read_attached();
        io.lines.clear();
        dialer.looked_up(io, &answer).map(|connection| connection.expect("it was waited for"))
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
            let first = dial(&mut dialer, &mut io).unwrap();
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
            dial(&mut dialer, &mut io).unwrap();
            assert!(dialer.failed(&mut io, "refused").is_some());
            assert_eq!(dialer.retry(&mut io, "refused"), another);
        }
    }

    #[test]
    fn a_connection_that_is_lost_is_sought_at_the_first_address_again() {
        let (mut dialer, mut io) = (dialer(RETRY, two_addresses), MemoryIo::new());
        dial(&mut dialer, &mut io).unwrap();
        dialer.connected();
        assert_eq!(dialer.failed(&mut io, "reset"), None);
        let again = dial(&mut dialer, &mut io).unwrap();
        assert_eq!(io.lines[&again].address, ([10, 0, 0, 1], 12345).into());
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_an_error() {
        let mut io = MemoryIo::new();
        let error = dial(&mut dialer(RETRY, |_| Ok(Vec::new())), &mut io).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        let mut dialer = dialer(RETRY, |_| Err(io::ErrorKind::NotFound.into()));
        let error = dial(&mut dialer, &mut io).unwrap_err();
        assert_eq!(error.to_string(), "entity not found");
        assert!(io.lines.is_empty());
    }

    #[test]
    fn an_address_is_called_at_once() {
        for address in ["10.0.0.1:12345", "[2001:db8::1]:12345"] {
            let (timeout, mut io) = (Duration::from_secs(9), MemoryIo::new());
            let dialer = Dialer::new(address.into(), RETRY, timeout, 7);
            let mut dialer = dialer.resolving(|name| panic!("{name} needs no look-up"));
            let connection = dialer.dial(&mut io).unwrap().unwrap();
            assert_eq!(io.lines[&connection].address.to_string(), address);
        }
    }

    #[test]
    fn a_look_up_that_takes_too_long_is_a_failed_attempt() {
        let (mut dialer, mut io) = (dialer(RETRY, two_addresses), MemoryIo::new());
        assert_eq!(dialer.dial(&mut io).unwrap(), None);
        let error = dialer.look_up_expired(&mut io).unwrap_err();
        assert_eq!(error.to_string(), "the name wasn't looked up within 9s");
        let answer = io.read_attached();
        assert_eq!(dialer.looked_up(&mut io, &answer).unwrap(), None, "nobody waits for it");
        io.lines.clear();
        assert!(dial(&mut dialer, &mut io).is_ok());
    }
}
