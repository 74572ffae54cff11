//! Disks that are full, small or slow.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, RawPid, Resource, Rlimit, getrlimit, prlimit};

use crate::attack::{Attack, attacked_command};
use crate::conversation::{HOSTILE, connect_from, introduce};
use crate::flood::{Peer, Reading, numbered, run};
use crate::log_bound;
use crate::operator::READY;
use crate::scale;
use crate::turns::look_at_metrics;
use kit::conversation::Conversation;
use kit::frames::{batch, hello};
use kit::strace::traced;

/// What `/readyz` says of a ledger that has reached its limit, and of a disk that takes nothing.
const FULL: &str = "ledger full: it has reached its limit";
pub(crate) const FAILING: &str = "storage failing: commits fail and are tried again";

/// Kinds of lines that a failing disk makes: accepted, waiting, echoed, batch and end received, batch
/// stored, batch not stored, commit failed, and one for each agency that is lost.
const KINDS: usize = 10;

/// Bets of a batch.
const BATCH: usize = 150;

/// Sends so many batches that would fill a disk, without a look at what becomes of them;
/// returns whether each was answered.
pub(crate) fn fill_the_disk(
    attack: &Attack,
    agencies: std::ops::RangeInclusive<u32>,
    batches: u64,
) -> bool {
    let mut peers: Vec<_> = agencies
        .map(|agency| {
            let bets = [("12345678", "7"); BATCH];
            let script = numbered(batches + 1, move |index, out| match index.checked_sub(1) {
                None => out.extend(hello(agency)),
                Some(index) => out.extend(batch(index * BATCH as u64, &bets)),
            });
            Peer::new(connect_from(&attack.server, HOSTILE), script, Reading::Frames(batches + 1))
        })
        .collect();
    run(&mut peers, Duration::from_mins(5));
    peers.iter().all(Peer::is_done)
}

fn ledger_len(attack: &Attack) -> u64 {
    fs::metadata(attack.server.folder().join("bets.csv")).expect("it is there").len()
}

#[test]
fn a_ledger_has_a_largest_size() {
    const LARGEST: u64 = 4 << 20;
    let batches = scale(2_000, 50_000);
    let mut attack = Attack::begin(
        "agencies write for ever",
        &[("SERVER_MAX_LEDGER_SIZE", "4MiB"), ("SERVER_MAX_LOG_LINES", "1000")],
    );
    attack.expect_not_ready(FULL);
    let mut broken = Vec::new();
    if !fill_the_disk(&attack, 2..=5, batches) {
        broken.push("not every batch was answered".to_owned());
    }
    attack.wait_for_readiness(FULL);
    let len = ledger_len(&attack);
    if len > LARGEST {
        broken.push(format!("the ledger has {len} bytes"));
    }
    let measured = format!("{} batches, a ledger of {len} bytes", 4 * batches);
    let log = attack.end("`SERVER_MAX_LEDGER_SIZE`", &measured, broken);
    assert!(log.contains("the ledger is full: "), "it logs that: {log}");
}

/// Files of the server may grow up to so many bytes: lifted later, unlike the shell's own limit.
pub(crate) fn limit_files(attack: &Attack, bytes: Option<u64>) {
    let pid = RawPid::try_from(attack.server.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: bytes, ..getrlimit(Resource::Fsize) };
    prlimit(Some(pid.expect("it runs")), Resource::Fsize, limit).expect("it is our own");
}

/// Commits that the disk didn't take, as the central counts them.
fn failed_commits(attack: &Attack) -> u64 {
    let metrics = look_at_metrics(attack.admin());
    metrics["loteria_commit_failures_total"].parse().expect("a number")
}

