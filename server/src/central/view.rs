//! How a central is at one moment, as an operator sees it.
//!
//! Only looks: nothing that is asked here changes the central.

mod cause_names;
mod metrics;
mod status;

pub(crate) use metrics::write_draw;

use std::time::{Instant, SystemTime};

use admin::exposition::Exposition;
use admin::status::{Status, seconds};
use admin::view::{NotReady, View};
use reactor::{Context, Counters, Gauges, ListenerId, TurnDurations};
use tls::expiry::Expiry;
use wire::Agency;

use super::backend::Backend;
use super::{Central, Trust};
use crate::observable::{ViewContext, WallClock};

/// A central, and what its loop says at the moment.
#[derive(Debug)]
pub struct CentralView<'a, B> {
    central: &'a Central<B>,
    counters: Counters,
    /// What the connections of agencies and of echo take.
    gauges: Gauges,
    turn_durations: TurnDurations,
    times: Times,
    /// Agencies that have metrics of their own.
    metrics_agencies: Agency,
    /// Whether lines of the log were lost of late.
    loses_lines: bool,
    /// Connections of the admin listener.
    admin_connections: usize,
}

/// The moments of the loop as points in time.
#[derive(Debug, Clone, Copy)]
struct Times {
    started: SystemTime,
    /// The turn's moment.
    moment: Instant,
    time: SystemTime,
    wall: WallClock,
}

impl Times {
    /// Seconds since 1970 of a moment of the loop.
    fn unix(&self, moment: Instant) -> f64 {
        seconds(self.wall.at(moment))
    }
}

impl<'a, B: Backend> CentralView<'a, B> {
    /// The central as it is now.
    pub(crate) fn new(
        central: &'a Central<B>,
        cx: &impl Context,
        view_context: ViewContext,
        admin_connections: usize,
    ) -> Self {
        let ViewContext { started, wall, metrics_agencies, lost_lines } = view_context;
        Self {
            central,
            counters: cx.counters(),
            gauges: cx.gauges(ListenerId::MAIN),
            turn_durations: *cx.turn_durations(),
            times: Times { started, moment: cx.now(), time: wall.at(cx.now()), wall },
            metrics_agencies,
            loses_lines: lost_lines.are_recent(cx.now()),
            admin_connections,
        }
    }

    /// When which certificate and list ends; none without TLS.
    fn expiries(&self) -> Vec<Expiry> {
        self.central.trust.as_deref().map(Trust::expiries).unwrap_or_default()
    }
}

impl<B: Backend> View for CentralView<'_, B> {
    fn status(&self) -> Status {
        status::of(self)
    }

    fn readiness(&self) -> Result<(), NotReady> {
        match () {
            () if self.central.shared.shutting_down => Err(NotReady::Stopping),
            // Behind the draw there is nothing to be stored.
            () if self.central.backend().is_drawn() => Ok(()),
            () => self.central.backend().not_ready().map_or(Ok(()), Err),
        }
    }

    fn metrics(&self, out: &mut Exposition) {
        metrics::write(self, out);
    }
}
