//! What the log says of a batch that was judged: the course's lines.

use log::Level;
use runtime::log_within;
use runtime::logging::Escaped;
use wire::Batch;

use crate::answers::StoredLog;
use crate::log_budget::{Event, LogBudget};

/// Which request brought a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Single,
    Batch,
}

impl Kind {
    /// What the log will say of the batch.
    pub(crate) fn log(self, batch: &Batch<'_>) -> StoredLog {
        let single = match self {
            Self::Single => batch.bets().next(),
            Self::Batch => None,
        };
        let Some(Ok(bet)) = single else { return StoredLog::Batch { cantidad: batch.count } };
        StoredLog::Single {
            dni: Escaped(bet.document).to_string(),
            numero: Escaped(bet.number).to_string(),
        }
    }
}

/// Logs that a batch was stored or rejected.
pub(crate) fn log_judged(budget: &mut LogBudget, stored: bool, log: &StoredLog) {
    let result = if stored { "success" } else { "fail" };
    match log {
        StoredLog::Batch { cantidad } => log_within!(
            budget,
            if stored { Event::BatchStored } else { Event::BatchRejected },
            Level::Info,
            "action: apuesta_recibida | result: {result} | cantidad: {cantidad}"
        ),
        StoredLog::Single { dni, numero } => log_within!(
            budget,
            if stored { Event::BetStored } else { Event::BetRejected },
            Level::Info,
            "action: apuesta_almacenada | result: {result} | dni: {dni} | numero: {numero}"
        ),
    }
}
