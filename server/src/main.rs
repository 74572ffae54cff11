//! Runs the central: configuration, ledger, event loop, and everything closed in order at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use reactor::logging::{self, Escaped};
use reactor::settings::{self, Settings};
use reactor::{EventLoop, Hangup, Outcome, RunError, console};
use server::central::Central;
use server::config::{Config, HEALTHCHECK, PROGRAM, TABLE};
use server::ledger::file_ledger::LOG_SUFFIX;
use server::ledger::{FileLedger, LedgerError, Progress, Recovery, StoredBet, Sync};
use server::lottery::Lottery;
use server::winners::WinnerIndex;
use server::{disk_thread, healthcheck};

/// What a shell shows for a program that a signal ended: a second one doesn't wait for the drain.
const CUT_SHORT: u8 = 130;

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
    log_configuration(&settings, &config);
    match run(&config) {
        Ok(Outcome::Drained) => ExitCode::SUCCESS,
        Ok(Outcome::CutShort) => {
            error!("action: shutdown | result: fail | error: a second signal came before the end");
            ExitCode::from(CUT_SHORT)
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

fn log_configuration(settings: &Settings, config: &Config) {
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
    if config.agencies == 0 {
        info!(
            "action: config | result: success | agencies: 0 | warning: there is no draw and every \
             bet is refused, lines are echoed"
        );
    }
}

/// What ends the server before its time.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    #[error(
        "SERVER_COMMIT_MAX = {asked}: the ledger's wal, which keeps the size that it was made with, \
         takes at most {room}"
    )]
    CommitMax { asked: usize, room: usize },
    #[error("can't listen at {address}: {source}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("can't set up the event loop: {0}")]
    EventLoop(std::io::Error),
    #[error("can't start the thread that waits for the disk: {0}")]
    DiskThread(std::io::Error),
    #[error(transparent)]
    Run(#[from] RunError<LedgerError>),
}

fn run(config: &Config) -> Result<Outcome, ServerError> {
    // First of all: the first process of a container loses a signal that it has no handler for.
    let mut event_loop = EventLoop::new(config.limits.clone()).map_err(ServerError::EventLoop)?;
    event_loop.handle_signals(Hangup::Notifies).map_err(ServerError::EventLoop)?;
    warn_of_few_places(config, event_loop.limits().connections);
    logging::flush();
    let mut winners = WinnerIndex::default();
    let visit = |stored: &StoredBet<'_>| winners.visit(stored);
    let watch = watch_opening(&mut event_loop);
    let opened = FileLedger::open(&config.storage, config.ledger, visit, watch);
    if let Err(LedgerError::Interrupted { path }) = &opened {
        let path = path.display().to_string();
        info!("action: close_ledger | result: success | path: {}", Escaped(path.as_bytes()));
        return Ok(Outcome::Drained);
    }
    let (ledger, recovery) = opened?;
    log_recovery(config, recovery);
    log_place_of_wal(config, &ledger);
    let disk = match config.ledger.sync {
        Sync::Always => Some(start_disk_thread(&ledger).map_err(ServerError::DiskThread)?),
        Sync::Never => None,
    };
    let room = ledger.commit_room()?;
    let asked = config.rules.commit_max;
    let rules = config.rules_within(room).ok_or(ServerError::CommitMax { asked, room })?;
    let lottery = Lottery::new(ledger, config.agencies, winners);
    info!("action: open_lottery | result: success | {}", lottery.standing().at_start());
    let mut central = Central::new(lottery, rules);
    if let Some(stream) = disk {
        central = central.with_disk_thread(stream);
    }

    let address = config.address;
    let listening = event_loop.listen(address, config.backlog);
    let listening = listening.map_err(|source| ServerError::Listen { address, source })?;
    info!("action: listen | result: success | ip: {} | port: {}", listening.ip(), listening.port());
    let outcome = event_loop.run(&mut central);
    central.report_log();
    let outcome = outcome?;
    debug!("action: count | result: success | {}", event_loop.counters());

    if outcome == Outcome::Drained {
        close_ledger(central.into_ledger())?;
    }
    Ok(outcome)
}

/// Agencies keep their connections until the draw: with fewer places than agencies there is none.
fn warn_of_few_places(config: &Config, places: usize) {
    let agencies = config.agencies;
    if places >= agencies as usize {
        return;
    }
    let asked = config.limits.connections;
    warn!(
        "action: config | result: in_progress | connections: {places} | agencies: {agencies} | \
         warning: not all agencies can be connected at the same time: SERVER_MAX_CONNECTIONS is \
         {asked}, and RLIMIT_NOFILE may allow fewer"
    );
}

/// While the ledger is opened, which may take long: logs how far it has come, lets log lines leave,
/// and stops it when a signal asks the process to end.
fn watch_opening(event_loop: &mut EventLoop) -> impl FnMut(Progress) -> ControlFlow<()> {
    let mut next_report = Instant::now() + PROGRESS_INTERVAL;
    move |Progress { step, done, total }| {
        if let Some(cause) = event_loop.stop_signal() {
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

fn log_recovery(config: &Config, recovery: Recovery) {
    let path = config.storage.display().to_string();
    let path = Escaped(path.as_bytes());
    let Recovery { created, clean, rows, cut, restored, torn, agencies_before } = recovery;
    info!(
        "action: open_ledger | result: success | path: {path} | new: {created} | clean: {clean} | \
         bets: {rows}"
    );
    if let Some(before) = agencies_before {
        let now = config.agencies;
        warn!(
            "action: open_ledger | result: success | path: {path} | agencies: {now} | \
             agencies_before: {before}"
        );
    }
    if cut > 0 || restored > 0 || torn {
        warn!(
            "action: recover_ledger | result: success | path: {path} | bytes_cut: {cut} | \
             bytes_restored: {restored} | torn_commit: {torn}"
        );
    }
    if config.ledger.sync == Sync::Never {
        warn!(
            "action: open_ledger | result: success | path: {path} | sync: never | \
             warning: a crash of this machine may lose confirmed bets"
        );
    }
}

/// The wal of a ledger that a symbolic link leads to isn't where one would look for it.
fn log_place_of_wal(config: &Config, ledger: &FileLedger<File>) {
    let mut beside = config.storage.clone().into_os_string();
    beside.push(LOG_SUFFIX);
    if ledger.log_path() == Path::new(&beside) {
        return;
    }
    let path = config.storage.display().to_string();
    let wal = ledger.log_path().display().to_string();
    info!(
        "action: open_ledger | result: success | path: {} | wal: {}",
        Escaped(path.as_bytes()),
        Escaped(wal.as_bytes())
    );
}

fn escaped(error: &impl std::error::Error) -> String {
    Escaped(error.to_string().as_bytes()).to_string()
}
