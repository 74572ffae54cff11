//! Signals that end a process silently unless it handles them.

use std::io::{Read, Write};

use rustix::process::Signal;

use crate::attack::Attack;
use crate::conversation::{HOSTILE, connect_from};
use crate::scale;

#[test]
fn signals_end_nothing_silently() {
    let attack = Attack::begin("SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ", &[]);
    let rounds = scale(200, 20_000);
    let mut stream = connect_from(&attack.server, HOSTILE);
    for _ in 0..rounds {
        for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::XFSZ] {
            attack.server.signal(signal);
        }
        stream.write_all(b"hola\n").expect("it takes input");
        stream.read_exact(&mut [0; 5]).expect("it answers");
    }
    attack.end("the process goes on", &format!("{} signals", 4 * rounds), Vec::new());
}

#[test]
fn sigquit_ends_in_order_and_says_so() {
    let mut attack = Attack::begin("SIGQUIT", &[]);
    attack.server.signal(Signal::QUIT);
    let (status, log) = attack.server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("action: shutdown | result: in_progress | cause: SIGQUIT"), "{log}");
    assert!(log.contains("action: close_ledger | result: success"), "{log}");
}
