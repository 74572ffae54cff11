//! Makes agency files: `dataset --agencies 5 --bets 2000 --seed 1 --out .data`.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use client::dataset::{self, Plan};
use reactor::{console, logging};

fn main() -> ExitCode {
    logging::catch_panics();
    let matches = command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let argument = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).help(help)
    };
    Command::new("dataset")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Makes agency files out of a seed")
        .args([
            argument("agencies", "5", "Files to make: agency-1.csv and so on")
                .value_parser(value_parser!(u32).range(0..=10_000)),
            argument("bets", "2000", "Bets in each: a number, or MIN..MAX").value_parser(range),
            argument("winners", "1..4", "Winning bets in each: a number, or MIN..MAX")
                .value_parser(range),
            argument("seed", "1", "The same seed makes the same files")
                .value_parser(value_parser!(u64)),
            argument("out", ".data", "Folder to put them into")
                .value_parser(value_parser!(PathBuf)),
            Arg::new("keep")
                .long("keep")
                .action(ArgAction::SetTrue)
                .help("Leave files that exist as they are"),
        ])
}

fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let range = least.parse().ok().zip(most.parse().ok()).filter(|(least, most)| least <= most);
    let (least, most) = range.ok_or("expected a number, or MIN..MAX with MIN <= MAX")?;
    Ok(least..=most)
}

fn run(matches: &ArgMatches) -> Result<(), String> {
    let range =
        |name: &str| matches.get_one::<RangeInclusive<u32>>(name).expect("it has a default");
    let plan = Plan {
        bets: range("bets").clone(),
        winners: range("winners").clone(),
        seed: *matches.get_one("seed").expect("it has a default"),
    };
    let folder: &PathBuf = matches.get_one("out").expect("it has a default");
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for agency in 1..=*matches.get_one("agencies").expect("it has a default") {
        let path = folder.join(format!("agency-{agency}.csv"));
        if matches.get_flag("keep") && path.exists() {
            continue;
        }
        let written = write(&plan, agency, &path);
        let written = written.map_err(|error| format!("{}: {error}", path.display()))?;
        let (path, dataset::Written { bets, winners }) = (path.display(), written);
        console::print(&format!("{path}: {bets} bets, {winners} winners\n"));
    }
    Ok(())
}

/// Whoever sees the file sees all of it: it gets its name when it is whole.
fn write(plan: &Plan, agency: u32, path: &Path) -> io::Result<dataset::Written> {
    let unfinished = path.with_extension("csv.tmp");
    let written = dataset::write(plan, agency, BufWriter::new(File::create(&unfinished)?))?;
    fs::rename(&unfinished, path)?;
    Ok(written)
}
