//! Makes load and measures it: `swarm echo`, `swarm lottery`, `swarm idle`.

use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use client::progress_bar::Bar;
use load::swarm::cpu::Watch;
use load::swarm::report::{Report, Subject};
use load::swarm::{Member, Plan, Swarm, SwarmError, echo, idle, lottery};
use runtime::{console, logging};

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
            argument("address", "127.0.0.1:12345", "Where the server listens").global(true),
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
                .value_parser(value_parser!(u32))
                .global(true)
                .help("Process of the server, to measure its processor time too"),
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Print JSON instead of a table"),
        ])
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
                ]),
        )
        .subcommand(
            Command::new("idle")
                .about("Idle connections, held for --hold")
                .arg(argument("connections", "9000", "Connections").value_parser(few())),
        )
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
    let plan = Plan {
        address: resolve(&value::<String>(own, "address"))?,
        connecting: size(own, "connecting"),
        hold: value(own, "hold"),
        timeout: value(own, "timeout"),
    };
    match work {
        "echo" => {
            let pipeline: u32 = value(own, "pipeline");
            let lines: u64 = value(own, "lines");
            let load = echo::Plan { pipeline, size: size(own, "size"), lines };
            let members = echo::Echo::members(&load, size(own, "connections"));
            measure("echo", own, plan, pipeline as usize, members, lines)
        }
        "lottery" => {
            let (window, batches) = (size(own, "window"), value(own, "batches"));
            let load = lottery::Plan { window, max_amount: value(own, "max-amount"), batches };
            let members = lottery::Agency::members(&load, value(own, "agencies"));
            measure("lottery", own, plan, window, members, batches)
        }
        _ => {
            let members = vec![idle::Idle::new(); size(own, "connections")];
            measure("idle", own, plan, 0, members, 0)
        }
    }
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
    plan: Plan,
    pipeline: usize,
    members: Vec<M>,
    messages_each: u64,
) -> Result<(), String> {
    let connections = members.len();
    let watch = matches.get_one::<u32>("pid").map(|pid| Watch::process(*pid));
    let bar = std::io::stderr().is_terminal().then(|| Bar::new("answers")).flatten();
    let expected = messages_each.saturating_mul(connections as u64);
    let swarm = Swarm::new(plan, members, expected).watching(watch).shown(bar);
    let measured = swarm.run().map_err(|error| format!("{error}{}", advice(work, &error)))?;
    let report = Report::new(Subject { work, connections, pipeline }, &measured);
    let text = if matches.get_flag("json") {
        serde_json::to_string(&report).map_err(|error| error.to_string())? + "\n"
    } else {
        report.to_string()
    };
    console::try_print(&text).map_err(|error| format!("standard output: {error}"))
}
