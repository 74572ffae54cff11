//! A handler that does what its input says, one command a byte. Knows no loop.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, Handler, ListenerId, ShutdownCause, TimerId};

use crate::security::Security;

/// Bytes that [`BIG`](commands::BIG) sends: more than the sockets of both sides hold.
pub(crate) const BIG: usize = 4 * 1024 * 1024;

/// How soon deadlines and timers are due that are to fire.
pub(crate) const SOON: Duration = Duration::from_millis(20);

/// When those are due that aren't.
pub(crate) const NEVER: Duration = Duration::from_hours(1);

/// Bytes that [`KEEP`](commands::KEEP) waits for, itself included.
const KEPT: usize = 4;

/// What a byte of input makes the handler do. Any other byte is sent back.
pub(crate) mod commands {
    /// Nothing.
    pub(crate) const NOTHING: u8 = b'.';
    /// Sends a little.
    pub(crate) const SEND: u8 = b's';
    /// Sends more than sockets hold.
    pub(crate) const BIG: u8 = b'S';
    pub(crate) const CLOSE: u8 = b'c';
    pub(crate) const ABORT: u8 = b'a';
    /// Closes all connections that have opened.
    pub(crate) const CLOSE_ALL: u8 = b'C';
    pub(crate) const ABORT_ALL: u8 = b'B';
    /// Pauses reading from this connection, with what follows unconsumed.
    pub(crate) const PAUSE: u8 = b'p';
    /// Resumes reading from all.
    pub(crate) const RESUME: u8 = b'r';
    /// Consumes nothing from here on, until this many bytes have come.
    pub(crate) const KEEP: u8 = b'k';
    /// At the peer's end this connection isn't closed.
    pub(crate) const STAY: u8 = b'y';
    pub(crate) const DEADLINE: u8 = b'd';
    pub(crate) const FAR_DEADLINE: u8 = b'D';
    pub(crate) const NO_DEADLINE: u8 = b'n';
    pub(crate) const TIMER: u8 = b't';
    pub(crate) const FAR_TIMER: u8 = b'T';
    pub(crate) const NO_TIMER: u8 = b'N';
    /// Connects to where the test listens.
    pub(crate) const CONNECT: u8 = b'o';
    /// Connects to where nothing listens.
    pub(crate) const CONNECT_IN_VAIN: u8 = b'O';
    pub(crate) const ATTACH: u8 = b'A';
    pub(crate) const PROTECT: u8 = b'P';
    /// Sends which listener has accepted this connection, in a byte: `m`, `a`, or `-` for none.
    pub(crate) const LISTENER: u8 = b'L';
    pub(crate) const SHUTDOWN: u8 = b'x';
    /// The end has to wait for this connection.
    pub(crate) const HOLD_SHUTDOWN: u8 = b'h';
    /// The next `before_flush` fails.
    pub(crate) const FAIL: u8 = b'!';
}

/// What `before_flush` fails with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as the script says")
    }
}

impl std::error::Error for Failure {}

/// The handler.
#[derive(Debug)]
pub(crate) struct Interpreter {
    listening: SocketAddr,
    refusing: SocketAddr,
    security: Security,
    /// Those that bytes pass without a layer: none is to be started, or it was.
    passing: BTreeSet<ConnectionId>,
    called: BTreeSet<ConnectionId>,
    open: BTreeSet<ConnectionId>,
    staying: BTreeSet<ConnectionId>,
    holding: BTreeSet<ConnectionId>,
    /// Other ends of pairs that were attached.
    pub(crate) attached: VecDeque<UnixStream>,
    fails: bool,
}

impl Interpreter {
    /// One that connects to these addresses: where the test listens, and where nothing does.
    pub(crate) fn new(security: Security, listening: SocketAddr, refusing: SocketAddr) -> Self {
        Self {
            listening,
            refusing,
            security,
            passing: BTreeSet::new(),
            called: BTreeSet::new(),
            open: BTreeSet::new(),
            staying: BTreeSet::new(),
            holding: BTreeSet::new(),
            attached: VecDeque::new(),
            fails: false,
        }
    }

