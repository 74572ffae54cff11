//! Peers that send as fast as they can, any number of them from one thread.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::HEADER_LEN;

use crate::kernel_queues;
use kit::process::TIMEOUT;
use kit::stream::Stream;

/// Bytes that a script adds at a time.
const CHUNK: usize = 64 << 10;

/// When nothing moves for so long, those who only send are blocked for good: the server reads them
/// no more.
const QUIET: Duration = Duration::from_secs(1);

/// Adds what is to be sent next; nothing when there is no more.
pub(crate) type Script = Box<dyn FnMut(&mut Vec<u8>)>;

/// The same bytes so many times.
pub(crate) fn repeat(bytes: &[u8], times: u64) -> Script {
    let per_chunk = (CHUNK / bytes.len()).max(1);
    let (chunk, length) = (bytes.repeat(per_chunk), bytes.len());
    let mut left = usize::try_from(times).expect("it fits");
    Box::new(move |out| {
        let count = left.min(per_chunk);
        left -= count;
        out.extend_from_slice(&chunk[..count * length]);
    })
}

/// What `write` adds for 0, for 1, and so on up to `times`.
pub(crate) fn numbered(times: u64, write: impl Fn(u64, &mut Vec<u8>) + 'static) -> Script {
    let mut next = 0;
    Box::new(move |out| {
        while next < times && out.len() < CHUNK {
            write(next, out);
            next += 1;
        }
    })
}

/// These bytes one at a time.
pub(crate) fn single_bytes(bytes: Vec<u8>) -> Script {
    let mut bytes = bytes.into_iter();
    Box::new(move |out| out.extend(bytes.next()))
}

/// Whether a peer takes what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Until it has so many bytes.
    Bytes(u64),
    /// Until it has so many responses.
    Frames(u64),
    /// Until the server ends the connection.
    End,
    Never,
}

/// One of them.
pub(crate) struct Peer {
    stream: Stream,
    script: Script,
    reading: Reading,
    output: Vec<u8>,
    sent: usize,
    /// Everything was sent.
    silent: bool,
    /// The server has ended the connection.
    pub(crate) ended: bool,
    /// Bytes that it was sent.
    pub(crate) received: u64,
    /// Bytes that its socket has taken.
    written: u64,
    frames: FrameCount,
}

/// Counts the responses in a stream.
#[derive(Debug, Default)]
struct FrameCount {
    frames: u64,
    header: Vec<u8>,
    /// Bytes of a body still to come.
    body: usize,
}

impl FrameCount {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.body == 0 {
                let missing = (HEADER_LEN - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if self.header.len() < HEADER_LEN {
                    return;
                }
                let length = u16::from_be_bytes([self.header[2], self.header[3]]);
                self.body = usize::from(length) - HEADER_LEN;
                self.header.clear();
                self.frames += u64::from(self.body == 0);
            }
            let used = self.body.min(bytes.len());
            bytes = &bytes[used..];
            self.frames += u64::from(used > 0 && used == self.body);
            self.body -= used;
        }
    }
}

impl Peer {
    pub(crate) fn new(stream: impl Into<Stream>, script: Script, reading: Reading) -> Self {
        let stream = stream.into();
        stream.socket().set_nonblocking(true).expect("set");
        Self {
            stream,
            script,
            reading,
            output: Vec::new(),
            sent: 0,
            silent: false,
            ended: false,
            received: 0,
            written: 0,
            frames: FrameCount::default(),
        }
    }

    /// It hasn't been sent all that it reads.
    pub(crate) fn waits_for_input(&self) -> bool {
        match self.reading {
            Reading::Bytes(bytes) => self.received < bytes,
            Reading::Frames(frames) => self.frames.frames < frames,
            Reading::End => !self.ended,
            Reading::Never => false,
        }
    }

