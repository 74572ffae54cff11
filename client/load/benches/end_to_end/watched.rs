//! What it costs a central that an operator watches it: with an admin listener, and scraped once a second
//! with a page open. With `EARLIER_SERVER=PATH`, also beside a central of another version, which counts
//! nothing for instance.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kit::http::{ask, get};
use kit::process::free_port;
use load::swarm::{echo, lottery};

use crate::contender::{Contender, Kind, earlier_central};
use crate::table::{Run, Table};
use crate::{RUNS, load, undisturbed};

/// How often Prometheus asks, in these runs.
const PERIOD: Duration = Duration::from_secs(1);

const CONNECTIONS: u32 = 50;

/// How a central is watched. The first is what the others are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// Another version, without an admin listener.
    Earlier,
    Off,
    Listening,
    Watched,
}

/// All that there are, the earlier one if there is one.
fn sides() -> Vec<Watching> {
    let earlier = earlier_central().map(|_| Watching::Earlier);
    earlier.into_iter().chain([Watching::Off, Watching::Listening, Watching::Watched]).collect()
}

impl Watching {
    fn name(self) -> &'static str {
        match self {
            Self::Earlier => "earlier central",
            Self::Off => "central",
            Self::Listening => "central, admin listener",
            Self::Watched => "central, scraped, a page open",
        }
    }
}

/// A page that is open, and a Prometheus. They end when this is dropped.
struct Operator {
    page: TcpStream,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Operator {
    fn start(port: u16) -> io::Result<Self> {
        let mut page = connect(port)?;
        ask(&mut page, "/")?;
        let mut stream = connect(port)?;
        stream.write_all(get("/events").as_bytes())?;
        let page = stream.try_clone()?;
        let events = thread::spawn(move || io::copy(&mut stream, &mut io::sink()).map(drop));
        let mut scraped = connect(port)?;
        let (stop, stopped) = mpsc::channel();
        let prometheus = thread::spawn(move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                ask(&mut scraped, "/metrics")?;
            }
            Ok(())
        });
        Ok(Self { page, stop: Some(stop), threads: vec![events, prometheus] })
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.page.shutdown(Shutdown::Both).expect("it is open");
        for thread in self.threads.drain(..) {
            thread.join().expect("it doesn't panic").expect("the central answers");
        }
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
}

/// Bets, and lines of echo.
pub(crate) fn run(publish: impl Fn(&Table)) {
    publish(&compare("watched: lottery 50 x 8, sync never", "bet", |contender| {
        let plan = lottery::Plan { window: 8, max_amount: u16::MAX, batches: 3_000 };
        let measured = load(contender, lottery::Agency::members(&plan, CONNECTIONS));
        Run::new(&measured, measured.tally.bets)
    }));
    publish(&compare("watched: echo 50 x 16, 64 B", "message", |contender| {
        let plan = echo::Plan { pipeline: 16, size: 64, lines: 100_000 };
        let measured = load(contender, echo::Echo::members(&plan, CONNECTIONS as usize));
        Run::new(&measured, measured.tally.messages)
    }));
}

fn compare(name: &str, unit: &'static str, run: impl Fn(&Contender) -> Run) -> Table {
    let sides = sides();
    let names = sides.iter().map(|side| side.name()).collect();
    let mut table = Table::new(name.to_owned(), unit, names);
    for _ in 0..RUNS {
        table.add_round(sides.iter().map(|side| run_once(*side, &run)).collect());
    }
    table
}

fn run_once(side: Watching, run: impl Fn(&Contender) -> Run) -> Run {
    let port = free_port();
    let (agencies, address) = (CONNECTIONS.to_string(), format!("127.0.0.1:{port}"));
    let mut environment = vec![("SERVER_AGENCIES", &*agencies), ("LOGGING_LEVEL", "WARNING")];
    if matches!(side, Watching::Listening | Watching::Watched) {
        environment.push(("SERVER_ADMIN_ADDRESS", &address));
    }
    let kind = if side == Watching::Earlier { Kind::EarlierCentral } else { Kind::Central };
    undisturbed(
        || Contender::start(kind, "never", &environment),
        |contender| {
            let operator = (side == Watching::Watched).then(|| Operator::start(port));
            let _operator = operator.transpose().expect("the central answers");
            run(contender)
        },
    )
}
