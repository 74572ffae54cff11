//! Two honest peers that are served beside an attack: an agency that stores a few bets at a time
//! and, after the draw, asks for its winners; and one that has lines echoed.
//!
//! Both check every response, and measure how long each takes.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::Request;

use crate::conversation::{Conversation, HONEST, connect_from};
use kit::frames::{batch, bytes, end, hello};
use kit::server::Server;

/// Which agency is honest.
pub(crate) const AGENCY: u32 = 1;

/// Bets in one of its batches.
const BATCH: u64 = 5;

/// One of so many of its bets wins.
const LUCKY: u64 = 100;

/// What each of the two waits before its next request: they are served, not measured for rate.
const PAUSE: Duration = Duration::from_millis(1);

/// Most requests whose time is kept.
const TIMES_MAX: usize = 1_000_000;

/// How long responses took.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, since: Instant) {
        if self.0.len() < TIMES_MAX {
            self.0.push(since.elapsed());
        }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let Some(longest) = sorted.last() else { return f.write_str("none answered") };
        let most = sorted[(sorted.len() - 1) * 99 / 100];
        write!(f, "{}, {} ms", milliseconds(most), milliseconds(*longest))
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// What became of the honest agency.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Bets that were confirmed.
    pub(crate) stored: u64,
    pub(crate) latencies: Latencies,
}

/// What was answered to the agency so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bets that were confirmed.
    pub(crate) stored: AtomicU64,
    /// UNAVAILABLE responses.
    pub(crate) unavailable: AtomicU64,
}

/// The two peers, at work until [`stop`](Self::stop).
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    agency: JoinHandle<io::Result<Served>>,
    echo: JoinHandle<io::Result<Latencies>>,
}

/// The bets of the honest agency from a position on: document and number.
fn bets(position: u64, count: u64) -> Vec<(String, &'static str)> {
    let number = |index| if index % LUCKY == 0 { "7574" } else { "7" };
    (position..position + count).map(|index| (document(index), number(index))).collect()
}

fn document(index: u64) -> String {
    format!("{:08}", 10_000_000 + index)
}

/// The rows of its first `stored` bets, as they must be in the ledger.
pub(crate) fn rows(stored: u64) -> impl Iterator<Item = String> {
    let bets = bets(0, stored).into_iter();
    bets.map(|(document, number)| format!("{AGENCY},Ana,Paz,{document},2000-01-01,{number}"))
}

impl Honest {
    pub(crate) fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (conversation, welcome) = Conversation::introduced(server, HONEST, AGENCY);
        let echo = connect_from(server, HONEST);
        let progress = Arc::new(Progress::default());
        let (agency_stop, echo_stop, shown) = (stop.clone(), stop.clone(), progress.clone());
        Self {
            stop,
            progress,
            agency: std::thread::spawn(move || {
                run_agency(conversation, &welcome, &agency_stop, &shown)
            }),
            echo: std::thread::spawn(move || run_echo(echo, &echo_stop)),
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Lets both have the response they wait for, and takes what they found.
    pub(crate) fn stop(self) -> (io::Result<Served>, io::Result<Latencies>) {
        self.stop.store(true, Ordering::Relaxed);
        (self.agency.join().expect("no wrong response"), self.echo.join().expect("no wrong echo"))
    }
}

fn run_agency(
    mut conversation: Conversation,
    welcome: &str,
    stop: &AtomicBool,
    progress: &Progress,
) -> io::Result<Served> {
    let words: Vec<_> = welcome.split(' ').collect();
    let ["welcome", consumed, "rejected", "0", phase] = words[..] else {
        panic!("an honest agency was answered: {welcome}");
    };
    let mut served = Served { stored: consumed.parse().expect("a number"), ..Served::default() };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        if phase == "Drawn" {
            ask_winners(&mut conversation, served.stored)?;
        } else {
            store(&mut conversation, &mut served, progress)?;
        }
        served.latencies.add(begun);
        std::thread::sleep(PAUSE);
    }
    Ok(served)
}

fn store(
    conversation: &mut Conversation,
    served: &mut Served,
    progress: &Progress,
) -> io::Result<()> {
    let bets = bets(served.stored, BATCH);
    let bets: Vec<_> = bets.iter().map(|(document, number)| (&document[..], *number)).collect();
    let response = conversation.try_ask(&batch(served.stored, &bets))?;
    if response == format!("stored {}", served.stored + BATCH) {
        served.stored += BATCH;
        progress.stored.store(served.stored, Ordering::Relaxed);
    } else if response == format!("unavailable {}", served.stored) {
        progress.unavailable.fetch_add(1, Ordering::Relaxed);
    } else {
        return Err(io::Error::other(format!("a batch was answered: {response}")));
    }
    Ok(())
}

fn ask_winners(conversation: &mut Conversation, stored: u64) -> io::Result<()> {
    let lucky = (0..stored).filter(|index| index % LUCKY == 0);
    let expected: Vec<_> = lucky.map(document).collect();
    let mut found = Vec::new();
    conversation.0.write_all(&bytes(&Request::Winners))?;
    loop {
        let response = conversation.try_receive()?;
        let Some(("winners", list)) = response.split_once(' ') else {
            return Err(io::Error::other(format!(
                "the question for winners was answered: {response}"
            )));
        };
        let (ends, documents) = list.split_once(' ').expect("whether it is the last");
        found.extend(documents.split(',').filter(|one| !one.is_empty()).map(str::to_owned));
        if ends == "true" {
            break;
        }
    }
    assert_eq!(found, expected, "the winners of agency {AGENCY}");
    Ok(())
}

fn run_echo(mut stream: std::net::TcpStream, stop: &AtomicBool) -> io::Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let line = format!("honest line {count:012}\n");
        stream.write_all(line.as_bytes())?;
        let mut response = vec![0; line.len()];
        stream.read_exact(&mut response)?;
        assert_eq!(String::from_utf8_lossy(&response), line);
        latencies.add(begun);
        count += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(latencies)
}

/// Ends the honest agency's input, which must be at `stored`.
pub(crate) fn finish(server: &Server, stored: u64) {
    let mut conversation = Conversation::new(server, HONEST);
    let welcome = conversation.ask(&hello(AGENCY));
    assert!(welcome.starts_with(&format!("welcome {stored} rejected 0 ")), "{welcome}");
    assert_eq!(conversation.ask(&end(stored)), format!("finished {stored} 0"));
}
