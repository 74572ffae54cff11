//! Opens the ledger, while signals are heeded and log lines leave, and closes it in order.
//!
//! An opening reads all that is stored, which may take long.

use std::fs::File;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ledger::Progress;
use runtime::logging::{self, InProgress, Level, Line, Success};
use runtime::service_manager::ServiceManager;
use runtime::{EventLoop, log_line};

use crate::config::Config;
use crate::lottery::winners::WinnerIndex;
use crate::lottery::{Lottery, State};
use crate::recovering::Recovering;
use crate::row::StoredBet;
use crate::startup_log;
use crate::store::{FileStore, Opened, ReadRows as _, StoreError, Terms};
use crate::with_admin::WithAdmin;

/// How often an opening logs how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long a step may take from one sign of progress to the next, for a service manager: a disk that
/// stalls for longer isn't one to wait for.
const STALL_MAX: Duration = Duration::from_mins(1);

/// Opens the ledger; returns it with the lottery that is in it, or `None` when a signal asked the
/// process to end before all was read. `meanwhile` serves who is connected already, and `service` hears
/// that the start goes on.
///
/// # Errors
/// The ledger can't be had, or isn't what was committed.
pub fn open(
    config: &Config,
    event_loop: &mut EventLoop,
    meanwhile: &mut WithAdmin<Recovering<'_>>,
    service: &ServiceManager,
) -> Result<Option<(FileStore<File>, Lottery)>, StoreError> {
    let mut winners = WinnerIndex::default();
    let visit = |stored: &StoredBet<'_>| winners.visit(stored);
    let watch = watch_progress(event_loop, meanwhile, service);
    match FileStore::open(&config.storage, config.ledger, config.terms, visit, watch) {
        Ok(Opened { store, state, recovery }) => {
            startup_log::log_opened(config, &recovery);
            startup_log::log_wal_path(&config.storage, &store.paths().wal);
            if is_interrupted(event_loop) {
                close(store, &state)?;
                return Ok(None);
            }
            let Terms { agencies, draw } = config.terms;
            let lottery = Lottery::new(agencies, state, store.rows_len(), winners).of_draw(draw);
            Ok(Some((store, lottery)))
        }
        Err(StoreError::Ledger(ledger::Error::Interrupted { path })) => {
            log_line!(Level::Info, Line::new("close_ledger", Success).with_path("path", path));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Logs how far an opening has come, lets log lines leave, and stops it when a signal asks the
/// process to end.
fn watch_progress(
    event_loop: &mut EventLoop,
    meanwhile: &mut WithAdmin<Recovering<'_>>,
    service: &ServiceManager,
) -> impl FnMut(Progress) -> ControlFlow<()> {
    let mut next_report = Instant::now() + PROGRESS_INTERVAL;
    let mut next_extension = Instant::now();
    move |progress| {
        let Progress { step, done, total } = progress;
        if is_interrupted(event_loop) {
            return ControlFlow::Break(());
        }
        // For an operator alone: should the poll fail, it fails again when the loop runs.
        let _ = event_loop.turn_now(meanwhile);
        let now = Instant::now();
        if now >= next_extension {
            next_extension = now + PROGRESS_INTERVAL;
            service.extend_timeout(STALL_MAX);
            service.status(&describe(progress));
        }
        if now >= next_report {
            next_report = now + PROGRESS_INTERVAL;
            let line = Line::new("recover_ledger", InProgress).with("step", step);
            log_line!(Level::Info, line.with("bytes", done).with("of", total));
            logging::flush();
        }
        ControlFlow::Continue(())
    }
}

/// An opening in a line for people.
fn describe(Progress { step, done, total }: Progress) -> String {
    let percent = (done * 100).checked_div(total).unwrap_or_default();
    format!("recovering the ledger: {step}, {percent} %")
}

/// Whether a signal asks the process to end; logs which.
fn is_interrupted(event_loop: &mut EventLoop) -> bool {
    let Some(cause) = event_loop.shutdown_signal() else { return false };
    log_line!(Level::Info, Line::new("shutdown", InProgress).with("cause", cause));
    true
}

/// Closes a ledger in order: its next opening needs no recovery. `appended` is the state that all
/// commits led to.
///
/// # Errors
/// The ledger can't be relied on any more.
pub fn close(store: FileStore<File>, appended: &State) -> Result<(), StoreError> {
    let closed = Line::new("close_ledger", Success)
        .with_path("path", &store.paths().rows)
        .with("bytes", store.rows_len());
    if store.close(appended)? {
        log_line!(Level::Info, closed);
    } else {
        let warning = "the disk was too slow for a last checkpoint, the next start reads the log";
        log_line!(Level::Warn, closed.with("warning", warning));
    }
    Ok(())
}
