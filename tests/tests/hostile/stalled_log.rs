//! A log that takes nothing for a while, whatever it goes to: only its lines wait, or are counted.

use std::fs;
use std::time::{Duration, Instant};

use crate::attack::{Attack, attacked_command, shell};
use crate::conversation::{HOSTILE, connect_from};
use crate::flood::{Peer, Reading, repeat, run};
use crate::scale;
use kit::log::lines;
use kit::process::TIMEOUT;
use kit::strace::{traced, untrace};

const LINE: &[u8] = b"a line that is logged\n";

/// Peers that have lines echoed.
const PEERS: u64 = 4;

/// Has more lines logged than the kernel and the server hold of them.
fn flood_the_log(attack: &Attack) -> u64 {
    let each = scale(20_000, 1_000_000);
    let echo = |_| {
        let stream = connect_from(&attack.server, HOSTILE);
        Peer::new(stream, repeat(LINE, each), Reading::Bytes(each * LINE.len() as u64))
    };
    let mut peers: Vec<_> = (0..PEERS).map(echo).collect();
    run(&mut peers, Duration::from_mins(2));
    assert!(peers.iter().all(Peer::is_done), "each line is echoed");
    PEERS * each
}

/// Lines that the log says were dropped, once it says that.
fn dropped_lines(attack: &Attack) -> u64 {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let log = fs::read_to_string(attack.server.folder().join("log")).expect("text");
        let counts = lines(&log).filter_map(|line| line.value::<u64>("dropped_lines"));
        match counts.sum() {
            0 => assert!(Instant::now() < deadline, "no line was dropped"),
            dropped => return dropped,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn end(attack: Attack, lines: u64) {
    let dropped = dropped_lines(&attack);
    let measured = format!("{lines} lines to be logged, {dropped} of them only counted");
    attack.end("a thread, and a pipe that is asked first", &measured, Vec::new());
}

/// Longer than the operator would wait if the loop did the writing.
#[test]
fn a_log_file_on_a_slow_disk_holds_up_no_peer() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let log = format!("--trace-path={}", folder.path().join("log").display());
    // The first writes have the lines of the start, which the test waits for.
    let inject = "--inject=write:delay_enter=1500ms:when=20+";
    let arguments = ["--follow-forks", "--trace=write", &log, inject].map(str::to_owned);
    let server = traced(&attacked_command(&[]), &trace, &arguments);
    let attack = Attack::begin_with("a log file whose writes take 1.5 s", folder, server);
    let lines = flood_the_log(&attack);
    attack.wait_for(|progress| &progress.stored, scale(500, 5_000));
    untrace(attack.server.pid());
    end(attack, lines);
}

#[test]
fn a_log_pipe_that_is_not_read_for_a_while_holds_up_no_peer() {
    const SCRIPT: &str = r#"
        late() {
            while read -r line; do
                echo "$line"
                case "$line" in *"action: listen |"*) break;; esac
            done
            sleep 3
            exec cat
        }
        exec "$0" > >(late)"#;
    let folder = tempfile::tempdir().expect("a folder");
    let name = "a log pipe that isn't read for 3 s";
    let attack = Attack::begin_with(name, folder, shell(SCRIPT, &[]));
    let lines = flood_the_log(&attack);
    attack.wait_for(|progress| &progress.stored, scale(500, 5_000));
    end(attack, lines);
}
