//! Signals that end a process silently unless it handles them.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// How long a frame or line may take where polls are interrupted.
const DEADLINE: Duration = Duration::from_secs(1);

/// Between two signals: far less than a deadline, so that no poll waits until one by itself.
const PAUSE: Duration = Duration::from_millis(2);

/// The kernel ends a poll at each of these signals, with EINTR and before its time.
#[test]
fn signals_that_interrupt_every_poll_hold_up_no_deadline_and_cut_no_peer_off() {
    let deadline = format!("{}ms", DEADLINE.as_millis());
    let settings = [("SERVER_FRAME_TIMEOUT", &deadline[..])];
    let attack = Attack::begin("SIGUSR1 every 2 ms while deadlines are pending", &settings);
    let (stop, signals) = (AtomicBool::new(false), AtomicU64::new(0));
    let rounds = scale(2, 20);
    let mut broken = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                attack.server.signal(Signal::USR1);
                signals.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        for _ in 0..rounds {
            broken.extend(half_lines(&attack));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let signals = signals.into_inner();
    let measured = format!("{signals} signals, {} half lines that were ended", LINES * rounds);
    attack.end("deadlines fire, none too early", &measured, broken);
}

/// Half lines at a time, and as many whose rest comes before the deadline.
const LINES: usize = 20;

/// One half of these lines are completed, well in time and after many signals. The others must be
/// answered with an error line, after their deadline has passed.
fn half_lines(attack: &Attack) -> Vec<String> {
    let half_line = || {
        let mut stream = connect_from(&attack.server, HOSTILE);
        stream.write_all(b"half a ").expect("sent");
        stream
    };
    let begun = Instant::now();
    let mut in_time: Vec<_> = (0..LINES).map(|_| half_line()).collect();
    let late: Vec<_> = (0..LINES).map(|_| half_line()).collect();
    std::thread::sleep(DEADLINE / 10);
    let mut broken = Vec::new();
    for stream in &mut in_time {
        let mut response = [0; 12];
        let answered = stream.write_all(b"line\n").and_then(|()| stream.read_exact(&mut response));
        // On a machine that stood still meanwhile it may have been late, and be cut off rightly.
        let is_late = begun.elapsed() >= DEADLINE;
        if !is_late && (answered.is_err() || &response != b"half a line\n") {
            broken.push(format!("a line that came in time was answered: {answered:?}"));
        }
    }
    for mut stream in late {
        let mut response = String::new();
        let ended = stream.read_to_string(&mut response);
        if ended.is_err() || !response.starts_with("error: ") {
            broken.push(format!("half a line was answered: {response:?}, {ended:?}"));
        } else if begun.elapsed() < DEADLINE {
            broken.push(format!("half a line was ended after {:?}", begun.elapsed()));
        }
    }
    broken
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
