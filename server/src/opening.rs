//! Opens the ledger, while signals are heeded and log lines leave, and closes it in order.
//!
//! An opening reads all that is stored, which may take long.

use std::fs::File;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ledger::Progress;
use log::{info, warn};
use runtime::EventLoop;
use runtime::logging::{self, Escaped};

use crate::config::Config;
use crate::lottery::winners::WinnerIndex;
use crate::lottery::{Lottery, State};
use crate::row::StoredBet;
use crate::startup_log;
use crate::store::{FileStore, Opened, ReadRows as _, StoreError};

/// How often an opening logs how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Opens the ledger; returns it with the lottery that is in it, or `None` when a signal asked the process to
/// end before all was read.
///
/// # Errors
/// The ledger can't be had, or isn't what was committed.
pub fn open(
    config: &Config,
    event_loop: &mut EventLoop,
) -> Result<Option<(FileStore<File>, Lottery)>, StoreError> {
    let mut winners = WinnerIndex::default();
    let visit = |stored: &StoredBet<'_>| winners.visit(stored);
    let watch = watch_progress(event_loop);
    match FileStore::open(&config.storage, config.ledger, config.agencies, visit, watch) {
        Ok(Opened { store, state, recovery }) => {
            startup_log::log_opened(config, &recovery);
            startup_log::log_wal_path(&config.storage, &store.paths().wal);
            let lottery = Lottery::new(config.agencies, state, store.rows_len(), winners);
            Ok(Some((store, lottery)))
        }
        Err(StoreError::Ledger(ledger::Error::Interrupted { path })) => {
            let path = path.display().to_string();
            info!("action: close_ledger | result: success | path: {}", Escaped(path.as_bytes()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Logs how far an opening has come, lets log lines leave, and stops it when a signal asks the
/// process to end.
fn watch_progress(event_loop: &mut EventLoop) -> impl FnMut(Progress) -> ControlFlow<()> {
    let mut next_report = Instant::now() + PROGRESS_INTERVAL;
    move |Progress { step, done, total }| {
        if let Some(cause) = event_loop.shutdown_signal() {
            info!("action: shutdown | result: in_progress | cause: {cause}");
            return ControlFlow::Break(());
        }
        let now = Instant::now();
        if now >= next_report {
            next_report = now + PROGRESS_INTERVAL;
            info!(
                "action: recover_ledger | result: in_progress | step: {step} | bytes: {done} | \
                 of: {total}"
            );
            logging::flush();
        }
        ControlFlow::Continue(())
    }
}

/// Closes a ledger in order: its next opening needs no recovery. `appended` is the state that all
/// commits led to.
///
/// # Errors
/// The ledger can't be relied on any more.
pub fn close(store: FileStore<File>, appended: &State) -> Result<(), StoreError> {
    let (path, bytes) = (store.paths().rows.display().to_string(), store.rows_len());
    let path = Escaped(path.as_bytes());
    if store.close(appended)? {
        info!("action: close_ledger | result: success | path: {path} | bytes: {bytes}");
    } else {
        warn!(
            "action: close_ledger | result: success | path: {path} | bytes: {bytes} | \
             warning: the disk was too slow for a last checkpoint, the next start reads the log"
        );
    }
    Ok(())
}
