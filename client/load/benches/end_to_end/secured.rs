//! The same over TLS, with certificates on both sides: what it costs the central, a bare mio loop with
//! rustls, and tokio-rustls.

mod handshakes;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use kit::certificates::Certificates;
use load::swarm::security::{Files, Security};
use load::swarm::{Measured, Member, Swarm, cpu::Watch, echo, lottery};
use rustls::ServerConfig;
use tls::problem::LoadError;
use tls::timestamp::Clock;
use tls::{KeyFiles, ServerOptions, ServerTls, TrustFiles};

use crate::contender::{Contender, Kind};
use crate::table::{Run, Table};
use crate::{RUNS, plan, undisturbed};

/// Agencies of the lottery: as many have certificates.
pub(crate) const AGENCIES: u32 = 50;

/// Where the files are, in the environment of the central and of a yardstick.
const FILES: [&str; 4] =
    ["SERVER_TLS_CERT", "SERVER_TLS_KEY", "SERVER_TLS_CLIENT_CA", "SERVER_TLS_CRL"];

/// What each agency shows.
fn security(certificates: &Certificates) -> Security {
    let path = |name: &str| certificates.path(name).to_str().expect("plain").to_owned();
    let own = Some((path("agency-{id}.pem"), path("agency-{id}.key")));
    let files = Files { authorities: certificates.path("ca.pem"), own };
    Security::load(&files, "127.0.0.1", AGENCIES as usize).expect("good files")
}

fn start(certificates: &Certificates, kind: Kind, is_secured: bool) -> Contender {
    let files = if is_secured { certificates.server_settings("required") } else { Vec::new() };
    let agencies = AGENCIES.to_string();
    let mut environment = vec![("SERVER_AGENCIES", &*agencies), ("LOGGING_LEVEL", "WARNING")];
    environment.extend(files.iter().map(|(name, value)| (*name, &**value)));
    Contender::start(kind, "never", &environment)
}

/// What a yardstick is configured with, out of its environment: the same as the central.
pub(crate) fn config() -> io::Result<Arc<ServerConfig>> {
    let path = |name| std::env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let [certificate, key, authorities, list] = FILES.map(path);
    let server = load_server(certificate?, key?, authorities?, list?);
    Ok(Arc::clone(server.map_err(io::Error::other)?.config()))
}

fn load_server(
    certificate: PathBuf,
    key: PathBuf,
    authorities: PathBuf,
    list: PathBuf,
) -> Result<ServerTls, LoadError> {
    let own = KeyFiles { certificate, key, allow_open_key: false };
    let clients = TrustFiles { authorities, revocations: Some(list), allow_expired_lists: false };
    ServerTls::load(ServerOptions { own, clients, allow_anonymous: true }, Clock::system())
}

/// Who is under load, and whether with TLS.
#[derive(Debug, Clone, Copy)]
struct Side {
    name: &'static str,
    kind: Kind,
    is_secured: bool,
}

impl Side {
    const fn secured(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_secured: true }
    }
}

const IN_PLAINTEXT: Side =
    Side { name: "central, plaintext", kind: Kind::Central, is_secured: false };

/// The first is what the others are compared with. The last takes the bytes and does nothing with
/// the bets.
const LOTTERIES: [Side; 5] = [
    Side::secured("bare mio + rustls loop", Kind::SecuredLottery),
    Side::secured("central", Kind::Central),
    Side::secured("tokio-rustls, codec", Kind::TokioLottery),
    IN_PLAINTEXT,
    Side::secured("bare loop, bytes alone", Kind::SecuredLedger),
];

const ECHOES: [Side; 4] = [
    Side::secured("bare mio + rustls loop", Kind::SecuredEcho),
    Side::secured("central", Kind::Central),
    Side::secured("tokio-rustls, LinesCodec", Kind::TokioEcho),
    IN_PLAINTEXT,
];

/// Calls `publish` with each table; then prints what a handshake costs.
pub(crate) fn run(publish: impl Fn(&Table)) {
    let certificates = Certificates::new(AGENCIES);
    publish(&bets(&certificates));
    for load_plan in [
        echo::Plan { pipeline: 16, size: 64, lines: 20_000 },
        echo::Plan { pipeline: 1, size: 64, lines: 3_000 },
    ] {
        publish(&lines(&certificates, &load_plan));
    }
    handshakes::measure(&certificates);
}

fn compare(
    certificates: &Certificates,
    (name, unit): (String, &'static str),
    sides: &[Side],
    run: impl Fn(&Contender, Option<Security>) -> Run,
) -> Table {
    let mut table = Table::new(name, unit, sides.iter().map(|side| side.name).collect());
    for _ in 0..RUNS {
        let run = |side: &Side| {
            undisturbed(
                || start(certificates, side.kind, side.is_secured),
                |contender| run(contender, side.is_secured.then(|| security(certificates))),
            )
        };
        table.add_round(sides.iter().map(run).collect());
    }
    table
}

/// Full batches, without syncs.
fn bets(certificates: &Certificates) -> Table {
    let name = format!("tls: lottery {AGENCIES} x 8, sync never");
    compare(certificates, (name, "bet"), &LOTTERIES, |contender, security| {
        let load_plan = lottery::Plan { window: 8, max_amount: u16::MAX, batches: 1_000 };
        let members = lottery::Agency::members(&load_plan, AGENCIES);
        let measured = load_with(contender, members, security);
        Run::new(&measured, measured.tally.bets)
    })
}

fn lines(certificates: &Certificates, load_plan: &echo::Plan) -> Table {
    let echo::Plan { pipeline, size, .. } = load_plan;
    let name = format!("tls: echo {AGENCIES} x {pipeline}, {size} B");
    compare(certificates, (name, "message"), &ECHOES, |contender, security| {
        let members = echo::Echo::members(load_plan, AGENCIES as usize);
        let measured = load_with(contender, members, security);
        Run::new(&measured, measured.tally.messages)
    })
}

fn load_with<M: Member>(
    contender: &Contender,
    members: Vec<M>,
    security: Option<Security>,
) -> Measured {
    let swarm = Swarm::new(plan(contender), members, 0).secured(security);
    let watch = Some(Watch::process(contender.pid()));
    swarm.watching(watch).run().unwrap_or_else(|error| panic!("{error}"))
}
