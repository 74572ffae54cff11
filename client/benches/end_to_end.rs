//! Five agencies against a central on loopback, in processes of their own: bets a second from the
//! start of the agencies to the end of the last one.
//!
//! These machines are shared: figures are medians of alternating runs, and the one that matters is
//! the ratio to a yardstick of the same run, which appends the same bytes to a file in pieces of
//! 8 KiB, with one sync for each or none.

#[path = "../../server/tests/process/mod.rs"]
mod process;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::{Server, binary};

const AGENCIES: u32 = 5;
const BETS: u32 = 40_000;
const RUNS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for agency in 1..=AGENCIES {
        write_bets(&folder.path().join(format!("agency-{agency}.csv")), agency);
    }
    let total = f64::from(AGENCIES * BETS);
    say("end to end, 5 agencies x 40000 bets, median of 5 alternating runs");
    say("sync    lottery         yardstick       ratio");
    let mut times = [const { (Vec::new(), Vec::new()) }; 2];
    for _ in 0..RUNS {
        for (sync, (lottery, yardstick)) in ["always", "never"].into_iter().zip(&mut times) {
            lottery.push(lottery_time(folder.path(), sync));
            yardstick.push(yardstick_time(folder.path(), sync == "always"));
        }
    }
    for (sync, (lottery, yardstick)) in ["always", "never"].into_iter().zip(times) {
        let (lottery, yardstick) = (median(lottery), median(yardstick));
        let rate = |time: Duration| total / time.as_secs_f64() / 1e6;
        let ratio = yardstick.as_secs_f64() / lottery.as_secs_f64();
        say(&format!(
            "{sync:7} {:5.2} M bets/s   {:6.2} M bets/s  {ratio:.3}",
            rate(lottery),
            rate(yardstick)
        ));
    }
}

#[expect(clippy::print_stdout, reason = "the table is what a bench is run for")]
fn say(line: &str) {
    println!("{line}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn write_bets(path: &Path, agency: u32) {
    let mut text = String::new();
    for index in 0..BETS {
        let (document, number) = (30_000_000 + index * AGENCIES + agency, index % 10_000);
        write!(text, "Santiago Lionel,Fernandez,{document},1999-03-17,{number}\r\n")
            .expect("a String takes everything");
    }
    std::fs::write(path, text).expect("written");
}

fn lottery_time(folder: &Path, sync: &str) -> Duration {
    let environment =
        [("SERVER_SYNC", sync), ("LOGGING_LEVEL", "INFO"), ("SERVER_LOG_SIZE", "8MiB")];
    let (server, log) = Server::start_with_log(&environment);
    // Lines are not what is measured; nobody reading them costs the server nothing either.
    drop(log);
    let start = Instant::now();
    let agencies: Vec<_> = (1..=AGENCIES)
        .map(|agency| {
            Command::new(binary("client"))
                .env_clear()
                .env("CLI_ID", agency.to_string())
                .env("CLI_SERVER_ADDRESS", server.address())
                .env("CLI_DATA_PATH", folder.join(format!("agency-{agency}.csv")))
                .env("CLI_BATCH_MAXAMOUNT", "65535")
                .stdout(Stdio::null())
                .spawn()
                .expect("it starts")
        })
        .collect();
    for mut agency in agencies {
        assert!(agency.wait().expect("it ends").success());
    }
    let time = start.elapsed();
    assert!(server.terminate().success());
    time
}

fn yardstick_time(folder: &Path, synced: bool) -> Duration {
    let bytes = vec![b'x'; 8192];
    let total = (1..=AGENCIES)
        .map(|agency| {
            folder.join(format!("agency-{agency}.csv")).metadata().expect("it is there").len()
        })
        .sum::<u64>();
    let mut file = File::create(folder.join("yardstick")).expect("a file");
    let start = Instant::now();
    for _ in 0..total.div_ceil(bytes.len() as u64) {
        file.write_all(&bytes).expect("written");
        if synced {
            rustix::fs::fdatasync(file.as_fd()).expect("synced");
        }
    }
    start.elapsed()
}