#[test]
fn a_full_disk_is_not_tried_at_every_request() {
    const LIMIT: u64 = 4 << 20;
    let batches = scale(20_000, 200_000);
    let mut attack =
        Attack::begin("a disk that is full, then has space again", &log_bound::SETTINGS);
    attack.expect_not_ready(FAILING);
    limit_files(&attack, Some(LIMIT));
    let begun = Instant::now();
    let mut broken = Vec::new();
    if !fill_the_disk(&attack, 2..=5, batches) {
        broken.push("not every batch was answered".to_owned());
    }
    // Not even for its few bets is there space.
    attack.wait_for(|progress| &progress.unavailable, 100);
    attack.wait_for_readiness(FAILING);
    let full_for = begun.elapsed();
    limit_files(&attack, None);
    let begun = Instant::now();
    attack.wait_for(|progress| &progress.stored, 1);
    let recovered = begun.elapsed();
    attack.wait_for_readiness(READY);
    let failed = failed_commits(&attack);
    // The delays double from a tenth of a second to five.
    let allowed = 10 + full_for.as_secs();
    if failed == 0 || failed > allowed {
        broken.push(format!("{failed} commits were tried within {full_for:?}"));
    }
    broken.extend(log_bound::exceeded(&attack, KINDS));
    let measured = format!(
        "{failed} commits tried for {} batches in {full_for:.1?}; stored again after {recovered:.1?}",
        4 * batches
    );
    attack.end("a delay after each failure, up to 5 s", &measured, broken);
}

/// A server whose syncs each take so long.
fn begin_with_slow_syncs(name: &'static str, delay: &str, settings: &[(&str, &str)]) -> Attack {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let inject = format!("--inject=fdatasync:delay_enter={delay}");
    let arguments = ["-f".to_owned(), "--trace=fdatasync".to_owned(), inject];
    let server = traced(&attacked_command(settings), &trace, &arguments);
    Attack::begin_with(name, folder, server)
}

#[test]
fn a_disk_that_takes_very_long_for_a_sync_holds_up_no_other() {
    let name = scale("a sync takes 0.5 s", "a sync takes 5 s");
    let attack = begin_with_slow_syncs(name, scale("500ms", "5s"), &[]);
    let (mut agency, _) = introduce(&attack.server, HOSTILE, 2);
    let mut echo = connect_from(&attack.server, HOSTILE);
    let mut broken = Vec::new();
    let mut position = 0;
    for _ in 0..scale(1, 3) {
        agency.send(&batch(position, &[("1", "7")]));
        echo.write_all(b"meanwhile\n").expect("sent");
        echo.read_exact(&mut [0; 10]).expect("echoed");
        if !is_silent(&agency) {
            broken.push("the sync came before the echo".to_owned());
        }
        position += 1;
        assert_eq!(agency.receive(), format!("stored {position}"));
    }
    let ended = attack.ask_to_end(|| {
        // One more is under way, and the server knows of it.
        agency.send(&batch(position, &[("1", "7")]));
        echo.write_all(b"meanwhile\n").expect("sent");
        echo.read_exact(&mut [0; 10]).expect("echoed");
    });
    let measured = format!("ended {:.1?} after SIGTERM", ended.ending);
    ended.report("a thread waits for the disk", &measured, broken);
}

/// The rest of a frame waits in the socket while responses wait for the disk, longer than a frame may
/// take: it is the disk that is slow.
#[test]
fn a_disk_that_takes_longer_than_a_frame_may_cuts_no_peer_off() {
    // One response that waits for the disk is as much as may wait.
    let settings = [("SERVER_FRAME_TIMEOUT", "500ms"), ("SERVER_MAX_PENDING_REPLIES", "1")];
    let name = "a sync takes longer than a frame may";
    let attack = begin_with_slow_syncs(name, scale("700ms", "5s"), &settings);
    let (mut first, _) = introduce(&attack.server, HOSTILE, 2);
    let (mut second, _) = introduce(&attack.server, HOSTILE, 3);
    let frame = batch(0, &[("1", "7")]);
    let mut echo = connect_from(&attack.server, HOSTILE);
    // What was sent before the line has been read when it comes back.
    let mut has_been_read = || {
        echo.write_all(b"?\n").expect("sent");
        echo.read_exact(&mut [0; 2]).expect("echoed");
    };
    second.send(&frame[..9]);
    has_been_read();
    first.send(&frame);
    has_been_read();
    second.send(&frame[9..]);
    assert_eq!(first.receive(), "stored 1");
    let response = second.receive();
    let broken =
        if response == "stored 1" { vec![] } else { vec![format!("it received {response}")] };
    attack.end("its deadline waits with it", "none was cut off", broken);
}

/// Nothing has come for it.
fn is_silent(agency: &Conversation<TcpStream>) -> bool {
    agency.0.set_nonblocking(true).expect("set");
    let nothing = agency.0.peek(&mut [0]);
    agency.0.set_nonblocking(false).expect("set");
    nothing.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
