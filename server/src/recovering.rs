//! What an operator sees while the ledger is being read: that it is, and nothing of the lottery.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use admin::exposition::Exposition;
use admin::process::Process;
use admin::status::{Commits, Connections, Lottery, Problem, Stage, Status, Usage};
use admin::view::{NotReady, View};
use reactor::{CloseReason, ConnectionId, Context, Handler, Layer, LayerError, Signal};

use crate::central::Trust as _;
use crate::certificates::Certificates;
use crate::overseen::{AdminUsage, Overseen, Overview};

/// The handler of the turns between two pieces of the ledger: agencies aren't listened to yet.
#[derive(Debug)]
pub struct Recovering<'a> {
    /// For an operator who looks by HTTPS.
    certificates: Option<&'a Certificates>,
    /// Have come meanwhile, and are for the central: each kind once.
    signals: Vec<Signal>,
}

impl<'a> Recovering<'a> {
    /// With the certificates that will be in force.
    pub fn new(certificates: Option<&'a Certificates>) -> Self {
        Self { certificates, signals: Vec::new() }
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

impl Overseen for Recovering<'_> {
    type View<'v>
        = Nothing
    where
        Self: 'v;

    fn look(&self, cx: &impl Context, overview: Overview, _: AdminUsage) -> Nothing {
        Nothing { started: overview.started, time: overview.wall.at(cx.now()) }
    }

    fn make_layer(&self) -> Result<Box<dyn Layer>, LayerError> {
        self.certificates.ok_or("there is no certificate")?.layer()
    }
}

/// What there is to see.
#[derive(Debug)]
pub struct Nothing {
    started: SystemTime,
    time: SystemTime,
}

impl View for Nothing {
    fn status(&self) -> Status {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Status {
            time: seconds(self.time).as_secs_f64(),
            started: seconds(self.started).as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
            ready: false,
            problems: vec![Problem::Recovering],
            lottery: Lottery {
                stage: Stage::Open,
                agencies: 0,
                finished: 0,
                stored: 0,
                rejected: 0,
                winners: None,
                drawn: None,
            },
            commits: Commits { count: 0, p50: None, p99: None },
            connections: Connections { open: 0, limit: 0, agencies: 0, admin: 0 },
            buffers: Usage { bytes: 0, limit: None },
            ledger: Usage { bytes: 0, limit: None },
            agencies: Vec::new(),
        }
    }

    fn readiness(&self) -> Result<(), NotReady> {
        Err(NotReady::Recovering)
    }

    fn metrics(&self, out: &mut Exposition) {
        out.gauge("loteria_build_info", "The central's version; always 1.").labelled(
            "version",
            env!("CARGO_PKG_VERSION"),
            true,
        );
        out.gauge("loteria_ready", "Whether the central takes bets.").value(false);
        Process::this().write(out);
    }
}
