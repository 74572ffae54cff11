//! The lottery of several centrals on this machine: three members of etcd, three centrals and their
//! agencies as processes on loopback, their logs side by side, and a table of what came of it.
//!
//! A tool, not the server: what it waits for may block.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use load::processes::{Event, Processes, program};
use load::verify::{self, LEGEND, Line, Table};
use runtime::{console, logging};

/// Members of etcd; their indices among the processes begin with 0.
const MEMBERS: usize = 3;

/// Centrals, behind the members.
const CENTRALS: usize = 3;

/// The first agency, behind the centrals.
const AGENCIES: usize = MEMBERS + CENTRALS;

/// Stored batches after which a central and etcd's leader are killed.
const KILL_AFTER: usize = 20;

/// Longest time that a lottery may take.
const TIMEOUT: Duration = Duration::from_mins(10);

/// What the processes may take to end once they are asked to.
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    logging::catch_panics();
    match run(&command().get_matches()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn command() -> clap::Command {
    let argument = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    clap::Command::new("centrals")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs three members of etcd, three centrals and agencies on this machine, to the draw")
        .args([
            argument("agencies", "How many agencies")
                .default_value("5")
                .value_parser(value_parser!(u32).range(1..=1000)),
            argument("data", "Folder of their files, agency-1.csv and so on")
                .default_value(".data")
                .value_parser(value_parser!(PathBuf)),
            argument("kill", "Kill a central and etcd's leader on the way")
                .action(ArgAction::SetTrue),
        ])
        .after_help(format!(
            "etcd is looked for in PATH and in target/etcd. In the table at the end: {LEGEND}.\n\n\
             Exit codes: 0 OK; 1 MISMATCH (an agency failed, what is stored isn't what the files are, or \
             time was over, or a signal came)."
        ))
}

fn run(matches: &ArgMatches) -> Result<bool, String> {
    let folder = std::env::temp_dir().join(format!("centrals-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| named(&folder, &error))?;
    let outcome = Lottery::new(&folder, matches).and_then(Lottery::hold);
    std::fs::remove_dir_all(&folder).map_err(|error| named(&folder, &error))?;
    outcome
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// All that is run, and what came of it so far.
struct Lottery<'f> {
    processes: Processes,
    /// For what is thrown away.
    folder: &'f Path,
    data: PathBuf,
    lines: Vec<Line>,
    /// Where each member of etcd listens.
    members: Vec<u16>,
    /// Where each central does, once it does.
    centrals: [Option<u16>; CENTRALS],
    /// Whether a central and the leader are still to be killed.
    kills: bool,
    /// Who was killed.
    killed: Vec<usize>,
    batches: usize,
    is_interrupted: bool,
    deadline: Instant,
}

impl<'f> Lottery<'f> {
    fn new(folder: &'f Path, matches: &ArgMatches) -> Result<Self, String> {
        let agencies: u32 = *matches.get_one("agencies").expect("it has a default");
        let data: &PathBuf = matches.get_one("data").expect("it has a default");
        let mut lines = Vec::new();
        for agency in 1..=agencies {
            let file = data.join(format!("agency-{agency}.csv"));
            let (bets, expected_winners) =
                verify::count_file(&file).map_err(|error| named(&file, &error))?;
            lines.push(Line { agency, bets, expected_winners, ..Line::default() });
        }
        Ok(Self {
            processes: Processes::new().map_err(|error| error.to_string())?,
            folder,
            data: data.clone(),
            lines,
            members: Vec::new(),
            centrals: [None; CENTRALS],
            kills: matches.get_flag("kill"),
            killed: Vec::new(),
            batches: 0,
            is_interrupted: false,
            deadline: Instant::now() + TIMEOUT,
        })
    }

    /// From etcd's start to its end.
    fn hold(mut self) -> Result<bool, String> {
        self.start_members()?;
        for index in 0..CENTRALS {
            let mut command = self.server()?;
            command.env("SERVER_BIND", "127.0.0.1").env("SERVER_PORT", "0");
            command.env("LOGGING_FORMAT", "text");
            self.processes.start(MEMBERS + index, &format!("server{}", index + 1), command)?;
        }
        self.wait_while(|lottery| lottery.centrals.contains(&None));
        for agency in 1..=self.lines.len() {
            self.start_agency(agency)?;
        }
        self.wait_while(|lottery| lottery.processes.any_runs(AGENCIES));
        let good = self.conclude()?;
        self.deadline = Instant::now() + GRACE;
        self.processes.ask_to_end(0);
        self.is_interrupted = false;
        self.wait_while(|lottery| lottery.processes.any_runs(0));
        Ok(good)
    }

    fn start_members(&mut self) -> Result<(), String> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let ports = free_ports(2 * MEMBERS)?;
        let (clients, peers) = ports.split_at(MEMBERS);
        let names =
            peers.iter().enumerate().map(|(index, port)| format!("m{index}={}", url(*port)));
        let all = names.collect::<Vec<_>>().join(",");
        for (index, (client, peer)) in clients.iter().zip(peers).enumerate() {
            let mut command = Command::new(etcd()?);
            command
                .args(["--name", &format!("m{index}"), "--initial-cluster", &all])
                .arg("--data-dir")
                .arg(self.folder.join(format!("etcd-{index}")))
                .args(["--listen-client-urls", &url(*client)])
                .args(["--advertise-client-urls", &url(*client)])
                .args(["--listen-peer-urls", &url(*peer)])
                .args(["--initial-advertise-peer-urls", &url(*peer)])
                .args(["--heartbeat-interval", "50", "--election-timeout", "300"])
                .args(["--log-level", "error"]);
            self.processes.start(index, &format!("etcd{}", index + 1), command)?;
        }
        self.members = clients.to_vec();
        Ok(())
    }

    /// The server's program with the settings of this lottery.
    fn server(&self) -> Result<Command, String> {
        let mut command = program("server")?;
        let endpoints = self.members.iter().map(|port| format!("127.0.0.1:{port}"));
        command.env("SERVER_STORE", "etcd").env("SERVER_DRAW", "cluster");
        command.env("SERVER_ETCD_ENDPOINTS", endpoints.collect::<Vec<_>>().join(","));
        command.env("SERVER_AGENCIES", self.lines.len().to_string());
        Ok(command)
    }

    fn start_agency(&mut self, agency: usize) -> Result<(), String> {
        let addresses = self.centrals.iter().flatten().map(|port| format!("127.0.0.1:{port}"));
        let mut command = program("client")?;
        command.env("CLI_ID", agency.to_string()).env("CLI_DRAW", "cluster");
        command.env("CLI_DATA_PATH", self.data.join(format!("agency-{agency}.csv")));
        command.env("CLI_SERVER_ADDRESS", addresses.collect::<Vec<_>>().join(","));
        command.env("CLI_MODE", "loteria").env("CLI_LOG_FORMAT", "text");
        self.processes.start(AGENCIES + agency - 1, &format!("client{agency}"), command)
    }

    /// Takes what happens as long as it is so, until a signal, or time is over.
    fn wait_while(&mut self, waits: impl Fn(&Self) -> bool) {
        while waits(self) && !self.is_interrupted {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.processes.next(left) {
                Some(Event::Line(index, line)) => self.take_line(index, &line),
                Some(Event::Ended(index, status)) => {
                    let name = &self.processes.list()[index].name;
                    let end = verify::end(status);
                    if index < AGENCIES {
                        console::print(&format!("{name} has ended with {end}\n"));
                    }
                    self.is_interrupted |= index < AGENCIES && !self.killed.contains(&index);
                }
                Some(Event::Signal(..)) | None => self.is_interrupted = true,
            }
        }
    }

    fn take_line(&mut self, index: usize, line: &str) {
        if let Some(central) = index.checked_sub(MEMBERS).filter(|central| *central < CENTRALS) {
            let port = &mut self.centrals[central];
            *port = port.or_else(|| verify::port_in(line));
            self.batches += usize::from(verify::is_of_stored_batch(line));
            if self.kills && self.batches >= KILL_AFTER {
                self.kills = false;
                self.kill_two();
            }
        } else if let Some(agency) = index.checked_sub(AGENCIES)
            && let Some(winners) = verify::winners_in(line)
        {
            self.lines[agency].winners = Some(winners);
        }
        self.processes.show(index, line);
    }

    /// Kills the first central and etcd's leader.
    fn kill_two(&mut self) {
        let leader = self.members.iter().position(|port| is_leader(*port));
        for index in [Some(MEMBERS), leader].into_iter().flatten() {
            console::print(&format!("{} is killed\n", self.processes.list()[index].name));
            self.processes.kill(index);
            self.killed.push(index);
        }
    }

    /// Counts what is stored, and prints the table. Returns whether all is as it must be.
    fn conclude(&mut self) -> Result<bool, String> {
        let ledger = self.folder.join("bets.csv");
        let exported = self.server()?.arg("export").arg(&ledger).status();
        let exported = exported.map_err(|error| format!("server export: {error}"))?;
        if exported.success() {
            verify::count_ledger(&ledger, &mut self.lines)
                .map_err(|error| named(&ledger, &error))?;
        }
        let agencies = self.processes.list().iter().skip(AGENCIES);
        for (line, process) in self.lines.iter_mut().zip(agencies) {
            line.exit_code = process.ended.and_then(|status| status.code());
        }
        let good = exported.success() && self.lines.iter().all(Line::is_good);
        let verdict = if good { "OK" } else { "MISMATCH" };
        console::print(&format!("\n{}({LEGEND})\n{verdict}\n", Table(&self.lines)));
        Ok(good)
    }
}

/// Whatever ends this tool, nothing that it started stays behind.
impl Drop for Lottery<'_> {
    fn drop(&mut self) {
        self.processes.signal_all(rustix::process::Signal::KILL);
    }
}

/// Where etcd is.
fn etcd() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("etcd"));
    let unpacked = PathBuf::from("target/etcd/usr/bin/etcd");
    let mut all = installed.chain([unpacked]);
    all.find(|program| program.is_file())
        .ok_or_else(|| "etcd isn't installed: apt-get install etcd-server".to_owned())
}

/// Ports that nothing listens at, below the range that the kernel takes those of outgoing connections
/// from.
fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let first = 15_000 + u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports: Vec<_> = (first..32_000).filter(is_free).take(count).collect();
    if ports.len() == count { Ok(ports) } else { Err("there are no free ports".to_owned()) }
}

/// Whether the member of etcd at this port leads.
fn is_leader(port: u16) -> bool {
    let status = status(port).unwrap_or_default().replace(' ', "");
    let of = |name: &str| {
        let (_, rest) = status.split_once(name)?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let leader = of("\"leader\":\"");
    leader.is_some() && leader == of("\"member_id\":\"")
}

fn status(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"POST /v3/maintenance/status HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
