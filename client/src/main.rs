//! Runs an agency: configuration, one of three modes, everything closed in order at the end.

use std::io::ErrorKind;
use std::process::ExitCode;

use client::check_files::CheckFiles;
use client::config::{CheckConfig, Config, Mode};
use client::connection::certificates::Certificates;
use client::connection::driver::Driver;
use client::echo::EchoLoop;
use client::exit_schedule::End;
use client::progress_bar::Bar;
use client::session::agency::{Agency, Pace};
use client::session::agency_session::AgencySession;
use client::session::single_bet::SingleBet;
use client::settings::{CHECK, DRAW_KEY, PROGRAM, TABLE};
use client::source::csv_source::CsvSource;
use client::source::error::InputError;
use reactor::{Hangup, Limits, Outcome};
use runtime::logging::{self, Fail, Level, Line, Success};
use runtime::service_manager::ServiceManager;
use runtime::settings::{self, Settings};
use runtime::{EventLoop, exit_code, log_line};
use tls::timestamp::Clock;

fn main() -> ExitCode {
    logging::catch_panics();
    let mut settings = PROGRAM.load();
    if settings.subcommand() == Some(CHECK) {
        return check(&mut settings);
    }
    let config = Config::new(&mut settings);
    if settings.check_only() {
        return settings::check(&settings, &config);
    }
    let config = match config {
        Ok(config) => config,
        Err(errors) => return settings::refuse(&errors),
    };
    let _flushed_at_the_end = logging::init(config.level, config.format);
    log_configuration(&settings, &config);
    let service = ServiceManager::from_environment();
    let outcome = run(&config, &service);
    service.stopping();
    match outcome {
        Ok((Outcome::Forced, _)) => {
            let error = "a second signal came before the end";
            log_line!(Level::Error, Line::new("shutdown", Fail).with("error", error));
            ExitCode::from(exit_code::FORCED)
        }
        Ok((Outcome::Graceful, End::Complete | End::Interrupted)) => ExitCode::SUCCESS,
        Ok((Outcome::Graceful, End::Failed)) => ExitCode::FAILURE,
        Err(error) => {
            service.status(&format_args!("failed: {error}"));
            log_failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn check(settings: &mut Settings) -> ExitCode {
    let config = CheckConfig::new(settings);
    if settings.check_only() {
        return settings::check(settings, &config);
    }
    let config = match config {
        Ok(config) => config,
        Err(errors) => return settings::refuse(&errors),
    };
    let _flushed_at_the_end = logging::init(config.level, config.format);
    settings.log_warnings();
    let files = settings.operands().iter().map(Into::into).collect();
    let mut files = CheckFiles::new(files, config.quiet_delay);
    match run_check(&mut files) {
        Ok(Outcome::Forced) => ExitCode::from(exit_code::FORCED),
        Ok(Outcome::Graceful) if files.are_all_good() => ExitCode::SUCCESS,
        Ok(Outcome::Graceful) => ExitCode::FAILURE,
        Err(error) => {
            log_failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn run_check(files: &mut CheckFiles) -> Result<Outcome, Failed> {
    let mut event_loop = runtime::event_loop(Limits::default())?;
    event_loop.handle_signals(Hangup::Shutdown)?;
    Ok(event_loop.run(files)?)
}

fn log_configuration(settings: &Settings, config: &Config) {
    log_line!(Level::Debug, configuration(settings, config));
    settings.log_warnings();
}

/// All settings but the bet's. A draw's name, if there is one, comes last: lines without it are as they
/// were before draws had names.
fn configuration(settings: &Settings, config: &Config) -> Line {
    let line = Line::new("config", Success).with("client_id", config.id);
    let declarations = TABLE.iter().map(|setting| setting.declaration());
    let declarations = declarations.filter(|it| it.names.key.starts_with("CLI_")).skip(1);
    let declarations = declarations.filter(|it| it.names.key != DRAW_KEY);
    let line = declarations.fold(line, |line, declaration| {
        let name = declaration.names.flag.replace('-', "_");
        line.with_bytes(&name, settings.raw(declaration).unwrap_or_default())
    });
    line.with_some("draw", config.draw)
}

type Failed = Box<dyn std::error::Error>;

fn log_failed(error: &Failed) {
    log_line!(Level::Error, Line::new("run", Fail).with_bytes("error", reason(error)));
}

/// The error, with advice when descriptors have run out.
fn reason(error: &Failed) -> String {
    let is_exhausted = |error: &(dyn std::error::Error + 'static)| {
        let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        code == Some(rustix::io::Errno::MFILE.raw_os_error())
    };
    let mut causes = std::iter::successors(Some(&**error), |error| error.source());
    let advice =
        if causes.any(is_exhausted) { ": raise the limit of open files (ulimit -n)" } else { "" };
    format!("{error}{advice}")
}

fn run(config: &Config, service: &ServiceManager) -> Result<(Outcome, End), Failed> {
    // Before anything else: process 1 of a container ignores signals without a handler.
    let mut event_loop = runtime::managed_event_loop(Limits::default(), service.clone())?;
    // With TLS there is something to reload.
    let hangup = if config.tls.is_some() { Hangup::Notify } else { Hangup::Shutdown };
    event_loop.handle_signals(hangup)?;
    let load = |tls| Certificates::load(tls, Clock::system());
    let security = config.tls.as_ref().map(load).transpose()?;
    // Agencies that are started together must not retry at the same time.
    let seed = fastrand::u64(..);
    match &config.mode {
        Mode::Echo => {
            let mut echo = EchoLoop::new(config, seed).secured(security);
            service.ready();
            let outcome = event_loop.run(&mut echo)?;
            Ok((outcome, echo.close()))
        }
        Mode::SingleBet(fields) => {
            let mut session = SingleBet::new(config.id, fields.clone()).of_draw(config.draw);
            if config.data_check {
                session = session.checking_first();
            }
            let driver = Driver::new(session, config, seed, None).secured(security);
            drive(event_loop, driver, service)
        }
        Mode::Lottery { path } => {
            if !config.data_check {
                let warning = "CLI_DATA_CHECK is off: the central judges alone, and what it rejects can't \
                               be sent again by this agency";
                let line = Line::new("config", Success).with("client_id", config.id);
                log_line!(Level::Warn, line.with("warning", warning));
            }
            let pace = Pace {
                max_amount: config.max_amount,
                window: config.window,
                period: config.loop_period,
            };
            let source =
                CsvSource::open(path).map_err(with_advice)?.with_quiet_delay(config.quiet_delay);
            let mut agency = Agency::new(config.id, pace, source).of_draw(config.draw);
            if config.data_check {
                agency = agency.checking_first();
            }
            let driver = Driver::new(agency, config, seed, Bar::on_terminal());
            drive(event_loop, driver.secured(security), service)
        }
    }
}

/// The error, with advice when the file of bets doesn't exist.
fn with_advice(error: InputError) -> Failed {
    if !matches!(&error, InputError::Open { source, .. } if source.kind() == ErrorKind::NotFound) {
        return error.into();
    }
    let folder =
        std::env::current_dir().map_or_else(|_| "?".into(), |path| path.display().to_string());
    let advice = "set CLI_DATA_PATH (data.path in the file) to the agency's file, or make some with `make \
                  dataset`; a path that doesn't begin with / counts from the working directory";
    format!("{error}: {advice}, {folder}").into()
}

fn drive<S: AgencySession>(
    mut event_loop: EventLoop,
    driver: Driver<S>,
    service: &ServiceManager,
) -> Result<(Outcome, End), Failed> {
    let mut driver = driver.managed_by(service.clone());
    // A central that is down is for the agency to wait for, not for who starts it.
    service.ready();
    let outcome = event_loop.run(&mut driver)?;
    Ok((outcome, driver.close()))
}
