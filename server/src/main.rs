//! Runs the central: configuration, ledger, event loop, and everything closed in order at the end.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use ledger::Durability;
use reactor::{Bound, Hangup, Outcome};
use runtime::logging::{self, Fail, Level, Line, Success};
use runtime::service_manager::{self, PassedSocket, PassedSocketsError, ServiceManager};
use runtime::settings::{self, Settings};
use runtime::{EventLoop, console, exit_code, log_line};
use server::admin_service::AdminService;
use server::central::{Central, LedgerBackend, ProtocolConfig};
use server::certificates::Certificates;
use server::commands::{
    JSON, LEDGER_BACKUP, LEDGER_CHECK, LEDGER_EXPORT, LEDGER_RESTORE, ONE_AGENCY,
};
use server::config::{Config, EtcdConfig};
use server::healthcheck::configured;
use server::keeping::{check, commands as keeping};
use server::lottery::Lottery;
use server::observable::{ViewContext, WallClock};
use server::passed_sockets::PassedSockets;
use server::recovering::Recovering;
use server::server_error::ServerError;
use server::settings::{DRAW_KEY, HEALTHCHECK, PROGRAM, TABLE};
use server::store::FileStore;
use server::with_admin::WithAdmin;
use server::{admin_listener, disk_thread, joining, opening, startup_log};
use tls::timestamp::Clock;

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
    if settings.subcommand().is_some() {
        return keep(&settings, &config);
    }
    // Before there are threads, and descriptors of our own.
    let passed = service_manager::take_passed_sockets();
    let _flushed_at_the_end = logging::init(config.level, config.format);
    log_configuration(&settings, &config);
    let service = ServiceManager::from_environment();
    let outcome = run(&config, passed, &service);
    service.stopping();
    match outcome {
        Ok(Outcome::Graceful) => ExitCode::SUCCESS,
        Ok(Outcome::Forced) => {
            let error = "a second signal came before the end";
            log_line!(Level::Error, Line::new("shutdown", Fail).with("error", error));
            ExitCode::from(exit_code::FORCED)
        }
        Err(error) => {
            service.status(&format_args!("failed: {error}"));
            let line = Line::new("run", Fail).with_bytes("error", error.to_string());
            log_line!(Level::Error, line);
            ExitCode::FAILURE
        }
    }
}