    /// Whether the server has ended its connection, which one that doesn't read learns late.
    pub(crate) fn is_cut_off(&self) -> bool {
        let socket = self.stream.socket();
        let failed = socket.take_error().expect("it is a socket").is_some();
        let ended = match socket.peek(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.ended || failed || ended
    }

    /// Bytes of what it has sent that the server has read: not those that are in the kernel.
    pub(crate) fn taken(&self) -> u64 {
        self.written.saturating_sub(kernel_queues::unread(self.stream.socket()))
    }

    /// When it has done what it came for: what it does next. What it reads counts from its begin.
    pub(crate) fn then(&mut self, script: Script, reading: Reading) {
        (self.script, self.reading, self.silent) = (script, reading, false);
    }

    /// Everything was sent, and everything it waits for has come.
    pub(crate) fn is_done(&self) -> bool {
        self.silent && !self.stream.has_unsent() && !self.waits_for_input()
    }

    fn events(&self) -> PollFlags {
        let mut events = PollFlags::empty();
        events.set(PollFlags::OUT, !self.silent || self.stream.has_unsent());
        events.set(PollFlags::IN, self.waits_for_input());
        if self.ended { PollFlags::empty() } else { events }
    }

    /// Sends and receives; returns whether anything moved.
    fn go_on(&mut self, scratch: &mut [u8]) -> bool {
        let sent = if self.silent { self.flush() } else { self.send() };
        let received = self.waits_for_input() && self.receive(scratch);
        sent || received || self.ended
    }

    /// Sends what the stream has kept; returns whether it went.
    fn flush(&mut self) -> bool {
        if !self.stream.has_unsent() {
            return false;
        }
        let flushed = self.stream.flush().map(|()| 0);
        self.note(flushed).is_some()
    }

    fn send(&mut self) -> bool {
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
            (self.script)(&mut self.output);
            self.silent = self.output.is_empty();
        }
        if self.silent {
            self.output = Vec::new();
            return true;
        }
        let count = self.stream.write(&self.output[self.sent..]);
        self.note(count).is_some_and(|count| {
            self.sent += count;
            self.written += count as u64;
            true
        })
    }

    fn receive(&mut self, scratch: &mut [u8]) -> bool {
        let mut received = self.receive_once(scratch);
        while received && self.stream.is_buffered() && !self.ended && self.waits_for_input() {
            received = self.receive_once(scratch);
        }
        received
    }

    fn receive_once(&mut self, scratch: &mut [u8]) -> bool {
        let count = self.stream.read(scratch);
        self.note(count).is_some_and(|count| {
            self.ended = count == 0;
            self.received += count as u64;
            if let Reading::Frames(_) = self.reading {
                self.frames.add(&scratch[..count]);
            }
            true
        })
    }

    fn note(&mut self, count: std::io::Result<usize>) -> Option<usize> {
        match count {
            Ok(count) => Some(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => {
                self.ended = true;
                None
            }
        }
    }
}

/// Lets them send and receive until all have done what they came for, the server has ended the
/// others, or nothing moves any more; at most for so long.
pub(crate) fn run(peers: &mut [Peer], most: Duration) {
    let mut scratch = vec![0; CHUNK];
    let begun = Instant::now();
    let mut moved = begun;
    while begun.elapsed() < most {
        let mut waiting: Vec<_> =
            peers.iter_mut().filter(|peer| !peer.events().is_empty()).collect();
        let patience =
            if waiting.iter().any(|peer| peer.waits_for_input()) { TIMEOUT } else { QUIET };
        if waiting.is_empty() || moved.elapsed() > patience {
            return;
        }
        for peer in wait(&mut waiting) {
            if waiting[peer].go_on(&mut scratch) {
                moved = Instant::now();
            }
        }
    }
}

/// Which of these are ready; none after a while.
fn wait(peers: &mut [&mut Peer]) -> Vec<usize> {
    let mut polled: Vec<_> =
        peers.iter().map(|peer| PollFd::new(peer.stream.socket(), peer.events())).collect();
    let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    poll(&mut polled, Some(&timeout)).expect("polled");
    let ready = polled.iter().enumerate().filter(|(_, one)| !one.revents().is_empty());
    ready.map(|(index, _)| index).collect()
}
