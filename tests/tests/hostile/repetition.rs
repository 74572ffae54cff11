//! Every kind of request, and of line, over and over in each phase: nothing that is repeated costs
//! memory per repetition.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use wire::{MAGIC, Request};

use crate::attack::{Attack, mebibytes, shell};
use crate::conversation::{HOSTILE, connect_from, introduce};
use crate::disk::{FAILING, fill_the_disk, limit_files};
use crate::flood::{Peer, Reading, Script, repeat, run};
use crate::log_bound;
use crate::operator::READY;
use crate::scale;
use kit::frames::{batch, bytes, end, hello, hello_of_version, responses};
use kit::process::TIMEOUT;

/// Memory that one kind may add when it is repeated: not two bytes for each in the short form.
const GROWTH_MAX: usize = 512 << 10;

/// Memory that all who don't read may add together: their buffers.
const UNREAD_GROWTH_MAX: usize = 5 << 20;

/// Repetitions before memory is looked at: buffers have grown then.
const FIRST: u64 = 2_000;

/// `SERVER_MAX_PENDING_REPLIES` here.
const PENDING_MAX: u64 = 1024;

/// Bytes that the server reads at a time, and what of its output it keeps for one that doesn't read:
/// `SERVER_READ_BUDGET` and `SERVER_WRITE_BUFFER_HIGH`.
const READ_AT_ONCE: u64 = 64 << 10;
const WRITE_BUFFER: u64 = 256 << 10;

/// Agencies that repeat themselves.
const REPEATING: std::ops::RangeInclusive<u32> = 2..=9;

/// The agency that the draw waits for.
const LAST: u32 = 10;

/// The bets of each of the others.
const TWO: [(&str, &str); 2] = [("1", "7574"), ("2", "5")];

const PENDING: (&str, &str) = ("SERVER_MAX_PENDING_REPLIES", "1024");

/// Requests that follow one that is refused, and are the same.
const BEHIND: usize = 1_000;

/// Kinds of lines that are logged while the disk takes nothing: accepted, waiting, echoed, batch and
/// end received, batch stored, batch not stored, commit failed, agency lost, agency superseded.
const KINDS: usize = 10;

const UNKNOWN: &[u8] = &[MAGIC, 0x77, 0, 4];

fn winners() -> Vec<u8> {
    bytes(&Request::Winners)
}

/// A batch of one bet, as the request for a single one.
fn single(position: u64) -> Vec<u8> {
    let mut frame = batch(position, &TWO[..1]);
    frame[1] = 0x02;
    frame
}

/// What is repeated on a connection.
struct Kind {
    name: &'static str,
    request: Vec<u8>,
    times: u64,
    /// It comes back as it is.
    is_line: bool,
    /// It isn't answered for now.
    waits: bool,
}

impl Kind {
    /// A request of an agency that introduces itself, and stores two bets when there are none yet.
    fn of_agency(name: &'static str, request: &[u8], times: u64) -> Self {
        Self { name, request: request.to_vec(), times, is_line: false, waits: false }
    }

    fn line(name: &'static str, line: &[u8], times: u64) -> Self {
        Self { name, request: line.to_vec(), times, is_line: true, waits: false }
    }

    /// On a connection of this agency.
    fn begin(&self, attack: &Attack, agency: u32, times: u64, reading: Reading) -> Peer {
        let introduction = [hello(agency), batch(0, &TWO)].concat();
        let mut first = Some(introduction).filter(|_| !self.is_line);
        let mut rest = repeat(&self.request, times);
        let script: Script = Box::new(move |out| match first.take() {
            Some(first) => out.extend(first),
            None => rest(out),
        });
        Peer::new(connect_from(&attack.server, HOSTILE), script, reading)
    }

    /// Reading the responses to so many.
    fn reading(&self, times: u64) -> Reading {
        if self.is_line {
            return Reading::Bytes(times * self.request.len() as u64);
        }
        Reading::Frames(2 + times)
    }

    /// Bytes that the server must have read before it may leave the rest to the kernel, of one that
    /// doesn't read.
    fn taken_min(&self) -> u64 {
        let length = self.request.len() as u64;
        if self.waits {
            return length;
        }
        // It reads more only when it has served what it had read before.
        READ_AT_ONCE + (PENDING_MAX * length).min(WRITE_BUFFER)
    }
}

