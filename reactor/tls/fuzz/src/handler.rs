//! The side in the loop: sends back what comes, and checks the order of the loop's calls.

use std::convert::Infallible;
use std::net::SocketAddr;

use reactor::{CloseReason, ConnectionId, Context, Handler};

use crate::credentials::Role;

/// How far the connection is, as the calls show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    New,
    Open,
    Secured,
    Ended,
    Closed,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Echo {
    role: Role,
    /// The layer begins when the first byte has come; if not, with the connection.
    waits_for_first_byte: bool,
    /// Bytes that it leaves unconsumed as long as more may come.
    leaves: usize,
    pub(crate) phase: Phase,
    started: bool,
    pub(crate) connection: Option<ConnectionId>,
    /// What it has consumed, and what was left over at the end.
    pub(crate) received: Vec<u8>,
    /// The connection was closed because the layer failed.
    pub(crate) layer_failed: bool,
}

impl Echo {
    pub(crate) fn new(role: Role, waits_for_first_byte: bool, leaves: usize) -> Self {
        Self {
            role,
            waits_for_first_byte,
            leaves,
            phase: Phase::New,
            started: false,
            connection: None,
            received: Vec::new(),
            layer_failed: false,
        }
    }

    fn start(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.started = true;
        cx.start_layer(connection, Box::new(self.role.layer()));
    }
}

impl Handler for Echo {
    type Fatal = Infallible;

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        assert_eq!(self.phase, Phase::New);
        self.phase = Phase::Open;
        self.connection = Some(connection);
        if !self.waits_for_first_byte {
            self.start(cx, connection);
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        assert_eq!(self.phase, Phase::Open);
        self.phase = Phase::Secured;
        assert_eq!(cx.peer_certificates(connection).len(), 1);
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if !self.started {
            self.start(cx, connection);
            return 0;
        }
        assert_eq!(self.phase, Phase::Secured, "nothing before the handshake is complete");
        let consumed = input.len() - self.leaves.min(input.len());
        self.received.extend_from_slice(&input[..consumed]);
        cx.send(connection, &input[..consumed]);
        consumed
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        assert!(self.phase == Phase::Secured || !self.started, "the handshake isn't complete");
        self.phase = Phase::Ended;
        self.received.extend_from_slice(rest);
        cx.close(connection);
    }

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, reason: &CloseReason) {
        assert_ne!(self.phase, Phase::Closed, "once");
        self.phase = Phase::Closed;
        self.layer_failed = matches!(reason, CloseReason::Layer(_));
    }
}