fn check_health(config: &Config) -> ExitCode {
    match configured::check_server(config) {
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

/// Does what was asked for in place of running.
fn keep(settings: &Settings, config: &Config) -> ExitCode {
    let done = match settings.subcommand() {
        Some(LEDGER_CHECK) => {
            let as_json = settings.option(JSON).is_some();
            return check::print(&keeping::check_ledger(config, settings.operands()), as_json);
        }
        Some(LEDGER_EXPORT) => {
            keeping::export_ledger(settings.operands(), settings.option(ONE_AGENCY))
        }
        Some(LEDGER_BACKUP) => keeping::back_up_ledger(settings.operands()),
        Some(LEDGER_RESTORE) => keeping::restore_ledger(settings.operands()),
        _ => keeping::export_draw(config, settings.operands()),
    };
    match done {
        Ok(said) => {
            console::complain(&said);
            ExitCode::SUCCESS
        }
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            error.exit_code()
        }
    }
}

fn log_configuration(settings: &Settings, config: &Config) {
    log_line!(Level::Debug, configuration(settings, config));
    settings.log_warnings();
}

/// All settings. A draw's name, if there is one, comes last: lines without it are as they were before
/// draws had names.
fn configuration(settings: &Settings, config: &Config) -> Line {
    let declarations = TABLE.iter().map(|setting| setting.declaration());
    let declarations = declarations.filter(|declaration| declaration.names.key != DRAW_KEY);
    let line = declarations.fold(Line::new("config", Success), |line, declaration| {
        let key = declaration.names.key;
        let name = key.strip_prefix("SERVER_").unwrap_or(key).to_ascii_lowercase();
        line.with_bytes(&name, settings.raw(declaration).unwrap_or_default())
    });
    line.with_some("draw", config.terms.draw)
}

fn run(
    config: &Config,
    passed: Result<Vec<PassedSocket>, PassedSocketsError>,
    service: &ServiceManager,
) -> Result<Outcome, ServerError> {
    let passed = PassedSockets::assign(passed?, config.admin.is_some())?;
    let front = Front::open(config, passed, service)?;
    match &config.etcd {
        None => run_on_ledger(config, front, service),
        Some(etcd) => run_in_cluster(config, etcd, front, service),
    }
}

/// What a central has before it has a lottery.
struct Front {
    event_loop: EventLoop,
    certificates: Option<Certificates>,
    /// Where agencies will be listened to.
    bound: Bound,
    admin: Option<AdminService>,
    view_context: ViewContext,
}

impl Front {
    fn open(
        config: &Config,
        passed: PassedSockets,
        service: &ServiceManager,
    ) -> Result<Self, ServerError> {
        let started = SystemTime::now();
        // First of all: the first process of a container loses a signal that it has no handler for.
        let mut event_loop = runtime::managed_event_loop(config.limits.clone(), service.clone())
            .map_err(ServerError::EventLoop)?;
        event_loop.handle_signals(Hangup::Notify).map_err(ServerError::EventLoop)?;
        // Before anything is opened or made: most likely to be wrong.
        let load = |tls| Certificates::load(tls, Clock::system());
        let certificates = config.tls.as_ref().map(load).transpose()?;
        startup_log::warn_of_plaintext(config);
        // Before the ledger: a server that can't have the port leaves no files behind, and says that it
        // is the port. No client is accepted before the ledger is open, nor kept waiting, unless a service
        // manager does that.
        let bound = bind(config, &event_loop, passed.lottery)?;
        let listen_admin = |admin| admin_listener::listen(&mut event_loop, admin, passed.admin);
        let admin = config.admin.as_ref().map(listen_admin).transpose()?;
        startup_log::warn_of_few_connections(config, event_loop.limits().max_connections);
        logging::flush();
        let metrics_agencies = config.admin.as_ref().map_or(0, |admin| admin.metrics_agencies);
        let wall = WallClock::new(Instant::now(), started);
        let view_context = ViewContext::new(started, wall, metrics_agencies);
        Ok(Self { event_loop, certificates, bound, admin, view_context })
    }
}

fn bind(
    config: &Config,
    event_loop: &EventLoop,
    passed: Option<TcpListener>,
) -> Result<Bound, ServerError> {
    let Some(listener) = passed else {
        return event_loop.bind(config.address).map_err(|source| listen_error(config, source));
    };
    if let Ok(address) = listener.local_addr() {
        startup_log::warn_of_other_port("SERVER_PORT", config.address.port(), address);
    }
    let error = |source| ServerError::ListenPassed { listener: "SERVER_PORT", source };
    event_loop.adopt(listener).map_err(error)
}

fn listen_error(config: &Config, source: io::Error) -> ServerError {
    ServerError::Listen { address: config.address, source }
}

fn run_on_ledger(
    config: &Config,
    front: Front,
    service: &ServiceManager,
) -> Result<Outcome, ServerError> {
    let Front { mut event_loop, certificates, bound, admin, view_context } = front;
    let recovering = Recovering::new(config.terms.draw, certificates.as_ref());
    let mut recovering = WithAdmin::new(recovering, admin, view_context, SystemTime::now);
    let opened = opening::open(config, &mut event_loop, &mut recovering, service)?;
    let Some((store, lottery)) = opened else { return Ok(Outcome::Graceful) };
    let (recovering, admin) = recovering.into_parts();
    let signals = recovering.into_signals();
    let prepared = prepare(config, &store).and_then(|prepared| {
        let listening = event_loop
            .listen_at(bound, config.backlog)
            .map_err(|source| listen_error(config, source))?;
        Ok((prepared, listening))
    });
    let (prepared, listening) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            // In order: a ledger that was never used needs no recovery.
            opening::close(store, lottery.committed())?;
            return Err(error);
        }
    };
    let mut central = central(store, lottery, prepared);
    if let Some(certificates) = certificates {
        central = central.with_trust(certificates);
    }
    log_listening(listening);
    service.ready();
    let handler = WithAdmin::new(central, admin, view_context, SystemTime::now);
    let mut handler = handler.with_signals(signals).managed_by(service.clone());
    let outcome = event_loop.run(&mut handler);
    let (mut central, _) = handler.into_parts();
    central.report_log();
    let outcome = outcome?;
    log_line!(Level::Debug, Line::new("count", Success).with_all(&event_loop.counters()));

    if outcome == Outcome::Graceful {
        let (store, appended) = central.into_store();
        opening::close(store, &appended)?;
    }
    Ok(outcome)
}