/// Bytes that the server has taken of a peer's, once they are as many as it must take: each list of
/// winners takes a turn.
fn taken_in_time(peer: &Peer, least: u64) -> u64 {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let taken = peer.taken();
        if taken >= least || Instant::now() > deadline {
            return taken;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What was done and found.
#[derive(Default)]
struct Found {
    answered: u64,
    /// Most memory that one kind has added, and all who don't read.
    growth: usize,
    unread_growth: usize,
    /// Bytes taken of those who don't read, who are so many.
    taken: u64,
    unread: usize,
    /// Connections that were ended for a bad request.
    refused: u64,
    broken: Vec<String>,
}

impl Found {
    /// Repeats each kind: by itself and read, then all at once and not read.
    fn repeat(&mut self, attack: &Attack, phase: &str, kinds: &[Kind]) {
        for (kind, agency) in kinds.iter().zip(REPEATING.step_by(2)) {
            if !kind.waits {
                self.repeat_and_read(attack, phase, kind, agency);
            }
        }
        let before = attack.server.anonymous_memory();
        let unread = kinds.iter().zip(REPEATING.skip(1).step_by(2));
        let unread = unread
            .map(|(kind, agency)| (kind, kind.begin(attack, agency, kind.times, Reading::Never)));
        let (kinds, mut peers): (Vec<_>, Vec<_>) = unread.unzip();
        run(&mut peers, Duration::from_mins(5));
        let growth = attack.server.anonymous_memory().saturating_sub(before);
        self.unread_growth = self.unread_growth.max(growth);
        if growth > UNREAD_GROWTH_MAX {
            self.broken.push(format!("{phase}, not read: {} more", mebibytes(growth)));
        }
        self.unread += peers.len();
        for (kind, peer) in kinds.iter().zip(&peers) {
            let taken = taken_in_time(peer, kind.taken_min());
            self.taken += taken;
            if taken < kind.taken_min() {
                let name = kind.name;
                self.broken.push(format!("{phase}, {name}, not read: {taken} bytes were taken"));
            }
        }
    }

    fn repeat_and_read(&mut self, attack: &Attack, phase: &str, kind: &Kind, agency: u32) {
        let name = kind.name;
        let mut peers = [kind.begin(attack, agency, FIRST, kind.reading(FIRST))];
        run(&mut peers, Duration::from_mins(1));
        let before = attack.server.anonymous_memory();
        peers[0].then(repeat(&kind.request, kind.times), kind.reading(FIRST + kind.times));
        run(&mut peers, Duration::from_mins(5));
        let growth = attack.server.anonymous_memory().saturating_sub(before);
        self.growth = self.growth.max(growth);
        if growth > GROWTH_MAX {
            self.broken.push(format!("{phase}, {name}: {} more", mebibytes(growth)));
        }
        if !peers[0].is_done() {
            self.broken.push(format!("{phase}, {name}: not all were answered"));
        }
        self.answered += FIRST + kind.times;
    }

    /// What ends a connection, on one connection after the other, each time with a lot behind it.
    fn refuse(&mut self, attack: &Attack, first: &[u8], request: &[u8]) {
        for _ in 0..scale(20, 2_000) {
            let mut stream = connect_from(&attack.server, HOSTILE);
            // It may end before it has taken all of that.
            let _ = stream.write_all(&[first, &request.repeat(BEHIND)].concat());
            let mut response = Vec::new();
            let _ = stream.read_to_end(&mut response);
            let (found, _) = responses(&response);
            if !found.last().is_some_and(|last| last.starts_with("error ")) {
                return self.broken.push(format!("{request:x?} was answered: {found:?}"));
            }
            self.refused += 1;
        }
    }

    /// What was done and found, in words; and what was broken.
    fn measured(self) -> (String, Vec<String>) {
        let Self { answered, growth, unread_growth, taken, unread, refused, broken } = self;
        let taken = mebibytes(usize::try_from(taken).expect("it fits"));
        let refused = match refused {
            0 => String::new(),
            count => format!(
                "; {count} connections with {BEHIND} requests of which the first is refused"
            ),
        };
        let measured = format!(
            "{answered} requests and lines, at most {} more for a kind; {taken} of {unread} \
             connections that aren't read, {} more{refused}",
            mebibytes(growth),
            mebibytes(unread_growth)
        );
        (measured, broken)
    }
}

/// Halves of frames and lines, and connections that end there.
fn halves(attack: &Attack) {
    for half in [&hello(2)[..5], &batch(0, &TWO)[..20], &[MAGIC], b"half a line"] {
        for _ in 0..scale(50, 5_000) {
            connect_from(&attack.server, HOSTILE).write_all(half).expect("taken");
        }
    }
}

/// Ends the input of every agency that repeats, after its first batch.
fn end_inputs(attack: &Attack, first: &[u8]) {
    for agency in REPEATING {
        let (mut conversation, welcome) = introduce(&attack.server, HOSTILE, agency);
        if welcome == "welcome 0 rejected 0 Open" {
            assert_eq!(conversation.ask(first), "stored 2");
        }
        assert_eq!(conversation.ask(&end(2)), "finished 2 0");
    }
}

#[test]
fn no_request_costs_memory_when_it_is_repeated() {
    let times = scale(400_000, 10_000_000);
    let mut attack = Attack::begin(
        "every request in every phase, over and over, read and not read",
        &[&log_bound::SETTINGS[..], &[("SERVER_AGENCIES", "10"), PENDING]].concat(),
    );
    let mut found = Found::default();
    let (one, two) = (batch(0, &TWO), single(0));
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    let open = [
        Kind::of_agency("a batch", &one, times),
        Kind::of_agency("a single bet", &two, times),
        Kind::line("an empty line", b"\n", times),
        Kind::line("a line of 1 KiB", &line, times / 10),
    ];
    found.repeat(&attack, "open", &open);
    for request in [&one, &two, &end(0), &winners(), UNKNOWN] {
        found.refuse(&attack, b"", request);
    }
    let again = hello_of_version(9, 2);
    for request in [&hello(LAST), &again, &end(7), &winners(), UNKNOWN] {
        found.refuse(&attack, &hello(LAST), request);
    }
    halves(&attack);

    end_inputs(&attack, &one);
    for phase in ["finished", "drawn"] {
        // Each list is read from the ledger. Before the draw no answer comes, and no further question
        // is read.
        let questions = if phase == "drawn" { times / 10 } else { times };
        let asking = Kind::of_agency("a question for winners", &winners(), questions);
        let kinds = [
            Kind::of_agency("a batch", &one, times),
            Kind::of_agency("an end", &end(2), times),
            Kind { waits: phase == "finished", ..asking },
        ];
        found.repeat(&attack, phase, &kinds);
        let more = batch(2, &TWO);
        for request in [&hello(8), &end(7), &more, UNKNOWN] {
            found.refuse(&attack, &hello(8), request);
        }
        if phase == "finished" {
            let (mut last, _) = introduce(&attack.server, HOSTILE, LAST);
            assert_eq!(last.ask(&end(0)), "finished 0 0");
            attack.draw();
        }
    }
    let (measured, broken) = found.measured();
    attack.end("no memory per repetition", &measured, broken);
}

/// Bytes that a file of the central may have: as many as its wal of two segments and a header has, which
/// its rows don't exceed then.
const FILE_MAX: u64 = 2 * (1 << 20) + 4096;

/// Agencies that fill the disk.
const FILLING: std::ops::RangeInclusive<u32> = 11..=14;

/// No bet is stored: each is answered with UNAVAILABLE. Ends need no space.
#[test]
fn no_request_costs_memory_while_the_disk_takes_nothing() {
    let times = scale(400_000, 10_000_000);
    // The log goes elsewhere: the central's own files may not grow.
    let settings = [&log_bound::SETTINGS[..], &[("SERVER_AGENCIES", "14"), PENDING]].concat();
    let command = shell("exec \"$0\" > >(exec cat)", &settings);
    let folder = tempfile::tempdir().expect("a folder");
    let name = "every request while the disk takes nothing, over and over, read and not read";
    let mut attack = Attack::begin_with(name, folder, command);
    attack.expect_not_ready(FAILING);
    for agency in REPEATING {
        let (mut conversation, _) = introduce(&attack.server, HOSTILE, agency);
        assert_eq!(conversation.ask(&batch(0, &TWO)), "stored 2");
    }
    let mut found = Found::default();
    limit_files(&attack, Some(FILE_MAX));
    assert!(fill_the_disk(&attack, FILLING, 500), "each batch is answered");
    attack.wait_for(|progress| &progress.unavailable, 1);
    attack.wait_for_readiness(FAILING);
    let kinds = [
        Kind::of_agency("a batch", &batch(2, &TWO), times),
        Kind::of_agency("a single bet", &single(2), times),
        Kind::of_agency("an end", &end(2), times),
    ];
    found.repeat(&attack, "no space", &kinds);
    limit_files(&attack, None);
    attack.wait_for(|progress| &progress.stored, 1);
    attack.wait_for_readiness(READY);
    found.broken.extend(log_bound::exceeded(&attack, KINDS));
    let (measured, broken) = found.measured();
    attack.end("no memory per repetition", &measured, broken);
}
