//! Writes and syncs that fail under the real central: nothing is confirmed that isn't stored, and
//! agencies come to their end once the disk is well again.
//!
//! The Nth run meets its fault at the Nth call, until a run ends without having met any.

use std::path::PathBuf;
use std::process::Command;

use kit::lottery::{Lottery, Name, Plan};
use kit::strace::traced;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

/// Far more than any of these runs makes of one call.
const CALLS_MAX: usize = 1000;

/// Two agencies with three batches each: some at a time, and one by one.
fn started() -> Lottery {
    let mut lottery = Lottery::new(&[Plan::new(5, "2", "2"), Plan::new(5, "2", "1")]);
    lottery.start_agencies();
    lottery
}

fn trace_file(lottery: &Lottery) -> PathBuf {
    lottery.folder().join("trace")
}

/// The central as it is, and after each failed commit with a line of its own: nothing is held back
/// long, or counted.
fn central(lottery: &Lottery) -> Command {
    lottery
        .central(&[("SERVER_COMMIT_RETRY_DELAY", "20ms"), ("SERVER_REFUSAL_LOG_INTERVAL", "1ms")])
}

/// The central and its thread that waits for the disk; each counts its own calls.
fn under_strace(lottery: &Lottery, arguments: &[String]) -> Command {
    let arguments = [&["--follow-forks".to_owned()][..], arguments].concat();
    traced(&central(lottery), &trace_file(lottery), &arguments)
}

/// Whether a line of the trace sends a frame, rather than what the loop and the thread that waits for
/// the disk send each other: no frame is as short as that.
fn sends_frame(line: &str) -> bool {
    let own = [", 1, MSG_NOSIGNAL", ", 4, MSG_NOSIGNAL"];
    (line.contains("sendto(") || line.contains("sendmsg("))
        && !own.iter().any(|own| line.contains(own))
}

fn trace(lottery: &Lottery) -> String {
    std::fs::read_to_string(trace_file(lottery)).expect("strace has written it")
}

/// Lines of the central about a commit that must wait.
fn postponed(lottery: &Lottery, reason: &str) -> usize {
    let lines = lottery.central_log.iter();
    lines
        .filter(|line| {
            line.contains("action: commit | result: in_progress") && line.contains(reason)
        })
        .count()
}

/// The central ended because of the disk, and logged that; another start makes everything good.
fn ended_and_recovers(lottery: &mut Lottery, code: Option<i32>, reason: &str) {
    let log = lottery.last_lines();
    assert_eq!(code, Some(1), "{log}");
    let last = lottery.central_log.last().expect("it has logged something");
    assert!(last.contains("action: run | result: fail | error: "), "{log}");
    assert!(last.contains(lottery.folder().to_str().expect("plain")), "{log}");
    assert!(last.contains(reason), "{log}");
    lottery.recover();
}

#[test]
fn no_answer_leaves_before_its_record_is_synced() {
    // One batch at a time: no response belongs to an earlier record than the last.
    let mut lottery = Lottery::new(&[Plan::new(9, "2", "1")]);
    lottery.start_agencies();
    let calls = "--trace=pwrite64,pwritev,fdatasync,fsync,sendto,sendmsg".to_owned();
    let central = under_strace(&lottery, &[calls]);
    assert_eq!(lottery.run(central).code(), Some(0));
    lottery.check();
    let (mut unsynced, mut responses, mut syncs) = (false, 0, 0);
    let mut syncing_log = false;
    for line in trace(&lottery).lines() {
        let on_log = line.contains("bets.csv.wal>");
        if line.contains("fdatasync(") {
            syncing_log = on_log;
        }
        // A call that another thread's line interrupts has a second line when it ends.
        let sync_ends = line.contains("fdatasync") && !line.contains("<unfinished ...>");
        if sync_ends && syncing_log {
            unsynced = false;
            syncs += 1;
        } else if on_log && (line.contains("pwrite64(") || line.contains("pwritev(")) {
            unsynced = true;
        } else if sends_frame(line) {
            assert!(!unsynced, "{line}");
            responses += 1;
        }
    }
    assert!(responses >= 6 && syncs >= 6, "{responses} responses, {syncs} syncs");
}

#[test]
fn after_a_failed_sync_no_reply_leaves_and_the_central_ends() {
    for name in ["fdatasync", "fsync"] {
        let faults = (1..CALLS_MAX).take_while(|n| {
            // One batch at a time: no response belongs to an earlier sync than the one that failed,
            // and may still be leaving when it has.
            let mut lottery = Lottery::new(&[Plan::new(15, "2", "1")]);
            lottery.start_agencies();
            let inject = format!("--inject={name}:error=EIO:when={n}");
            let calls = "--trace=fdatasync,fsync,sendto,sendmsg".to_owned();
            let central = under_strace(&lottery, &[calls, inject]);
            let code = lottery.run(central).code();
            let trace = trace(&lottery);
            let Some((_, after)) = trace.split_once("(INJECTED)") else {
                assert_eq!(code, Some(0), "{}", lottery.last_lines());
                lottery.check();
                return false;
            };
            assert!(!after.lines().any(sends_frame), "{after}");
            ended_and_recovers(&mut lottery, code, "Input/output error");
            true
        });
        let faults = faults.count();
        eprintln!("{faults} times {name} failed");
        // The loop's own, when the log is made, and those of the thread that are more than these.
        assert!(faults >= if name == "fsync" { 1 } else { 6 }, "only {faults} times {name}");
    }
}

