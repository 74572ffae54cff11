//! A loop over real sockets that runs in a thread of its own, and what it has done at its end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;

use reactor::testing::Ending;
use reactor::{ConnectionId, Counters, EventLoop, Limits, Outcome, RunError};

use crate::amounts::PATIENCE;
use crate::script::{Event, Refused, Script};

/// Backlog of the listening sockets, in connections.
const BACKLOG: u32 = 1024;

/// A loop that listens, and its address.
pub fn listening(limits: Limits) -> (EventLoop, SocketAddr) {
    let mut event_loop = EventLoop::new(limits).unwrap();
    let address = event_loop.listen((Ipv4Addr::LOCALHOST, 0).into(), BACKLOG).unwrap();
    (event_loop, address)
}

/// Runs the loop to its end in this thread: for peers that have done their part before.
pub fn run(event_loop: EventLoop, script: Script) -> Finished {
    spawn(event_loop, script).join()
}

/// Runs the loop in a thread of its own.
pub fn spawn(mut event_loop: EventLoop, script: Script) -> Running {
    let (mut recorder, events) = script.recorded();
    let thread = std::thread::spawn(move || {
        let result = event_loop.run(&mut recorder);
        (result, event_loop.counters())
    });
    Running { events, seen: Vec::new(), thread }
}

/// A loop on its way.
#[derive(Debug)]
pub struct Running {
    events: Receiver<Event>,
    seen: Vec<Event>,
    thread: JoinHandle<(Result<Outcome, RunError<Refused>>, Counters)>,
}

impl Running {
    /// Waits for the next call that `wanted` picks, and gives what it made of it.
    pub fn wait_for<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = match self.events.recv_timeout(PATIENCE) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => panic!("it never came; {}", self.tail()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the loop ended before it came; {}", self.tail())
                }
            };
            let found = wanted(&event);
            self.seen.push(event);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Waits for the next connection to open.
    pub fn wait_for_open(&mut self) -> ConnectionId {
        self.wait_for(|event| match event {
            Event::Open(id) => Some(*id),
            _ => None,
        })
    }

    /// Waits for the next connection to close.
    pub fn wait_for_close(&mut self) -> (ConnectionId, Ending) {
        self.wait_for(|event| match event {
            Event::Close(id, ending) => Some((*id, *ending)),
            _ => None,
        })
    }

    /// The last calls, for the message of a test that fails.
    fn tail(&self) -> String {
        let calls = self.seen.iter().rev().take(30).rev();
        let calls: Vec<String> =
            calls.map(|call| format!("{call:?}").chars().take(80).collect()).collect();
        format!("the last calls of {}: {calls:#?}", self.seen.len())
    }

    /// Waits for the loop's end.
    pub fn join(mut self) -> Finished {
        loop {
            match self.events.recv_timeout(2 * PATIENCE) {
                Ok(event) => self.seen.push(event),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it hangs; {}", self.tail()),
            }
        }
        let (result, counters) = match self.thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let finished = Finished { result, counters, events: self.seen };
        finished.check();
        finished
    }
}

/// What a loop has done.
#[derive(Debug)]
pub struct Finished {
    /// What `run` returned.
    pub result: Result<Outcome, RunError<Refused>>,
    /// What the loop counted.
    pub counters: Counters,
    /// Every call, in order.
    pub events: Vec<Event>,
}

impl Finished {
    /// How each connection ended, in that order.
    pub fn endings(&self) -> Vec<Ending> {
        let ending = |event: &Event| match event {
            Event::Close(_, ending) => Some(*ending),
            _ => None,
        };
        self.events.iter().filter_map(ending).collect()
    }

    /// How many calls `wanted` picks.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    /// The calls of each turn.
    pub fn turns(&self) -> impl Iterator<Item = &[Event]> {
        self.events.split(|event| matches!(event, Event::BeforeFlush))
    }

    /// What holds for every loop: every connection was closed, and it didn't spin.
    fn check(&self) {
        let ended: Vec<_> = self.events.iter().filter_map(Event::closed).collect();
        assert_eq!(self.counters.closed, ended.len() as u64, "closings counted and reported");
        if matches!(self.result, Ok(Outcome::Graceful)) {
            let opened: Vec<_> = self.events.iter().filter_map(Event::opened).collect();
            assert!(opened.iter().all(|id| ended.contains(id)), "{opened:?}, {ended:?}");
        }
        // The event of a new socket that is writable changes nothing, nor does that of a peer that is
        // read again.
        let marks = self.count(|event| matches!(event, Event::Writable(_)));
        let allowed = 8 + 2 * (ended.len() + marks) as u64;
        // An event may come after its bytes were read: now and then, if a peer never stops sending.
        let late = self.counters.turns / 50;
        let idle = self.counters.idle_turns;
        assert!(idle <= allowed + late, "{idle} of {} turns were idle", self.counters.turns);
    }
}
