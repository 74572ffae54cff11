//! The lottery as the course runs it: a central and five agencies with a file each, in processes of
//! their own, synced always, from the start of the agencies to `sorteo`.

use std::fs::File;
use std::io::BufWriter;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use load::dataset::{self, Plan};

use crate::contender::{Contender, Kind};
use crate::table::median;
use crate::{RUNS, print};
use kit::programs::binary;

const AGENCIES: u32 = 5;

/// As many in all as in the course's five files.
const BETS: u32 = 15_740;

pub(crate) fn run() {
    let times = (0..RUNS).map(|_| time().as_secs_f64() * 1e3).collect();
    print(&format!(
        "files: {AGENCIES} agencies x {BETS} bets, processes of their own, sync always\n  \
         from their start to the end of the last, after the draw: {:.1} ms (median of {RUNS})\n",
        median(times)
    ));
}

fn time() -> Duration {
    let contender = Contender::start(Kind::Central, "always", &[]);
    let plan = Plan { bets: BETS..=BETS, winners: 2..=2, seed: 1 };
    for agency in 1..=AGENCIES {
        let file = File::create(contender.folder().join(format!("agency-{agency}.csv")));
        dataset::write(&plan, agency, BufWriter::new(file.expect("a file"))).expect("written");
    }
    let start = Instant::now();
    let agencies: Vec<_> = (1..=AGENCIES).map(|agency| start_agency(&contender, agency)).collect();
    for mut agency in agencies {
        assert!(agency.wait().expect("it ends").success());
    }
    start.elapsed()
}

fn start_agency(contender: &Contender, agency: u32) -> Child {
    let mut command = Command::new(binary("client"));
    command
        .env_clear()
        .env("CLI_ID", agency.to_string())
        .env("CLI_SERVER_ADDRESS", contender.address().to_string())
        .env("CLI_DATA_PATH", contender.folder().join(format!("agency-{agency}.csv")))
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts")
}
