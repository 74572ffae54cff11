//! A central that is what a test says.

use admin::events::Events;
use admin::exposition::Exposition;
use admin::host::Hosts;
use admin::limits::AdminLimits;
use admin::shared::Shared;
use admin::status::{Agency, Lottery, Phase, Problem, Status};
use admin::view::{NotReady, View};

/// What there is to see.
#[derive(Debug, Clone)]
pub(crate) struct Central {
    pub(crate) status: Status,
    pub(crate) readiness: Result<(), NotReady>,
}

impl Central {
    /// A lottery with so many agencies, of which nothing is known yet.
    pub(crate) fn new(agencies: u32) -> Self {
        Self { status: status(agencies), readiness: Ok(()) }
    }
}

impl View for Central {
    fn status(&self) -> Status {
        self.status.clone()
    }

    fn readiness(&self) -> Result<(), NotReady> {
        self.readiness
    }

    fn metrics(&self, out: &mut Exposition) {
        out.gauge("loteria_agencies", "Agencies.").value(self.status.agencies.len());
    }
}

pub(crate) fn shared(limits: AdminLimits) -> Shared {
    Shared::new(limits, Hosts::new(["central".to_owned()]), Events::new(7))
}

pub(crate) fn agency(number: u32) -> Agency {
    Agency {
        agency: number,
        phase: Phase::Waiting,
        connected: false,
        stored: 0,
        rejected: 0,
        last_progress: None,
        winners: None,
    }
}

fn status(agencies: u32) -> Status {
    let unknown = Status::unknown("0.1.0", 1000.0, 1000.5);
    Status {
        ready: true,
        problems: vec![Problem::LogDropped],
        lottery: Lottery { agencies, ..unknown.lottery },
        agencies: (1..=agencies).map(agency).collect(),
        ..unknown
    }
}
