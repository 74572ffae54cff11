//! A central that is stopped for longer than its peers have time: what arrived meanwhile arrived in
//! time, and none is cut off for the central's own absence.

use std::io::{Read, Write};
use std::time::Duration;

use kit::server::Server;
use rustix::process::Signal;

/// How long a line may take. The peers begin theirs well before it is over.
const LINE_TIME: Duration = Duration::from_secs(2);

#[test]
fn peers_whose_lines_arrive_while_the_central_is_stopped_are_answered() {
    let line_time = format!("{}ms", LINE_TIME.as_millis());
    let server =
        Server::start(&[("SERVER_FRAME_TIMEOUT", &line_time), ("SERVER_LISTEN_BACKLOG", "1024")]);
    let mut peers: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.write_all(b"half a ").expect("sent");
    }
    // Who comes later is answered, so the central has read the halves of those before.
    let mut last = server.connect();
    last.write_all(b"hola\n").expect("sent");
    last.read_exact(&mut [0; 5]).expect("answered");
    server.suspend();
    for peer in &mut peers {
        peer.write_all(b"line\n").expect("sent");
    }
    std::thread::sleep(2 * LINE_TIME);
    server.signal(Signal::CONT);
    for mut peer in peers {
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).expect("an end, not a reset");
        assert_eq!(String::from_utf8_lossy(&answer), "half a line\n");
    }
    let log = server.stop();
    assert!(!log.contains("waited too long"), "{log}");
}
