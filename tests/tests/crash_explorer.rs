//! The central is killed at each of its system calls in turn: whatever it leaves, the next start and
//! the same agencies come to the right end.
//!
//! A small lottery, run again and again: the Nth run meets its fault at the Nth call of a name, until
//! a run ends without having met any. `KILLS` in the environment, as `make kills` sets it, explores
//! everything: every call of the process, and each crash followed by each crash of the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use kit::lottery::{Lottery, Name, Plan, was_killed};
use kit::strace::traced;

/// Far more than any of these runs makes of one call.
const CALLS_MAX: usize = 1000;

/// Two agencies with three batches each: some at a time, and one by one.
fn unnamed() -> Lottery {
    Lottery::new(&[Plan::new(5, "2", "2"), Plan::new(5, "2", "1")])
}

/// The same of a draw with a name, which every start has to find in the ledger.
fn named() -> Lottery {
    unnamed().of_draw("2026-11-27")
}

/// Which calls of the central strace sees: those on the ledger's two files and their folder.
fn on_ledger(lottery: &Lottery) -> Vec<String> {
    let [rows, log] = lottery.ledger_files();
    let paths = [rows.as_path(), &log, lottery.folder()];
    paths.iter().map(|path| format!("--trace-path={}", path.display())).collect()
}

/// Those on `bets.csv` alone.
fn on_rows(lottery: &Lottery) -> Vec<String> {
    vec![format!("--trace-path={}", lottery.ledger().display())]
}

/// The calls that answers, requests and log lines pass through.
fn on_sockets(_lottery: &Lottery) -> Vec<String> {
    vec!["--trace=sendto,sendmsg,write,writev,recvfrom,read,accept4,shutdown,epoll_wait".to_owned()]
}

/// Every call from the first one of the process on.
fn everywhere(_lottery: &Lottery) -> Vec<String> {
    Vec::new()
}

type Seen = fn(&Lottery) -> Vec<String>;

/// The central under strace, which kills it at the `n`th call of that name.
fn killed_at(lottery: &Lottery, seen: Seen, name: &str, n: usize) -> Command {
    let inject = format!("--inject={name}:signal=KILL:when={n}");
    under_strace(lottery, &[seen(lottery), vec![inject]].concat())
}

/// The central and its thread that waits for the disk; each counts its own calls.
fn under_strace(lottery: &Lottery, arguments: &[String]) -> Command {
    let arguments = [&["--follow-forks".to_owned()][..], arguments].concat();
    traced(&lottery.central(&[]), &trace_file(lottery), &arguments)
}

fn trace_file(lottery: &Lottery) -> PathBuf {
    lottery.folder().join("trace")
}

/// Names of the calls worth a kill that strace saw.
fn names_seen(lottery: &Lottery) -> BTreeSet<String> {
    let trace = std::fs::read_to_string(trace_file(lottery)).expect("strace has written it");
    let names = trace.lines().filter_map(|line| line.split_once('('));
    let names = names.filter_map(|(start, _)| name_in(start)).map(str::to_owned);
    // Its first call is the one that strace itself starts it with. A kill at one that only reads is
    // a kill at the next that writes.
    names.filter(|name| !["execve", "pread64", "statx", "fcntl"].contains(&name.as_str())).collect()
}

/// The name in the start of a trace's line, up to a parenthesis: it follows the number of the thread.
/// None in lines of signals and of the end, nor in the result of a call whose line was interrupted by
/// another thread's.
fn name_in(start: &str) -> Option<&str> {
    let (_, name) = start.split_once(' ')?;
    let name = name.trim_start();
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(fits).then_some(name)
}

/// Whether it has come to its right end, unharmed.
fn was_survived(lottery: &Lottery, status: ExitStatus) -> bool {
    if was_killed(status) {
        return false;
    }
    assert_eq!(status.code(), Some(0), "{}", lottery.last_lines());
    lottery.check();
    true
}

/// The calls that a run makes when it isn't killed.
fn names_of_a_run(mut lottery: Lottery, seen: Seen) -> BTreeSet<String> {
    lottery.start_agencies();
    let central = under_strace(&lottery, &seen(&lottery));
    let status = lottery.run(central);
    assert!(was_survived(&lottery, status));
    names_seen(&lottery)
}

/// Kills a central at the `n`th call of that name; `None` when there is no such call.
fn crashed_at(mut lottery: Lottery, seen: Seen, name: &str, n: usize) -> Option<Lottery> {
    lottery.start_agencies();
    let central = killed_at(&lottery, seen, name, n);
    let status = lottery.run(central);
    (!was_survived(&lottery, status)).then_some(lottery)
}

/// Kills the central of such a lottery at each of its calls in turn; returns how many of each name these
/// were.
#[expect(clippy::print_stderr, reason = "how much was explored is what a person wants to know")]
fn kill_at_each(lottery: impl Fn() -> Lottery, seen: Seen) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names_of_a_run(lottery(), seen) {
        let crashes = (1..CALLS_MAX).map_while(|n| crashed_at(lottery(), seen, &name, n));
        let count = crashes.map(|mut lottery| lottery.recover()).count();
        counts.insert(name, count);
    }
    eprintln!("killed at each of {} calls: {counts:?}", counts.values().sum::<usize>());
    counts
}

