//! Totals after a whole lottery of real agencies, one of whose batches each is rejected: metrics, ledger, log
//! and files say the same.
//!
//! `KILLS_DATA=FOLDER` for `agency-1.csv` to `agency-5.csv` there instead of files made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::inputs::{self, read, rows_of};
use kit::log::{lines, successes};
use kit::process::finish;
use kit::programs::binary;
use runtime::logging::LineResult;

use crate::world::Central;

const AGENCIES: u32 = 5;

/// A row that the central must reject, and with it the batch that has it: the first.
const BAD_ROW: &str = "Ana,Paz,30904465,2000-01-01,many\r\n";

/// An agency's file, with the bad row before all others.
fn file(folder: &Path, agency: u32) -> PathBuf {
    let given = std::env::var_os("KILLS_DATA").map(PathBuf::from);
    let given = given.map(|folder| folder.join(format!("agency-{agency}.csv")));
    let good = given.unwrap_or_else(|| inputs::file(folder, agency, 700 * agency as usize, 40));
    let path = folder.join(format!("bad-{agency}.csv"));
    let rows = fs::read(good).expect("a file of bets");
    fs::write(&path, [BAD_ROW.as_bytes(), &rows].concat()).expect("written");
    path
}

fn agency(central: &Central, number: u32, file: &Path) -> Command {
    let mut command = Command::new(binary("client"));
    command
        .env_clear()
        .env("CLI_ID", number.to_string())
        .env("CLI_SERVER_ADDRESS", central.server.address())
        .env("CLI_DATA_PATH", file)
        // The central is to find what is wrong.
        .env("CLI_DATA_CHECK", "off")
        .stdin(Stdio::null());
    command
}

/// All of these lines' numbers of bets, and how many lines there are.
fn received(log: &str, result: LineResult) -> (u64, u64) {
    let of_batches = lines(log).filter(|line| line.is("apuesta_recibida", result));
    of_batches.fold((0, 0), |(bets, batches), line| {
        (bets + line.value::<u64>("cantidad").expect("a number"), batches + 1)
    })
}

#[test]
fn metrics_are_what_ledger_log_and_files_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut central = Central::start(AGENCIES, &[]);
    let files: Vec<_> = (1..=AGENCIES).map(|agency| file(folder.path(), agency)).collect();
    let running: Vec<_> = (1..)
        .zip(&files)
        .map(|(number, file)| {
            let mut command = agency(&central, number, file);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    for child in running {
        // It says so when a batch of its own was rejected.
        assert_eq!(finish(child).status.code(), Some(1));
    }
    central.wait_for_metric("loteria_draw_done", "1");
    let (metrics, status) = (central.metrics(), central.status());
    let kept = central.server.take_folder();
    let log = central.server.stop();
    let ledger = kept.path().join("bets.csv");
    let number = |name: &str| -> u64 { metrics[name].parse().expect("a number") };

    let (mut stored, mut rejected, mut winners) = (0, 0, 0);
    for (agency, file) in (1..).zip(&files) {
        let rows = rows_of(&ledger, agency);
        let (own, all) = (rows.len() as u64, read(file).len() as u64);
        assert!(own > 0 && own < all && all - own <= 100, "one batch is missing: {own} of {all}");
        let own_winners = rows.iter().filter(|row| row[5] == "7574").count() as u64;
        let of = |name: &str| number(&format!("loteria_agency_{name}{{agency=\"{agency}\"}}"));
        assert_eq!((of("bets"), of("rejected_bets"), of("finished")), (own, all - own, 1));
        assert_eq!(status["agencies"][agency as usize - 1]["winners"], own_winners);
        (stored, rejected, winners) = (stored + own, rejected + all - own, winners + own_winners);
    }
    for (name, value) in [
        ("loteria_ledger_bets", stored),
        ("loteria_ledger_rejected_bets", rejected),
        ("loteria_bets_stored_total", stored),
        ("loteria_bets_rejected_total", rejected),
        ("loteria_winners", winners),
        ("loteria_ledger_bytes", fs::metadata(&ledger).expect("it is there").len()),
    ] {
        assert_eq!(number(name), value, "{name}");
    }
    let of_batches =
        |outcome: &str| number(&format!("loteria_batches_total{{outcome=\"{outcome}\"}}"));
    assert_eq!(received(&log, LineResult::Success), (stored, of_batches("stored")));
    assert_eq!(received(&log, LineResult::Fail), (rejected, of_batches("rejected")));
    assert_eq!(successes(&log, "sorteo").count(), 1);
}
