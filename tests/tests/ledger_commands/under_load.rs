//! Backups of a ledger whose central is killed at random moments under load: each one verifies, and restores to
//! a prefix of the ledger that holds everything that had been confirmed before the backup began.
//!
//! `BACKUPS=200` for as many, `BACKUPS_SEED` to begin with the seed that a failure names. Chance decides when
//! the central is killed, counted in its lines; a seed gives the same intentions, not the same run.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use fastrand::Rng;
use kit::lottery::{Input, Lottery, Name, Plan};
use kit::process::finish;
use kit::server::command;

use crate::world::{checked, done};

/// Backups when `BACKUPS` isn't set.
const BACKUPS: u64 = 6;

/// So many that what chance leaves out of a few is among them.
const MANY: u64 = 50;

const AGENCIES: u32 = 4;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// What became of the backups.
#[derive(Debug, Default)]
struct Tally {
    backups: u64,
    /// Made while bets were still to be stored.
    under_way: u64,
    kills: u64,
    /// Kills while a backup was being made.
    during: u64,
}

#[test]
fn every_backup_is_a_prefix_with_all_that_was_confirmed_before_it() {
    let backups = number("BACKUPS").unwrap_or(BACKUPS);
    let first = number("BACKUPS_SEED").unwrap_or_else(|| fastrand::u64(..u64::from(u32::MAX)));
    let mut tally = Tally::default();
    for seed in first.. {
        if tally.backups >= backups {
            break;
        }
        eprintln!("BACKUPS_SEED={seed}: {tally:?}");
        round(&mut Rng::with_seed(seed), backups, &mut tally);
    }
    eprintln!("{tally:?}");
    assert!(tally.under_way > 0, "none was under load: {tally:?}");
    // Of a few, chance may have made most at the end of their lottery.
    let are_many = tally.backups >= MANY;
    assert!(!are_many || tally.under_way * 2 >= tally.backups, "too few were: {tally:?}");
    assert!(!are_many || tally.during > 0, "no kill came during one: {tally:?}");
}

/// One lottery, from nothing to the draw.
fn round(random: &mut Rng, backups: u64, tally: &mut Tally) {
    let plans: Vec<_> = (0..AGENCIES).map(|_| plan(random)).collect();
    let mut lottery = Lottery::new(&plans);
    let copy = lottery.folder().join("copy");
    start_central(random, &mut lottery);
    lottery.start_agencies();
    while !lottery.is_over() {
        go_on(&mut lottery, random.u64(1..30));
        if tally.backups < backups && lottery.ledger().exists() && lottery.listens() {
            back_up(random, &mut lottery, &copy, tally);
        }
        if random.u8(..3) == 0 {
            kill(random, &mut lottery, tally);
        }
    }
    lottery.wait_for_end();
    lottery.finish();
    lottery.check();
}

fn plan(random: &mut Rng) -> Plan {
    let amount = random.usize(20..120);
    let input = Input::Made { bets: amount * random.usize(100..300), lucky: random.usize(2..50) };
    let environment = vec![
        ("CLI_BATCH_MAXAMOUNT", amount.to_string()),
        ("CLI_BATCH_WINDOW", random.u32(1..=8).to_string()),
    ];
    Plan { input, environment }
}

fn start_central(random: &mut Rng, lottery: &mut Lottery) {
    let group = random.choice(["1", "4KiB", "256KiB"]).expect("there are some");
    let command = lottery.central(&[("SERVER_GROUP_COMMIT_BYTES", group)]);
    lottery.start_central(command);
}

/// Lets the lottery come some lines further.
fn go_on(lottery: &mut Lottery, lines: u64) {
    let until = lottery.progress + lines;
    while lottery.progress < until && !lottery.is_over() {
        lottery.go_on();
    }
}

fn kill(random: &mut Rng, lottery: &mut Lottery, tally: &mut Tally) {
    lottery.kill(Name::Central);
    tally.kills += 1;
    start_central(random, lottery);
}

/// Makes a backup while the lottery goes on, and restores it elsewhere.
fn back_up(random: &mut Rng, lottery: &mut Lottery, copy: &Path, tally: &mut Tally) {
    let confirmed: Vec<_> = lottery.agencies().map(|agency| lottery.confirmed(agency)).collect();
    tally.backups += 1;
    tally.under_way += u64::from(lottery.rows() < lottery.bets());
    let mut backup = command(&[]);
    backup.args(["ledger", "backup"]).arg(lottery.ledger()).arg(copy);
    let mut child =
        backup.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut killed = !random.bool();
    while child.try_wait().expect("it is ours").is_none() && !lottery.is_over() {
        if !killed {
            killed = true;
            tally.during += 1;
            kill(random, lottery, tally);
        }
        lottery.go_on();
    }
    let output = finish(child);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}: {}", lottery.last_lines());

    let restored = lottery.folder().join(format!("restored-{}.csv", tally.backups));
    done("restore", &[copy, restored.as_path()]);
    let report = checked(&restored);
    let rows = fs::read(&restored).expect("rows");
    let now = fs::read(lottery.ledger()).expect("rows");
    assert!(now.starts_with(&rows), "{said}: {report}");
    for (agency, least) in lottery.agencies().zip(confirmed) {
        let accounts = report["accounts"].as_array().expect("a list");
        let account = accounts.iter().find(|account| account["agency"] == agency);
        let stored = account.map_or(0, |account| account["stored"].as_u64().expect("a number"));
        assert!(stored >= least, "agency {agency} had {least}: {report}");
    }
    fs::remove_file(&restored).expect("removed");
    fs::remove_file(restored.with_extension("csv.wal")).expect("removed");
}
