//! Runs the central: configuration, ledger, event loop, and everything closed in order at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use reactor::{Hangup, Outcome};
use runtime::logging::{self, Escaped};
use runtime::settings::{self, Settings};
use runtime::{EventLoop, console, exit_code};
use server::central::{Central, ProtocolConfig};
use server::config::{Config, HEALTHCHECK, PROGRAM, TABLE};
use server::ledger::{FileLedger, LedgerError, Progress, StoredBet, Sync};
use server::lottery::Lottery;
use server::start_error::ServerError;
use server::winners::WinnerIndex;
use server::{disk_thread, healthcheck, startup_log};

/// How often the opening of a ledger logs how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    logging::catch_panics();
    let mut settings = PROGRAM.load();
    let config = Config::new(&mut settings);
    if settings.check_only() {
        return settings::check(&settings, &config);
    }
    let config = match config {
        Ok(config) => config,
        Err(errors) => return settings::refuse(&errors),
    };
    if settings.subcommand() == Some(HEALTHCHECK) {
        return check_health(&config);
    }
    let _flushed_at_the_end = logging::init(config.level);
    log_configuration(&settings);
    match run(&config) {
        Ok(Outcome::Graceful) => ExitCode::SUCCESS,
        Ok(Outcome::Forced) => {
            error!("action: shutdown | result: fail | error: a second signal came before the end");
            ExitCode::from(exit_code::FORCED)
        }
        Err(error) => {
            error!("action: run | result: fail | error: {}", escaped(&error));
            ExitCode::FAILURE
        }
    }
}

fn check_health(config: &Config) -> ExitCode {
    match healthcheck::check(config.address) {
        Ok(()) => {
            console::print("healthy\n");
            ExitCode::SUCCESS
        }
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn log_configuration(settings: &Settings) {
    if log::log_enabled!(log::Level::Debug) {
        let mut line = "action: config | result: success".to_owned();
        for setting in TABLE {
            let name = setting.key.strip_prefix("SERVER_").unwrap_or(setting.key);
            let value = settings.raw(setting).map_or("", |(value, _)| value);
            let value = Escaped(value.as_bytes());
            write!(line, " | {}: {value}", name.to_ascii_lowercase())
                .expect("a String takes everything");
        }
        debug!("{line}");
    }
    settings.log_warnings();
}

fn run(config: &Config) -> Result<Outcome, ServerError> {
    // First of all: the first process of a container loses a signal that it has no handler for.
    let mut event_loop =
        runtime::event_loop(config.limits.clone()).map_err(ServerError::EventLoop)?;
    event_loop.handle_signals(Hangup::Notify).map_err(ServerError::EventLoop)?;
    startup_log::warn_of_few_places(config, event_loop.limits().max_connections);
    logging::flush();
    // Before the ledger: whoever can't have the port leaves no files behind, and says that it is the
    // port. Nobody is let in, nor kept waiting, before the ledger is open.
    let address = config.address;
    let listen_error = |source| ServerError::Listen { address, source };
    let bound = event_loop.bind(address).map_err(listen_error)?;
    let mut winners = WinnerIndex::default();
    let visit = |stored: &StoredBet<'_>| winners.visit(stored);
    let watch = watch_opening(&mut event_loop);
    let opened = FileLedger::open(&config.storage, config.ledger, visit, watch);
    if let Err(LedgerError::Interrupted { path }) = &opened {
        let path = path.display().to_string();
        info!("action: close_ledger | result: success | path: {}", Escaped(path.as_bytes()));
        return Ok(Outcome::Graceful);
    }
    let (ledger, recovery) = opened?;
    startup_log::log_opened(config, &recovery);
    startup_log::log_place_of_wal(&config.storage, ledger.log_path());
    let ready = get_ready(config, &ledger).and_then(|(rules, disk)| {
        let listening = event_loop.listen_at(bound, config.backlog).map_err(listen_error)?;
        Ok((rules, disk, listening))
    });
    let (rules, disk, listening) = match ready {
        Ok(ready) => ready,
        // In order: what was never used needs no recovery.
        Err(error) => return Err(close_ledger(ledger).map_or_else(ServerError::from, |()| error)),
    };
    let files = startup_log::names(ledger.path(), ledger.log_path());
    let lottery = Lottery::new(ledger, config.agencies, winners);
    info!("action: open_lottery | result: success | {}", lottery.standing().at_start(&files));
    let mut central = Central::new(lottery, rules);
    if let Some(stream) = disk {
        central = central.with_disk_thread(stream);
    }
    info!("action: listen | result: success | ip: {} | port: {}", listening.ip(), listening.port());
    let outcome = event_loop.run(&mut central);
    central.report_log();
    let outcome = outcome?;
    debug!("action: count | result: success | {}", event_loop.counters());

    if outcome == Outcome::Graceful {
        close_ledger(central.into_ledger())?;
    }
    Ok(outcome)
}

/// What the central needs beside an open ledger: rules that its wal has room for, and the thread that
/// waits for the disk, if any does.
fn get_ready(
    config: &Config,
    ledger: &FileLedger<File>,
) -> Result<(ProtocolConfig, Option<UnixStream>), ServerError> {
    let room = ledger.commit_room()?;
    let asked = config.rules.commit_max;
    let rules = config.rules_within(room).ok_or(ServerError::CommitMax { asked, room })?;
    let disk = match config.ledger.sync {
        Sync::Always => Some(start_disk_thread(ledger).map_err(ServerError::DiskThread)?),
        Sync::Never => None,
    };
    Ok((rules, disk))
}

/// While the ledger is opened, which may take long: logs how far it has come, lets log lines leave,
/// and stops it when a signal asks the process to end.
fn watch_opening(event_loop: &mut EventLoop) -> impl FnMut(Progress) -> ControlFlow<()> {
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

fn start_disk_thread(ledger: &FileLedger<File>) -> std::io::Result<UnixStream> {
    let (rows, wal) = ledger.descriptors()?;
    disk_thread::spawn(rows, wal)
}

fn close_ledger(ledger: FileLedger<File>) -> Result<(), LedgerError> {
    let (path, bytes) = (ledger.path().display().to_string(), ledger.csv_len());
    let path = Escaped(path.as_bytes());
    if ledger.close()? {
        info!("action: close_ledger | result: success | path: {path} | bytes: {bytes}");
    } else {
        warn!(
            "action: close_ledger | result: success | path: {path} | bytes: {bytes} | \
             warning: the disk was too slow for a last checkpoint, the next start reads the log"
        );
    }
    Ok(())
}

fn escaped(error: &impl std::error::Error) -> String {
    Escaped(error.to_string().as_bytes()).to_string()
}
