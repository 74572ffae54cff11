//! Central and agencies are killed at random moments, again and again, and started anew: no bet is
//! lost, none is stored twice, and the lottery is drawn once; and the metrics of the central that is left say
//! what the ledger holds, and count what its own log has.
//!
//! `KILLS=500` for more of them, `KILLS_SEED` to begin with the seed that a failure names,
//! `KILLS_DATA=FOLDER` for `agency-1.csv` to `agency-5.csv` there instead of files made here. Chance
//! decides who is killed and when, counted in lines of the central; the processes' own timing
//! stays what it is, so that a seed gives the same intentions, not the same run.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use kit::http::{admin_port, ask};
use kit::inputs::rows_of;
use kit::log::successes;
use kit::lottery::{Input, Lottery, Name, Plan};
use kit::process::TIMEOUT;

/// Kills when `KILLS` isn't set.
const KILLS: usize = 200;

/// Most bets of an agency in each of its batches.
const MAX_AMOUNTS: [usize; 5] = [7, 40, 100, 7, 100];

/// What is appended by hand while the central is down: a row that was never committed, and not whole.
const TORN: &[u8] = b"1,Ana,Paz,123,2000-01-01,75";

/// What became of the kills.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    centrals: usize,
    /// Bets were still to be stored.
    under_way: usize,
    /// Torn rows that were appended.
    torn: usize,
    /// Of these, cut off by a process that survived.
    cut: usize,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn kills_lose_no_bet_and_double_none() {
    let kills = number("KILLS").map_or(KILLS, |kills| usize::try_from(kills).expect("a count"));
    let first = number("KILLS_SEED").unwrap_or_else(|| fastrand::u64(..u64::from(u32::MAX)));
    let mut tally = Tally::default();
    let mut rounds = 0;
    for seed in first.. {
        if tally.kills >= kills {
            break;
        }
        eprintln!("KILLS_SEED={seed}: {tally:?}");
        round(&mut Rng::with_seed(seed), kills, &mut tally);
        rounds += 1;
    }
    eprintln!("{rounds} rounds: {tally:?}");
    assert!(tally.under_way * 4 >= tally.kills * 3, "too many kills hit nothing: {tally:?}");
    assert!(tally.cut > 0 || tally.torn < 10, "no torn row was cut off: {tally:?}");
    assert!(tally.centrals * 4 >= tally.kills, "too few of them hit the central: {tally:?}");
}

/// One lottery, from nothing to the draw.
fn round(random: &mut Rng, kills: usize, tally: &mut Tally) {
    let amounts = (1..).zip(MAX_AMOUNTS);
    let plans: Vec<_> = amounts.map(|(agency, amount)| plan(random, agency, amount)).collect();
    let mut lottery = Lottery::new(&plans);
    start_central(random, &mut lottery);
    lottery.start_agencies();
    while !lottery.is_over() && tally.kills < kills {
        wait(random, &mut lottery);
        if !lottery.is_over() {
            kill(random, &mut lottery, tally);
        }
    }
    lottery.wait_for_end();
    let metrics = metrics(&lottery);
    lottery.finish();
    lottery.check();
    check_metrics(&lottery, &metrics);
    let cut = format!("bytes_cut: {} ", TORN.len());
    tally.cut += lottery.central_log.iter().filter(|line| line.contains(&cut)).count();
}

/// About a hundred batches, with some that are under way at once, or one now and then.
fn plan(random: &mut Rng, agency: u32, max_amount: usize) -> Plan {
    let window = random.u32(1..=8).to_string();
    let period = if random.bool() { "0s" } else { "1ms" };
    let bets = max_amount * random.usize(50..150) + random.usize(0..max_amount);
    let made = Input::Made { bets, lucky: random.usize(10..500) };
    let folder = std::env::var_os("KILLS_DATA").map(PathBuf::from);
    let file = folder.map(|folder| Input::File(folder.join(format!("agency-{agency}.csv"))));
    Plan {
        input: file.unwrap_or(made),
        environment: vec![
            ("CLI_BATCH_MAXAMOUNT", max_amount.to_string()),
            ("CLI_BATCH_WINDOW", window),
            ("CLI_LOOP_PERIOD", period.to_owned()),
        ],
    }
}