#[test]
fn rows_that_find_no_space_are_confirmed_when_there_is_space_again() {
    let (mut runs, mut failed) = (0, 0);
    for n in 1..CALLS_MAX {
        let mut lottery = started();
        let rows = format!("--trace-path={}", lottery.ledger().display());
        // Some times in a row: the first agency that comes back finds it full still.
        let inject = format!("--inject=pwritev2:error=ENOSPC:when={n}..{}", n + n % 3);
        let central = under_strace(&lottery, &[rows, inject]);
        assert_eq!(lottery.run(central).code(), Some(0), "{}", lottery.last_lines());
        lottery.check();
        let postponed = postponed(&lottery, "can't append rows: No space left on device");
        assert_eq!(postponed, trace(&lottery).matches("(INJECTED)").count());
        if postponed == 0 {
            break;
        }
        runs += 1;
        failed += postponed;
    }
    eprintln!("{failed} writes found no space in {runs} runs");
    assert!(runs >= 2, "only {runs} runs");
}

/// How often the central goes on, and how often it ends, when some writes of the log find no space:
/// the `n`th of `calls` for each `n`, as long as there is one, together with those of `also`.
#[expect(clippy::print_stderr, reason = "how much was tried is what a person wants to know")]
fn without_space_in_the_log(calls: &str, most: usize, also: Option<&str>) -> (usize, usize) {
    let (mut went_on, mut ended) = (0, 0);
    for n in 1..most {
        let mut lottery = started();
        let log = format!("--trace-path={}", lottery.ledger_files()[1].display());
        let inject = format!("--inject={calls}:error=ENOSPC:when={n}");
        let faults = [Some(log), Some(inject), also.map(str::to_owned)];
        let faults: Vec<_> = faults.into_iter().flatten().collect();
        let central = under_strace(&lottery, &faults);
        let code = lottery.run(central).code();
        if !trace(&lottery).contains("(INJECTED)") {
            assert_eq!(code, Some(0), "{}", lottery.last_lines());
            break;
        }
        if code == Some(0) {
            assert_eq!(postponed(&lottery, "can't write a commit: No space left"), 1);
            lottery.check();
            went_on += 1;
        } else {
            ended_and_recovers(&mut lottery, code, "No space left on device");
            ended += 1;
        }
    }
    eprintln!(
        "{calls} of the log without space: {went_on} times it went on, {ended} times it ended"
    );
    (went_on, ended)
}

/// The log's space was taken when it was made, so this is for file systems that copy what they
/// write. What can be undone is tried again, what can't ends the central.
#[test]
fn a_log_that_finds_no_space_confirms_nothing() {
    // Making the log takes more than ten writes, ending in order takes one.
    let (went_on, making) = without_space_in_the_log("pwrite64", CALLS_MAX, None);
    assert!(went_on == 0 && making > 10, "{making}");
    let (went_on, ended) = without_space_in_the_log("pwritev", CALLS_MAX, None);
    assert!(went_on > 0 && ended == 0, "{went_on} and {ended}");
    // What would undo a commit comes when the log is made: where the one that ends the central was.
    let undoing = format!("--inject=pwrite64:error=ENOSPC:when={making}+");
    let (went_on, ended) = without_space_in_the_log("pwritev", 4, Some(&undoing));
    assert!(went_on == 0 && ended == 3, "{went_on} and {ended}");
}

#[test]
fn rows_that_can_neither_be_written_nor_taken_back_end_the_central() {
    let mut lottery = started();
    let rows = format!("--trace-path={}", lottery.ledger().display());
    let faults = ["--inject=pwritev2:error=ENOSPC", "--inject=ftruncate:error=EIO"];
    let central = under_strace(&lottery, &[&[rows][..], &faults.map(str::to_owned)].concat());
    let code = lottery.run(central).code();
    ended_and_recovers(&mut lottery, code, "can't take rows back: Input/output error");
}

/// Bytes of the log: it can be made.
const FILE_SIZE_MAX: u64 = 4096 + 2 * 1024 * 1024;

/// A limit on the size of files in place of a full disk: writes that reach it are cut short, as on a
/// real one, and it can be lifted.
fn limit_files(lottery: &Lottery, current: Option<u64>) {
    let limit = Rlimit { current, ..getrlimit(Resource::Fsize) };
    prlimit(Some(lottery.central_pid()), Resource::Fsize, limit).expect("it is our own");
}

/// A lottery whose ledger has met the limit, and more than once.
fn on_full_disk() -> Lottery {
    // Two and a half megabytes.
    let plans =
        [Plan::new(28_000, "1000", "8"), Plan::new(28_000, "100", "8"), Plan::new(5000, "7", "8")];
    let mut lottery = Lottery::new(&plans);
    // The signal that announces the limit must not end the central.
    let server = central(&lottery);
    let mut central = Command::new("sh");
    central.args(["-c", "trap '' XFSZ; exec \"$0\""]).arg(server.get_program()).env_clear();
    central.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    lottery.start_central(central);
    while !lottery.listens() {
        lottery.go_on();
    }
    limit_files(&lottery, Some(FILE_SIZE_MAX));
    lottery.start_agencies();
    while postponed(&lottery, "can't append rows: File too large") < 5 {
        lottery.go_on();
    }
    lottery
}

#[test]
fn a_full_disk_is_waited_for() {
    let mut lottery = on_full_disk();
    assert!(lottery.ledger().metadata().expect("there").len() <= FILE_SIZE_MAX);
    limit_files(&lottery, None);
    lottery.finish();
    lottery.check();
}

#[test]
fn a_central_that_is_killed_on_a_full_disk_goes_on_when_there_is_space() {
    let mut lottery = on_full_disk();
    lottery.kill(Name::Central);
    lottery.recover();
}
