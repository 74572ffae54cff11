//! Log lines of the replies that leave: the course's, and those of refusals.

use runtime::logging::{Fail, InProgress, Level, Line, Success};
use runtime::{log_line, log_within};
use wire::{Agency, Batch, ErrorCode};

use super::log_budget::{Cause, Event, LogBudget};
use super::peer::Peer;
use super::protocol_error::ProtocolError;
use super::reply::{BatchLog, Reply};

/// What the log will say of a batch that came as BATCH.
pub(crate) fn of_batch(batch: &Batch<'_>) -> BatchLog {
    BatchLog::Batch { count: batch.count }
}

/// What the log will say of a batch that came as BET.
pub(crate) fn of_single(batch: &Batch<'_>) -> BatchLog {
    let Some(Ok(bet)) = batch.bets().next() else { return of_batch(batch) };
    BatchLog::Single { document: bet.document.to_vec(), number: bet.number.to_vec() }
}

/// Logs a reply to `agency`; an error is logged by [`log_error`].
pub(crate) fn log_reply(log: &mut LogBudget, agency: Agency, reply: &Reply) {
    match reply {
        Reply::Welcome(standing) => log_within!(
            log,
            Event::Introduced,
            Level::Debug,
            Line::new("introduce", Success)
                .with("agency", agency)
                .with("posicion", standing.consumed)
        ),
        Reply::Stored { log: batch, .. } => log_batch(log, true, batch),
        Reply::Rejected { position, index, field, reason, log: batch, .. } => {
            log_batch(log, false, batch);
            log_within!(
                log,
                Event::BetInvalid,
                Level::Warn,
                Line::new("validate_bet", Fail)
                    .with("agency", agency)
                    .with("index", index)
                    .with("code", *field as u8)
                    .with_bytes("error", reason)
                    .with("posicion", position)
                    .with("field", field)
            );
        }
        Reply::Finished { stored, .. } => log_within!(
            log,
            Event::Finished,
            Level::Debug,
            Line::new("finish", Success).with("agency", agency).with("stored", stored)
        ),
        Reply::Duplicate { .. }
        | Reply::Unavailable { .. }
        | Reply::Winners
        | Reply::Error { .. }
        | Reply::CloseAfterReplies => {}
    }
}

fn log_batch(log: &mut LogBudget, stored: bool, batch: &BatchLog) {
    let result = if stored { Success } else { Fail };
    match batch {
        BatchLog::Batch { count } => log_within!(
            log,
            if stored { Event::BatchStored } else { Event::BatchRejected },
            Level::Info,
            Line::new("apuesta_recibida", result).with("cantidad", count)
        ),
        BatchLog::Single { document, number } => log_within!(
            log,
            if stored { Event::BetStored } else { Event::BetRejected },
            Level::Info,
            Line::new("apuesta_almacenada", result)
                .with_bytes("dni", document)
                .with_bytes("numero", number)
        ),
    }
}

/// Logs that a connection is refused.
pub(crate) fn log_error(log: &mut LogBudget, peer: &Peer, error: &ProtocolError) {
    let ProtocolError { code, reason } = error;
    if !log.allows(Cause::Agency(*code)) {
        return;
    }
    // The agency comes back after these: nothing has finally failed.
    let passing = matches!(
        code,
        ErrorCode::ShuttingDown | ErrorCode::Superseded | ErrorCode::StoreUnreachable
    );
    let line = Line::new("refuse_connection", if passing { InProgress } else { Fail })
        .with("ip", peer.ip)
        .with_some("agency", peer.agency)
        .with("code", *code as u8)
        .with("error", reason)
        .with_some("serial", peer.serial.as_ref());
    log_line!(Level::Warn, line);
}
