//! A central that is stopped for longer than its peers have time: what arrived meanwhile arrived in
//! time, and nobody is cut off for the central's own absence.

mod process;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use process::{PATIENCE, Server};
use rustix::process::{Pid, RawPid, Signal, kill_process};

/// How long a line may take. The peers begin theirs well before it is over.
const LINE_TIME: Duration = Duration::from_secs(2);

/// The state letter in `/proc/PID/stat`, which follows the name in parentheses.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
    rest.chars().next().expect("a letter")
}

/// Stops a process, and waits until it has stopped.
fn stop(pid: Pid, number: u32) {
    kill_process(pid, Signal::STOP).expect("it runs");
    let deadline = Instant::now() + PATIENCE;
    while state(number) != 'T' {
        assert!(Instant::now() < deadline, "it doesn't stop: {}", state(number));
        std::thread::yield_now();
    }
}

#[test]
fn peers_whose_lines_arrive_while_the_central_is_stopped_are_answered() {
    let line_time = format!("{}ms", LINE_TIME.as_millis());
    let server =
        Server::start(&[("SERVER_FRAME_TIMEOUT", &line_time), ("SERVER_LISTEN_BACKLOG", "1024")]);
    let number = server.pid();
    let pid = RawPid::try_from(number).ok().and_then(Pid::from_raw).expect("it is a process");
    let mut peers: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.write_all(b"half a ").expect("sent");
    }
    // Who comes later is answered, so the central has read the halves of those before.
    let mut last = server.connect();
    last.write_all(b"hola\n").expect("sent");
    last.read_exact(&mut [0; 5]).expect("answered");
    stop(pid, number);
    for peer in &mut peers {
        peer.write_all(b"line\n").expect("sent");
    }
    std::thread::sleep(2 * LINE_TIME);
    kill_process(pid, Signal::CONT).expect("it is stopped");
    for mut peer in peers {
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).expect("an end, not a reset");
        assert_eq!(String::from_utf8_lossy(&answer), "half a line\n");
    }
    let log = server.stop();
    assert!(!log.contains("waited too long"), "{log}");
}
