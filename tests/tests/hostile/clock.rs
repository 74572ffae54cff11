//! A server that doesn't run for a while, or has very much to read at once: what has arrived in time
//! is in time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::attack::Attack;
use crate::conversation::{HOSTILE, connect_from};
use crate::scale;
use kit::frames::hello;
use kit::process::{TIMEOUT, raise_descriptors};
use kit::reads;

/// Every deadline of the server.
const DEADLINE: &str = "5s";

/// How long it doesn't run: longer than that.
const STOPPED: Duration = Duration::from_millis(6_500);

/// When nothing has come from the kernel's buffers for so long, they are empty.
const NOTHING_COMES: Duration = Duration::from_millis(200);

/// One that has begun, or not, and sends the rest while the server is stopped.
struct Late {
    stream: TcpStream,
    rest: Vec<u8>,
    response: usize,
}

impl Late {
    fn new(attack: &Attack, index: u32) -> Self {
        let mut stream = connect_from(&attack.server, HOSTILE);
        let hello = hello(index + 2);
        let (first, rest, response): (&[u8], &[u8], usize) = match index % 4 {
            0 => (b"half a li", b"ne\n", 12),
            1 => (&hello[..5], &hello[5..], 25),
            2 => (b"", b"the first byte\n", 15),
            _ => (b"idle for long\n", b"back\n", 5),
        };
        stream.write_all(first).expect("sent");
        if index % 4 == 3 {
            stream.read_exact(&mut [0; 14]).expect("echoed");
        }
        Self { stream, rest: rest.to_vec(), response }
    }

    fn is_answered(&mut self) -> bool {
        self.stream.read_exact(&mut vec![0; self.response]).is_ok()
    }
}

#[test]
fn a_stopped_server_cuts_off_no_peer_that_was_in_time() {
    raise_descriptors();
    let count = scale(2_000, 6_000);
    let deadlines = ["FIRST_BYTE_TIMEOUT", "FRAME_TIMEOUT", "IDLE_TIMEOUT", "WRITE_TIMEOUT"]
        .map(|name| format!("SERVER_{name}"));
    let mut environment = vec![("SERVER_AGENCIES", "10000")];
    environment.extend(deadlines.iter().map(|name| (&name[..], DEADLINE)));
    let attack =
        Attack::begin("SIGSTOP, then SIGCONT when every deadline has passed", &environment);
    let mut late: Vec<_> = (0..count).map(|index| Late::new(&attack, index)).collect();
    let mut reader = SlowReader::new(&attack);
    attack.server.suspend();
    for one in &mut late {
        one.stream.write_all(&one.rest).expect("it has arrived");
    }
    reader.take_what_is_there();
    // Nothing is waited for but that the deadlines pass.
    std::thread::sleep(STOPPED);
    attack.server.signal(Signal::CONT);
    let cut_off = late.iter_mut().filter_map(|one| (!one.is_answered()).then_some(())).count();
    let mut broken = Vec::new();
    if cut_off > 0 {
        broken.push(format!("{cut_off} were cut off"));
    }
    if !reader.has_everything() {
        broken.push("one that had taken its responses was cut off".to_owned());
    }
    attack.end(
        "no deadline before what arrived in time",
        &format!("{count} connections ready at once"),
        broken,
    );
}

/// A peer whose responses have stalled, and that takes them at last.
struct SlowReader {
    stream: TcpStream,
    sent: usize,
    received: usize,
}

impl SlowReader {
    fn new(attack: &Attack) -> Self {
        let mut stream = connect_from(&attack.server, HOSTILE);
        stream.set_nonblocking(true).expect("set");
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        let (mut sent, mut at) = (0, 0);
        while let Ok(count) = stream.write(&line[at..]) {
            at = (at + count) % line.len();
            sent += count;
        }
        Self { stream, sent: sent / line.len() * line.len(), received: 0 }
    }

    /// Takes what the kernel holds of it on both sides: until nothing has come for a while.
    fn take_what_is_there(&mut self) {
        self.stream.set_nonblocking(false).expect("set");
        self.stream.set_read_timeout(Some(NOTHING_COMES)).expect("set");
        let mut scratch = vec![0; 64 << 10];
        while let Some(count) =
            reads::read(&mut self.stream, &mut scratch).ok().filter(|count| *count > 0)
        {
            self.received += count;
        }
    }

    fn has_everything(&mut self) -> bool {
        self.stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        let mut scratch = vec![0; 64 << 10];
        while self.received < self.sent {
            match reads::read(&mut self.stream, &mut scratch) {
                Ok(count) if count > 0 => self.received += count,
                _ => return false,
            }
        }
        true
    }
}
