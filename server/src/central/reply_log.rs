//! Log lines of the replies that leave: the course's, and those of refusals.

use std::net::IpAddr;

use log::{Level, warn};
use runtime::log_within;
use runtime::logging::Escaped;
use wire::{Agency, Batch, ErrorCode};

use super::log_budget::{Cause, Event, LogBudget};
use super::protocol_error::ProtocolError;
use super::reply::{BatchLog, Reply};

/// What the log will say of a batch that came as BATCH.
pub(crate) fn of_batch(batch: &Batch<'_>) -> BatchLog {
    BatchLog::Batch { count: batch.count }
}

/// What the log will say of a batch that came as BET.
pub(crate) fn of_single(batch: &Batch<'_>) -> BatchLog {
    let Some(Ok(bet)) = batch.bets().next() else { return of_batch(batch) };
    BatchLog::Single {
        document: Escaped(bet.document).to_string(),
        number: Escaped(bet.number).to_string(),
    }
}

/// Logs a reply to `agency`; an error is logged by [`log_error`].
pub(crate) fn log_reply(log: &mut LogBudget, agency: Agency, reply: &Reply) {
    match reply {
        Reply::Welcome(standing) => log_within!(
            log,
            Event::Introduced,
            Level::Debug,
            "action: introduce | result: success | agency: {agency} | posicion: {}",
            standing.consumed
        ),
        Reply::Stored { log: batch, .. } => log_batch(log, true, batch),
        Reply::Rejected { position, index, field, reason, log: batch, .. } => {
            log_batch(log, false, batch);
            log_within!(
                log,
                Event::BetInvalid,
                Level::Warn,
                "action: validate_bet | result: fail | agency: {agency} | index: {index} | \
                 code: {} | error: {} | posicion: {position} | field: {field}",
                *field as u8,
                Escaped(reason.as_bytes())
            );
        }
        Reply::Finished { stored, .. } => log_within!(
            log,
            Event::Finished,
            Level::Debug,
            "action: finish | result: success | agency: {agency} | stored: {stored}"
        ),
        Reply::Duplicate { .. }
        | Reply::Unavailable { .. }
        | Reply::Winners
        | Reply::Error(_)
        | Reply::CloseAfterReplies => {}
    }
}

fn log_batch(log: &mut LogBudget, stored: bool, batch: &BatchLog) {
    let result = if stored { "success" } else { "fail" };
    match batch {
        BatchLog::Batch { count } => log_within!(
            log,
            if stored { Event::BatchStored } else { Event::BatchRejected },
            Level::Info,
            "action: apuesta_recibida | result: {result} | cantidad: {count}"
        ),
        BatchLog::Single { document, number } => log_within!(
            log,
            if stored { Event::BetStored } else { Event::BetRejected },
            Level::Info,
            "action: apuesta_almacenada | result: {result} | dni: {document} | numero: {number}"
        ),
    }
}

/// Logs that a connection from `ip` is refused; `agency` is 0 when it hasn't introduced itself.
pub(crate) fn log_error(log: &mut LogBudget, ip: IpAddr, agency: Agency, error: &ProtocolError) {
    let ProtocolError { code, reason } = error;
    if !log.allows(Cause::Agency(*code)) {
        return;
    }
    // The agency comes back after these: nothing has finally failed.
    let passing = matches!(code, ErrorCode::ShuttingDown | ErrorCode::Superseded);
    let result = if passing { "in_progress" } else { "fail" };
    let agency = if agency == 0 { String::new() } else { format!(" | agency: {agency}") };
    warn!(
        "action: refuse_connection | result: {result} | ip: {ip}{agency} | code: {} | \
         error: {reason}",
        *code as u8
    );
}
