//! Honest peers beside crowds: thousands of idle connections, a thousand slow ones. What each costs,
//! and what it costs the honest ones; and what an idle stream of events costs.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use kit::http::get;
use kit::process::free_port;
use load::swarm::{echo, lottery};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wire::MAGIC;

use crate::contender::{Contender, Kind};
use crate::table::{Run, Table};
use crate::{RUNS, load, print, undisturbed};

const IDLE: usize = 9_000;
const SLOW: usize = 1_000;

/// Streams of events.
const STREAMS: usize = 2_000;

/// What the data of an event begin with.
const DATA: &[u8] = b"\ndata: ";

/// What is beside the honest ones.
#[derive(Debug, Clone, Copy)]
enum Others {
    None,
    Idle,
    /// A third of them silent, a third with the beginning of a frame, a third with a line of which
    /// they send a byte each second.
    Slow,
}

impl Others {
    const ALL: [(&'static str, Self); 3] =
        [("alone", Self::None), ("among 9000 idle", Self::Idle), ("among 1000 slow", Self::Slow)];

    fn come(self, contender: &Contender) -> Crowd {
        match self {
            Self::None => Crowd::Idle { _streams: Vec::new() },
            Self::Idle => Crowd::Idle { _streams: connect(contender, IDLE) },
            Self::Slow => Crowd::slow(connect(contender, SLOW)),
        }
    }
}

/// The others, while they are there: held, and that is all.
enum Crowd {
    Idle { _streams: Vec<TcpStream> },
    Slow { _thread: Slow },
}

/// A thread that sends the bytes. Ends when its channel is closed.
struct Slow {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn slow(mut streams: Vec<TcpStream>) -> Self {
        for (index, stream) in streams.iter_mut().enumerate() {
            let begun: &[u8] = [b"".as_slice(), &[MAGIC, 3, 0x1F], b"half a li"][index % 3];
            stream.write_all(begun).expect("it takes input");
        }
        let (end, ended) = channel();
        let thread = std::thread::spawn(move || {
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                for stream in streams.iter_mut().skip(2).step_by(3) {
                    // Those that were cut off are: the load is measured, not they.
                    let _ = stream.write_all(b"x");
                }
            }
        });
        Self::Slow { _thread: Slow { end: Some(end), thread: Some(thread) } }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it doesn't panic");
        }
    }
}

pub(crate) fn run() {
    raise_descriptor_limit();
    compare("crowd: 100 echo connections x 1", "message", |contender| {
        let plan = echo::Plan { pipeline: 1, size: 64, lines: 1_500 };
        let measured = load(contender, echo::Echo::members(&plan, 100));
        Run::new(&measured, measured.tally.messages)
    });
    compare("crowd: 5 agencies x 1, no sync", "bet", |contender| {
        let plan = lottery::Plan { window: 1, max_amount: 100, batches: 4_000 };
        let measured = load(contender, lottery::Agency::members(&plan, 5));
        Run::new(&measured, measured.tally.bets)
    });
    for kind in [Kind::Central, Kind::LinesCodec] {
        print(&format!("  {:<28} {:>8} B for each of {IDLE}", kind.name(), memory_of_one(kind)));
    }
    let of_stream = memory_of_stream();
    print(&format!(
        "  {:<28} {of_stream:>8} B for each of {STREAMS}",
        "central, a stream of events"
    ));
    print("");
}

/// Anonymous memory of the central for each idle stream of events, in bytes.
fn memory_of_stream() -> usize {
    let port = free_port();
    let (address, limit) = (format!("127.0.0.1:{port}"), (4 * STREAMS).to_string());
    let contender = Contender::start(
        Kind::Central,
        "never",
        &[
            ("LOGGING_LEVEL", "WARNING"),
            ("SERVER_ADMIN_ADDRESS", &address),
            // One address may have half of them.
            ("SERVER_ADMIN_CONNECTIONS", &limit),
            ("SERVER_ADMIN_STREAMS", &(2 * STREAMS).to_string()),
        ],
    );
    let open = |_| open_stream(port).expect("the central answers");
    let _first: Vec<_> = (0..STREAMS / 10).map(open).collect();
    let before = contender.anonymous_memory();
    let _idle: Vec<_> = (0..STREAMS).map(open).collect();
    contender.anonymous_memory().saturating_sub(before) / STREAMS
}

/// A stream that has had its first event.
fn open_stream(port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(get("/events").as_bytes())?;
    let (mut found, mut chunk) = (Vec::new(), [0; 4096]);
    while !found.windows(DATA.len()).any(|window| window == DATA) || !found.ends_with(b"\n\n") {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => found.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(stream)
}

/// The same load beside each of the others.
fn compare(name: &str, unit: &'static str, honest: impl Fn(&Contender) -> Run) {
    let names = Others::ALL.map(|(name, _)| name);
    let mut table = Table::new(name.to_owned(), unit, names.into());
    for _ in 0..RUNS {
        let run = |(_, others): (_, Others)| {
            undisturbed(
                || start(Kind::Central),
                |contender| {
                    let _crowd = others.come(contender);
                    honest(contender)
                },
            )
        };
        table.add_round(Others::ALL.map(run).into());
    }
    print(&table.to_string());
}

fn start(kind: Kind) -> Contender {
    Contender::start(kind, "never", &[("LOGGING_LEVEL", "WARNING")])
}

/// Anonymous memory of the process for each idle connection that has echoed a line, in bytes.
fn memory_of_one(kind: Kind) -> usize {
    let contender = start(kind);
    // What the process asks for once and for all.
    drop(load(&contender, echo::Echo::members(&echo::Plan { pipeline: 1, size: 64, lines: 9 }, 9)));
    let before = contender.anonymous_memory();
    let mut idle = connect(&contender, IDLE);
    idle.iter_mut().for_each(echo_line);
    contender.anonymous_memory().saturating_sub(before) / IDLE
}

fn echo_line(stream: &mut TcpStream) {
    const LINE: &[u8; 9] = b"one line\n";
    stream.write_all(LINE).expect("it takes input");
    let mut echoed = [0; LINE.len()];
    stream.read_exact(&mut echoed).expect("it echoes");
}

fn connect(contender: &Contender, count: usize) -> Vec<TcpStream> {
    let connect = || TcpStream::connect(contender.address()).expect("it listens");
    std::iter::repeat_with(connect).take(count).collect()
}

/// As far as this process may: the contenders inherit it.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    // What it comes to shows when connections can't be had.
    let _ = setrlimit(Resource::Nofile, raised);
}
