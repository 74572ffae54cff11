//! What an operator sees while the ledger is being read: that it is, and nothing of the lottery.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::SystemTime;

use admin::exposition::Exposition;
use admin::status::{Problem, Status, seconds};
use admin::view::{NotReady, View};
use reactor::{CloseReason, ConnectionId, Context, Handler, Layer, LayerError, Signal};
use wire::DrawName;

use crate::central::{Trust as _, write_draw};
use crate::certificates::Certificates;
use crate::observable::{Observable, ViewContext};

/// The handler of the turns between two pieces of the ledger: agencies aren't listened to yet.
#[derive(Debug)]
pub struct Recovering<'a> {
    /// For an operator who looks by HTTPS.
    certificates: Option<&'a Certificates>,
    /// What the draw is called, if it has a name: the configuration knows.
    draw: Option<DrawName>,
    /// Have come meanwhile, and are for the central: each kind once.
    signals: Vec<Signal>,
}

impl<'a> Recovering<'a> {
    /// Of this draw, and with the certificates that will be in force.
    pub fn new(draw: Option<DrawName>, certificates: Option<&'a Certificates>) -> Self {
        Self { certificates, draw, signals: Vec::new() }
    }

    /// Signals that the central is to obey when it begins.
    pub fn into_signals(self) -> Vec<Signal> {
        self.signals
    }
}

impl Handler for Recovering<'_> {
    type Fatal = Infallible;

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        cx.abort(connection);
    }

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        input.len()
    }

    fn on_eof(&mut self, _: &mut impl Context, _: ConnectionId, _: &[u8]) {}

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}

    fn on_signal(&mut self, _: &mut impl Context, signal: Signal) {
        if !self.signals.contains(&signal) {
            self.signals.push(signal);
        }
    }
}

impl Observable for Recovering<'_> {
    type View<'v>
        = RecoveringView
    where
        Self: 'v;

    fn view(&self, cx: &impl Context, view_context: ViewContext, _: usize) -> RecoveringView {
        let (started, time) = (view_context.started, view_context.wall.at(cx.now()));
        RecoveringView { started, time, draw: self.draw }
    }

    fn make_layer(&self) -> Result<Box<dyn Layer>, LayerError> {
        self.certificates.ok_or("there is no certificate")?.layer()
    }
}

/// What there is to see.
#[derive(Debug)]
pub struct RecoveringView {
    started: SystemTime,
    time: SystemTime,
    draw: Option<DrawName>,
}

impl View for RecoveringView {
    fn status(&self) -> Status {
        let (started, time) = (seconds(self.started), seconds(self.time));
        let problems = vec![Problem::Recovering];
        let mut status =
            Status { problems, ..Status::unknown(env!("CARGO_PKG_VERSION"), started, time) };
        status.lottery.draw = self.draw.map(|name| name.to_string());
        status
    }

    fn readiness(&self) -> Result<(), NotReady> {
        Err(NotReady::Recovering)
    }

    fn metrics(&self, out: &mut Exposition) {
        write_draw(self.draw.map(|name| name.to_string()).as_deref(), out);
    }
}
