//! Makes load and measures it: `swarm echo`, `swarm lottery`, `swarm idle`, `swarm handshakes`.

use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use client::progress_bar::Bar;
use load::swarm::cpu::Watch;
use load::swarm::handshakes::{self, Handshakes};
use load::swarm::report::{Report, Subject};
use load::swarm::security::{Files, Security};
use load::swarm::{Measured, Member, Plan, Swarm, SwarmError, echo, idle, lottery};
use runtime::{console, logging};
use wire::DrawName;

fn main() -> ExitCode {
    logging::catch_panics();
    match run(&command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn argument(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).default_value(default).help(help)
}

fn command() -> Command {
    let count = || value_parser!(u64).range(1..);
    let few = || value_parser!(u32).range(1..=100_000);
    Command::new("swarm")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Makes load from one process and measures what a server makes of it")
        .subcommand_required(true)
        .args([
            argument("address", "127.0.0.1:12345", "Where the server listens; of several: in turn")
                .value_name("HOST:PORT,...")
                .value_delimiter(',')
                .global(true),
            argument("connecting", "5", "Connections to ask for at once: the server's backlog")
                .value_parser(few())
                .global(true),
            argument("hold", "0s", "How long connections stay when their work is done")
                .value_parser(duration)
                .global(true),
            argument("timeout", "5m", "Longest time that it may take")
                .value_parser(duration)
                .global(true),
            Arg::new("pid")
                .long("pid")
                .value_name("PID,...")
                .value_delimiter(',')
                .value_parser(value_parser!(u32))
                .global(true)
                .help("Process of the server or of several, to measure their processor time too"),
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print JSON instead of a table"),
        ])
        .args(security())
        .subcommand(
            Command::new("echo")
                .about("Lines that must come back; the server needs SERVER_ECHO_KEEP_ALIVE=true")
                .args([
                    argument("connections", "50", "Connections").value_parser(few()),
                    argument("pipeline", "1", "Lines under way on each").value_parser(few()),
                    argument("size", "64", "Bytes of a line, its newline included")
                        .value_parser(few()),
                    argument("lines", "20000", "Lines of each connection").value_parser(count()),
                ]),
        )
        .subcommand(
            Command::new("lottery")
                .about("Agencies with made-up bets, to the draw; the server needs SERVER_AGENCIES")
                .args([
                    argument("agencies", "50", "Agencies, numbered from 1").value_parser(few()),
                    argument("window", "8", "Batches under way of each").value_parser(few()),
                    argument("max-amount", "65535", "Most bets in a batch, as far as they fit")
                        .value_parser(value_parser!(u16).range(1..)),
                    argument("batches", "1000", "Batches of each agency").value_parser(count()),
                    Arg::new("draw")
                        .long("draw")
                        .value_name("NAME")
                        .value_parser(|text: &str| text.parse::<DrawName>())
                        .help("Name of the server's draw, if it has one"),
                ]),
        )
        .subcommand(
            Command::new("idle")
                .about("Idle connections, held for --hold")
                .arg(argument("connections", "9000", "Connections").value_parser(few())),
        )
        .subcommand(
            Command::new("handshakes")
                .about("Connections that echo a line over TLS and are closed again")
                .args([
                    argument("connections", "50", "Connections at a time").value_parser(few()),
                    argument("handshakes", "10000", "Handshakes in all").value_parser(count()),
                ]),
        )
}

/// What TLS needs.
fn security() -> [Arg; 4] {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").global(true).help(help)
    };
    [
        file("tls-ca", "Speak TLS; the server's certificate must be of an authority in this file")
            .value_parser(value_parser!(PathBuf)),
        file("tls-cert", "Certificate of each connection, with {id} for its number from 1 on")
            .requires("tls-key"),
        file("tls-key", "Its key, likewise").requires("tls-cert"),
        Arg::new("tls-server-name")
            .long("tls-server-name")
            .value_name("NAME")
            .global(true)
            .help("Name in the server's certificate [default: the host of the first address]"),
    ]
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).expect("it has a default").clone()
}

fn size(matches: &ArgMatches, name: &str) -> usize {
    value::<u32>(matches, name) as usize
}

