//! Connections, and what each is busy with: one thing at a time.

use std::fmt;
use std::time::Instant;

use http1::{ResponseDecoder, ResponseHead, ResponseLimits};

use crate::client::actions::ConnectionNumber;
use crate::watch_line::Lines;

/// Bytes of a response's buffer that is kept for the next one.
const BUFFER_KEPT: usize = 64 << 10;

/// Bytes of the head of a response.
pub const MAX_HEAD: usize = 16 << 10;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The request in this slot.
    Request(usize),
    /// A request that was cancelled meanwhile: its response is read, and dropped.
    Cancelled,
    /// The request for a token.
    Token,
    /// The watch.
    Watch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It isn't there yet.
    Connecting,
    /// Nothing is asked.
    Idle,
    /// So much is asked, and the response isn't whole.
    Busy(Work),
}

pub(crate) struct Connection {
    pub(crate) number: ConnectionNumber,
    /// The member that it goes to.
    pub(crate) member: usize,
    /// Whether it is the watch's, which has one of its own.
    pub(crate) is_watch: bool,
    pub(crate) stage: Stage,
    /// When it has taken too long.
    pub(crate) deadline: Option<Instant>,
    /// Which token was sent last.
    pub(crate) token: u64,
    pub(crate) decoder: ResponseDecoder,
    pub(crate) head: Option<ResponseHead>,
    /// As much of a response's body as is there.
    pub(crate) body: Vec<u8>,
    pub(crate) lines: Lines,
}

/// On which connection something was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) connection: ConnectionNumber,
    pub(crate) member: usize,
    /// With which token.
    pub(crate) token: u64,
}

impl Asked {
    pub(crate) fn on(connection: &Connection) -> Self {
        Self { connection: connection.number, member: connection.member, token: connection.token }
    }
}

/// Why nothing more comes on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It has ended: a body may end so.
    OfConnection,
    /// It isn't waited for any longer.
    OfPatience,
}

/// Without what is in a body: a token, values.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("number", &self.number)
            .field("member", &self.member)
            .field("stage", &self.stage)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Takes the response: its head and body.
    pub(crate) fn take_response(&mut self) -> (Option<ResponseHead>, Vec<u8>) {
        (self.head.take(), std::mem::take(&mut self.body))
    }

    /// Uses the buffer again, if it isn't too large.
    pub(crate) fn keep(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= BUFFER_KEPT {
            buffer.clear();
            self.body = buffer;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connections {
    /// Few: they are searched.
    list: Vec<Connection>,
    newest: ConnectionNumber,
    limits: ResponseLimits,
}

impl Connections {
    pub(crate) fn new(max_response_bytes: usize) -> Self {
        let limits = ResponseLimits { max_head: MAX_HEAD, max_body: max_response_bytes as u64 };
        Self { list: Vec::new(), newest: ConnectionNumber(0), limits }
    }

    pub(crate) fn newest(&self) -> ConnectionNumber {
        self.newest
    }

    /// Asks for a connection.
    pub(crate) fn open(
        &mut self,
        member: usize,
        is_watch: bool,
        deadline: Instant,
    ) -> ConnectionNumber {
        self.newest.0 += 1;
        // A watch's body has no end; each of its lines has the maximum.
        let max_body = if is_watch { u64::MAX } else { self.limits.max_body };
        self.list.push(Connection {
            number: self.newest,
            member,
            is_watch,
            stage: Stage::Connecting,
            deadline: Some(deadline),
            token: 0,
            decoder: ResponseDecoder::new(ResponseLimits { max_body, ..self.limits }),
            head: None,
            body: Vec::new(),
            lines: Lines::default(),
        });
        self.newest
    }

    pub(crate) fn get(&self, number: ConnectionNumber) -> Option<&Connection> {
        self.list.iter().find(|connection| connection.number == number)
    }

    pub(crate) fn stage(&self, number: ConnectionNumber) -> Option<Stage> {
        self.get(number).map(|connection| connection.stage)
    }

    pub(crate) fn get_mut(&mut self, number: ConnectionNumber) -> Option<&mut Connection> {
        self.list.iter_mut().find(|connection| connection.number == number)
    }

    pub(crate) fn remove(&mut self, number: ConnectionNumber) -> Option<Connection> {
        let index = self.list.iter().position(|connection| connection.number == number)?;
        Some(self.list.swap_remove(index))
    }

    /// Those to this member that are for requests.
    pub(crate) fn to(&self, member: usize) -> impl Iterator<Item = &Connection> {
        let is_one = move |one: &&Connection| one.member == member && !one.is_watch;
        self.list.iter().filter(is_one)
    }

    /// The connection that is busy with this.
    pub(crate) fn busy_with(&self, work: Work) -> Option<ConnectionNumber> {
        let is_it = |one: &&Connection| one.stage == Stage::Busy(work);
        self.list.iter().find(is_it).map(|connection| connection.number)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(|connection| connection.deadline).min()
    }

    /// The first idle one of which this holds.
    pub(crate) fn find_idle(
        &self,
        is_it: impl Fn(&Connection) -> bool,
    ) -> Option<ConnectionNumber> {
        let mut idle = self.list.iter().filter(|connection| connection.stage == Stage::Idle);
        idle.find(|connection| is_it(connection)).map(|connection| connection.number)
    }

    /// Any one.
    pub(crate) fn first(&self) -> Option<ConnectionNumber> {
        self.list.first().map(|connection| connection.number)
    }

    /// One that has taken too long.
    pub(crate) fn overdue(&self, now: Instant) -> Option<ConnectionNumber> {
        let is_overdue = |one: &&Connection| one.deadline.is_some_and(|deadline| deadline <= now);
        self.list.iter().find(is_overdue).map(|connection| connection.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_shows_its_body() {
        let mut connections = Connections::new(100);
        let number = connections.open(2, false, Instant::now());
        let connection = connections.get_mut(number).expect("a connection");
        connection.body = b"token".to_vec();
        let expected = "Connection { number: ConnectionNumber(1), member: 2, stage: Connecting, body_len: 5, .. }";
        assert_eq!(format!("{connection:?}"), expected);
    }
}