/// There is nothing to recover: agencies are served as soon as etcd answers.
fn run_in_cluster(
    config: &Config,
    etcd: &EtcdConfig,
    front: Front,
    service: &ServiceManager,
) -> Result<Outcome, ServerError> {
    let Front { mut event_loop, certificates, bound, admin, view_context } = front;
    let backend = joining::join(config, etcd)?;
    let listening = event_loop
        .listen_at(bound, config.backlog)
        .map_err(|source| listen_error(config, source))?;
    let mut central = Central::over(backend, config.protocol.clone());
    if let Some(certificates) = certificates {
        central = central.with_trust(certificates);
    }
    log_listening(listening);
    service.ready();
    let handler = WithAdmin::new(central, admin, view_context, SystemTime::now);
    let mut handler = handler.managed_by(service.clone());
    let outcome = event_loop.run(&mut handler);
    let (mut central, _) = handler.into_parts();
    central.report_log();
    let outcome = outcome?;
    log_line!(Level::Debug, Line::new("count", Success).with_all(&event_loop.counters()));
    Ok(outcome)
}

fn log_listening(listening: SocketAddr) {
    let line = Line::new("listen", Success).with("ip", listening.ip());
    log_line!(Level::Info, line.with("port", listening.port()));
}

/// What the central needs beside an open ledger.
struct Prepared {
    /// Its wal has room for the commits.
    protocol: ProtocolConfig,
    /// Leads to the thread that waits for the disk, if any does.
    disk: Option<UnixStream>,
}

fn prepare(config: &Config, store: &FileStore<File>) -> Result<Prepared, ServerError> {
    let room = store.commit_room()?;
    let asked = config.protocol.group_commit_bytes;
    let protocol = config.protocol_within(room).ok_or(ServerError::GroupCommit { asked, room })?;
    let disk = match config.ledger.durability {
        Durability::Synced => Some(start_disk_thread(store).map_err(ServerError::DiskThread)?),
        Durability::NotSynced => None,
    };
    Ok(Prepared { protocol, disk })
}

fn start_disk_thread(store: &FileStore<File>) -> io::Result<UnixStream> {
    let (rows, wal) = store.descriptors()?;
    disk_thread::spawn(rows, wal)
}

fn central(
    store: FileStore<File>,
    lottery: Lottery,
    Prepared { protocol, disk }: Prepared,
) -> Central<LedgerBackend<FileStore<File>>> {
    let files = startup_log::names(store.paths());
    let line = Line::new("open_lottery", Success);
    let line = lottery.standing().add_start_to(line, &files);
    log_line!(Level::Info, line.with_some("draw", lottery.draw()));
    startup_log::warn_of_full_ledger(&store, &lottery);
    let central = Central::new(lottery, store, protocol);
    match disk {
        Some(stream) => central.with_disk_thread(stream),
        None => central,
    }
}