fn run(matches: &ArgMatches) -> Result<(), String> {
    let (work, own) = matches.subcommand().expect("one is required");
    match work {
        "echo" => {
            let pipeline: u32 = value(own, "pipeline");
            let lines: u64 = value(own, "lines");
            let load = echo::Plan { pipeline, size: size(own, "size"), lines };
            let members = echo::Echo::members(&load, size(own, "connections"));
            measure("echo", own, pipeline as usize, members, lines)
        }
        "lottery" => {
            let (window, batches) = (size(own, "window"), value(own, "batches"));
            let load = lottery::Plan { window, max_amount: value(own, "max-amount"), batches };
            let members = lottery::Agency::members(&load, value(own, "agencies"));
            let draw = own.get_one::<DrawName>("draw").copied();
            let members = members.into_iter().map(|member| member.of_draw(draw)).collect();
            measure("lottery", own, window, members, batches)
        }
        "handshakes" => measure_handshakes(own),
        _ => {
            let members = vec![idle::Idle::new(); size(own, "connections")];
            measure("idle", own, 0, members, 0)
        }
    }
}

fn plan(own: &ArgMatches) -> Result<Plan, String> {
    Ok(Plan {
        addresses: addresses(own)?,
        connecting: size(own, "connecting"),
        hold: value(own, "hold"),
        timeout: value(own, "timeout"),
    })
}

/// What so many connections are secured with, if they are.
fn load_security(own: &ArgMatches, members: usize) -> Result<Option<Security>, String> {
    let text = |name| own.get_one::<String>(name).cloned();
    let own_files = text("tls-cert").zip(text("tls-key"));
    let Some(authorities) = own.get_one::<PathBuf>("tls-ca").cloned() else {
        let unused = own_files.is_some() || text("tls-server-name").is_some();
        return if unused { Err("TLS needs --tls-ca too".to_owned()) } else { Ok(None) };
    };
    let address: String = value(own, "address");
    let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host).to_owned();
    let name = text("tls-server-name").unwrap_or(host);
    let files = Files { authorities, own: own_files };
    Security::load(&files, &name, members).map(Some).map_err(|error| error.to_string())
}

fn measure_handshakes(own: &ArgMatches) -> Result<(), String> {
    let connections = size(own, "connections");
    let Some(security) = load_security(own, connections)? else {
        return Err("handshakes need --tls-ca".to_owned());
    };
    let [address] = addresses(own)?[..] else {
        return Err("handshakes are made with one address".to_owned());
    };
    let timeout = value(own, "timeout");
    let handshakes = value(own, "handshakes");
    let plan = handshakes::Plan { address, connections, handshakes, timeout };
    let swarm = Handshakes::new(plan, security, watch(own));
    let measured = swarm.run().map_err(|error| error.to_string())?;
    report(own, Subject { work: "handshakes", connections, pipeline: 0 }, &measured)
}

fn watch(own: &ArgMatches) -> Option<Watch> {
    let pids = own.get_many::<u32>("pid")?;
    Some(Watch::processes(&pids.copied().collect::<Vec<_>>()))
}

fn addresses(own: &ArgMatches) -> Result<Vec<SocketAddr>, String> {
    let all = own.get_many::<String>("address").expect("it has a default");
    all.map(|address| resolve(address)).collect()
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?.next();
    found.ok_or_else(|| format!("{address}: the name has no address"))
}

/// What most likely has to be set otherwise.
fn advice(work: &str, error: &SwarmError) -> String {
    match (work, error) {
        ("echo", SwarmError::Lost { established: true, .. }) => {
            "; a server echoes more than one line with SERVER_ECHO_KEEP_ALIVE=true".to_owned()
        }
        ("lottery", SwarmError::Timeout { finished, members, .. }) if finished == members => {
            format!(
                "; the draw needs as many agencies as SERVER_AGENCIES says, these are {members}"
            )
        }
        _ => String::new(),
    }
}

fn measure<M: Member>(
    work: &'static str,
    matches: &ArgMatches,
    pipeline: usize,
    members: Vec<M>,
    messages_each: u64,
) -> Result<(), String> {
    let connections = members.len();
    let security = load_security(matches, connections)?;
    let bar = std::io::stderr().is_terminal().then(|| Bar::new("answers")).flatten();
    let expected = messages_each.saturating_mul(connections as u64);
    let swarm = Swarm::new(plan(matches)?, members, expected);
    let swarm = swarm.secured(security).watching(watch(matches)).shown(bar);
    let measured = swarm.run().map_err(|error| format!("{error}{}", advice(work, &error)))?;
    report(matches, Subject { work, connections, pipeline }, &measured)
}

fn report(matches: &ArgMatches, subject: Subject, measured: &Measured) -> Result<(), String> {
    let report = Report::new(subject, measured);
    let text = if matches.get_flag("json") {
        serde_json::to_string(&report).map_err(|error| error.to_string())? + "\n"
    } else {
        report.to_string()
    };
    console::try_print(&text).map_err(|error| format!("standard output: {error}"))
}