    /// Does what one byte says. Returns whether the next one may be looked at.
    fn obey(&mut self, cx: &mut impl Context, id: ConnectionId, byte: u8) -> bool {
        match byte {
            commands::KEEP | commands::NOTHING => {}
            commands::SEND => cx.send(id, &[b'.'; 100]),
            commands::BIG => cx.send(id, &vec![b'.'; BIG]),
            commands::CLOSE => cx.close(id),
            commands::ABORT => cx.abort(id),
            commands::CLOSE_ALL => self.open.iter().for_each(|id| cx.close(*id)),
            commands::ABORT_ALL => self.open.iter().for_each(|id| cx.abort(*id)),
            commands::PAUSE => cx.pause_reading(id),
            commands::RESUME => self.open.iter().for_each(|id| cx.resume_reading(*id)),
            commands::STAY => drop(self.staying.insert(id)),
            commands::CONNECT => drop(self.called.insert(cx.connect(self.listening))),
            commands::CONNECT_IN_VAIN => drop(cx.connect(self.refusing)),
            commands::ATTACH => self.attach(cx),
            commands::PROTECT => cx.protect(id),
            commands::LISTENER => cx.send(id, &[letter(cx.listener(id))]),
            commands::SHUTDOWN => cx.shutdown(),
            commands::HOLD_SHUTDOWN => drop(self.holding.insert(id)),
            commands::FAIL => self.fails = true,
            _ => return Self::set_alarm(cx, id, byte),
        }
        byte != commands::PAUSE
    }

    fn set_alarm(cx: &mut impl Context, id: ConnectionId, byte: u8) -> bool {
        match byte {
            commands::DEADLINE => cx.set_deadline(id, Some(SOON)),
            commands::FAR_DEADLINE => cx.set_deadline(id, Some(NEVER)),
            commands::NO_DEADLINE => cx.set_deadline(id, None),
            commands::TIMER => cx.set_timer(TimerId(1), Some(SOON)),
            commands::FAR_TIMER => cx.set_timer(TimerId(1), Some(NEVER)),
            commands::NO_TIMER => cx.set_timer(TimerId(1), None),
            _ => cx.send(id, &[byte]),
        }
        true
    }

    fn attach(&mut self, cx: &mut impl Context) {
        let (ours, theirs) = UnixStream::pair().expect("there are descriptors");
        let id = cx.attach(ours).expect("it can be registered");
        self.open.insert(id);
        self.passing.insert(id);
        self.attached.push_back(theirs);
    }

    /// Begins the layer of a peer that has begun, as a central does at its first byte. Returns whether
    /// it does.
    fn begin_layer(&mut self, cx: &mut impl Context, id: ConnectionId) -> bool {
        if !self.passing.insert(id) {
            return false;
        }
        let Some(layer) = self.security.called() else { return false };
        cx.start_layer(id, layer);
        true
    }
}

fn letter(listener: Option<ListenerId>) -> u8 {
    match listener {
        Some(ListenerId::MAIN) => b'm',
        Some(_) => b'a',
        None => b'-',
    }
}

impl Handler for Interpreter {
    type Fatal = Failure;

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        self.open.insert(connection);
        if self.called.contains(&connection)
            && let Some(layer) = self.security.calling()
        {
            self.passing.insert(connection);
            cx.start_layer(connection, layer);
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.begin_layer(cx, connection) {
            return 0;
        }
        for (index, byte) in input.iter().enumerate() {
            if *byte == commands::KEEP && input.len() - index < KEPT {
                return index;
            }
            if !self.obey(cx, connection, *byte) {
                return index + 1;
            }
        }
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _rest: &[u8]) {
        if !self.staying.contains(&connection) {
            cx.close(connection);
        }
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        cx.send(connection, b"late");
    }

    fn on_close(&mut self, _cx: &mut impl Context, connection: ConnectionId, _: &CloseReason) {
        self.open.remove(&connection);
        self.holding.remove(&connection);
    }

    fn on_shutdown(&mut self, _cx: &mut impl Context, _cause: ShutdownCause) {}

    fn is_idle(&self) -> bool {
        self.holding.is_empty()
    }

    fn before_flush(&mut self, _cx: &mut impl Context) -> Result<(), Failure> {
        if self.fails { Err(Failure) } else { Ok(()) }
    }
}
