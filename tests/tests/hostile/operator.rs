//! An operator who looks at the central all along an attack: at the page, the metrics, health and status,
//! one after the other. Once on a connection that is kept, and once on a new one each time.
//!
//! Every answer must be right, and soon: see [`ANSWER_MAX`].

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kit::http::{Response, get, receive};
use kit::process::{TIMEOUT, processor_time};
use kit::stopwatch::Stopwatch;
use rustix::event::PollFlags;

use crate::conversation::{HONEST, connect_to};
use crate::honest::Latencies;

/// What is looked at in turn.
pub(crate) const RESOURCES: [&str; 5] = ["/", "/metrics", "/healthz", "/readyz", "/status.json"];

/// Longest that the central may be to blame for, see [`Stopwatch`].
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What is waited before the next request, and at least as long as the last one took: the operator looks,
/// and isn't an attack.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What `/readyz` says of a central that takes bets.
pub(crate) const READY: &str = "ready";

/// The two who look.
pub(crate) struct Operator {
    stop: Arc<AtomicBool>,
    readiness: Arc<Mutex<Vec<String>>>,
    kept: JoinHandle<io::Result<Found>>,
    fresh: JoinHandle<io::Result<Found>>,
}

/// What one of them has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) latencies: Latencies,
    /// The longest that the central was to blame for, and for which resource.
    pub(crate) longest: (Duration, &'static str),
    /// The most processor time that the loop's thread has taken while an answer was waited for.
    pub(crate) most_work: Duration,
}

/// What an operator has found, on the connection that is kept and on new ones, and what `/readyz` has
/// said: each line that differs from the one before.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kept: io::Result<Found>,
    pub(crate) fresh: io::Result<Found>,
    pub(crate) readiness: Vec<String>,
}

impl Operator {
    /// Looks at a process that listens there.
    pub(crate) fn start(pid: u32, address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let readiness = Arc::new(Mutex::new(Vec::new()));
        let look = |keeps| {
            let (stop, readiness) = (stop.clone(), readiness.clone());
            std::thread::spawn(move || {
                Look { pid, address, keeps, kept: None }.run(&stop, &readiness)
            })
        };
        Self { kept: look(true), fresh: look(false), stop, readiness }
    }

    /// Waits until `/readyz` says this.
    pub(crate) fn wait_for_readiness(&self, line: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while lock(&self.readiness).last().is_none_or(|last| last != line) {
            assert!(Instant::now() < deadline, "/readyz doesn't say {line}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets both have the answer that they wait for, and takes what they found.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let kept = self.kept.join().expect("no wrong answer");
        let fresh = self.fresh.join().expect("no wrong answer");
        Seen { kept, fresh, readiness: std::mem::take(&mut lock(&self.readiness)) }
    }
}

fn lock(readiness: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    readiness.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the two.
struct Look {
    pid: u32,
    address: SocketAddr,
    keeps: bool,
    kept: Option<TcpStream>,
}

impl Look {
    /// Until it is stopped, and each resource has been looked at.
    fn run(mut self, stop: &AtomicBool, readiness: &Mutex<Vec<String>>) -> io::Result<Found> {
        let mut found = Found::default();
        for (count, target) in RESOURCES.into_iter().cycle().enumerate() {
            if stop.load(Ordering::Relaxed) && count >= RESOURCES.len() {
                break;
            }
            let before = processor_time(self.pid).unwrap_or_default();
            let mut stopwatch = Stopwatch::start(self.pid);
            let response = self.ask(target, &mut stopwatch).map_err(|error| {
                let blamed = stopwatch.blamed();
                io::Error::new(error.kind(), format!("{target} after {blamed:.1?}: {error}"))
            })?;
            let (elapsed, blamed) = (stopwatch.elapsed(), stopwatch.blamed());
            found.latencies.add(elapsed);
            found.longest = found.longest.max((blamed, target));
            let work = processor_time(self.pid).unwrap_or_default().saturating_sub(before);
            found.most_work = found.most_work.max(work);
            check(target, &response);
            if target == "/readyz" {
                note(readiness, response.body.trim_end());
            }
            std::thread::sleep(elapsed.clamp(PAUSE, PAUSE_MAX));
        }
        Ok(found)
    }

    fn ask(&mut self, target: &str, stopwatch: &mut Stopwatch) -> io::Result<Response> {
        let stream = match self.kept.take() {
            Some(stream) => stream,
            None => connect_to(self.address, HONEST, |_| Ok(()))?,
        };
        (&stream).write_all(get(target).as_bytes())?;
        stream.set_nonblocking(true)?;
        let response = receive(&mut BufReader::new(Timed { stream: &stream, stopwatch }))?;
        stream.set_nonblocking(false)?;
        let stays = !response.headers.contains_key("connection");
        self.kept = Some(stream).filter(|_| self.keeps && stays);
        Ok(response)
    }
}

/// What has come of an answer, with an eye on the clock.
struct Timed<'a> {
    stream: &'a TcpStream,
    stopwatch: &'a mut Stopwatch,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&*self.stream).read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stopwatch.wait(self.stream, PollFlags::IN, TIMEOUT)?;
                }
                other => return other,
            }
        }
    }
}

/// Panics when the answer isn't what it must be. Which readiness is right, the attack knows.
fn check(target: &str, Response { status, body, .. }: &Response) {
    let (begin, end) = match target {
        "/" => ("<!doctype html>", "</html>"),
        "/metrics" => ("# HELP loteria_", ""),
        "/healthz" => ("ok\n", ""),
        "/status.json" => ("{\"time\":", "}"),
        _ => ("", ""),
    };
    let is_whole = body.starts_with(begin) && body.trim_end().ends_with(end);
    let expected = if target == "/readyz" && body != "ready\n" { 503 } else { 200 };
    let shown: String = body.chars().take(200).collect();
    assert!(is_whole && *status == expected, "{target} was answered with {status}: {shown}");
}

fn note(readiness: &Mutex<Vec<String>>, line: &str) {
    let mut readiness = lock(readiness);
    if readiness.last().is_none_or(|last| last != line) {
        readiness.push(line.to_owned());
    }
}
