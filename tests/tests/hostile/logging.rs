//! Frames and lines that cost a peer next to nothing and the log a line each.

use std::process::Command;
use std::time::Duration;

use kit::log::{lines, successes};
use runtime::logging::{Level, LogLine};

use crate::attack::{Attack, attacked_command, shell};
use crate::conversation::{HOSTILE, connect_from};
use crate::flood::{Peer, Reading, numbered, repeat, run};
use crate::log_bound::{self, BOUND, LINES, SETTINGS};
use crate::rejections::nothing;
use crate::scale;
use crate::turns;
use kit::frames::{batch, end, hello};
use kit::server::Server;

/// Kinds of lines that the attack makes: accepted, waiting, echoed, batch rejected, bet invalid,
/// batch stored (the honest agency's).
const KINDS: usize = 6;

fn settings() -> Vec<(&'static str, &'static str)> {
    [&SETTINGS[..], &[("SERVER_AGENCIES", "5"), turns::SETTING]].concat()
}

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
    let folder = tempfile::tempdir().expect("a folder");
    let attack = Attack::begin_with(name, folder, command).in_turns();
    let mut broken = fill_the_log(&attack, each);
    broken.extend(log_bound::exceeded(&attack, KINDS));
    let bytes = attack.log_bytes();
    let measured = format!("{} rejected batches and empty lines, {bytes} bytes of log", 8 * each);
    (4 * each, attack.end(BOUND, &measured, broken))
}

#[test]
fn a_log_in_a_file_is_bounded_and_its_counts_add_up() {
    let (each, log) = attack("lines of log, to a file", attacked_command(&settings()));
    assert_eq!(check_counts(&log, "action: apuesta_recibida | result: fail"), each);
    // The honest peer's lines are among these.
    assert!(check_counts(&log, "action: receive_message | result: success") > each);
}

#[test]
fn a_log_in_a_pipe_is_bounded_and_its_counts_add_up() {
    let (each, log) =
        attack("lines of log, to a pipe", shell("exec \"$0\" > >(exec cat)", &settings()));
    assert_eq!(check_counts(&log, "action: apuesta_recibida | result: fail"), each);
}

/// What the course asks for, with the settings as they are by default: no line may be missing, even if
/// each bet comes in a batch of its own.
#[test]
fn every_line_of_five_agencies_with_100_000_bets_each_is_logged() {
    const AGENCIES: u32 = 5;
    const BETS: u64 = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with_log_file(folder, attacked_command(&[]));
    let agency = |agency| {
        let script = numbered(BETS + 2, move |index, out| match index {
            0 => out.extend(hello(agency)),
            index if index <= BETS => out.extend(batch(index - 1, &[("12345678", "7")])),
            _ => out.extend(end(BETS)),
        });
        Peer::new(connect_from(&server, HOSTILE), script, Reading::Frames(BETS + 2))
    };
    let mut peers: Vec<_> = (1..=AGENCIES).map(agency).collect();
    run(&mut peers, Duration::from_mins(2));
    assert!(peers.iter().all(Peer::is_done), "each agency is answered");
    drop(peers);
    let log = server.stop();
    let stored = successes(&log, "apuesta_recibida");
    let stored = stored.filter(|line| line.value("cantidad") == Some(1));
    assert_eq!(stored.count() as u64, u64::from(AGENCIES) * BETS);
    assert_eq!(successes(&log, "sorteo").count(), 1);
    // Refusals are counted by another rule: here of agencies that leave while the central ends.
    let is_refusal = |line: &LogLine<'_>| line.action == "refuse_connection";
    let mut counted = lines(&log).filter(|line| line.field("more").is_some() && !is_refusal(line));
    assert_eq!(counted.next(), None, "lines were counted instead");
}