#[test]
fn killed_at_any_call_on_the_ledger_it_loses_and_doubles_nothing() {
    let counts = kill_at_each(named, on_ledger);
    // What the ledger can't do without; that the exploration has seen it at all.
    for (name, least) in
        [("pwrite64", 12), ("pwritev", 3), ("fdatasync", 6), ("fsync", 1), ("ftruncate", 1)]
    {
        assert!(counts.get(name).is_some_and(|count| *count >= least), "{name}: {counts:?}");
    }
}

#[test]
fn killed_at_any_answer_or_log_line_it_loses_and_doubles_nothing() {
    let counts = kill_at_each(unnamed, if is_thorough() { everywhere } else { on_sockets });
    for (name, least) in [("sendto", 6), ("recvfrom", 6), ("write", 5), ("accept4", 2)] {
        assert!(counts.get(name).is_some_and(|count| *count >= least), "{name}: {counts:?}");
    }
}

/// Bets that leave little room in the first half of a log.
const BETS_BEFORE: usize = 23_000;

/// A third agency's bets are in the ledger, in a log whose half the others will fill.
struct NearlyFull(Lottery);

impl NearlyFull {
    fn new() -> Self {
        let mut lottery = Self::lottery();
        let central = lottery.central(&[]);
        lottery.start_central(central);
        lottery.start_agency(3);
        while lottery.confirmed(3) < BETS_BEFORE as u64 {
            lottery.go_on();
        }
        lottery.kill(Name::Central);
        Self(lottery)
    }

    /// Frames as large as they get: few of them.
    fn lottery() -> Lottery {
        Lottery::new(&[
            Plan::new(2000, "1000", "8"),
            Plan::new(2000, "1000", "8"),
            Plan::new(BETS_BEFORE, "1000", "8"),
        ])
    }

    fn copy(&self) -> Lottery {
        let lottery = Self::lottery();
        for (from, to) in self.0.ledger_files().iter().zip(lottery.ledger_files()) {
            std::fs::copy(from, to).expect("copied");
        }
        lottery
    }
}

#[test]
fn killed_while_the_log_changes_halves_it_loses_and_doubles_nothing() {
    const HALF: u64 = 1024 * 1024;
    let before = NearlyFull::new();
    let len = |lottery: &Lottery| lottery.ledger().metadata().expect("it is there").len();
    assert!(len(&before.0) < HALF);
    // Its rows alone don't fit into a half.
    let whole = crashed_at(before.copy(), on_rows, "fdatasync", 2).expect("at the end");
    assert!(len(&whole) > HALF, "{}", len(&whole));
    kill_at_each(|| before.copy(), on_ledger);
}

fn is_thorough() -> bool {
    std::env::var_os("KILLS").is_some()
}

/// What a crash of the machine may leave at the end of `bets.csv`: rows that never came to the disk,
/// and others that were never committed. Neither once every agency is done: the central is about to end in
/// order then, or has just done so, which syncs the rows before it logs that.
fn damage_tail(lottery: &Lottery) {
    if lottery.is_over() {
        return;
    }
    // It may not have come to be.
    let Ok(file) = OpenOptions::new().write(true).open(lottery.ledger()) else { return };
    let len = file.metadata().expect("a length").len();
    if len == 0 {
        return;
    }
    let lost = vec![0; usize::try_from(len.min(50)).expect("50 at most")];
    file.write_all_at(&lost, len - lost.len() as u64).expect("written");
    file.write_all_at(b"1,Ana,Paz,123,2000-01-01,75", len).expect("written");
}

/// Kills the start after a crash at each of its calls in turn; returns how many these were. `None` when
/// the crash can't be had: there is no `n`th call of that name.
fn kill_each_recovery(name: &str, n: usize) -> Option<usize> {
    let crashed = || {
        let lottery = crashed_at(named(), on_ledger, name, n)?;
        damage_tail(&lottery);
        Some(lottery)
    };
    let mut lottery = crashed()?;
    let central = under_strace(&lottery, &on_ledger(&lottery));
    let status = lottery.run(central);
    assert!(was_survived(&lottery, status));
    let mut kills = 0;
    for name in names_seen(&lottery) {
        for m in 1..CALLS_MAX {
            let mut lottery = crashed()?;
            let central = killed_at(&lottery, on_ledger, &name, m);
            let status = lottery.run(central);
            if was_survived(&lottery, status) {
                break;
            }
            kills += 1;
            damage_tail(&lottery);
            lottery.recover();
        }
    }
    Some(kills)
}

#[test]
fn killed_while_it_recovers_it_recovers_nevertheless() {
    if !is_thorough() {
        // Somewhere in the middle of the commits.
        let kills = kill_each_recovery("fdatasync", 5).expect("there is such a call");
        eprintln!("killed the recovery from one crash at each of {kills} calls");
        // Files opened, locked and synced; how many more depends on what the crash has left.
        assert!(kills > 8, "only {kills} calls");
        return;
    }
    let (mut crashes, mut kills) = (0, 0);
    for name in names_of_a_run(named(), on_ledger) {
        for recovery in (1..CALLS_MAX).map_while(|n| kill_each_recovery(&name, n)) {
            crashes += 1;
            kills += recovery;
        }
    }
    eprintln!("killed {kills} recoveries after {crashes} different crashes");
}