/// A central that reads and commits in pieces of another size each time.
fn start_central(random: &mut Rng, lottery: &mut Lottery) {
    let group_commit_bytes = random.choice(["1", "4KiB", "256KiB"]).expect("there are some");
    let read = random.choice(["512", "8KiB", "64KiB"]).expect("there are some");
    let command = lottery.central(&[
        ("SERVER_GROUP_COMMIT_BYTES", group_commit_bytes),
        ("SERVER_READ_BUDGET", read),
        ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0"),
    ]);
    lottery.start_central(command);
}

/// The central's metrics, once nothing more happens.
fn metrics(lottery: &Lottery) -> String {
    let port = admin_port(&lottery.log_since_start());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    ask(&mut stream, "/metrics").expect("a response").body
}

fn check_metrics(lottery: &Lottery, metrics: &str) {
    let number = |name: &str| -> u64 {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}: {metrics}"))
    };
    assert_eq!(number("loteria_ledger_bets"), lottery.rows() as u64);
    assert_eq!(number("loteria_ledger_rejected_bets"), 0);
    assert_eq!(number("loteria_winners"), lottery.winners());
    for agency in lottery.agencies() {
        let rows = rows_of(&lottery.ledger(), agency).len() as u64;
        assert_eq!(number(&format!("loteria_agency_bets{{agency=\"{agency}\"}}")), rows);
    }
    let log = lottery.log_since_start();
    let stored: Vec<u64> = successes(&log, "apuesta_recibida")
        .map(|line| line.value("cantidad").expect("a number"))
        .collect();
    assert_eq!(number("loteria_bets_stored_total"), stored.iter().sum::<u64>());
    assert_eq!(number("loteria_batches_total{outcome=\"stored\"}"), stored.len() as u64);
}

/// Lets the lottery come some way, and a little further than its next log line.
fn wait(random: &mut Rng, lottery: &mut Lottery) {
    // Now and then right away: in the middle of a start.
    let until = lottery.progress + if random.u8(..8) == 0 { 0 } else { random.u64(1..30) };
    while lottery.progress < until && !lottery.is_over() {
        lottery.go_on();
    }
    // Chance, not synchronisation: whatever happens meanwhile is fine.
    std::thread::sleep(Duration::from_micros(random.u64(..2000)));
}

fn kill(random: &mut Rng, lottery: &mut Lottery, tally: &mut Tally) {
    let agencies: Vec<_> =
        lottery.agencies().filter(|id| lottery.is_running(Name::Agency(*id))).collect();
    let (central, agencies) = match random.u8(..20) {
        0 => (true, agencies),
        1..8 => (false, random.choice(agencies).into_iter().collect()),
        _ => (true, Vec::new()),
    };
    let mut killed = 0;
    for agency in &agencies {
        // It may have come to its end while another one was being killed.
        if lottery.is_running(Name::Agency(*agency)) {
            lottery.kill(Name::Agency(*agency));
            killed += 1;
        }
    }
    tally.kills += killed;
    if central {
        lottery.kill(Name::Central);
        tally.kills += 1;
        tally.centrals += 1;
    }
    if lottery.rows() < lottery.bets() {
        tally.under_way += killed + usize::from(central);
    }
    if central {
        if random.u8(..3) == 0 && lottery.rows() > 0 {
            append_torn_row(lottery);
            tally.torn += 1;
        }
        start_central(random, lottery);
    }
    for agency in agencies {
        if !lottery.has_finished(agency) {
            lottery.start_agency(agency);
        }
    }
}

fn append_torn_row(lottery: &Lottery) {
    let ledger = OpenOptions::new().append(true).open(lottery.ledger());
    ledger.expect("it is there").write_all(TORN).expect("written");
}
