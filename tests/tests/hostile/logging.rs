//! Frames and lines that cost a peer next to nothing and the log a line each.

use std::process::Command;
use std::time::Duration;

use kit::log::lines;
use runtime::logging::{Level, LogLine};

use crate::attack::{Attack, attacked_command, shell};
use crate::conversation::{HOSTILE, connect_from};
use crate::flood::{Peer, Reading, numbered, repeat, run};
use crate::rejections::nothing;
use crate::scale;
use kit::frames::hello;

/// Lines of a kind that are logged as they are.
const LINES: usize = 1_000;

/// What the lines of this attack, none of which shows a long value, are shorter than.
const LINE_LENGTH: usize = 250;

/// Kinds of lines that the attack makes: accepted, waiting, echoed, batch rejected, bet invalid,
/// batch stored (the honest agency's).
const KINDS: usize = 6;

/// Each period may log a count of each kind; beside that there are the lines of start and end.
const REPORTS_MAX: usize = 200 * KINDS + 50;

const ENVIRONMENT: [(&str, &str); 4] = [
    ("SERVER_AGENCIES", "5"),
    ("SERVER_MAX_LOG_LINES", "1000"),
    ("SERVER_LOG_INTERVAL", "1h"),
    ("SERVER_REFUSAL_LOG_INTERVAL", "2s"),
];

const BOUND: &str = "`SERVER_MAX_LOG_LINES` of a kind";

/// Agencies 2 to 5 send batches that are rejected, and as many peers empty lines.
fn fill_the_log(attack: &Attack, each: u64) -> Vec<String> {
    let agencies = (2..=5).map(|agency| {
        let script = numbered(each + 1, move |index, out| match index.checked_sub(1) {
            None => out.extend(hello(agency)),
            Some(position) => nothing(position, out),
        });
        Peer::new(connect_from(&attack.server, HOSTILE), script, Reading::Frames(each + 1))
    });
    let echoes = (2..=5).map(|_| {
        Peer::new(connect_from(&attack.server, HOSTILE), repeat(b"\n", each), Reading::Bytes(each))
    });
    let mut peers: Vec<_> = agencies.chain(echoes).collect();
    run(&mut peers, Duration::from_mins(5));
    if peers.iter().all(Peer::is_done) { vec![] } else { vec!["not all were answered".to_owned()] }
}

/// Checks that the lines of a kind and the counts of the others add up.
fn check_counts(log: &str, outcome: &str) -> u64 {
    let lines: Vec<_> = lines(log).filter(|line| line.message.contains(outcome)).collect();
    let number = |line: &LogLine<'_>, name| line.value::<u64>(name);
    let counted: u64 = lines.iter().filter_map(|line| number(line, "more")).sum();
    let logged = lines.iter().filter(|line| line.level == Level::Info).count();
    assert_eq!(logged, LINES, "{outcome}");
    assert!(
        lines[..LINES].iter().all(|line| line.level == Level::Info),
        "the first are as they are"
    );
    let total = lines.iter().rev().find_map(|line| number(line, "total")).expect("a total");
    assert_eq!(total, LINES as u64 + counted, "{outcome}");
    total
}

fn attack(name: &'static str, command: Command) -> (u64, String) {
    let each = scale(100_000, 2_500_000);
    let attack = Attack::begin_with(name, tempfile::tempdir().expect("a folder"), command);
    let mut broken = fill_the_log(&attack, each);
    let bytes = usize::try_from(attack.log_bytes()).expect("it fits");
    if bytes > (KINDS * LINES + REPORTS_MAX) * LINE_LENGTH {
        broken.push(format!("{bytes} bytes of log"));
    }
    let measured = format!("{} rejected batches and empty lines, {bytes} bytes of log", 8 * each);
    (4 * each, attack.end(BOUND, &measured, broken))
}

#[test]
fn a_log_in_a_file_is_bounded_and_its_counts_add_up() {
    let (each, log) = attack("lines of log, to a file", attacked_command(&ENVIRONMENT));
    assert_eq!(check_counts(&log, "action: apuesta_recibida | result: fail"), each);
    // The honest peer's lines are among these.
    assert!(check_counts(&log, "action: receive_message | result: success") > each);
}

#[test]
fn a_log_in_a_pipe_is_bounded_and_its_counts_add_up() {
    let (each, log) =
        attack("lines of log, to a pipe", shell("exec \"$0\" > >(exec cat)", &ENVIRONMENT));
    assert_eq!(check_counts(&log, "action: apuesta_recibida | result: fail"), each);
}
