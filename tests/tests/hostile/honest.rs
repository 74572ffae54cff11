//! Two honest peers that are served beside an attack: an agency that stores a few bets at a time
//! and, after the draw, asks for its winners; and one that has lines echoed.
//!
//! Both check every response, and measure how long each takes.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use wire::Request;

use crate::conversation::{HONEST, connect_from};
use kit::certificates::Certificates;
use kit::conversation::Conversation;
use kit::frames::{batch, bytes, end, hello};
use kit::process::TIMEOUT;
use kit::server::Server;
use kit::stopwatch::Stopwatch;
use kit::stream::Stream;
use kit::tls_client::{TlsClient, client_config};

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

/// What goes on beside an honest peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Attack,
    /// Nothing yet.
    Alone,
    /// As many requests as the attack has, which ask for what there is: what they cost is the machine's to
    /// bear, whoever sends them.
    Harmless,
    /// Nothing any more.
    Behind,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Attack, Self::Alone, Self::Harmless, Self::Behind];

    fn name(self) -> &'static str {
        match self {
            Self::Attack => "beside the attack",
            Self::Alone => "alone",
            Self::Harmless => "beside as many harmless requests",
            Self::Behind => "behind it",
        }
    }
}

/// How long responses took.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// In each phase.
    times: [Vec<Duration>; Phase::ALL.len()],
}

impl Latencies {
    /// Beside the attack.
    pub(crate) fn add(&mut self, time: Duration) {
        self.add_in(Phase::Attack, time);
    }

    fn add_in(&mut self, phase: Phase, time: Duration) {
        let times = &mut self.times[phase as usize];
        if times.len() < TIMES_MAX {
            times.push(time);
        }
    }
}

/// Those beside the attack, and what they are of the others.
impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [attack, others @ ..] = &self.times;
        let Some((most, longest)) = most_and_longest(attack) else {
            return f.write_str("none answered");
        };
        write!(f, "{}, {} ms", milliseconds(most), milliseconds(longest))?;
        for (phase, times) in Phase::ALL[1..].iter().zip(others) {
            if let Some((other, _)) = most_and_longest(times) {
                let ratio = most.as_secs_f64() / other.as_secs_f64();
                write!(f, "; {ratio:.1} times that {}", phase.name())?;
            }
        }
        Ok(())
    }
}

/// How long lines took that were echoed.
#[derive(Debug, Default)]
pub(crate) struct Echoed {
    pub(crate) latencies: Latencies,
    /// The longest beside the attack that the central was to blame for: an echo waits for no disk.
    pub(crate) longest: Duration,
}

/// What 99 % of them aren't longer than, and the longest.
fn most_and_longest(times: &[Duration]) -> Option<(Duration, Duration)> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let longest = *sorted.last()?;
    Some((sorted[(sorted.len() - 1) * 99 / 100], longest))
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
    phase: AtomicU8,
}

impl Progress {
    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }
}

/// The two peers, at work until [`stop`](Self::stop).
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    agency: JoinHandle<io::Result<Served>>,
    echo: JoinHandle<io::Result<Echoed>>,
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
    /// Inside TLS, when there are certificates.
    pub(crate) fn start(
        server: &Server,
        certificates: Option<&Certificates>,
        phase: Phase,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (conversation, welcome) =
            Conversation::introduced(connect(server, certificates, Some(AGENCY)), AGENCY);
        let echo = connect(server, certificates, None);
        let progress = Arc::new(Progress::default());
        progress.phase.store(phase as u8, Ordering::Relaxed);
        let pid = server.pid();
        let (agency_stop, shown) = (stop.clone(), progress.clone());
        let (echo_stop, seen) = (stop.clone(), progress.clone());
        Self {
            stop,
            progress,
            agency: std::thread::spawn(move || {
                run_agency(conversation, &welcome, &agency_stop, &shown)
            }),
            echo: std::thread::spawn(move || run_echo(echo, pid, &echo_stop, &seen)),
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What is asked from now on belongs to this phase.
    pub(crate) fn begin(&self, phase: Phase) {
        self.progress.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Lets both have the response they wait for, and takes what they found.
    pub(crate) fn stop(self) -> (io::Result<Served>, io::Result<Echoed>) {
        self.stop.store(true, Ordering::Relaxed);
        (self.agency.join().expect("no wrong response"), self.echo.join().expect("no wrong echo"))
    }
}

/// A connection of this agency, or of one that shows no certificate.
fn connect(server: &Server, certificates: Option<&Certificates>, agency: Option<u32>) -> Stream {
    let socket = connect_from(server, HONEST);
    let Some(certificates) = certificates else { return socket.into() };
    let own = agency.map(|agency| certificates.agency(agency));
    let config = Arc::new(client_config(certificates.ca(), own));
    TlsClient::connect(socket, &config).expect("a handshake").into()
}

fn run_agency(
    mut conversation: Conversation<Stream>,
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
        let (begun, beside) = (Instant::now(), progress.phase());
        if phase == "Drawn" {
            ask_winners(&mut conversation, served.stored)?;
        } else {
            store(&mut conversation, &mut served, progress)?;
        }
        served.latencies.add_in(beside, begun.elapsed());
        std::thread::sleep(PAUSE);
    }
    Ok(served)
}

fn store(
    conversation: &mut Conversation<Stream>,
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

fn ask_winners(conversation: &mut Conversation<Stream>, stored: u64) -> io::Result<()> {
    let lucky = (0..stored).filter(|index| index % LUCKY == 0);
    let expected: Vec<_> = lucky.map(document).collect();
    let mut found = Vec::new();
    conversation.0.write_all(&bytes(&Request::Winners))?;
    conversation.0.flush()?;
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

fn run_echo(
    mut stream: Stream,
    pid: u32,
    stop: &AtomicBool,
    progress: &Progress,
) -> io::Result<Echoed> {
    let mut echoed = Echoed::default();
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let (mut stopwatch, phase) = (Stopwatch::start(pid), progress.phase());
        let line = format!("honest line {count:012}\n");
        stream.write_all(line.as_bytes())?;
        stream.flush()?;
        // A line is short, and comes as a whole.
        stopwatch.wait(stream.socket(), PollFlags::IN, TIMEOUT)?;
        let blamed = stopwatch.blamed();
        let mut response = vec![0; line.len()];
        stream.read_exact(&mut response)?;
        assert_eq!(String::from_utf8_lossy(&response), line);
        echoed.latencies.add_in(phase, stopwatch.elapsed());
        if phase == Phase::Attack {
            echoed.longest = echoed.longest.max(blamed);
        }
        count += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(echoed)
}

/// Ends the honest agency's input, which must be at `stored`.
pub(crate) fn finish(server: &Server, stored: u64) {
    let mut conversation = Conversation(connect_from(server, HONEST));
    let welcome = conversation.ask(&hello(AGENCY));
    assert!(welcome.starts_with(&format!("welcome {stored} rejected 0 ")), "{welcome}");
    assert_eq!(conversation.ask(&end(stored)), format!("finished {stored} 0"));
}
